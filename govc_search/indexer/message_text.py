"""The message of each commit, one point read away, as the table holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search.errors import StoreError
from govc_search.indexer.frames import FrameFile, Frames
from govc_search.store.rows import decode, transcoded

__all__ = ["MessageText", "messages"]

Ids = npt.NDArray[np.uint64]


class MessageText(FrameFile):
    """The file pair `commits.messages` (frames) and `commits.index` (records) in a directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            directory / "commits.messages", directory / "commits.index", "the message of commit"
        )

    def append(self, batch: pa.RecordBatch, positions: Ids) -> None:
        """Adds the messages of a batch of commits."""
        decoded = decode(transcoded(batch).column("message")).to_pylist()
        texts = [message.partition("\0")[0].encode() for message in decoded]
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        self.add(positions, texts, sizes, np.full(len(texts), -1, np.int64))


def messages(frames: Frames, ids: Ids) -> pa.Array:
    """Returns the message of each commit; raises StoreError where one is missing."""
    read = frames.read(ids)
    if len(read.rows) < len(ids):
        raise StoreError(
            "text_damaged",
            f"the text index lacks {len(ids) - len(read.rows)} messages",
            hint="`govc-search rebuild text` makes it anew from the log",
        )
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(read.first, out=offsets[1:])
    data = pa.py_buffer(b"".join(read.texts))
    return pa.LargeStringArray.from_buffers(len(ids), pa.py_buffer(offsets), data)
