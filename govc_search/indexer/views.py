"""Carries the log into its views: each on a thread of its own, each from its own checkpoint."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

import pyarrow as pa

from govc_search.store.log import Entry, Log

__all__ = ["Feeder", "View", "catch_up", "gathered"]

# Batches that may wait for a view: enough to keep it busy, little enough to bound memory.
_WAITING = 3
# Bytes of records after which the views commit, so that a crash replays little.
_COMMIT_BYTES = 128 << 20
# The first time sooner: until then there is nothing to ask.
_FIRST_BYTES = 8 << 20
# Records read back are gathered up to so many bytes, the size of a frame in a full run.
_GATHERED_BYTES = 16 << 20
# Kinds of records that replace or remove rows of earlier ones.
_REPLACING: Final = frozenset({"amendment", "repository"})


class View(Protocol):
    """A derived store that applies `(from, to]` of the log and keeps its checkpoint inside."""

    @property
    def checkpoint(self) -> int:
        """Returns the last position that is durable."""
        ...

    def apply(self, from_: int, entries: Sequence[Entry]) -> None:
        """Applies the entries of `(from_, to]`, where `from_` is what was applied last."""
        ...

    def commit(self) -> int:
        """Makes all applied durable with the checkpoint, which is returned."""
        ...

    def rollback(self) -> None:
        """Drops what was applied since the last commit."""
        ...


@dataclass(frozen=True, slots=True)
class _Commit:
    """Asks a view to commit: together with the others where rows were replaced."""

    together: bool


class Feeder:
    """Feeds views with entries in log order while the caller goes on reading.

    Used as a context manager; leaving it commits what was fed. Views commit each on its own;
    where rows that they hold already were replaced, all do so within `replacing`. Ctrl-C while
    the end is waited for has the views end after what they are at, and is raised again when they
    have.
    """

    def __init__(
        self, views: Sequence[View], replacing: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._views = views
        self._replacing = replacing
        self._together = threading.Barrier(len(views), self._commit_together)
        self._size = 0
        self._limit = _COMMIT_BYTES
        if any(view.checkpoint == 0 for view in views):
            self._limit = min(_FIRST_BYTES, _COMMIT_BYTES)
        self._replaced = False
        self._failed: BaseException | None = None
        self._hurry = threading.Event()
        self._queues: list[queue.Queue[list[Entry] | _Commit | None]] = []
        self._ends: list[threading.Event] = []
        for view in views:
            waiting: queue.Queue[list[Entry] | _Commit | None] = queue.Queue(_WAITING)
            end = threading.Event()
            self._queues.append(waiting)
            self._ends.append(end)
            threading.Thread(
                target=self._carry,
                args=(view, waiting, end),
                name=f"view-{type(view).__name__}",
                daemon=True,
            ).start()

    def feed(self, entries: list[Entry]) -> None:
        """Hands entries to every view, waiting for the slowest; raises what a view raised."""
        # Noted first: Ctrl-C may come when some views have the entries already.
        self._replaced |= any(e.kind.name in _REPLACING for e in entries)
        self._put(entries)
        self._size += sum(e.batch.nbytes for e in entries)
        if self._size >= self._limit:
            self._put(_Commit(self._replaced))
            self._size, self._replaced, self._limit = 0, False, _COMMIT_BYTES

    def _put(self, item: list[Entry] | _Commit) -> None:
        for waiting in self._queues:
            while not self._hurry.is_set():
                self.check()
                try:
                    waiting.put(item, timeout=0.2)
                    break
                except queue.Full:
                    continue

    def hurry(self) -> None:
        """Has the views end after what they are at; what they were fed beyond that is dropped."""
        self._hurry.set()

    def check(self) -> None:
        """Raises what a view raised."""
        if self._failed is not None:
            raise self._failed

    def _commit_together(self) -> None:
        with self._replacing():
            for view in self._views:
                view.commit()

    def _carry(
        self, view: View, waiting: queue.Queue[list[Entry] | _Commit | None], end: threading.Event
    ) -> None:
        whole = False
        try:
            applied = view.checkpoint
            replaced = False
            while (item := waiting.get()) is not None and not self._hurry.is_set():
                if isinstance(item, _Commit):
                    if item.together:
                        self._together.wait()
                    else:
                        view.commit()
                    replaced = False
                    continue
                # A view may be ahead of the other: it takes only what it lacks.
                entries = _after(item, applied)
                if entries:
                    view.apply(applied, entries)
                    applied = entries[-1].last
                    replaced |= any(e.kind.name in _REPLACING for e in entries)
            whole = item is None
            if not whole and not replaced:
                view.commit()
        except threading.BrokenBarrierError:
            # Another view failed, and tells why.
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the thread that feeds
            self._failed = error
        finally:
            if not whole:
                self._together.abort()
                # What a view cannot take back, it forgets when it is opened again.
                with contextlib.suppress(Exception):
                    view.rollback()
            end.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        interrupt: KeyboardInterrupt | None = None
        # All are told before any is waited for: they end side by side.
        untold = [
            (waiting, end, item)
            for item in (_Commit(self._replaced), None)
            for waiting, end in zip(self._queues, self._ends, strict=True)
        ]
        while not all(end.is_set() for end in self._ends):
            try:
                if untold:
                    waiting, end, item = untold[0]
                    with contextlib.suppress(queue.Full):
                        if not end.is_set():
                            waiting.put(item, timeout=0.2)
                        untold.pop(0)
                else:
                    for end in self._ends:
                        end.wait()
            except KeyboardInterrupt as again:
                self._hurry.set()
                interrupt = again
        if interrupt is not None:
            raise interrupt
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
    log: Log,
    views: Sequence[View],
    replacing: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Applies to each view what the log holds beyond its checkpoint; see Feeder."""
    start = min(v.checkpoint for v in views)
    if start >= log.last:
        return
    with Feeder(views, replacing) as feeder:
        for entries in gathered(log.read(start)):
            feeder.feed(entries)
            if progress is not None:
                progress(entries[-1].last - start, log.last - start)


def gathered(frames: Iterable[list[Entry]]) -> Iterator[list[Entry]]:
    """Yields what many small frames hold as few large entries: a view takes one at the same cost."""
    waiting: list[Entry] = []
    size = 0
    for entries in frames:
        waiting += entries
        size += sum(e.batch.nbytes for e in entries)
        if size >= _GATHERED_BYTES:
            yield _joined(waiting)
            waiting, size = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(entries: list[Entry]) -> list[Entry]:
    out = []
    for kind, run in itertools.groupby(entries, key=lambda e: e.kind):
        same = list(run)
        batch = same[0].batch if len(same) == 1 else pa.concat_batches([e.batch for e in same])
        out.append(Entry(kind, same[0].first, batch))
    return out
