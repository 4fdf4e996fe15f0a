"""Follows the log: what is appended is carried into the views, whoever appended it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from govc_search.indexer.views import Feeder, View, gathered
from govc_search.store.log import Log

__all__ = ["Follower"]

_LOOK_SECONDS: Final = 0.1


class Follower:
    """Carries the log into its views on a thread of its own, which is started when it is needed.

    The views commit whenever they have all that is logged: while they do, more is appended, and
    so they commit less often the more there is to do. What a view raises is raised to those who
    wait for it; the next who waits has it tried again.
    """

    def __init__(
        self,
        log: Log,
        views: Callable[[], Sequence[View]],
        replacing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._log = log
        self._views = views
        self._replacing = replacing
        # Guards what follows; the thread waits for the log, which `wake` has it look up from.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._feeder: Feeder | None = None
        self._fed = 0
        self._failed: BaseException | None = None
        self._bulks = self._pauses = 0
        self._resting = self._closing = False

    def reach(
        self,
        position: int,
        check: Callable[[], None] = lambda: None,
        tell: Callable[[int, int], None] | None = None,
    ) -> None:
        """Waits until every view holds durably what the log does up to `position`.

        `check` is called now and then and may raise; `tell` is told how many records are done and
        to be done. On Ctrl-C the views end after what they are at. Raises what a view raised.
        """
        if self._checkpoint() < position:
            self.go_on()
            self._wait(position, check, tell)

    def _wait(
        self,
        position: int,
        check: Callable[[], None],
        tell: Callable[[int, int], None] | None,
    ) -> None:
        start = self._checkpoint()
        try:
            with self._changed:
                while self._checkpoint() < position:
                    self.check()
                    if tell is not None and self._fed > start:
                        tell(min(self._fed, position) - start, position - start)
                    self._changed.wait(_LOOK_SECONDS)
                    check()
        except KeyboardInterrupt:
            self._rest()
            raise

    def near(self, position: int) -> None:
        """Waits until the views were handed what the log holds up to `position`.

        Who appends much then shares the processors with the views from the start, and does not
        leave them to work alone in the end.
        """
        with self._changed:
            while self._fed < position:
                self.check()
                self._changed.wait(_LOOK_SECONDS)

    def check(self) -> None:
        """Raises what a view raised."""
        if self._failed is not None:
            raise self._failed

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Has the views commit by the bytes they were fed alone while much is appended.

        When all is appended it is waited for as `reach` does.
        """
        self._set(bulks=1)
        self.go_on()
        try:
            yield
        finally:
            self._set(bulks=-1)
        self._wait(self._log.last, lambda: None, None)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Has the views stand still, once they have committed what they were fed."""
        self._set(pauses=1)
        try:
            self._wait_until_idle()
            yield
        finally:
            self._set(pauses=-1)

    def close(self) -> None:
        """Ends the following after what the views are at; what they lack is left in the log."""
        self._closing = True
        self._rest()
        if self._thread is not None:
            self._thread.join()

    def _rest(self) -> None:
        """Ends what runs after what it is at, and has nothing begin until somebody waits for it."""
        with self._changed:
            self._resting = True
            if self._feeder is not None:
                self._feeder.hurry()
        self._log.wake()
        self._wait_until_idle()

    def go_on(self) -> None:
        """Has the views take what is logged, also where one of them failed before."""
        with self._changed:
            self._failed = None
            self._resting = False
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="follower", daemon=True)
                self._thread.start()
        self._log.wake()

    def _set(self, bulks: int = 0, pauses: int = 0) -> None:
        with self._changed:
            self._bulks += bulks
            self._pauses += pauses
        self._log.wake()

    def _wait_until_idle(self) -> None:
        with self._changed:
            while self._feeder is not None:
                # Ctrl-C is let through only when nothing touches the views any more.
                try:
                    self._changed.wait(_LOOK_SECONDS)
                except KeyboardInterrupt:
                    self._feeder.hurry()

    def _checkpoint(self) -> int:
        return min(view.checkpoint for view in self._views())

    def _stops(self) -> bool:
        return self._closing or self._resting or self._pauses > 0

    def _ready(self, last: int) -> bool:
        return self._closing or (not self._stops() and self._failed is None and last > self._fed)

    def _work(self) -> None:
        while not self._closing:
            self._fed = self._checkpoint()
            self._log.wait(self._ready)
            with self._changed:
                if self._stops():
                    continue
                self._feeder = Feeder(self._views(), self._replacing)
            try:
                self._carry(self._feeder)
            except BaseException as error:  # noqa: BLE001 - handed to those who wait
                self._failed = error
            finally:
                with self._changed:
                    self._feeder = None
                    self._changed.notify_all()

    def _carry(self, feeder: Feeder) -> None:
        with feeder:
            while not self._stops():
                for entries in gathered(self._log.read(self._fed)):
                    feeder.feed(entries)
                    with self._changed:
                        self._fed = entries[-1].last
                        self._changed.notify_all()
                    if self._stops():
                        return
                if not self._bulks:
                    return
                self._log.wait(lambda last: last > self._fed or not self._bulks or self._stops())
