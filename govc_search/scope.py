"""What one request brings with it: the settings it runs under, and a way to stop it.

Work done for another process runs on a thread of its own. What it calls finds out here for whom,
as it would find Ctrl-C on the main thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from govc_search.errors import DeadlineError
from govc_search.settings import Settings

__all__ = ["Scope", "current"]


class Scope:
    """One request: `settings` of who asks (None: those of the engine), stopped from any thread."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings
        self.stopped = False
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []

    def stop(self) -> None:
        """Ends what runs, and what begins later as soon as it asks."""
        with self._lock:
            self.stopped = True
            for stop in self._stops:
                stop()

    def check(self) -> None:
        """Raises DeadlineError `interrupted` once the request is stopped."""
        if self.stopped:
            raise DeadlineError("interrupted", "the query was interrupted")

    @contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Has `stop` called when the request is stopped meanwhile, or is already."""
        with self._lock:
            self._stops.append(stop)
            if self.stopped:
                stop()
        try:
            yield
        finally:
            # A call that has begun is waited for: what it stops may be gone afterwards.
            with self._lock:
                self._stops.remove(stop)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Makes this the scope of what the calling thread does."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_NOBODY = Scope()
_current: ContextVar[Scope] = ContextVar("scope", default=_NOBODY)


def current() -> Scope:
    """Returns the scope of what the calling thread does, by default one that nobody stops."""
    return _current.get()
