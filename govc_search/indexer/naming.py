"""Which of the indexed repositories a source is: the one at its place, or one that moved."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from govc_search.errors import UsageError
from govc_search.indexer.private_view import is_repository
from govc_search.indexer.repository import Repository
from govc_search.store.known import Known

__all__ = ["Identity", "check_name", "identify"]

_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """What a source is called, where it is, and what its user should know of that."""

    name: str
    url: str
    warnings: tuple[str, ...] = ()


def check_name(name: str) -> str:
    """Returns the name of a repository; raises UsageError `invalid_name` for one that is none.

    It is 1 to 255 characters that can be seen, and blanks within; slashes are welcome.
    """
    if 0 < len(name) <= _LONGEST and name.isprintable() and name == name.strip():
        return name
    raise UsageError(
        "invalid_name",
        f"{name!r} cannot name a repository"
        if name
        else "the name of a repository cannot be empty",
        hint=f"--name takes 1 to {_LONGEST} printable characters without blanks around them",
    )


def identify(source: Repository, wanted: str | None, known: Known) -> Identity:
    """Returns what the source is called, `wanted` or by its path; raises UsageError.

    A repository is known by its path. One of the same name whose path holds no repository any
    more is taken to have moved here if this source has some of its recorded tips.
    """
    path = source.path.resolve()
    # A work tree and its git directory are one repository.
    path = path.parent if path.name == ".git" else path
    # Paths are bytes, and the log holds text.
    url = os.fsencode(path).decode("utf-8", "backslashreplace")
    if wanted is not None:
        check_name(wanted)
    records = {str(r["repo"]): r for r in known.repositories()}
    here = next((name for name, r in records.items() if r["url"] == url), None)
    if here is not None:
        if wanted not in (None, here):
            raise UsageError(
                "already_indexed",
                f'{url} is indexed as "{here}" already',
                hint="leave --name out, or every commit of it would count twice; to rename it,"
                f" `govc-search remove {shlex.quote(here)}` and index it again",
            )
        return Identity(here, url)
    name = wanted or check_name(path.name.removesuffix(".git") or "repository")
    if name not in records:
        # A fork may outlive what it was made from, so this is no error.
        moved = [
            f'it goes on with the history of "{old}", of which nothing is left at {r["url"]}: if'
            f" that moved here, `govc-search remove {shlex.quote(name)}` and index it again with"
            f" --name {shlex.quote(old)}"
            for old, r in records.items()
            if _is_gone(r, path) and source.holds(_tips(r, known))
        ]
        return Identity(name, url, tuple(moved))
    record = records[name]
    if not _is_gone(record, path):
        raise UsageError(
            "name_taken",
            f'"{name}" is another repository already: {record["url"]}',
            hint="give this one another name with --name; one that moved is known again once"
            " nothing is left at its old place",
        )
    tips = _tips(record, known)
    if tips and not source.holds(tips):
        raise UsageError(
            "name_taken",
            f'"{name}" was another repository, at {record["url"]}: none of its tips is in this one',
            hint=f"give this one another name with --name, or `govc-search remove {shlex.quote(name)}` first",
        )
    return Identity(name, url, (f"taken for the repository that was at {record['url']}",))


def _is_gone(record: Mapping[str, Any], path: Path) -> bool:
    """Returns whether the recorded place holds no repository, or is a link to `path` now."""
    old = Path(record["url"])
    return not is_repository(old) or old.resolve() == path


def _tips(record: Mapping[str, Any], known: Known) -> list[str]:
    tips = {r["peeled"] or r["hash"] for r in known.refs(str(record["repo"])).values()}
    return sorted(tips | {record["head"]} if record["head"] else tips)
