"""Reads commits through git's streams; run as a module it is a worker of the reader pool.

A worker is started by `reader_pool` with its settings as JSON on the command line. It takes
requests on standard input and answers on standard output, each frame a header (see `FRAME`), a
JSON part and a payload. It ends with its whole process group when its input ends, so neither it
nor its git children outlive the parent.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from queue import Empty, SimpleQueue
from typing import IO, Any, Final

import pyarrow as pa

from govc_search.gaps import SHALLOW
from govc_search.indexer.commit_batch import CommitBatch
from govc_search.indexer.commit_object import CommitObject, parse_commit_object
from govc_search.indexer.diff_stream import DiffStream, ReaderSettings
from govc_search.indexer.git_process import ObjectReader, widen
from govc_search.records import KINDS
from govc_search.store.log import encode

__all__ = ["FRAME", "CommitReader", "Part", "Request", "read_frame", "request_frame"]

# Kind of frame, bytes of JSON, bytes of payload.
FRAME: Final = struct.Struct("<cIQ")
_COMMIT_KIND: Final = KINDS[0]
# Git takes a file for binary when there is a zero among its first bytes, so many.
_BINARY_BYTES: Final = 8000


@dataclass(frozen=True, slots=True)
class Request:
    """Commits to read, in order; `boundary` are those whose parents the source cut off."""

    hashes: list[str]
    boundary: list[str]
    indexed_at: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the commits of a request, and those before them that could not be read."""

    batch: pa.RecordBatch
    patch_bytes: int
    failures: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Prepared:
    request: Request
    # A commit that cannot be read has its reason here.
    objects: list[CommitObject | str]
    # Those whose texts are read apart because their trees are not looked at.
    apart: frozenset[str]


class CommitReader:
    """Reads commits of one private view, with git children of its own.

    `prepare` may run ahead of `read`, so that git works on while a batch is made.
    """

    def __init__(self, settings: ReaderSettings) -> None:
        self._settings = settings
        self._objects = ObjectReader(settings.view)
        self._diffs = DiffStream(settings)

    def prepare(self, request: Request) -> _Prepared:
        """Reads the commit objects and sets git to work on the diffs."""
        objects: list[CommitObject | str] = []
        for answer in self._objects.read(request.hashes):
            commit = parse_commit_object(answer.data) if answer.kind == "commit" else None
            if commit is not None:
                objects.append(commit)
            elif answer.kind:
                commits = answer.kind == "commit"
                objects.append("damaged commit" if commits else f"not a commit but a {answer.kind}")
            else:
                objects.append(answer.reason)
        boundary = set(request.boundary)
        apart = frozenset(
            name
            for name, commit in zip(request.hashes, objects, strict=True)
            if isinstance(commit, CommitObject)
            and (self._settings.depth == "none" or name in boundary)
        )
        self._diffs.feed(
            [
                name
                for name, commit in zip(request.hashes, objects, strict=True)
                if isinstance(commit, CommitObject) and name not in apart
            ]
        )
        return _Prepared(request, objects, apart)

    def read(self, prepared: _Prepared) -> Iterator[Part]:
        """Yields the commits of the request, in order, in parts of about `frame_bytes`."""
        request, settings = prepared.request, self._settings
        boundary = set(request.boundary)
        texts = self._diffs.texts([h for h in request.hashes if h in prepared.apart])
        fed = any(
            isinstance(o, CommitObject) and h not in prepared.apart
            for h, o in zip(request.hashes, prepared.objects, strict=True)
        )
        answers = self._diffs.answers() if fed else iter(())
        batch = CommitBatch(settings.repo, settings.depth)
        failures: list[tuple[str, str]] = []
        for name, commit in zip(request.hashes, prepared.objects, strict=True):
            if isinstance(commit, str):
                failures.append((name, commit))
                continue
            diff = None
            incomplete = SHALLOW if name in boundary else None
            if name in prepared.apart:
                text = texts.get(name)
            else:
                answer = next(answers)
                diff, incomplete = answer.diff, answer.incomplete
                if answer.head is None:
                    text = self._diffs.texts([name]).get(name)
                else:
                    text = self._diffs.text(answer.head)
                if len(commit.parents) > 1 and settings.merges != "first-parent":
                    diff = None
            if text is None:
                failures.append((name, incomplete or "git cannot print the commit"))
                continue
            batch.add(name, commit, text, diff, incomplete)
            if batch.patch_bytes >= settings.frame_bytes:
                yield self._part(batch, request, failures)
                batch, failures = CommitBatch(settings.repo, settings.depth), []
        # The mark at the end of the request.
        next(answers, None)
        if len(batch) or failures:
            yield self._part(batch, request, failures)

    def _part(self, batch: CommitBatch, request: Request, failures: list[tuple[str, str]]) -> Part:
        starts = self._objects.read(batch.moved_blobs(), _BINARY_BYTES)
        binary = {blob.hash for blob in starts if b"\0" in blob.data}
        return Part(batch.finish(request.indexed_at, binary), batch.patch_bytes, failures)

    def close(self) -> None:
        """Ends the git children."""
        self._objects.close()
        self._diffs.close()


def read_frame(pipe: IO[bytes]) -> tuple[bytes, Any, bytes] | None:
    """Returns the next frame (kind, JSON value, payload), or None at the end of the pipe."""
    head = pipe.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    kind, note_size, size = FRAME.unpack(head)
    note, payload = pipe.read(note_size), pipe.read(size)
    if len(note) < note_size or len(payload) < size:
        return None
    return kind, json.loads(note), payload


def _write_frame(pipe: IO[bytes], kind: bytes, note: object, payload: bytes = b"") -> None:
    text = json.dumps(note).encode()
    pipe.write(FRAME.pack(kind, len(text), len(payload)) + text)
    pipe.write(payload)
    pipe.flush()


def request_frame(request: Request) -> bytes:
    """Returns a request as it goes to a worker."""
    note = json.dumps(asdict(request)).encode()
    return FRAME.pack(b"R", len(note), 0) + note


def _end_group() -> None:
    # Only a group of our own: the worker was started as a session leader.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


def _listen(pipe: IO[bytes], requests: SimpleQueue[Request]) -> None:
    while (frame := read_frame(pipe)) is not None:
        requests.put(Request(**frame[1]))
    _end_group()


def main() -> None:
    """Serves the pool until its end of the pipe closes."""
    settings = ReaderSettings(**json.loads(sys.argv[1]))
    requests: SimpleQueue[Request] = SimpleQueue()
    listener = threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True)
    listener.start()
    output = sys.stdout.buffer
    widen(output.fileno())
    # Parsing is not to compete with the other workers for cores.
    pa.set_cpu_count(1)
    reader = CommitReader(settings)
    ahead: deque[_Prepared] = deque()
    try:
        while True:
            try:
                while len(ahead) < 2:
                    ahead.append(reader.prepare(requests.get(block=not ahead)))
            except Empty:
                pass
            for part in reader.read(ahead.popleft()):
                payload = encode(_COMMIT_KIND, part.batch)
                note = [part.batch.num_rows, part.patch_bytes, part.failures]
                _write_frame(output, b"B", note, payload.data)
            _write_frame(output, b"E", None)
    except BrokenPipeError:
        _end_group()


if __name__ == "__main__":
    main()
