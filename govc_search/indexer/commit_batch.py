"""Gathers commits as git printed them and turns them into one batch of records."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search.gaps import NOT_UNDERSTOOD, too_large
from govc_search.indexer.commit_object import CommitObject
from govc_search.indexer.patch import Patches, parse_patches
from govc_search.records import CHANGE, COMMIT, MAX_CHANGES, TRAILER

__all__ = ["CommitBatch", "CommitText", "Diff"]

_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

_SECTION: Final = b"diff --git "
_TRAILER_FIELDS: Final = list(TRAILER)
_CHANGE_FIELDS: Final = list(CHANGE)


@dataclass(frozen=True, slots=True)
class CommitText:
    """What git prints of a commit in UTF-8: people, message as %B, trailers unfolded."""

    author: bytes
    author_email: bytes
    committer: bytes
    committer_email: bytes
    message: bytes
    trailers: list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Diff:
    """A commit's change list (the `-z --raw` entries) and its patch text, null if not read."""

    raw: bytes
    patch: bytes | None


class CommitBatch:
    """Commits of one repository, in order, until `finish` makes a record batch of them."""

    def __init__(self, repo: str, depth: str) -> None:
        self._repo = repo
        self._depth = depth
        self._hashes: list[str] = []
        self._objects: list[CommitObject] = []
        self._texts: list[CommitText] = []
        self._incomplete: list[str | None] = []
        # Changes of all commits, one list for each field; `_first` has each commit's first one.
        self._first: list[int] = [0]
        self._known: list[bool] = []
        self._paths: list[bytes] = []
        self._old_paths: list[bytes | None] = []
        self._types: list[str] = []
        self._similarities: list[int | None] = []
        self._old_modes: list[str | None] = []
        self._new_modes: list[str | None] = []
        self._old_blobs: list[str | None] = []
        self._new_blobs: list[str | None] = []
        self._patches: dict[int, bytes] = {}
        self.patch_bytes = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def add(
        self,
        name: str,
        commit: CommitObject,
        text: CommitText,
        diff: Diff | None,
        incomplete: str | None,
    ) -> None:
        """Adds a commit; without `diff` its changes are not known."""
        row = len(self._hashes)
        self._hashes.append(name)
        self._objects.append(commit)
        self._texts.append(text)
        self._known.append(diff is not None)
        whole = diff is None or self._add_changes(diff.raw)
        self._first.append(len(self._paths))
        if diff is not None and diff.patch and whole:
            if diff.patch.startswith(_SECTION) and diff.patch.endswith(b"\n"):
                self._patches[row] = diff.patch
                self.patch_bytes += len(diff.patch)
            else:
                incomplete = incomplete or NOT_UNDERSTOOD
        self._incomplete.append(incomplete if whole else too_large(MAX_CHANGES, "changes"))

    def _add_changes(self, raw: bytes) -> bool:
        """Adds the changes of one commit; returns whether there was room for all of them."""
        fields = raw.split(b"\0")
        count = 0
        at = 0
        while at + 1 < len(fields):
            entry = fields[at].decode("ascii")
            # ":100644 100644 <old> <new> R100", with full hashes of one length.
            old_mode, new_mode, old_blob, new_blob, status = entry[1:].split(" ")
            letter = status[0]
            path = fields[at + 1]
            old_path = None
            at += 2
            if letter in "RC":
                old_path, path = path, fields[at]
                at += 1
            count += 1
            if count > MAX_CHANGES:
                return False
            self._paths.append(path)
            self._old_paths.append(old_path)
            self._types.append(letter)
            self._similarities.append(int(status[1:]) if len(status) > 1 else None)
            is_new, is_gone = letter == "A", letter == "D"
            self._old_modes.append(None if is_new else old_mode)
            self._new_modes.append(None if is_gone else new_mode)
            self._old_blobs.append(None if is_new else old_blob)
            self._new_blobs.append(None if is_gone else new_blob)
        return True

    def moved_blobs(self) -> list[str]:
        """Returns the files that only moved or changed their mode.

        Their patches do not tell whether they are binary.
        """
        found = {
            new
            for old, new, mode in zip(
                self._old_blobs, self._new_blobs, self._new_modes, strict=True
            )
            if new is not None and old == new and mode is not None and mode.startswith("100")
        }
        return sorted(found) if self._patches else []

    def finish(
        self, indexed_at: int, binary_blobs: AbstractSet[str] = frozenset()
    ) -> pa.RecordBatch:
        """Returns the commits as `records.COMMIT` rows; `indexed_at` in microseconds.

        `binary_blobs` are those of `moved_blobs` that are binary.
        """
        changes = self._changes(binary_blobs)
        count = len(self)
        objects, texts = self._objects, self._texts
        authors = [o.author for o in objects]
        committers = [o.committer for o in objects]
        columns: dict[str, Any] = {
            "repo": [self._repo] * count,
            "hash": self._hashes,
            "tree": [o.tree for o in objects],
            "parents": [o.parents for o in objects],
            "author": [t.author for t in texts],
            "author_email": [t.author_email for t in texts],
            "author_time": [d.time for d in authors],
            "author_tz": [d.tz for d in authors],
            "author_date_raw": [d.raw for d in authors],
            "committer": [t.committer for t in texts],
            "committer_email": [t.committer_email for t in texts],
            "committer_time": [d.time for d in committers],
            "committer_tz": [d.tz for d in committers],
            "committer_date_raw": [d.raw for d in committers],
            "message": [t.message for t in texts],
            "encoding": [o.encoding for o in objects],
            "signature": [o.signature for o in objects],
            "trailers": self._trailers(),
            "depth": [self._depth] * count,
            "incomplete": self._incomplete,
            "changes": changes,
            "indexed_at": [indexed_at] * count,
        }
        arrays = [
            values if isinstance(values, pa.Array) else pa.array(values, field.type)
            for field in COMMIT
            for values in (columns[field.name],)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=COMMIT)

    def _trailers(self) -> pa.Array:
        flat = [pair for text in self._texts for pair in text.trailers]
        offsets = np.zeros(len(self) + 1, np.int32)
        np.cumsum([len(text.trailers) for text in self._texts], out=offsets[1:])
        pairs = pa.StructArray.from_arrays(
            [
                pa.array([k for k, _ in flat], pa.binary()),
                pa.array([v for _, v in flat], pa.binary()),
            ],
            fields=_TRAILER_FIELDS,
        )
        return pa.ListArray.from_arrays(
            pa.array(offsets), pairs, type=COMMIT.field("trailers").type
        )

    def _changes(self, binary_blobs: AbstractSet[str]) -> pa.Array:
        """Returns the column of changes, null where they are not known."""
        total = len(self._paths)
        read, binary, insertions, deletions, hunks = self._lines(binary_blobs)
        counted = read & ~binary
        bounds = np.zeros(total + 1, np.int64)
        np.cumsum(hunks[1], out=bounds[1:])
        values = pa.StructArray.from_arrays(
            [
                pa.array(self._paths, pa.binary()),
                pa.array(self._old_paths, pa.binary()),
                pa.array(self._types, pa.string()),
                pa.array(self._similarities, pa.uint8()),
                pa.array(self._old_modes, pa.string()),
                pa.array(self._new_modes, pa.string()),
                pa.array(self._old_blobs, pa.string()),
                pa.array(self._new_blobs, pa.string()),
                pa.array(insertions.astype(np.uint32), mask=~counted),
                pa.array(deletions.astype(np.uint32), mask=~counted),
                pa.array(binary),
                _large_list(CHANGE.field("hunks").type, bounds, hunks[0], counted),
            ],
            fields=_CHANGE_FIELDS,
        )
        offsets = np.array(self._first, np.int64)
        known = np.array(self._known, np.bool_)
        return _large_list(COMMIT.field("changes").type, offsets, values, known)

    def _lines(
        self, binary_blobs: AbstractSet[str]
    ) -> tuple[_Bools, _Bools, _Ints, _Ints, tuple[pa.Array, _Ints]]:
        """Returns for each change: lines read, binary, lines added, removed; hunks and counts."""
        total = len(self._paths)
        # A change of type is one entry and two sections.
        sections = np.fromiter((2 if t == "T" else 1 for t in self._types), np.int64, total)
        before = np.zeros(total + 1, np.int64)
        np.cumsum(sections, out=before[1:])
        first = np.array(self._first, np.int64)
        while True:
            rows = np.fromiter(self._patches, np.int64, len(self._patches))
            parsed = parse_patches(b"".join(self._patches.values()))
            bad = _unsound(
                parsed, list(self._patches.values()), before[first[rows + 1]] - before[first[rows]]
            )
            if not len(bad):
                break
            for row in rows[bad].tolist():
                del self._patches[row]
                self._incomplete[row] = NOT_UNDERSTOOD
        read = np.zeros(total, np.bool_)
        for row in rows.tolist():
            read[self._first[row] : self._first[row + 1]] = True
        # Without any change there is nothing to read and nothing missing.
        owner = np.repeat(np.flatnonzero(read), sections[read])
        binary = np.zeros(total, np.bool_)
        binary[owner[parsed.binary]] = True
        if binary_blobs:
            moved = zip(self._old_blobs, self._new_blobs, strict=True)
            same = [old == new and new in binary_blobs for old, new in moved]
            binary |= read & np.array(same, np.bool_)
        change = owner[parsed.section]
        hunks = parsed.hunks
        kept = ~binary[change]
        insertions, deletions = parsed.insertions, parsed.deletions
        # A change of type from or to a binary file has lines on one side only.
        if not kept.all():
            hunks = hunks.filter(pa.array(kept))
            change, insertions, deletions = change[kept], insertions[kept], deletions[kept]
        return (
            read,
            binary,
            _sums(change, insertions, total),
            _sums(change, deletions, total),
            (hunks, np.bincount(change, minlength=total)),
        )


def _sums(change: _Ints, counts: _Ints, total: int) -> _Ints:
    return np.bincount(change, weights=counts, minlength=total).astype(np.int64)


def _unsound(parsed: Patches, patches: list[bytes], expected: _Ints) -> _Ints:
    """Returns which patches do not have the sections that their change list tells of."""
    ends = np.cumsum([len(patch) for patch in patches], dtype=np.int64)
    bounds = np.searchsorted(parsed.starts, np.concatenate([[0], ends]))
    failed = np.concatenate([[0], np.cumsum(~parsed.sound)])
    return np.flatnonzero(
        (np.diff(bounds) != expected) | (failed[bounds[1:]] != failed[bounds[:-1]])
    )


def _large_list(kind: pa.DataType, offsets: _Ints, values: pa.Array, valid: _Bools) -> pa.Array:
    bits = None
    if not valid.all():
        bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, len(valid), [bits, pa.py_buffer(offsets)], children=[values])
