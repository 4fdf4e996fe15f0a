"""Commits pushed by clients: mappings as JSON or Arrow give them, checked and made into records.

What a commit must and may hold stands in `_COMMIT_FIELDS` and `_CHANGE_FIELDS`; each commit is
checked on its own, so that a bad one is refused with its reason and the others are taken.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search.errors import UsageError
from govc_search.indexer.naming import check_name
from govc_search.indexer.patch import Patches, parse_patches
from govc_search.indexer.trailers import find_trailers
from govc_search.records import CHANGE, COMMIT, MAX_CHANGES

__all__ = ["Pushed", "Refused", "read_pushed"]

_Ints = npt.NDArray[np.int64]

_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MODE: Final = re.compile(r"[0-7]{6}")
_TYPES: Final = frozenset("AMDRCT")
_MINUTE: Final = 60
# What may stand before the first hunk of one file's patch, as git and others write it.
_HEADING: Final = re.compile(
    r"(?:diff |index |--- |\+\+\+ |(?:old|new|new file|deleted file) mode |(?:dis)?similarity index "
    r"|(?:rename|copy) (?:from|to) |Binary files |GIT binary patch|Index: |={3,}$|\\ |$)"
)
_BINARY: Final = re.compile(r"^(?:Binary files .* differ|GIT binary patch)$", re.MULTILINE)
_HUNK: Final = re.compile(r"^@@ ", re.MULTILINE)
_STRAY: Final = re.compile(r"^[^-+ @\\\n]", re.MULTILINE)
_EMPTY: Final = re.compile(r"^(?=\n)", re.MULTILINE)
_SECTION: Final = b"diff --git\n"


@dataclass(frozen=True, slots=True)
class Refused:
    """A commit that was not taken: its place among those sent, and why."""

    index: int
    code: str
    message: str


@dataclass(slots=True)
class Pushed:
    """What is to be recorded: `batch` of `records.COMMIT`, row i being the commit `sent[i]`."""

    batch: pa.RecordBatch
    sent: list[int]
    refused: list[Refused]


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Change:
    path: bytes
    old_path: bytes | None
    change_type: str
    old_mode: str | None
    new_mode: str | None
    old_blob: str | None
    new_blob: str | None
    # The hunks alone; null where lines were not sent.
    hunks: bytes | None
    is_binary: bool


@dataclass(slots=True)
class _Commit:
    index: int
    row: dict[str, Any]
    changes: list[_Change] | None = field(default=None)


def read_pushed(
    commits: Sequence[object], indexed_at: int, *, patch_bytes: int, start: int = 0
) -> Pushed:
    """Returns the records of pushed commits, and those refused.

    `indexed_at` in microseconds since 1970; a commit whose patches are longer than `patch_bytes`
    is refused. The first of `commits` is number `start` among those sent.
    """
    read: list[_Commit] = []
    refused: list[Refused] = []
    for i, sent in enumerate(commits, start):
        try:
            read.append(_commit(i, sent, indexed_at, patch_bytes))
        except _RefusedError as e:
            refused.append(Refused(i, e.code, str(e)))
    parsed = _parse(read)
    wrong = _unsound(read, parsed)
    if wrong:
        refused += [
            Refused(
                i, "invalid_patch", f"the hunks of {path!r} do not hold what their headers promise"
            )
            for i, path in wrong.items()
        ]
        read = [c for c in read if c.index not in wrong]
        parsed = _parse(read)
    refused.sort(key=lambda r: r.index)
    return Pushed(_batch(read, parsed), [c.index for c in read], refused)


# One commit


def _commit(index: int, sent: object, indexed_at: int, patch_bytes: int) -> _Commit:
    given = _object(sent, _COMMIT_FIELDS, "a commit")
    missing = [f for f in _NEEDED if given.get(f) is None]
    if missing:
        raise _RefusedError("missing_field", f"a commit needs {', '.join(missing)}")
    try:
        repo = check_name(_text(given, "repo"))
    except UsageError as e:
        raise _RefusedError("invalid_repo", e.message) from None
    name = _hash(given["hash"], "hash")
    parents = given.get("parents") or []
    if not isinstance(parents, list):
        raise _RefusedError("invalid_field", "parents takes a list of hashes")
    time, zone = _date(given, "author_date")
    message = _text(given, "message").encode()
    author, email = _text(given, "author").encode(), _text(given, "author_email").encode()
    committed, committed_zone = (
        _date(given, "committer_date") if given.get("committer_date") is not None else (time, zone)
    )
    changes = _changes(given.get("changes"), patch_bytes)
    row = {
        "repo": repo,
        "hash": name,
        "tree": _hash(given["tree"], "tree") if given.get("tree") is not None else None,
        "parents": [_hash(p, "parents", len(name)) for p in parents],
        "author": author,
        "author_email": email,
        "author_time": time,
        "author_tz": zone,
        "committer": _text(given, "committer").encode() if "committer" in given else author,
        "committer_email": (
            _text(given, "committer_email").encode() if "committer_email" in given else email
        ),
        "committer_time": committed,
        "committer_tz": committed_zone,
        "message": message,
        "trailers": [{"key": k, "value": v} for k, v in find_trailers(message)],
        "depth": _depth(changes, is_merge=len(parents) > 1),
        "indexed_at": indexed_at,
    }
    return _Commit(index, row, changes)


def _depth(changes: list[_Change] | None, *, is_merge: bool) -> str:
    if changes is None:
        # As in git, a merge has no changes of its own unless they are asked for.
        return "full" if is_merge else "none"
    return "full" if not changes or any(c.hunks is not None for c in changes) else "paths"


def _changes(sent: object, patch_bytes: int) -> list[_Change] | None:
    if sent is None:
        return None
    if not isinstance(sent, list):
        raise _RefusedError("invalid_field", "changes takes a list")
    if len(sent) > MAX_CHANGES:
        raise _RefusedError("too_large", f"a commit of more than {MAX_CHANGES} changes")
    changes = [_change(c) for c in sent]
    size = sum(len(c.hunks) for c in changes if c.hunks is not None)
    if size > patch_bytes:
        raise _RefusedError(
            "too_large", f"patches of {size} bytes: the setting commit_patch_bytes is {patch_bytes}"
        )
    return changes


def _change(sent: object) -> _Change:
    given = _object(sent, _CHANGE_FIELDS, "a change")
    path = _text(given, "path")
    if not path:
        raise _RefusedError("missing_field", "a change needs its path")
    old_path = _text(given, "old_path") or None
    kind = given.get("change_type") or ("R" if old_path else "M")
    if kind not in _TYPES:
        raise _RefusedError(
            "invalid_field", f"change_type is A, M, D, R, C or T, not {_shown(kind)}"
        )
    if (kind in "RC") != (old_path is not None):
        raise _RefusedError("invalid_field", f"a change of type {kind} and old_path do not agree")
    hunks, is_binary = _patch(given, path)
    return _Change(
        path.encode(), old_path.encode() if old_path else None, kind,
        _mode(given, "old_mode"), _mode(given, "new_mode"),
        _blob(given, "old_blob"), _blob(given, "new_blob"), hunks, is_binary,
    )  # fmt: skip


def _patch(given: Mapping[str, object], path: str) -> tuple[bytes | None, bool]:
    """Returns the hunks of a patch, null where there is none, and whether it is of a binary file."""
    if given.get("patch") is None:
        return None, False
    patch = _text(given, "patch")
    first = _HUNK.search(patch)
    begin = first.start() if first else len(patch)
    heading, hunks = patch[:begin], patch[begin:]
    is_binary = _BINARY.search(heading) is not None
    stray = None if is_binary else _stray(heading, hunks)
    if stray is not None:
        raise _RefusedError("invalid_patch", f"the patch of {path!r} has the line {_shown(stray)}")
    if hunks and not hunks.endswith("\n"):
        hunks += "\n"
    # Some programs take the blank from a line of context that is all blank.
    return _EMPTY.sub(" ", hunks).encode(), is_binary


def _stray(heading: str, hunks: str) -> str | None:
    """Returns a line that has no place in the patch of one file, or None."""
    for line in heading.split("\n"):
        if not _HEADING.match(line):
            return line
    found = _STRAY.search(hunks)
    return hunks[found.start() :].partition("\n")[0] if found else None


# Fields

_NEEDED: Final = ("repo", "hash", "message", "author", "author_date")
_COMMIT_FIELDS: Final = frozenset(
    {
        *_NEEDED, "parents", "tree", "author_email", "committer", "committer_email",
        "committer_date", "changes",
    }
)  # fmt: skip
_CHANGE_FIELDS: Final = frozenset(
    {"path", "old_path", "change_type", "old_mode", "new_mode", "old_blob", "new_blob", "patch"}
)


def _object(sent: object, fields: frozenset[str], what: str) -> Mapping[str, Any]:
    if not isinstance(sent, Mapping):
        raise _RefusedError("invalid_field", f"{what} is an object, not {_shown(sent)}")
    unknown = next((k for k in sent if k not in fields), None)
    if unknown is not None:
        near = difflib.get_close_matches(str(unknown), sorted(fields), 1)
        more = f', did you mean "{near[0]}"?' if near else ""
        raise _RefusedError("unknown_field", f"{what} has no field {_shown(unknown)}{more}")
    return {k: v for k, v in sent.items() if v is not None}


def _text(given: Mapping[str, object], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise _RefusedError("invalid_field", f"{name} takes text, not {_shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _RefusedError("invalid_field", f"{name} is not valid Unicode") from None
    if "\0" in value:
        raise _RefusedError("invalid_field", f"{name} holds a NUL character")
    return value


def _hash(value: object, name: str, length: int = 0) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if not _HASH.fullmatch(text) or length not in (0, len(text)):
        digits = f"{length}" if length else "40 or 64"
        raise _RefusedError(
            "invalid_hash", f"{name} takes {digits} hexadecimal digits, not {_shown(value)}"
        )
    return text


def _blob(given: Mapping[str, object], name: str) -> str | None:
    return _hash(given[name], name) if name in given else None


def _mode(given: Mapping[str, object], name: str) -> str | None:
    value = given.get(name)
    if value is None or (isinstance(value, str) and _MODE.fullmatch(value)):
        return value
    raise _RefusedError("invalid_field", f"{name} is six octal digits, not {_shown(value)}")


def _date(given: Mapping[str, object], name: str) -> tuple[int, int]:
    """Returns seconds since 1970 and the offset in minutes; without offset a time is UTC."""
    value = given[name]
    moment = value if isinstance(value, datetime) else None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if moment is None:
        raise _RefusedError(
            "invalid_date", f"{name} is as in '2024-06-01T12:00:00+02:00', not {_shown(value)}"
        )
    offset = moment.utcoffset()
    if offset is None:
        return _seconds(moment.replace(tzinfo=UTC)), 0
    return _seconds(moment), int(offset.total_seconds()) // _MINUTE


def _seconds(moment: datetime) -> int:
    return int(moment.replace(microsecond=0).timestamp())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


# Records


def _patched(read: Sequence[_Commit]) -> list[tuple[_Commit, _Change]]:
    """Returns the changes whose lines were sent, in order."""
    return [(c, change) for c in read for change in c.changes or () if change.hunks is not None]


def _parse(read: Sequence[_Commit]) -> Patches:
    sections = (change.hunks or b"" for _, change in _patched(read))
    return parse_patches(b"".join(_SECTION + s for s in sections))


def _unsound(read: Sequence[_Commit], parsed: Patches) -> dict[int, str]:
    """Returns for each commit with a patch that is wrong the path of one."""
    pairs = _patched(read)
    return {
        pairs[i][0].index: pairs[i][1].path.decode() for i in np.flatnonzero(~parsed.sound).tolist()
    }


def _batch(read: Sequence[_Commit], parsed: Patches) -> pa.RecordBatch:
    columns: dict[str, Any] = {}
    for f in COMMIT:
        if f.name != "changes":
            columns[f.name] = pa.array([c.row.get(f.name) for c in read], f.type)
    columns["changes"] = _all_changes(read, parsed)
    return pa.RecordBatch.from_arrays([columns[f.name] for f in COMMIT], schema=COMMIT)


def _all_changes(read: Sequence[_Commit], parsed: Patches) -> pa.Array:
    changes = [change for c in read for change in c.changes or ()]
    sent = np.array([c.hunks is not None for c in changes], np.bool_)
    binary = np.array([c.is_binary for c in changes], np.bool_)
    # The hunks of binary files are not lines.
    owner = np.flatnonzero(sent)[parsed.section] if len(parsed.section) else parsed.section
    kept = ~binary[owner] if len(owner) else np.zeros(0, np.bool_)
    counted = sent & ~binary
    hunks = parsed.hunks.filter(pa.array(kept)) if len(owner) else parsed.hunks
    owner = owner[kept]

    def count(lines: _Ints) -> _Ints:
        summed = np.bincount(owner, weights=lines[kept], minlength=len(changes))
        return summed.astype(np.int64)

    per_change = np.bincount(owner, minlength=len(changes))
    names = ("path", "old_path", "change_type", "old_mode", "new_mode", "old_blob", "new_blob")
    arrays: dict[str, pa.Array] = {
        name: pa.array([getattr(c, name) for c in changes], CHANGE.field(name).type)
        for name in names
    }
    arrays["similarity"] = pa.nulls(len(changes), pa.uint8())
    arrays["insertions"] = pa.array(count(parsed.insertions).astype(np.uint32), mask=~counted)
    arrays["deletions"] = pa.array(count(parsed.deletions).astype(np.uint32), mask=~counted)
    arrays["is_binary"] = pa.array(binary)
    arrays["hunks"] = _lists(CHANGE.field("hunks").type, per_change, hunks, counted)
    values = pa.StructArray.from_arrays([arrays[f.name] for f in CHANGE], fields=list(CHANGE))
    known = np.array([c.changes is not None for c in read], np.bool_)
    each = np.array([len(c.changes or ()) for c in read], np.int64)
    return _lists(COMMIT.field("changes").type, each, values, known)


def _lists(
    kind: pa.DataType, counts: _Ints, values: pa.Array, valid: npt.NDArray[np.bool_]
) -> pa.Array:
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(
        kind, len(counts), [bits, pa.py_buffer(offsets)], children=[values]
    )
