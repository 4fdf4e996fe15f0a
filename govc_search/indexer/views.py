"""Carries the log into its views: each on a thread of its own, each from its own checkpoint."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from govc_search.store.log import Entry, Log

__all__ = ["Feeder", "View", "catch_up"]

# Batches that may wait for a view: enough to keep it busy, little enough to bound memory.
_WAITING = 3
# Records and bytes after which a view commits, so that a crash replays little.
_COMMIT_BYTES = 192 << 20


class View(Protocol):
    """A derived store that applies `(from, to]` of the log and keeps its checkpoint inside."""

    @property
    def checkpoint(self) -> int: ...

    def apply(self, from_: int, entries: Sequence[Entry]) -> None: ...

    def commit(self) -> int: ...

    def rollback(self) -> None: ...


class Feeder:
    """Feeds views with entries in log order while the caller goes on reading.

    Used as a context manager; leaving it without an error commits what was fed.
    """

    def __init__(self, views: Sequence[View], published: Callable[[], None] | None = None) -> None:
        self._published = published
        self._failed: BaseException | None = None
        self._queues: list[queue.Queue[list[Entry] | None]] = []
        self._threads: list[threading.Thread] = []
        for view in views:
            waiting: queue.Queue[list[Entry] | None] = queue.Queue(_WAITING)
            thread = threading.Thread(
                target=self._carry,
                args=(view, waiting),
                name=f"view-{type(view).__name__}",
                daemon=True,
            )
            self._queues.append(waiting)
            self._threads.append(thread)
            thread.start()

    def feed(self, entries: list[Entry]) -> None:
        """Hands entries to every view, waiting for the slowest; raises what a view raised."""
        for waiting in self._queues:
            while True:
                self.check()
                try:
                    waiting.put(entries, timeout=0.2)
                    break
                except queue.Full:
                    continue

    def check(self) -> None:
        """Raises what a view raised."""
        if self._failed is not None:
            raise self._failed

    def _carry(self, view: View, waiting: queue.Queue[list[Entry] | None]) -> None:
        try:
            applied = view.checkpoint
            size = 0
            while (entries := waiting.get()) is not None:
                # A view may be ahead of the other: it takes only what it lacks.
                entries = _after(entries, applied)
                if not entries:
                    continue
                view.apply(applied, entries)
                applied = entries[-1].last
                size += sum(e.batch.nbytes for e in entries)
                if size >= _COMMIT_BYTES:
                    view.commit()
                    size = 0
                    if self._published is not None:
                        self._published()
            if size:
                view.commit()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that feeds
            view.rollback()
            self._failed = error

    def __enter__(self) -> Feeder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for waiting, thread in zip(self._queues, self._threads, strict=True):
            while thread.is_alive():
                try:
                    waiting.put(None, timeout=0.2)
                    break
                except queue.Full:
                    continue
        for thread in self._threads:
            thread.join()
        if kind is None:
            self.check()


def _after(entries: list[Entry], position: int) -> list[Entry]:
    out = []
    for e in entries:
        if e.last <= position:
            continue
        skip = max(0, position + 1 - e.first)
        out.append(Entry(e.kind, e.first + skip, e.batch.slice(skip)) if skip else e)
    return out


def catch_up(
    log: Log, views: Sequence[View], progress: Callable[[int, int], None] | None = None
) -> None:
    """Applies to each view what the log holds beyond its checkpoint."""
    start = min(v.checkpoint for v in views)
    if start >= log.last:
        return
    with Feeder(views) as feeder:
        for entries in log.read(start):
            feeder.feed(entries)
            if progress is not None:
                progress(entries[-1].last - start, log.last - start)
