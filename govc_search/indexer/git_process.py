"""Starts git shut off from the host's and the repository's configuration."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO, Final, cast

from govc_search.errors import SourceError

__all__ = [
    "BINARY_BYTES",
    "GitObject",
    "GitStream",
    "ObjectReader",
    "environment",
    "run_git",
    "widen",
]

# A zero byte among so many first ones makes a file binary, to git.
BINARY_BYTES: Final = 8000
_PIPE_BYTES: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031
_OBJECT_NAME: Final = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b")


def environment(view: str, **more: str) -> dict[str, str]:
    """Returns the environment in which git may read the private view at `view`.

    Nothing of GIT_* is inherited; home and configuration directories point into the view, where
    there are none.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return kept | {
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": view,
        "LC_ALL": "C",
        "XDG_CONFIG_HOME": view,
        **more,
    }


def _git() -> str:
    found = shutil.which("git")
    if found is None:
        raise SourceError("git_missing", "git is not installed", hint="install git 2.32 or later")
    return found


def run_git(
    view: str, arguments: Sequence[str], *, stdin: bytes = b"", shallow_file: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Returns the finished run of a git command on the view, whatever its exit status."""
    more = {"GIT_SHALLOW_FILE": shallow_file} if shallow_file else {}
    # A directory of our own: no path on the command line can mean a file of the user's.
    return subprocess.run(
        [_git(), "--git-dir", view, "--no-pager", *arguments],
        input=stdin,
        capture_output=True,
        cwd=view,
        env=environment(view, **more),
        check=False,
    )


def widen(fd: int) -> None:
    """Makes a pipe hold a megabyte where the system lets it, so that both ends run on."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _PIPE_BYTES)


class GitStream:
    """A git child that is fed and read at once; feeding never blocks the caller."""

    def __init__(self, view: str, arguments: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the stream
        self._child = subprocess.Popen(
            [_git(), "--git-dir", view, "--no-pager", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            cwd=view,
            env=environment(view),
        )
        self._pipes = cast("tuple[IO[bytes], IO[bytes]]", (self._child.stdin, self._child.stdout))
        self._fd = self._pipes[1].fileno()
        widen(self._fd)
        self._input: SimpleQueue[bytes | None] = SimpleQueue()
        self._feeder = threading.Thread(target=self._write, daemon=True)
        self._feeder.start()

    def _write(self) -> None:
        fd = self._pipes[0].fileno()
        while (data := self._input.get()) is not None:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(fd, view) :]
            except OSError:
                # The child is gone; who reads from it sees the end of the stream.
                return
        self._pipes[0].close()

    def feed(self, data: bytes) -> None:
        """Queues bytes for the child's standard input."""
        self._input.put(data)

    def end(self) -> None:
        """Ends the child's standard input after what was queued."""
        self._input.put(None)

    def read(self) -> bytes:
        """Returns what the child has written, waiting for something; empty at its end."""
        return os.read(self._fd, _PIPE_BYTES)

    def failed(self) -> bool:
        """Returns whether the child, whose output was read to its end, ended with an error."""
        return self._child.wait() != 0

    def diagnosis(self) -> str:
        """Returns why the child ended: the object it could not read, else its last words."""
        self._child.wait()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 8192))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        if not lines:
            return f"git ended with status {self._child.returncode}"
        for line in reversed(lines):
            named = _OBJECT_NAME.search(line)
            if named:
                damaged = re.search(r"corrupt|mismatch|inflate|bad |bogus|invalid", line)
                return f"{'damaged' if damaged else 'missing'} object {named.group()}"
        return lines[-1].removeprefix("fatal: ").removeprefix("error: ")

    def kill(self) -> None:
        """Ends the child; whoever reads, in whatever thread, sees the end of the stream."""
        self._child.kill()

    def close(self) -> None:
        """Ends the child at once."""
        self.kill()
        self._child.wait()
        self.end()
        self._feeder.join()
        for pipe in (*self._pipes, self._errors):
            with contextlib.suppress(OSError):
                pipe.close()


@dataclass(frozen=True, slots=True)
class GitObject:
    """One answer: `kind` is empty where the object could not be read, `reason` says why."""

    name: str
    hash: str
    kind: str
    data: bytes
    reason: str = ""


class ObjectReader:
    """Reads objects by name through one long-lived `git cat-file`, past those it dies on."""

    def __init__(self, view: str) -> None:
        self._view = view
        self._stream: GitStream | None = None
        self._buffer = bytearray()

    def read(
        self, names: Iterable[str], most: int | None = None, *, text: int | None = None
    ) -> Iterator[GitObject]:
        """Yields one answer for each name, in order, with at most `most` bytes of each.

        With `text`, of what is binary or has more than so many bytes, only the beginning that
        tells which.
        """
        names = list(names)
        at = 0
        while at < len(names):
            if self._stream is None:
                self._stream = GitStream(self._view, ["cat-file", "--batch"])
            self._stream.feed("".join(f"{name}\n" for name in names[at:]).encode())
            try:
                while at < len(names):
                    answer = self._answer(names[at], most, text)
                    at += 1
                    yield answer
            except EOFError:
                reason = self._stream.diagnosis()
                self.close()
                yield GitObject(names[at], names[at], "", b"", reason)
                at += 1

    def _answer(self, name: str, most: int | None, text: int | None) -> GitObject:
        line = self._take(self._line())[:-1].decode("ascii", "replace")
        words = line.rsplit(" ", 2)
        if len(words) < 3 or not words[2].isdigit():
            return GitObject(name, name, "", b"", f"missing object {name}")
        size = int(words[2])
        wanted = size if most is None else min(size, most)
        if text is not None:
            # A large binary file is not kept in memory to find out that it is one.
            self._have(min(size, BINARY_BYTES))
            if size > text or self._buffer.find(b"\0", 0, min(size, BINARY_BYTES)) >= 0:
                wanted = min(size, BINARY_BYTES)
        data = self._take(wanted)
        self._skip(size + 1 - wanted)
        return GitObject(name, words[0], words[1], data)

    def _line(self) -> int:
        while (end := self._buffer.find(b"\n")) < 0:
            self._fill()
        return end + 1

    def _have(self, size: int) -> None:
        while len(self._buffer) < size:
            self._fill()

    def _take(self, size: int) -> bytes:
        self._have(size)
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return data

    def _skip(self, size: int) -> None:
        while size > len(self._buffer):
            size -= len(self._buffer)
            self._buffer.clear()
            self._fill()
        del self._buffer[:size]

    def _fill(self) -> None:
        data = self._stream.read() if self._stream is not None else b""
        if not data:
            raise EOFError
        self._buffer += data

    def kill(self) -> None:
        """Ends the child under whoever reads, who takes it for an object that it died on."""
        if (stream := self._stream) is not None:
            stream.kill()

    def close(self) -> None:
        """Ends the child; reading again starts another."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._buffer.clear()
