"""The refs of a repository whose commits were pushed, as its owner says they are now."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa

from govc_search.errors import UsageError
from govc_search.indexer.intake import PUSHED
from govc_search.records import KINDS, REF_UPDATE, REPOSITORY
from govc_search.store.known import Known
from govc_search.store.log import Log

__all__ = ["put_refs"]

_KIND = {k.name: k for k in KINDS}
# What git refuses in the name of a ref.
_WRONG: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|[./]$")


def put_refs(
    repo: str,
    refs: Mapping[str, str],
    head: str | None,
    log: Log,
    known: Known,
    is_ancestor: Callable[[int, int], bool],
) -> int:
    """Appends what changed to have just these refs, full names to hashes, and returns how much.

    `head` is the full name of the default branch. Raises UsageError: `unknown_repository`,
    `not_pushed` where refs are read from git, `invalid_ref`, `unknown_commit`.
    """
    state = known.repository(repo)
    if state is None:
        raise UsageError(
            "unknown_repository", f'no repository "{repo}"', hint="its first commit makes it"
        )
    if not str(state["url"]).startswith(PUSHED):
        raise UsageError(
            "not_pushed", f'the refs of "{repo}" are read from {state["url"]}',
            hint="index it again to have them as they are now",
        )  # fmt: skip
    for name in refs:
        if not name.startswith("refs/") or _WRONG.search(name):
            raise UsageError(
                "invalid_ref", f"{name!r} cannot name a ref", hint="such as 'refs/heads/main'"
            )
    if head is not None and head not in refs:
        raise UsageError("invalid_ref", f"{head!r} is the default branch, and none of the refs")
    recorded = known.refs(repo)
    before = {name: str(row["hash"]) for name, row in recorded.items()}
    commits = known.sent(repo, sorted({*refs.values(), *before.values()}))
    for name, target in refs.items():
        if target not in commits:
            raise UsageError(
                "unknown_commit", f'{name} leads to {target!r}, which "{repo}" does not have',
                hint="push the commit first",
            )  # fmt: skip

    def forced(name: str) -> bool:
        old, new = commits[before[name]], commits[refs[name]]
        return not is_ancestor(old.position, new.position)

    now = time.time_ns() // 1000
    updates = [
        _update(repo, name, before.get(name), target, now)
        | {"forced": name in before and forced(name)}
        for name, target in refs.items()
        if before.get(name) != target
    ]
    updates += [_update(repo, n, old, None, now) for n, old in before.items() if n not in refs]
    tip = refs[head] if head is not None else None
    branch = head.encode() if head is not None else None
    parts: list[tuple[Any, pa.RecordBatch]] = []
    if updates:
        parts.append((_KIND["ref_update"], _records(REF_UPDATE, updates)))
    if (state["default_branch"], state["head"]) != (branch, tip):
        row = {**state, "event": "changed", "default_branch": branch, "head": tip, "at": now}
        parts.append((_KIND["repository"], _records(REPOSITORY, [row])))
    if parts:
        log.append(parts)
    return len(updates)


def _update(repo: str, name: str, old: str | None, new: str | None, now: int) -> dict[str, Any]:
    return {
        "repo": repo, "ref": name.encode(), "old_hash": old, "new_hash": new, "peeled": new,
        "object_type": "commit" if new else None, "forced": False, "at": now,
    }  # fmt: skip


def _records(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    full = [{f.name: row.get(f.name) for f in schema} for row in rows]
    return pa.RecordBatch.from_pylist(full, schema=schema)
