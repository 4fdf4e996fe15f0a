"""Who reads the views of an open engine, and what a writer must wait for.

Rows that are only added need no care: a query leaves out what lies beyond its `as_of`. Where
committed rows are replaced, one view has the new ones before the other. A reader notes how often
that had happened when it began; if it happened since, it reads again, and while it does no rows
are replaced. So reading takes no lock, and a writer waits only for those who read again.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

from govc_search.errors import GovcSearchError, StoreError

__all__ = ["Readers"]

T = TypeVar("T")


class _Stream(Protocol):
    def on_close(self, callback: Callable[[], None]) -> None: ...

    def end(self, error: GovcSearchError) -> None: ...

    def close(self) -> None: ...


S = TypeVar("S", bound=_Stream)


class Readers:
    """Keeps the views open and in step while they are read, and closed ones from being read."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reading = 0
        self._holding = 0
        self._swapping = False
        self._replacing = False
        self._replaced = 0
        self._apart: BaseException | None = None
        self._closed = False
        self._streams: weakref.WeakSet[_Stream] = weakref.WeakSet()

    def check(self) -> None:
        """Raises StoreError once the engine is closed."""
        if self._closed:
            raise StoreError("engine_closed", "the engine is closed")

    def read(self, ask: Callable[[], T]) -> T:
        """Returns what `ask` finds in views that hold the same; it may be called twice."""
        with self._open():
            return self._in_step(ask, lambda _: None)

    def stream(self, ask: Callable[[], S]) -> S:
        """Returns what `ask` opens in views that hold the same; it may be called twice.

        Views stay open until it is closed; a writer that cannot wait so long ends it.
        """
        with ExitStack() as opened:
            opened.enter_context(self._open())
            found = self._in_step(ask, lambda late: late.close())
            found.on_close(opened.pop_all().close)
        with self._changed:
            self._streams.add(found)
            late = self._swapping
        if late:
            found.end(_replaced())
        return found

    def _in_step(self, ask: Callable[[], T], drop: Callable[[T], None]) -> T:
        before = self._quiet()
        try:
            found = ask()
        except Exception:
            if self._replaced == before:
                raise
        else:
            if self._replaced == before:
                return found
            drop(found)
        with self._held():
            return ask()

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._swapping)
            self.check()
            self._reading += 1
        try:
            yield
        finally:
            with self._changed:
                self._reading -= 1
                self._changed.notify_all()

    def _quiet(self) -> int:
        with self._changed:
            self._changed.wait_for(lambda: not self._replacing)
            if self._apart is not None:
                raise StoreError(
                    "views_apart",
                    f"only one view holds what was replaced last: {self._apart}",
                    hint="mend the cause and open the directory again, or index again",
                )
            return self._replaced

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._changed:
            self._quiet()
            self._holding += 1
        try:
            yield
        finally:
            with self._changed:
                self._holding -= 1
                self._changed.notify_all()

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Covers the commits of all views after rows were replaced: no reader sees some of them."""
        # Ctrl-C may end the waiting, and must not leave readers outside for good.
        try:
            with self._changed:
                self._replacing = True
                self._replaced += 1
                self._changed.wait_for(lambda: not self._holding)
            try:
                yield
                self._apart = None
            except BaseException as error:
                self._apart = error
                raise
        finally:
            with self._changed:
                self._replacing = False
                self._changed.notify_all()

    @contextmanager
    def swapping(self) -> Iterator[None]:
        """Waits for readers, and keeps others waiting, while a view becomes another object."""
        try:
            with self._changed:
                self._swapping = True
                # A stream that is opened later sees that it is late, and ends itself.
                opened = list(self._streams)
            for stream in opened:
                stream.end(_replaced())
            with self._changed:
                self._changed.wait_for(lambda: not self._reading)
            yield
        finally:
            with self._changed:
                self._swapping = False
                self._changed.notify_all()

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Waits for readers, and refuses all others from then on."""
        with self.swapping():
            self._closed = True
            yield


def _replaced() -> StoreError:
    return StoreError(
        "result_ended",
        "what the rows were read from was closed or made anew before all were read",
        hint="ask again",
    )
