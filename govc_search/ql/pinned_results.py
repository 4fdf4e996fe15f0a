"""Results, or the ids of their rows, that later pages are read from: bounded in all they take."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa

from govc_search.errors import QueryError
from govc_search.ql.result import ResultColumn
from govc_search.settings import Settings

__all__ = ["Pinned", "PinnedResults", "pack"]


@dataclass(slots=True)
class Pinned:
    """Rows, packed: those of a result with its columns, or without columns the keys of its rows."""

    packed: pa.Buffer
    # The number of the first row of each batch, and of all.
    starts: list[int]
    columns: tuple[ResultColumn, ...] = ()
    as_of: int = 0
    warnings: tuple[str, ...] = ()
    used: float = 0.0

    @property
    def count(self) -> int:
        """Returns the number of rows."""
        return self.starts[-1]

    def rows(self, start: int, count: int) -> pa.Table:
        """Returns some of the rows."""
        reader = pa.ipc.open_file(self.packed)
        end = min(start + count, self.count)
        parts = [
            reader.get_batch(i).slice(max(start - first, 0), end - max(start, first))
            for i, (first, after) in enumerate(zip(self.starts, self.starts[1:], strict=False))
            if first < end and after > start
        ]
        return pa.Table.from_batches(parts, reader.schema)


def pack(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], most: int
) -> tuple[pa.Buffer, list[int]] | None:
    """Returns batches compressed with the places where they begin, None beyond `most` bytes."""
    sink, starts = pa.BufferOutputStream(), [0]
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
            starts.append(starts[-1] + batch.num_rows)
            if sink.tell() > most:
                return None
    return sink.getvalue(), starts


class PinnedResults:
    """The pinned results of one engine, by name: the ones used last, as the settings bound them."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = settings.size("pinned_results")
        self.bytes = settings.size("pinned_bytes")
        self._seconds = float(settings["pinned_seconds"])
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Pinned] = OrderedDict()

    def put(self, pinned: Pinned) -> str:
        """Keeps rows and returns their name; others have to go where there is no room."""
        name = secrets.token_urlsafe(9)
        with self._lock:
            pinned.used = self._clock()
            self._held[name] = pinned
            self._drop()
        return name

    def get(self, name: str) -> Pinned:
        """Returns what is pinned; raises QueryError `cursor_expired`."""
        with self._lock:
            self._drop()
            pinned = self._held.get(name)
            if pinned is not None:
                pinned.used = self._clock()
                self._held.move_to_end(name)
                return pinned
        raise QueryError(
            "cursor_expired",
            "what the cursor goes on with is not kept any more, or was too large to keep",
            hint="begin again; ordered by columns pages need nothing kept, and the settings"
            " pinned_results, pinned_bytes and pinned_seconds say how much is",
        )

    def _drop(self) -> None:
        late = self._clock() - self._seconds
        while self._held and (
            next(iter(self._held.values())).used < late
            or len(self._held) > self._most
            or sum(p.packed.size for p in self._held.values()) > self.bytes
        ):
            self._held.popitem(last=False)
