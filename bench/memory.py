"""Watches the memory and the processor time of a process and of all that it started."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Peak", "Watch"]

_INTERVAL: Final = 0.25


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that was seen at one moment, in bytes, each figure at its own moment.

    `private` is what belongs to these processes alone, mapped files included (USS); `anonymous`
    leaves mapped files out, which the kernel can drop at any time; `resident` shares out what
    several processes map (PSS). `processes` is the largest number of them.
    """

    private: int = 0
    anonymous: int = 0
    resident: int = 0
    processes: int = 0
    samples: int = 0


_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Watch:
    """A context manager that samples the process tree below `pid` in a thread.

    `processor` is in seconds, up to the last sample of each process: the sum over all, those too
    that nobody waited for when they ended.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._processor: dict[tuple[int, int], float] = {}
        self.peak = Peak()

    @property
    def processor(self) -> float:
        """Returns the seconds of processor time seen so far."""
        return sum(self._processor.values())

    def _run(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._sample()

    def _sample(self) -> None:
        private = anonymous = resident = processes = 0
        for pid in _tree(self._pid):
            used = _used(pid)
            if used is not None:
                # A number is given again to another process, which began at another time.
                self._processor[pid, used[0]] = used[1]
            found = _memory(pid)
            if found is not None:
                processes += 1
                private += found["Private_Clean"] + found["Private_Dirty"]
                anonymous += found["Anonymous"]
                resident += found["Pss"]
        last = self.peak
        self.peak = Peak(
            max(last.private, private),
            max(last.anonymous, anonymous),
            max(last.resident, resident),
            max(last.processes, processes),
            last.samples + (processes > 0),
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()


def _tree(root: int) -> list[int]:
    """Returns the process and its descendants, whatever session they moved to."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # The name in parentheses may hold anything; the parent is the second word after.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _used(pid: int) -> tuple[int, float] | None:
    """Returns when a process began, in ticks, and its seconds of processor time."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(words[19]), (int(words[11]) + int(words[12])) / _TICKS
    except (OSError, IndexError):
        return None


def _memory(pid: int) -> dict[str, int] | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        # Gone, or not there on this system.
        return None
    return {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (x.partition(":") for x in lines)
    }
