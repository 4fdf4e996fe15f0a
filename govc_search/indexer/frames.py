"""Texts one point read away: where candidates are checked and the messages of few commits read.

The table keeps long text in large compressed blocks, which is right for scans; reading a few
rows scattered over it costs as much as reading all. Here each text is a zstd frame of its own,
with a checksum. Short texts alone compress badly, so a dictionary is trained on the first that
come in number, and kept: frames written before there was one say that they do without.

The files belong to a text index: they are rebuilt with it, and are durable before it commits.
What a crash leaves behind at their end is harmless: the same text is written again and the later
one counts.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import zstandard

from govc_search.errors import StoreError

__all__ = ["FrameFile", "Frames", "Read"]

Ids = npt.NDArray[np.uint64]
Sizes = npt.NDArray[np.int64]

_LEVEL: Final = 3
# Bytes. Twice as large a dictionary makes the frames 1 % smaller and takes twice the time.
_DICTIONARY: Final = 32 << 10
_LEAST_SAMPLE: Final = 256 << 10
_LARGEST_SAMPLE: Final = 2 << 20
_LONGEST_SAMPLED: Final = 16 << 10
# `end` is the offset after the frame. A text has two parts; `first` and `second` count their
# bytes, -1 where there is no such part (0 is one that is empty).
_RECORD: Final = np.dtype([("id", "<u8"), ("end", "<u8"), ("first", "<i4"), ("second", "<i4")])
_MAX: Final = (1 << 31) - 1


class FrameFile:
    """A pair of files: the frames, and the records that name them.

    `what` says in errors what a text is, before its id.
    """

    def __init__(self, data_file: Path, index_file: Path, what: str) -> None:
        self._what = what
        self._data_file = data_file
        self._index_file = index_file
        self._dictionary_file = data_file.with_suffix(".dictionary")
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
        self._dictionary = _dictionary(self._dictionary_file)
        self._sample: list[bytes] = []
        self._trained = False

    def add(self, ids: Ids, texts: Iterable[bytes], first: Sizes, second: Sizes) -> None:
        """Adds texts with the sizes of their two parts, -1 for one that is not there."""
        if max(first.max(initial=0), second.max(initial=0)) > _MAX:
            raise StoreError("change_too_large", "a change has more than 2 GiB of lines")
        records = np.zeros(len(ids), _RECORD)
        records["id"], records["first"], records["second"] = ids, first, second
        texts = list(texts)
        if self._dictionary is None:
            # Few come at a time: those that came before are samples too.
            self._sample += [text for text in texts if 0 < len(text) <= _LONGEST_SAMPLED]
            self._dictionary = _trained(self._sample)
            self._trained = self._dictionary is not None
            if self._trained or sum(map(len, self._sample)) > _LARGEST_SAMPLE:
                self._sample.clear()
        compress = zstandard.ZstdCompressor(
            level=_LEVEL, write_checksum=True, dict_data=self._dictionary
        ).compress
        ends = []
        for text in texts:
            frame = compress(text)
            self._frames.append(frame)
            self._end += len(frame)
            ends.append(self._end)
        records["end"] = ends
        self._pending.append(records)

    def commit(self) -> None:
        """Makes durable what was added: frames first, then the records that name them."""
        if not self._pending:
            return
        if self._trained and self._dictionary is not None:
            beside = self._dictionary_file.with_suffix(".new")
            with beside.open("wb") as out:
                out.write(self._dictionary.as_bytes())
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self._dictionary_file)
            self._trained = False
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
        """Forgets what was added since the last commit."""
        self._pending.clear()
        self._frames.clear()
        self._repair()

    def frames(self) -> Frames:
        """Returns the durable texts, to be read by any thread."""
        if self._snapshot is None:
            dictionary = None if self._trained else self._dictionary
            self._snapshot = Frames(
                self._data_file, self._index_file, self._durable, self._what, dictionary
            )
        return self._snapshot


def _dictionary(file: Path) -> zstandard.ZstdCompressionDict | None:
    return zstandard.ZstdCompressionDict(file.read_bytes()) if file.exists() else None


def _trained(texts: Sequence[bytes]) -> zstandard.ZstdCompressionDict | None:
    """Returns a dictionary for texts like these, or None where they are too few."""
    size = sum(map(len, texts))
    if size < _LEAST_SAMPLE:
        return None
    # Spread over all of them: neighbours are alike.
    step = max(1, size // _LARGEST_SAMPLE)
    samples: list[bytes | bytearray | memoryview] = [*texts[::step]]
    try:
        return zstandard.train_dictionary(_DICTIONARY, samples, level=_LEVEL)
    except zstandard.ZstdError:
        # Nothing in them is alike.
        return None


@dataclass(frozen=True, slots=True)
class Read:
    """Some texts: `rows` says which of the ids asked for have one, each with its two sizes."""

    rows: npt.NDArray[np.int64]
    texts: Sequence[bytes]
    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]


class Frames:
    """The texts that were durable at one moment."""

    def __init__(
        self,
        data_file: Path,
        index_file: Path,
        count: int,
        what: str,
        dictionary: zstandard.ZstdCompressionDict | None,
    ) -> None:
        self._what = what
        self._dictionary = dictionary
        records = np.fromfile(index_file, _RECORD, count)
        starts = np.zeros(count, np.uint64)
        starts[1:] = records["end"][:-1]
        # Stable: of a text that was written again, the later one is the last of its run.
        order = np.argsort(records["id"], kind="stable")
        self._ids = records["id"][order]
        self._starts = starts[order]
        self._records = records[order]
        self._map: mmap.mmap | bytes = b""
        if count:
            with data_file.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def groups(self, ids: Ids, most: int, most_bytes: int) -> list[Ids]:
        """Returns the ids cut into runs of at most `most`, each of about `most_bytes` of text."""
        if not len(ids) or not len(self._ids):
            return []
        sizes = self._sizes(ids)
        before = np.cumsum(sizes) - sizes
        number = np.maximum(before // most_bytes, np.arange(len(ids)) // most)
        return np.split(ids, np.flatnonzero(np.diff(number)) + 1)

    def size(self, ids: Ids) -> int:
        """Returns about how many bytes of text the ids have."""
        return int(self._sizes(ids).sum()) if len(self._ids) else 0

    def _sizes(self, ids: Ids) -> Sizes:
        places = np.searchsorted(self._ids, ids, side="right").astype(np.int64) - 1
        records = self._records[np.maximum(places, 0)]
        sizes: Sizes = np.maximum(records["first"], 0).astype(np.int64)
        sizes += np.maximum(records["second"], 0)
        return sizes

    def read(self, ids: Ids) -> Read:
        """Returns the texts of those ids that have one; raises StoreError for a damaged one."""
        places = np.searchsorted(self._ids, ids, side="right").astype(np.int64) - 1
        rows = np.flatnonzero(places >= 0)
        rows = rows[self._ids[places[rows]] == ids[rows]]
        places = places[rows]
        records = self._records[places]
        first, second = records["first"], records["second"]
        sizes = np.maximum(first, 0).astype(np.int64) + np.maximum(second, 0)
        plainly = zstandard.ZstdDecompressor().decompress
        with_dictionary = zstandard.ZstdDecompressor(dict_data=self._dictionary).decompress
        data = memoryview(self._map)
        texts: list[bytes] = []
        wanted = zip(
            self._starts[places].tolist(), records["end"].tolist(), sizes.tolist(), strict=True
        )
        try:
            for start, end, size in wanted:
                frame = data[start:end]
                # A frame says itself how much memory it wants.
                if zstandard.frame_content_size(frame) != size:
                    raise self.damaged(int(ids[rows[len(texts)]]), "the frame is of another size")
                # The header's lowest bits say whether a dictionary is named.
                decompress = with_dictionary if frame[4] & 3 else plainly
                texts.append(decompress(frame))
        except zstandard.ZstdError as error:
            raise self.damaged(int(ids[rows[len(texts)]]), str(error)) from error
        return Read(rows, texts, first, second)

    def damaged(self, id_: int, why: str) -> StoreError:
        """Returns the error of a text that is not what it should be."""
        return StoreError(
            "text_damaged",
            f"{self._what} {id_} beside the text index cannot be read: {why}",
            hint="`govc-search rebuild text` makes it anew from the log",
        )
