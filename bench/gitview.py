"""The git that answers are compared with: run on a private bare view of a repository.

The view borrows the source's objects the way the indexer does and has the source's refs, HEAD
and shallow boundary copied in, so that commands read as one types them while nothing of the
source's configuration, attributes, hooks, grafts or replacements, nor the host's, is seen.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from govc_search.indexer.git_process import environment, run_git
from govc_search.indexer.repository import Repository

__all__ = ["Answer", "GitFailedError", "GitView"]

_BORROWED = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


class GitFailedError(Exception):
    """A git command that ended with an error: the message is git's last word."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a git command printed, and the seconds it took from start to end."""

    output: bytes
    seconds: float


class GitView(contextlib.ExitStack):
    """A repository to ask git about; leaving or closing it removes the view.

    `refs` are name -> hash of all refs of the source as git itself lists them, `peeled` those
    of tag objects -> what they lead to. `head` is the commit at HEAD or None.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.repository = self.enter_context(Repository.open(path))
        try:
            temporary = tempfile.TemporaryDirectory(prefix="govc-search-bench-")
            self.directory = str(Path(self.enter_context(temporary)) / "view")
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        kind = f"--object-format={self.repository.object_format}"
        done = run_git(
            str(Path(self.directory).parent),
            [
                *("-c", "init.defaultBranch=main", "init", "--quiet", "--bare", "--template="),
                *(kind, self.directory),
            ],
        )
        if done.returncode:
            raise GitFailedError(_last_words(done.stderr))
        view = Path(self.directory)
        (view / "objects" / "info").mkdir(exist_ok=True)
        borrowed = Path(self.repository.view) / "objects"
        (view / "objects" / "info" / "alternates").write_text(f"{borrowed}\n")
        if self.repository.shallow:
            names = sorted(self.repository.shallow)
            (view / "shallow").write_text("".join(f"{name}\n" for name in names))
        self.refs, self.peeled = self._listed_refs()
        there = self._there({*self.refs.values()})
        (view / "packed-refs").write_bytes(
            b"".join(
                hash_.encode() + b" " + name + b"\n"
                for name, hash_ in self.refs.items()
                if hash_ in there
            )
        )
        head = self.repository.head()
        self.head = head.hash if head.hash in self._there({head.hash or ""}) else None
        if head.branch is not None:
            (view / "HEAD").write_bytes(b"ref: " + head.branch + b"\n")
        else:
            (view / "HEAD").write_text(f"{head.hash}\n")

    def _listed_refs(self) -> tuple[dict[bytes, str], dict[bytes, str]]:
        """Returns all refs, asked of the source itself and not of what the indexer read."""
        place = str(self.repository.git_dir)
        done = run_git(place, [*_BORROWED, "show-ref", "--dereference"])
        # Status 1 without a word: there are none.
        if done.returncode > 1:
            raise GitFailedError(_last_words(done.stderr))
        refs: dict[bytes, str] = {}
        peeled: dict[bytes, str] = {}
        for line in done.stdout.splitlines():
            hash_, _, name = line.partition(b" ")
            if name.endswith(b"^{}"):
                peeled[name[:-3]] = hash_.decode()
            else:
                refs[name] = hash_.decode()
        return refs, peeled

    def _there(self, hashes: set[str]) -> set[str]:
        text = "".join(f"{hash_}\n" for hash_ in sorted(hashes - {""}))
        done = run_git(self.directory, ["cat-file", "--batch-check"], stdin=text.encode())
        lines = done.stdout.decode().splitlines()
        return {line.split(" ", 1)[0] for line in lines if not line.endswith(" missing")}

    def run(
        self,
        arguments: Sequence[str],
        *,
        stdin: bytes = b"",
        through: Sequence[str] = (),
        limit: int | None = None,
        discard: bool = False,
        source: bool = False,
    ) -> Answer:
        """Returns what a command prints; raises GitFailedError.

        `through` is a git command that reads the output and prints the answer. `limit` ends the
        command after so many bytes, `discard` sends its output to /dev/null, `source` asks the
        source itself, as may be done about refs.
        """
        place = [str(self.repository.git_dir), *_BORROWED] if source else [self.directory]
        with tempfile.TemporaryFile() as fed, tempfile.TemporaryFile() as errors:
            fed.write(stdin)
            fed.seek(0)
            started = time.perf_counter()
            child = subprocess.Popen(
                ["git", "--git-dir", *place, "--no-pager", *arguments],
                stdin=fed,
                stdout=subprocess.DEVNULL if discard else subprocess.PIPE,
                stderr=errors,
                cwd=self.directory,
                # Character classes and counts speak of characters, as on a user's machine.
                env=environment(self.directory, LC_ALL="C.UTF-8"),
            )
            output, cut = b"", False
            if through and child.stdout is not None:
                output = self._piped(child.stdout, through)
                child.stdout.close()
            elif child.stdout is not None:
                output = child.stdout.read(-1 if limit is None else limit)
                cut = limit is not None and len(output) == limit
                if cut:
                    child.kill()
                child.stdout.close()
            status = child.wait()
            seconds = time.perf_counter() - started
            errors.seek(0)
            if status and not cut:
                raise GitFailedError(_last_words(errors.read()))
        return Answer(output, seconds)

    def _piped(self, pipe: IO[bytes], arguments: Sequence[str]) -> bytes:
        done = subprocess.run(
            ["git", "--git-dir", self.directory, "--no-pager", *arguments],
            stdin=pipe,
            capture_output=True,
            check=False,
            cwd=self.directory,
            env=environment(self.directory, LC_ALL="C.UTF-8"),
        )
        if done.returncode:
            raise GitFailedError(_last_words(done.stderr))
        return done.stdout

    @contextlib.contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[IO[bytes]]:
        """Gives the pipe from which to read what a command prints."""
        child = subprocess.Popen(
            ["git", "--git-dir", self.directory, "--no-pager", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=self.directory,
            env=environment(self.directory, LC_ALL="C.UTF-8"),
        )
        assert child.stdout is not None
        try:
            yield child.stdout
        finally:
            child.stdout.close()
            status = child.wait()
        if status:
            raise GitFailedError(f"git {arguments[0]} ended with status {status}")

    @staticmethod
    def shown(arguments: Sequence[str]) -> str:
        """Returns the command as one types it."""
        return shlex.join(["git", *arguments])


def _last_words(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
    lines = [line for line in lines if line.startswith("fatal: ")] or lines
    return lines[-1].removeprefix("fatal: ").removeprefix("error: ")
