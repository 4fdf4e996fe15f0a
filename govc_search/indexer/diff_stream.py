"""Reads what git prints of commits: texts and diffs, in one long stream.

A mark drawn at random stands around each commit's header, so that no message, path or content
can be taken for one.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from govc_search.gaps import too_large
from govc_search.indexer.commit_batch import CommitText, Diff
from govc_search.indexer.git_process import GitStream, run_git

__all__ = ["Answer", "DiffStream", "ReaderSettings"]

_RAW_END: Final = b"\0\0"
# What a line counts at least toward the limit of a commit's patch.
_LINE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """What a reader needs to know once: the private view, the repository's name, how to read."""

    view: str
    repo: str
    depth: str
    merges: str
    commit_patch_bytes: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What git printed of a commit: the header, null if it ended first, the diff, what is amiss."""

    head: bytes | None
    diff: Diff | None
    incomplete: str | None


class _StreamError(Exception):
    """Git's stream ended, or went on with another commit than the one asked for."""


class _TooLargeError(Exception):
    """The patch of a commit goes beyond the limit; what is known of the commit comes along."""

    def __init__(self, head: bytes, raw: bytes) -> None:
        super().__init__()
        self.head = head
        self.raw = raw


class DiffStream:
    """A `git diff-tree` child that answers many commits, past those that it dies on."""

    def __init__(self, settings: ReaderSettings) -> None:
        self._settings = settings
        # No content, path or message can hold what was drawn just now.
        self._nonce = secrets.token_hex(16).encode()
        self._body = self._nonce + b"D"
        self._end = self._nonce + b"E\n"
        nonce = self._nonce.decode()
        self.format = (
            f"--format={nonce}C%H%x00%an%x00%ae%x00%cn%x00%ce%x00%B%x00"
            f"%(trailers:only,unfold,key_value_separator={nonce}k,separator={nonce}t){nonce}D"
        )
        self._too_large = too_large(settings.commit_patch_bytes, "bytes of patch")
        self._between = self._nonce + b"k"
        self._after = self._nonce + b"t"
        self._stream: GitStream | None = None
        self._buffer = bytearray()
        # What was fed and not yet answered, an empty name for the mark that ends a request.
        self._fed: deque[str] = deque()

    def _open(self) -> GitStream:
        settings = self._settings
        lines = ["-p", "-U1"] if settings.depth == "full" else []
        merges = "first-parent" if settings.merges == "first-parent" else "off"
        self._buffer.clear()
        self._stream = GitStream(
            settings.view,
            [
                *("diff-tree", "--stdin", "--always", "--root", "-r", "-M", "--raw", *lines, "-z"),
                *("--full-index", "--no-abbrev", "--no-ext-diff", "--no-textconv"),
                *("--no-show-signature", "--no-notes", "--no-color", "--encoding=UTF-8"),
                *("--submodule=short", "--ignore-submodules=none", f"--diff-merges={merges}"),
                self.format,
            ],
        )
        return self._stream

    def feed(self, hashes: Sequence[str]) -> None:
        """Asks for commits; `answers` gives them in the same order."""
        if hashes:
            self._send([*hashes, ""])
            self._fed += [*hashes, ""]

    def _send(self, names: Sequence[str]) -> None:
        stream = self._stream or self._open()
        end = self._end.decode()
        stream.feed("".join(f"{name}\n" if name else end for name in names).encode())

    def answers(self) -> Iterator[Answer]:
        """Yields the answers of one request, in order."""
        while name := self._fed[0]:
            try:
                head, diff = self._read(name, self._fed[1])
                answer = Answer(head, diff, None)
            except _TooLargeError as large:
                # To read on would take as long as the patch is long.
                answer = Answer(large.head, Diff(large.raw, None), self._too_large)
                self.close()
            except _StreamError:
                self.close()
                answer = self._alone(name)
            self._fed.popleft()
            if self._stream is None and any(self._fed):
                # A mark in front would end a request that has been answered.
                self._send(list(self._fed)[0 if self._fed[0] else 1 :])
            yield self._bounded(answer)
        self._fed.popleft()

    def _bounded(self, answer: Answer) -> Answer:
        # Memory to parse goes by lines more than by bytes: many short ones are as large.
        limit = self._settings.commit_patch_bytes // _LINE_BYTES
        patch = answer.diff.patch if answer.diff is not None else None
        if answer.diff is None or patch is None or len(patch) <= 2 * limit:
            return answer
        if patch.count(b"\n") <= limit:
            return answer
        return Answer(answer.head, Diff(answer.diff.raw, None), self._too_large)

    def _alone(self, name: str) -> Answer:
        # When the stream dies, what git had not yet written may belong to this commit or to the
        # next one: only asked alone it is known which one git cannot read.
        self._send([name, ""])
        try:
            head, diff = self._read(name, "")
        except _TooLargeError as large:
            return Answer(large.head, Diff(large.raw, None), self._too_large)
        except _StreamError as error:
            return Answer(None, self._changes_of(name), str(error))
        finally:
            self.close()
        return Answer(head, diff, None)

    def _changes_of(self, name: str) -> Diff | None:
        """Returns the change list without renames, which needs no blob, or None."""
        if self._settings.depth == "none":
            return None
        merges = "first-parent" if self._settings.merges == "first-parent" else "off"
        done = run_git(
            self._settings.view,
            [
                *("diff-tree", "--root", "-r", "--no-renames", "--raw", "-z", "--no-abbrev"),
                *("--no-commit-id", "--ignore-submodules=none", f"--diff-merges={merges}", name),
            ],
        )
        return Diff(done.stdout, None) if done.returncode == 0 else None

    def _read(self, name: str, following: str) -> tuple[bytes, Diff]:
        start = self._nonce + b"C" + name.encode() + b"\0"
        self._need(len(start))
        if not self._buffer.startswith(start):
            raise _StreamError(f"git does not take {name} for a commit")
        body = self._find(self._body, len(start))
        head = bytes(memoryview(self._buffer)[len(start) : body])
        body += len(self._body)
        # Between header and entries stands "\0\n", where there are any.
        end = self._find_end(body, head)
        area = memoryview(self._buffer)[body:end]
        split = self._buffer.find(_RAW_END, body, end)
        if split >= 0:
            diff = Diff(bytes(area[2 : split + 1 - body]), bytes(area[split + 2 - body :]))
        else:
            diff = Diff(bytes(area[2:]), None)
        area.release()
        after = self._nonce + b"C" + following.encode() if following else self._end
        del self._buffer[:end]
        self._need(len(after))
        if not self._buffer.startswith(after):
            raise _StreamError(f"git does not take {following or name} for a commit")
        if not following:
            del self._buffer[: len(after)]
        return head, diff

    def _need(self, size: int) -> None:
        while len(self._buffer) < size:
            self._fill()

    def _find(self, what: bytes, start: int) -> int:
        while (found := self._buffer.find(what, start)) < 0:
            start = max(start, len(self._buffer) - len(what) + 1)
            self._fill()
        return found

    def _find_end(self, body: int, head: bytes) -> int:
        """Returns where the next mark stands; raises _TooLargeError beyond the limit."""
        start = body
        limit = self._settings.commit_patch_bytes
        split = -1
        while (found := self._buffer.find(self._nonce, start)) < 0:
            start = max(start, len(self._buffer) - len(self._nonce) + 1)
            if len(self._buffer) - body > limit:
                if split < 0:
                    split = self._buffer.find(_RAW_END, body)
                if split >= 0 and len(self._buffer) - split > limit:
                    raise _TooLargeError(head, bytes(self._buffer[body + 2 : split + 1]))
            self._fill()
        split = self._buffer.find(_RAW_END, body, found)
        if split >= 0 and found - split - 2 > limit:
            raise _TooLargeError(head, bytes(self._buffer[body + 2 : split + 1]))
        return found

    def _fill(self) -> None:
        data = self._stream.read() if self._stream is not None else b""
        if not data:
            raise _StreamError(self._stream.diagnosis() if self._stream else "git is not running")
        self._buffer += data

    def texts(self, hashes: Sequence[str]) -> dict[str, CommitText]:
        """Returns the texts of commits without looking at their trees, by hash."""
        if not hashes:
            return {}
        done = run_git(
            self._settings.view,
            [
                *("log", "--stdin", "--no-walk=unsorted", "-s", "--no-show-signature"),
                *("--no-notes", "--no-mailmap", "--no-color", "--encoding=UTF-8", self.format),
            ],
            stdin="".join(f"{name}\n" for name in hashes).encode(),
        )
        found: dict[str, CommitText] = {}
        for piece in done.stdout.split(self._nonce + b"C")[1:]:
            named, _, rest = piece.partition(b"\0")
            head, mark, _ = rest.rpartition(self._body)
            if mark:
                found[named.decode()] = self.text(head)
        if len(found) < len(hashes) and len(hashes) > 1:
            # It stopped at one that it cannot read.
            for name in hashes:
                if name not in found:
                    found |= self.texts([name])
        return found

    def text(self, head: bytes) -> CommitText:
        """Returns the fields of a header as the format lays them out."""
        author, author_email, committer, committer_email, rest = head.split(b"\0", 4)
        message, _, trailers = rest.rpartition(b"\0")
        pairs = []
        if trailers:
            for trailer in trailers.split(self._after):
                key, _, value = trailer.partition(self._between)
                pairs.append((key, value))
        return CommitText(author, author_email, committer, committer_email, message, pairs)

    def close(self) -> None:
        """Ends the child; what was fed and not answered is kept for the next one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._buffer.clear()
