"""Progress on standard error: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from govc_search.cli.terminal import escape, say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["ProgressView", "duration_text"]

# Seconds between two plain lines, and between two updates of a bar.
_PLAIN: Final = 3.0
_BAR: Final = 0.1


class Step(Protocol):
    """What the engine reports: how much of a phase is done."""

    @property
    def phase(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int | None: ...
    @property
    def unit(self) -> str: ...


def duration_text(seconds: float) -> str:
    """Returns a duration as people write it: `12 ms`, `3.4 s`, `2 min 05 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _rest_text(seconds: float) -> str:
    # An estimate has no tenths.
    return f"{seconds:.0f} s" if seconds < 60 else duration_text(seconds)


class ProgressView:
    """Shows the steps it is called with; a context manager.

    Called often and from any one thread at a time: most calls only look at the clock. `label`
    names what is worked on, `clock` counts seconds.
    """

    def __init__(
        self,
        label: str,
        *,
        quiet: bool = False,
        colour: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = escape(label)
        self._clock = clock
        self._quiet = quiet
        self._colour = colour
        self._on_terminal = sys.stderr.isatty()
        self._phase: str | None = None
        self._began = self._shown = clock()
        self._first = 0
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Takes one step."""
        if self._quiet:
            return
        now = self._clock()
        if step.phase != self._phase:
            self._begin(step, now)
        elif self._on_terminal:
            if now - self._shown < _BAR and step.done != step.total:
                return
            self._shown = now
        elif now - self._shown < _PLAIN:
            return
        else:
            self._shown = now
            say(self._line(step, now))
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, completed=step.done, total=step.total, extra=self._extra(step, now)
            )

    def _begin(self, step: Step, now: float) -> None:
        # The first line of a phase waits as long as any: short phases say nothing.
        self._phase, self._began, self._first = step.phase, now, step.done
        if not self._on_terminal:
            return
        if self._bar is None:
            self._bar = self._new_bar()
            self._bar.start()
        if self._task is not None:
            self._bar.remove_task(self._task)
        label = f"{self._label}: {escape(step.phase)}"
        self._task = self._bar.add_task(label, total=step.total, extra="")

    def _rate(self, step: Step, now: float) -> float:
        elapsed = now - self._began
        return (step.done - self._first) / elapsed if elapsed > 0 else 0.0

    def _extra(self, step: Step, now: float) -> str:
        of = f"/{step.total:,}" if step.total is not None else ""
        out = f"{step.done:,}{of} {step.unit}"
        rate = self._rate(step, now)
        if rate > 0:
            out += f", {rate:,.0f}/s"
            if step.total is not None and step.total > step.done:
                out += f", {_rest_text((step.total - step.done) / rate)} left"
        return out

    def _line(self, step: Step, now: float) -> str:
        return f"{self._label}: {escape(step.phase)}: {self._extra(step, now)}"

    def _new_bar(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True, no_color=not self._colour, highlight=False)
        return Progress(
            # What comes from a repository's name is no markup.
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[extra]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=8,
        )
