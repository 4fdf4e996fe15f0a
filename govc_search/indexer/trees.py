"""The files of a repository at a commit, read from the objects of its source.

Git is waited for in threads of their own, so that whoever asked can be told that time is up; what
was started ends when the tree is closed.
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn, TypeVar

import numpy as np
import pyarrow as pa

from govc_search.errors import SourceError
from govc_search.indexer.git_process import BINARY_BYTES, GitStream, ObjectReader
from govc_search.indexer.private_view import locate, make_view, private_directory
from govc_search.store.graph import CommitGraph
from govc_search.store.rows import decode

__all__ = ["Source", "Tree"]

_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_READERS: Final = 2
# Contents are handed on by so many bytes: enough to be worth a statement, few enough to hold.
_CHUNK_BYTES: Final = 8 << 20
_WAIT_SECONDS: Final = 0.05

T = TypeVar("T")
C = TypeVar("C", GitStream, ObjectReader)


@dataclass(frozen=True, slots=True)
class Source:
    """A repository by name, where it was indexed from, and its object format."""

    repo: str
    url: str
    object_format: str


class Tree:
    """The files of one repository at one commit, to be closed.

    `check` raises when time is up. What cannot be read raises SourceError `tree_unavailable`; what
    of it is missing is NULL.
    """

    def __init__(
        self,
        source: Source,
        graph: CommitGraph,
        position: int,
        scratch: Path,
        check: Callable[[], None],
    ) -> None:
        self.repo = source.repo
        self._path = _path(source.url)
        self._format = source.object_format
        self._position = position
        self._graph = graph
        self._hash = graph.hash_of(source.repo, position)
        self._scratch = scratch
        self._check = check
        self._opened: str | None = None
        self._resources = ExitStack()
        self._children: list[GitStream | ObjectReader] = []
        self._closed = threading.Event()
        self._workers = ThreadPoolExecutor(_READERS, "tree")

    def files(self) -> pa.Table:
        """Returns `path`, `mode` and `blob` of every file, in git's order."""
        assert _HASH.fullmatch(self._hash)
        listing = self._stream(["ls-tree", "-r", "-z", "--full-tree", self._hash])
        listed = self._wait(self._workers.submit(_all_of, listing))
        if listing.failed():
            self._unavailable(
                f"{listing.diagnosis()} in {self._path}",
                "fetch it into that repository, or ask for another revision",
            )
        entries = [e.split(b"\t", 1) for e in listed.split(b"\0")[:-1]]
        heads = [head.split(b" ") for head, _ in entries]
        return pa.table(
            {
                "path": decode(pa.array([path for _, path in entries], pa.binary())),
                "mode": pa.array([h[0].decode() for h in heads], pa.string()),
                "blob": pa.array([h[2].decode() for h in heads], pa.string()),
            }
        )

    def history(self) -> pa.Table:
        """Returns `id`, the positions of the commits before it but merges, and their `ordinal`.

        The newest has the lowest, by the order in which `git log` shows them.
        """
        ids = self._graph.log_order(self.repo, self._position)
        return pa.table({"id": ids, "ordinal": np.arange(len(ids))})

    def sizes(self, blobs: Sequence[str]) -> list[int | None]:
        """Returns the size of each in bytes, None where it is missing."""
        stream = self._stream(["cat-file", "--batch-check=%(objectsize)", "--buffer"])
        stream.feed("".join(f"{blob}\n" for blob in blobs).encode())
        stream.end()
        listed = self._wait(self._workers.submit(_all_of, stream)).split(b"\n")[:-1]
        if len(listed) != len(blobs):
            self._unavailable(
                f"{stream.diagnosis()} in {self._path}", "`git fsck` in it may tell more"
            )
        return [int(size) if size.isdigit() else None for size in listed]

    def contents(self, blobs: Sequence[str], sizes: Sequence[int], most: int) -> Iterator[pa.Table]:
        """Yields `blob`, `content` and `is_binary` of all, in order, some at a time.

        Bytes that are no UTF-8 are U+FFFD. `content` is NULL where the file is binary, where it
        has more than `most` bytes, and, as is `is_binary`, where it is missing.
        """
        readers: SimpleQueue[ObjectReader] = SimpleQueue()
        for _ in range(_READERS):
            readers.put(self._child(ObjectReader(self._view())))

        def read(chunk: Sequence[tuple[str, int]]) -> pa.Table:
            reader = readers.get()
            try:
                return self._texts(reader, chunk, most)
            finally:
                readers.put(reader)

        chunks = _chunks(blobs, sizes, most)
        running: deque[Future[pa.Table]] = deque(
            self._workers.submit(read, chunk) for chunk in islice(chunks, _READERS + 1)
        )
        while running:
            done = self._wait(running.popleft())
            running.extend(self._workers.submit(read, chunk) for chunk in islice(chunks, 1))
            yield done

    def close(self) -> None:
        """Ends git and removes the private view."""
        self._closed.set()
        for child in self._children:
            child.kill()
        self._workers.shutdown(cancel_futures=True)
        self._resources.close()

    def _stream(self, arguments: Sequence[str]) -> GitStream:
        return self._child(GitStream(self._view(), arguments))

    def _child(self, child: C) -> C:
        self._children.append(child)
        self._resources.callback(child.close)
        return child

    def _view(self) -> str:
        if self._opened is None:
            try:
                common = locate(self._path).common
            except (SourceError, OSError) as error:
                why = error.message if isinstance(error, SourceError) else str(error).lower()
                self._unavailable(
                    why,
                    "put the repository back, or index it from where it is now: it is known again"
                    " by its name and its commits",
                )
            made = self._resources.enter_context(private_directory(self._scratch))
            make_view(Path(made, "view"), common, self._format)
            self._opened = str(Path(made, "view"))
        return self._opened

    def _unavailable(self, why: str, hint: str) -> NoReturn:
        raise SourceError(
            "tree_unavailable",
            f"the files of {self.repo} at {self._hash[:12]} cannot be read: {why}",
            hint=hint,
        )

    def _texts(self, reader: ObjectReader, chunk: Sequence[tuple[str, int]], most: int) -> pa.Table:
        texts: list[bytes | None] = []
        binary: list[bool | None] = []
        blobs = [blob for blob, _ in chunk]
        for answer, (_, size) in zip(reader.read(blobs, text=most), chunk, strict=True):
            if self._closed.is_set():
                break
            there = answer.kind == "blob"
            is_binary = there and answer.data.find(b"\0", 0, BINARY_BYTES) >= 0
            binary.append(is_binary if there else None)
            texts.append(answer.data if there and not is_binary and size <= most else None)
        return pa.table(
            {
                "blob": pa.array(blobs[: len(texts)], pa.string()),
                "content": decode(pa.array(texts, pa.binary())),
                "is_binary": pa.array(binary, pa.bool_()),
            }
        )

    def _wait(self, future: Future[T]) -> T:
        while True:
            try:
                return future.result(timeout=_WAIT_SECONDS)
            except TimeoutError:
                self._check()


def _path(url: str) -> Path:
    path = Path(url)
    if "\\x" in url and not path.exists():
        # Bytes of the path that are no text were written out.
        written = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), url.encode())
        path = Path(os.fsdecode(written))
    return path


def _all_of(stream: GitStream) -> bytes:
    parts = []
    while data := stream.read():
        parts.append(data)
    return b"".join(parts)


def _chunks(
    blobs: Sequence[str], sizes: Sequence[int], most: int
) -> Iterator[Sequence[tuple[str, int]]]:
    chunk: list[tuple[str, int]] = []
    held = 0
    for blob, size in zip(blobs, sizes, strict=True):
        kept = size if size <= most else 0
        if chunk and held + kept > _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
        chunk.append((blob, size))
        held += kept
    if chunk:
        yield chunk
