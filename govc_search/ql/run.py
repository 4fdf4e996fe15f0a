"""One run of a query: what it sees, how long it may take, and what was read for it so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from govc_search import scope
from govc_search.errors import DeadlineError
from govc_search.gaps import Gaps
from govc_search.ql.plan import Plan
from govc_search.ql.protocols import Graph, Table, Text, Trees
from govc_search.ql.watchdog import WATCHDOG
from govc_search.settings import Settings

__all__ = ["Deadline", "Params", "Run", "Snapshot"]

_AGAIN_SECONDS: Final = 0.05

Params = Mapping[str, object] | Sequence[object] | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one query sees: the views at `as_of`; `text` is None with indexes off."""

    table: Table
    text: Text | None
    graph: Graph
    trees: Trees
    as_of: int
    settings: Settings
    # Plans made for this and earlier snapshots, shared by all queries of an engine.
    plans: dict[Hashable, tuple[Plan, tuple[str, ...]]]
    # What of each repository is not indexed, counted when it is asked for.
    gaps: Callable[[], Sequence[Gaps]]


class Deadline:
    """When a query has to end: after `seconds` from `started` (of `time.perf_counter`).

    The time during which it is paused does not count.
    """

    def __init__(self, started: float, seconds: float) -> None:
        self._until = started + seconds
        self._seconds = seconds
        self._paused: float | None = None
        self._asked = scope.current()

    @property
    def remaining(self) -> float:
        """Returns how many seconds are left, none or less when it is over."""
        paused = self._paused
        return self._until - (time.perf_counter() if paused is None else paused)

    @property
    def is_over(self) -> bool:
        """Returns whether no time is left."""
        return self.remaining <= 0

    def pause(self) -> None:
        """Stops the clock: what comes is not the query's time."""
        self._paused = time.perf_counter()

    def resume(self) -> None:
        """Lets the clock go on."""
        if self._paused is not None:
            self._until += time.perf_counter() - self._paused
            self._paused = None

    @contextmanager
    def watched(self, stop: Callable[[], None]) -> Iterator[None]:
        """Calls `stop` from another thread when time is up; raises DeadlineError if it is."""
        self.check()
        with WATCHDOG.stopping(self._next_look, stop):
            yield

    def _next_look(self) -> float:
        if self._paused is not None:
            return max(self.remaining, _AGAIN_SECONDS)
        return self.remaining

    def check(self) -> None:
        """Raises DeadlineError once time is up, or who asked wants no answer any more."""
        self._asked.check()
        if self.is_over:
            raise self.exceeded()

    def exceeded(self) -> DeadlineError:
        """Returns the error of a query that took too long."""
        return DeadlineError(
            "deadline_exceeded",
            f"the query did not finish within {self._seconds:g} seconds",
            hint="narrow it, or raise the setting deadline_seconds",
        )


@dataclass(slots=True)
class Run:
    """What running a query has at hand; indexes add what they found, by name."""

    snapshot: Snapshot
    deadline: Deadline
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))
    relations: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, Callable[..., pa.Array]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    # Rows and seconds of each step, for EXPLAIN ANALYZE.
    counts: dict[str, int] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    @property
    def text(self) -> Text | None:
        """Returns the text index for the planner, which may ask it about very many words."""
        text = self.snapshot.text
        return None if text is None else _Asked(text, self.deadline.check)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Notes how long a step takes."""
        begin = time.perf_counter()
        yield
        self.times[name] = time.perf_counter() - begin


@dataclass(frozen=True, slots=True)
class _Asked:
    """A text index that looks at the clock before it answers."""

    _text: Text
    _check: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        self._check()
        return getattr(self._text, name)
