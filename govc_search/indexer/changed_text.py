"""The changed lines of each change, and which changes have a line that matches.

A change's text is its removed lines and then its added ones, each joined by line ends.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from govc_search.errors import StoreError
from govc_search.fragments import texts_of
from govc_search.indexer.frames import FrameFile, Frames, Read
from govc_search.records import CHANGE_BITS
from govc_search.store.rows import decode

__all__ = ["ChangedText", "hunks", "lines", "matching"]

Ids = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

# Read and checked together: bounds memory, and lets a deadline stop between two.
_GROUP: Final = 512
_GROUP_BYTES: Final = 1 << 20
_THREADS: Final = min(4, os.cpu_count() or 1)
# Of fewer groups than that, threads do not earn what they cost.
_WORTH_THREADS: Final = 4


class ChangedText(FrameFile):
    """The file pair `changes.lines` (frames) and `changes.index` (records) in a directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            directory / "changes.lines", directory / "changes.index", "the lines of change"
        )

    def append(self, batch: pa.RecordBatch, positions: Ids) -> None:
        """Adds the changed lines of a batch of commits; changes without lines are left out."""
        lists = batch.column("changes")
        changes = lists.flatten()
        edges = _edges(lists)
        sizes = np.diff(edges)
        owners = np.repeat(positions, sizes)
        ordinals = np.arange(len(changes)) - np.repeat(edges[:-1] - edges[0], sizes)
        ids = owners << np.uint64(CHANGE_BITS) | ordinals.astype(np.uint64)
        hunk_lists = changes.field("hunks")
        hunks = hunk_lists.flatten()
        hunk_edges = _edges(hunk_lists)
        hunk_edges -= hunk_edges[0]
        removed, removed_edges, removed_some = _joined(hunks.field("removed"), hunk_edges)
        added, added_edges, added_some = _joined(hunks.field("added"), hunk_edges)
        keep = np.flatnonzero(removed_some | added_some)
        if not len(keep):
            return
        ra, rb = removed_edges[:-1][keep].tolist(), removed_edges[1:][keep].tolist()
        aa, ab = added_edges[:-1][keep].tolist(), added_edges[1:][keep].tolist()
        texts = (removed[a:b] + added[c:d] for a, b, c, d in zip(ra, rb, aa, ab, strict=True))
        minus = np.where(removed_some, np.diff(removed_edges), -1)[keep]
        plus = np.where(added_some, np.diff(added_edges), -1)[keep]
        self.add(ids[keep], texts, minus, plus)


def lines(frames: Frames, ids: Ids) -> tuple[list[bytes | None], list[bytes | None]]:
    """Returns the removed and the added lines of each change, joined; None is no line."""
    read = frames.read(ids)
    removed: list[bytes | None] = [None] * len(ids)
    added: list[bytes | None] = [None] * len(ids)
    sizes = zip(read.first.tolist(), read.second.tolist(), strict=True)
    for row, text, (minus, plus) in zip(read.rows.tolist(), read.texts, sizes, strict=True):
        cut = max(0, minus)
        removed[row] = text[:cut] if minus >= 0 else None
        added[row] = text[cut:] if plus >= 0 else None
    return removed, added


def matching(
    frames: Frames,
    ids: Ids,
    sides: Sequence[str],
    mode: str,
    pattern: str,
    check: Callable[[], None] | None = None,
) -> Ids:
    """Returns those of `ids` that have a line that matches, in ascending order.

    `mode` is contains, regex (an RE2 pattern that stays within a line) or pickaxe (removed and
    added lines hold the text a different number of times). `check` is called now and then and
    may raise.
    """
    matched = partial(_matched, frames, sides, mode, pattern)
    groups = frames.groups(np.sort(ids), _GROUP, _GROUP_BYTES)
    found = []
    if len(groups) < _WORTH_THREADS:
        for group in groups:
            if check is not None:
                check()
            found.append(matched(group))
    else:
        # What takes the time, unpacking and matching, runs beside other threads.
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                for hits in pool.map(matched, groups):
                    if check is not None:
                        check()
                    found.append(hits)
            finally:
                pool.shutdown(cancel_futures=True)
    return np.concatenate(found) if found else np.empty(0, np.uint64)


def hunks(
    frames: Frames,
    ids: Ids,
    old_lines: Rows,
    new_lines: Rows,
    check: Callable[[], None] | None = None,
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Returns the removed and the added lines of hunks, null where there is none.

    All hunks of some changes are given, in order: `ids` are those of their changes, and the others
    say how many lines of these belong to each. `check` is called now and then and may raise.
    """
    changes, firsts = np.unique(ids, return_index=True)
    # As large as may be: threads gain nothing here, and each group costs.
    groups = frames.groups(changes, len(changes), _GROUP_BYTES) or [changes]
    edges = np.append(firsts, len(ids))[np.cumsum([0, *map(len, groups)])].tolist()
    removed, added = [], []
    for group, first, end in zip(groups, edges, edges[1:], strict=False):
        if check is not None:
            check()
        read = frames.read(group)
        known, cuts = group[read.rows], np.maximum(read.first, 0).tolist()
        before = [text[:cut] for text, cut in zip(read.texts, cuts, strict=True)]
        after = [text[cut:] for text, cut in zip(read.texts, cuts, strict=True)]
        of = slice(first, end)
        removed.append(_cut(frames, known, before, read.first, ids[of], old_lines[of]))
        added.append(_cut(frames, known, after, read.second, ids[of], new_lines[of]))
    kind = pa.large_string()
    return pa.chunked_array(removed, kind), pa.chunked_array(added, kind)


def _cut(
    frames: Frames,
    changes: Ids,
    texts: Sequence[bytes],
    sizes: npt.NDArray[np.int32],
    ids: Ids,
    lines: Rows,
) -> pa.LargeStringArray:
    """Cuts the texts of changes, one side of each, into those of their hunks.

    Texts of size -1 are none. `ids` and `lines` are the changes and the numbers of lines of the
    hunks, in order.
    """
    there = sizes >= 0
    if not there.all():
        changes = changes[there]
        texts = [text for text, size in zip(texts, sizes.tolist(), strict=True) if size >= 0]
    some = lines > 0
    data = np.frombuffer(b"\n".join([*texts, b""]), np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    # Where the texts end and where the lines do that hunks say they have: the same places.
    owners, counts = _sums(ids[some], lines[some])
    stops = np.cumsum(sizes[there].astype(np.int64) + 1) - 1
    same = np.array_equal(owners, changes) and int(counts.sum()) == len(ends)
    if not same or not np.array_equal(ends[np.cumsum(counts) - 1], stops):
        raise _mismatch(frames, changes, texts, owners, counts)
    # Each hunk's lines are followed by one line end that is not part of them.
    last = ends[np.cumsum(lines[some]) - 1]
    kept = np.ones(len(data), np.bool_)
    kept[last] = False
    offsets = np.zeros(len(lines) + 1, np.int64)
    offsets[1:][some] = np.diff(last, prepend=-1) - 1
    np.cumsum(offsets, out=offsets)
    return pa.LargeStringArray.from_buffers(
        len(lines),
        pa.py_buffer(offsets),
        pa.py_buffer(data[kept]),
        pa.array(some).buffers()[1],
    )


def _sums(ids: Ids, lines: Rows) -> tuple[Ids, Rows]:
    if not len(ids):
        return ids, lines
    owners, firsts = np.unique(ids, return_index=True)
    return owners, np.add.reduceat(lines, firsts)


def _mismatch(
    frames: Frames, changes: Ids, texts: Sequence[bytes], owners: Ids, counts: Rows
) -> StoreError:
    held = {c: t.count(b"\n") + 1 for c, t in zip(changes.tolist(), texts, strict=True)}
    said = dict(zip(owners.tolist(), counts.tolist(), strict=True))
    wrong = min(c for c in held | said if held.get(c) != said.get(c))
    return frames.damaged(
        wrong, f"its hunks have {said.get(wrong, 0)} lines, it has {held.get(wrong, 0)}"
    )


def _matched(frames: Frames, sides: Sequence[str], mode: str, pattern: str, ids: Ids) -> Ids:
    read = frames.read(ids)
    expression = pattern if mode == "regex" else re.escape(pattern)
    if needles := [t.encode() for t in texts_of(expression)]:
        read = _holding(read, needles)
    offsets = _offsets(read)
    held = pc.match_substring_regex(_parts(read, offsets), expression)
    removed, added = held.to_numpy(zero_copy_only=False).reshape(-1, 2).T
    # A part that is not there is no empty line.
    removed, added = removed & (read.first >= 0), added & (read.second >= 0)
    if mode == "pickaxe":
        hits = removed != added
        needle = pattern.encode()
        for row in np.flatnonzero(removed & added).tolist():
            text, cut = read.texts[row], int(read.first[row])
            hits[row] = text.count(needle, 0, cut) != text.count(needle, cut)
    else:
        nothing = np.zeros(len(read.rows), np.bool_)
        hits = (removed if "removed" in sides else nothing) | (
            added if "added" in sides else nothing
        )
    found: Ids = ids[read.rows[hits]]
    return found


def _holding(read: Read, needles: Sequence[bytes]) -> Read:
    """Returns those of the texts that hold a needle: looking for it is faster than for a pattern."""
    holds = [any(n in text for n in needles) for text in read.texts]
    texts = [text for text, held in zip(read.texts, holds, strict=True) if held]
    kept = np.array(holds, np.bool_)
    return replace(
        read, rows=read.rows[kept], texts=texts, first=read.first[kept], second=read.second[kept]
    )


def _offsets(read: Read) -> Rows:
    """Returns where the two parts of each text begin and end in all of them joined."""
    sizes = np.maximum(np.stack([read.first, read.second], axis=1), 0).reshape(-1)
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _parts(read: Read, offsets: Rows) -> pa.LargeStringArray:
    data = pa.py_buffer(b"".join(read.texts))
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), data)


def _edges(lists: pa.Array) -> npt.NDArray[np.int64]:
    """Returns where each list begins among the flattened values; nulls are empty."""
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    edges = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=edges[1:])
    return edges


def _joined(
    texts: pa.Array, edges: npt.NDArray[np.int64]
) -> tuple[bytes, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Joins the hunks' texts of each change by line ends.

    Returns all of it, where each change's text begins and ends in it, and which have any line.
    """
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    before = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(present, out=before[1:])
    counts = before[edges]
    some = np.diff(counts) > 0
    held = decode(texts.drop_null()).cast(pa.large_string())
    if isinstance(held, pa.ChunkedArray):
        held = held.combine_chunks()
    if not len(held):
        return b"", np.zeros(len(edges), np.int64), some
    _, offset_buffer, data_buffer = held.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(held) + 1, held.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    # A line end goes between two texts of one change, none after its last.
    ends = np.ones(len(held), np.int64)
    ends[counts[1:][some] - 1] = 0
    moved = np.zeros(len(held) + 1, np.int64)
    np.cumsum(ends, out=moved[1:])
    out = np.full(last - first + int(moved[-1]), ord("\n"), np.uint8)
    holds = np.ones(len(out), np.bool_)
    targets = offsets - first + moved
    holds[targets[1:][ends == 1] - 1] = False
    out[holds] = np.frombuffer(data_buffer or b"", np.uint8)[first:last]
    return out.tobytes(), targets[counts], some
