"""The changed lines of each change, one point read away: where candidates are checked.

The table keeps lines in large compressed blocks, which is right for scans; reading a few changes
scattered over it costs as much as reading all. Here each change is a zstd frame of its own, its
removed lines and then its added ones, joined by line ends, with a checksum. The file belongs to
the index of changes: it is rebuilt with it, and is durable before the index commits. What a crash
leaves behind at its end is harmless: the same change is written again and the later one counts.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from govc_search.errors import StoreError
from govc_search.records import CHANGE_BITS
from govc_search.store.rows import decode

__all__ = ["ChangedText", "Frames"]

Ids = npt.NDArray[np.uint64]

_LEVEL: Final = 3
# `end` is the offset after the frame; `removed` and `added` count bytes, -1 where a side has no
# line at all (0 is one empty line).
_RECORD: Final = np.dtype(
    [("change_id", "<u8"), ("end", "<u8"), ("removed", "<i4"), ("added", "<i4")]
)
_MAX: Final = (1 << 31) - 1
# Read and checked together: bounds memory, and lets a deadline stop between two.
_GROUP: Final = 512


class ChangedText:
    """The file pair `changes.lines` (frames) and `changes.index` (records) in a directory."""

    def __init__(self, directory: Path) -> None:
        self._data_file = directory / "changes.lines"
        self._index_file = directory / "changes.index"
        self._pending: list[npt.NDArray[np.void]] = []
        self._frames: list[bytes] = []
        for file in (self._data_file, self._index_file):
            file.touch()
        self._repair()
        self._snapshot: Frames | None = None

    def _repair(self) -> None:
        """Cuts what a crash left incomplete."""
        size = self._data_file.stat().st_size
        whole = self._index_file.stat().st_size // _RECORD.itemsize
        records = np.fromfile(self._index_file, _RECORD, whole)
        if len(records):
            whole = int(np.searchsorted(records["end"], size, side="right"))
        self._end = int(records["end"][whole - 1]) if whole else 0
        os.truncate(self._index_file, whole * _RECORD.itemsize)
        os.truncate(self._data_file, self._end)
        self._durable = whole

    def append(self, batch: pa.RecordBatch, positions: npt.NDArray[np.uint64]) -> None:
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
        texts = [removed[a:b] + added[c:d] for a, b, c, d in zip(ra, rb, aa, ab, strict=True)]
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        records = np.zeros(len(keep), _RECORD)
        records["change_id"] = ids[keep]
        for side, edges_, some in (
            ("removed", removed_edges, removed_some),
            ("added", added_edges, added_some),
        ):
            length = np.diff(edges_)[keep]
            if length.max(initial=0) > _MAX:
                raise StoreError("change_too_large", "a change has more than 2 GiB of lines")
            records[side] = np.where(some[keep], length, -1)
        ends = []
        for text in texts:
            frame = compressor.compress(text)
            self._frames.append(frame)
            self._end += len(frame)
            ends.append(self._end)
        records["end"] = ends
        self._pending.append(records)

    def commit(self) -> None:
        """Makes durable what was appended: lines first, then the records that name them."""
        if not self._pending:
            return
        for file, parts in (
            (self._data_file, self._frames),
            (self._index_file, [records.tobytes() for records in self._pending]),
        ):
            with file.open("ab") as out:
                out.writelines(parts)
                out.flush()
                os.fsync(out.fileno())
        self._durable += sum(len(records) for records in self._pending)
        self._frames.clear()
        self._pending.clear()
        self._snapshot = None

    def rollback(self) -> None:
        """Forgets what was appended since the last commit."""
        self._pending.clear()
        self._frames.clear()
        self._repair()

    def frames(self) -> Frames:
        """Returns the durable changes, to be read by any thread."""
        if self._snapshot is None:
            self._snapshot = Frames(self._data_file, self._index_file, self._durable)
        return self._snapshot


class Frames:
    """The changes that were durable at one moment."""

    def __init__(self, data_file: Path, index_file: Path, count: int) -> None:
        records = np.fromfile(index_file, _RECORD, count)
        starts = np.zeros(count, np.uint64)
        starts[1:] = records["end"][:-1]
        # Stable: of a change that was written again, the later one is the last of its run.
        order = np.argsort(records["change_id"], kind="stable")
        self._ids = records["change_id"][order]
        self._starts = starts[order]
        self._records = records[order]
        self._map: mmap.mmap | bytes = b""
        if count:
            with data_file.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def matching(
        self,
        ids: Ids,
        sides: Sequence[str],
        mode: str,
        pattern: str,
        check: Callable[[], None] | None = None,
    ) -> Ids:
        """Returns those of `ids` that have a line that matches, in ascending order.

        `mode` is contains, regex (an RE2 pattern that stays within a line) or pickaxe (removed
        and added lines hold the text a different number of times). `check` is called now and
        then and may raise.
        """
        ids = np.sort(ids)
        test = _tests(sides, mode, pattern)
        found = []
        for start in range(0, len(ids), _GROUP):
            if check is not None:
                check()
            group = ids[start : start + _GROUP]
            found.append(test(group, *self.texts(group)))
        return np.concatenate(found) if found else ids

    def texts(self, ids: Ids) -> tuple[list[bytes | None], list[bytes | None]]:
        """Returns the removed and the added lines of each change, joined; None is no line."""
        places = np.searchsorted(self._ids, ids, side="right").astype(np.int64) - 1
        removed: list[bytes | None] = []
        added: list[bytes | None] = []
        decompress = zstandard.ZstdDecompressor().decompress
        for i, wanted in zip(places.tolist(), ids.tolist(), strict=True):
            if i < 0 or int(self._ids[i]) != wanted:
                removed.append(None)
                added.append(None)
                continue
            _, end, minus, plus = self._records[i].item()
            cut = max(0, minus)
            frame = self._map[int(self._starts[i]) : end]
            try:
                # A frame says itself how much memory it wants.
                if zstandard.frame_content_size(frame) != cut + max(0, plus):
                    raise _damaged(wanted, "the frame is of another size")
                text = decompress(frame)
            except zstandard.ZstdError as error:
                raise _damaged(wanted, str(error)) from error
            removed.append(text[:cut] if minus >= 0 else None)
            added.append(text[cut:] if plus >= 0 else None)
        return removed, added


def _damaged(change: int, why: str) -> StoreError:
    return StoreError(
        "text_damaged",
        f"the lines of change {change} beside the text index cannot be read: {why}",
        hint="`govc-search rebuild text` makes it anew from the log",
    )


_Test = Callable[[Ids, "list[bytes | None]", "list[bytes | None]"], Ids]


def _tests(sides: Sequence[str], mode: str, pattern: str) -> _Test:
    needle = pattern.encode()

    def chosen(
        removed: list[bytes | None], added: list[bytes | None]
    ) -> Iterator[list[bytes | None]]:
        if "removed" in sides:
            yield removed
        if "added" in sides:
            yield added

    def contains(ids: Ids, removed: list[bytes | None], added: list[bytes | None]) -> Ids:
        hits = np.zeros(len(ids), np.bool_)
        for texts in chosen(removed, added):
            hits |= np.fromiter((t is not None and needle in t for t in texts), np.bool_, len(ids))
        return ids[hits]

    def regex(ids: Ids, removed: list[bytes | None], added: list[bytes | None]) -> Ids:
        hits = np.zeros(len(ids), np.bool_)
        for texts in chosen(removed, added):
            found = pc.match_substring_regex(
                pa.array(texts, pa.large_binary()).cast(pa.large_string()), pattern
            )
            hits |= found.fill_null(False).to_numpy(zero_copy_only=False)
        return ids[hits]

    def pickaxe(ids: Ids, removed: list[bytes | None], added: list[bytes | None]) -> Ids:
        pairs = zip(removed, added, strict=True)
        hits = ((r or b"").count(needle) != (a or b"").count(needle) for r, a in pairs)
        return ids[np.fromiter(hits, np.bool_, len(ids))]

    return {"contains": contains, "regex": regex, "pickaxe": pickaxe}[mode]


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
