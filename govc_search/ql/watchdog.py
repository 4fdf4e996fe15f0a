"""Stopping what runs when its time is up: one thread for all queries.

A thread for each would take longer to start than a small query does to run.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["WATCHDOG", "Watchdog"]


class _Watched:
    def __init__(self, rest: Callable[[], float], stop: Callable[[], None]) -> None:
        self.rest = rest
        self.stop = stop


class Watchdog:
    """Calls what was left with it when its moment comes; its thread starts with the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: set[_Watched] = set()
        self._thread: threading.Thread | None = None
        # When the thread looks again by itself.
        self._next = float("inf")
        self._ended = False

    @contextmanager
    def stopping(self, rest: Callable[[], float], stop: Callable[[], None]) -> Iterator[None]:
        """Has `stop` called once no time is left, but never after this ends.

        `rest` says how many seconds there are at least until then.
        """
        watched = _Watched(rest, stop)
        with self._changed:
            self._watched.add(watched)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
                # A thread that outlives the interpreter keeps the database's library from ending.
                atexit.register(self._end, self._thread)
            elif time.perf_counter() + rest() < self._next:
                self._changed.notify_all()
        try:
            yield
        finally:
            # A call that has begun is waited for: what it stops may be gone afterwards.
            with self._changed:
                self._watched.discard(watched)

    def _watch(self) -> None:
        with self._changed:
            while not self._ended:
                rest = threading.TIMEOUT_MAX
                for watched in list(self._watched):
                    left = watched.rest()
                    if left > 0:
                        rest = min(rest, left)
                    else:
                        self._watched.discard(watched)
                        watched.stop()
                self._next = time.perf_counter() + rest
                self._changed.wait(rest)

    def _end(self, thread: threading.Thread) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        thread.join(1)


WATCHDOG: Final = Watchdog()
