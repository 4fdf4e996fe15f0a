"""What does not fit on the terminal, through the user's pager."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Final

from govc_search.cli.terminal import Target

__all__ = ["paged"]

# As git sets them where the user has not: quit if it fits on one screen, keep colours, leave the
# text on the screen.
_DEFAULTS: Final = {"LESS": "FRX", "LV": "-c"}


@contextmanager
def paged(target: Target) -> Iterator[Target]:
    """Yields a target that goes through $PAGER (default: less) once it is longer than the screen.

    Without a terminal or a pager it is the target itself. Leaving the pager ends the writing.
    Meanwhile Ctrl-C is the pager's.
    """
    command = shlex.split(os.environ.get("PAGER", "less"))
    if not target.terminal or command in ([], ["cat"]) or os.environ.get("TERM") == "dumb":
        yield target
        return
    pager = _Pager(target, command)
    before = signal.getsignal(signal.SIGINT)
    try:
        yield replace(target, write=pager.write)
        pager.end()
    except BrokenPipeError:
        if pager.process is None:
            raise
    finally:
        if pager.process is not None:
            with contextlib.suppress(BrokenPipeError):
                pager.process.communicate()
            signal.signal(signal.SIGINT, before)


class _Pager:
    """Holds back what is written until it is more than a screen, then starts the pager."""

    def __init__(self, target: Target, command: Sequence[str]) -> None:
        self._target = target
        self._command = command
        self._room = shutil.get_terminal_size().lines - 1
        self._held: list[bytes] = []
        self._write: Callable[[bytes], object] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Writes text. Raises BrokenPipeError when the pager was left."""
        if self._write is not None:
            self._write(data)
            return
        self._held.append(data)
        # A line wider than the screen takes several of its rows.
        self._room -= sum(1 + len(line) // self._target.width for line in data.split(b"\n")[:-1])
        if self._room < 0:
            self._begin()

    def _begin(self) -> None:
        try:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, env={**_DEFAULTS, **os.environ}
            )
        except OSError:
            # There is no such pager: the terminal scrolls.
            self._write = self._target.write
        else:
            assert self.process.stdin is not None
            self._write = self.process.stdin.write
            signal.signal(signal.SIGINT, _pass)
        self._write(b"".join(self._held))

    def end(self) -> None:
        """Writes what fits on the screen to the terminal."""
        if self._write is None:
            self._target.write(b"".join(self._held))


def _pass(number: int, frame: FrameType | None) -> None:
    # Not SIG_IGN, which the pager's own children would inherit.
    del number, frame
