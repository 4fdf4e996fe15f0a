"""Spreads the reading of commits over worker processes and gives the answers in order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, cast

import pyarrow as pa
import zstandard

from govc_search.errors import SourceError, UsageError
from govc_search.indexer.diff_stream import ReaderSettings
from govc_search.indexer.git_process import widen
from govc_search.indexer.git_reader import CommitReader, Request, read_frame, request_frame
from govc_search.indexer.repository import Repository
from govc_search.records import KINDS
from govc_search.settings import Settings
from govc_search.store.log import Payload, encode

__all__ = ["DEPTHS", "MERGES", "ReadBatch", "ReaderPool", "cores"]

DEPTHS: Final = ("none", "paths", "full")
MERGES: Final = ("none", "first-parent")

_COMMIT_KIND: Final = KINDS[0]
# Below this many commits a worker's start costs more than it gives.
_ALONE: Final = 64
_CHUNK: Final = {"none": 2048, "paths": 512, "full": 256}
# Requests that a worker has at once, so that git goes on while a batch is made.
_AHEAD: Final = 2
# Answers that wait for their turn; the one whose turn it is always comes through.
_WAITING_BYTES: Final = 96 << 20


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Some commits in the order asked for.

    `payload` is `batch` as the log stores it. `failures` are the commits, by hash and reason,
    that could not be read at all and stood before or among these. `patch_bytes` counts the patch
    text that git printed.
    """

    batch: pa.RecordBatch
    payload: Payload
    failures: list[tuple[str, str]]
    patch_bytes: int

    @property
    def commits(self) -> int:
        """Returns the number of rows."""
        return int(self.batch.num_rows)

    @property
    def asked(self) -> int:
        """Returns how many of the commits asked for are done with this batch."""
        return self.commits + len(self.failures)


def cores() -> int:
    """Returns how many processor cores this process may use."""
    # Not every system lets a process be kept to some of them.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """One reading process and the pipes to it."""

    def __init__(self, settings: ReaderSettings) -> None:
        package = str(Path(__file__).resolve().parents[2])
        inherited = os.environ.get("PYTHONPATH")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            # -P: the working directory may be a stranger's checkout, no place for modules.
            [
                *(sys.executable, "-P", "-m", "govc_search.indexer.git_reader"),
                json.dumps(asdict(settings)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # Ctrl-C at the terminal is for the parent, which then ends the whole group.
            start_new_session=True,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(filter(None, [package, inherited])),
                # The batches are made by one thread each; pools of threads would only cost.
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
        )
        self.input = cast("IO[bytes]", self._process.stdin)
        self.output = cast("IO[bytes]", self._process.stdout)
        widen(self.output.fileno())

    @property
    def pid(self) -> int:
        """Returns the process id, which is also that of its process group."""
        return self._process.pid

    def last_words(self) -> str:
        """Returns the last line that the ended process wrote about itself."""
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {status}"

    def kill(self) -> None:
        """Ends the process and its git children."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Ends the process and closes its pipes; no thread may still use them."""
        self.kill()
        for pipe in (self.input, self.output, self._errors):
            with contextlib.suppress(OSError):
                pipe.close()


class _Turn:
    """What one `read` shares with the threads that serve its workers."""

    def __init__(self, chunks: list[Request], window: int) -> None:
        self.changed = threading.Condition()
        self.chunks = chunks
        self.next = 0
        self.head = 0
        self.window = window
        self.parts: list[deque[ReadBatch]] = [deque() for _ in chunks]
        self.finished = [False] * len(chunks)
        self.waiting = 0
        self.error: BaseException | None = None
        self.stopped = False


class ReaderPool:
    """Reads the commits of a repository with `jobs` worker processes, started when needed.

    `depth` is none, paths or full; `merges` says whether merges are compared with their first
    parent or not at all. A pool may be read from many times, by one thread at a time.
    """

    def __init__(
        self,
        view: Repository,
        repo: str,
        *,
        jobs: int = 0,
        depth: str = "full",
        merges: str = "none",
        settings: Mapping[str, int | float] | None = None,
    ) -> None:
        if depth not in DEPTHS:
            raise UsageError("invalid_depth", f'no depth "{depth}"', hint=", ".join(DEPTHS))
        if merges not in MERGES:
            raise UsageError("invalid_merges", f'no way "{merges}"', hint=", ".join(MERGES))
        settings = Settings() if settings is None else settings
        self._shallow = view.shallow
        self._jobs = jobs if jobs > 0 else cores()
        self._settings = ReaderSettings(
            view=view.view,
            repo=repo,
            depth=depth,
            merges=merges,
            commit_patch_bytes=int(settings["commit_patch_bytes"]),
            frame_bytes=int(settings["frame_bytes"]),
        )
        self._workers: list[_Worker] = []
        self._alone: CommitReader | None = None
        self._stamp = 0

    @property
    def pids(self) -> list[int]:
        """Returns the process ids of the running workers."""
        return [worker.pid for worker in self._workers]

    def read(self, hashes: Sequence[str]) -> Iterator[ReadBatch]:
        """Yields the commits in exactly the order of `hashes`.

        Closing the iterator early ends the workers. Raises SourceError `reader_ended` when a
        worker goes away; what was yielded before is whole.
        """
        if len(hashes) <= _ALONE:
            yield from self._read_alone(hashes)
            return
        size = min(_CHUNK[self._settings.depth], max(16, len(hashes) // (self._jobs * 4)))
        requests = [self._request(hashes[i : i + size]) for i in range(0, len(hashes), size)]
        while len(self._workers) < min(self._jobs, len(requests)):
            self._workers.append(_Worker(self._settings))
        turn = _Turn(requests, self._jobs * (_AHEAD + 2))
        threads = [
            threading.Thread(target=self._serve, args=(turn, worker), daemon=True)
            for worker in self._workers
        ]
        for thread in threads:
            thread.start()
        whole = False
        try:
            yield from self._collect(turn)
            whole = True
        finally:
            with turn.changed:
                turn.stopped = True
                turn.changed.notify_all()
            if not whole:
                for worker in self._workers:
                    worker.kill()
            for thread in threads:
                thread.join()
            if not whole:
                self.close()

    def _request(self, hashes: Sequence[str]) -> Request:
        boundary = [h for h in hashes if h in self._shallow] if self._shallow else []
        return Request(list(hashes), boundary, 0)

    def _stamped(self, request: Request) -> Request:
        # Positions and times go up together, whatever the clock does.
        self._stamp = max(self._stamp, time.time_ns() // 1000)
        return Request(request.hashes, request.boundary, self._stamp)

    def _read_alone(self, hashes: Sequence[str]) -> Iterator[ReadBatch]:
        if not hashes:
            return
        if self._alone is None:
            self._alone = CommitReader(self._settings)
        whole = False
        try:
            for part in self._alone.read(self._alone.prepare(self._stamped(self._request(hashes)))):
                payload = encode(_COMMIT_KIND, part.batch)
                yield ReadBatch(part.batch, payload, part.failures, part.patch_bytes)
            whole = True
        finally:
            if not whole:
                self._alone.close()
                self._alone = None

    def _collect(self, turn: _Turn) -> Iterator[ReadBatch]:
        for index, parts in enumerate(turn.parts):
            while True:
                with turn.changed:
                    while not (parts or turn.finished[index] or turn.error):
                        turn.changed.wait()
                    if not parts and turn.error is not None and not turn.finished[index]:
                        raise turn.error
                    if not parts:
                        turn.head = index + 1
                        turn.changed.notify_all()
                        break
                    batch = parts.popleft()
                    turn.waiting -= batch.batch.nbytes
                    turn.changed.notify_all()
                yield batch

    def _serve(self, turn: _Turn, worker: _Worker) -> None:
        try:
            mine: deque[int] = deque()
            while (request := self._next(turn, mine)) is not None or mine:
                if request is not None:
                    worker.input.write(request_frame(request))
                    worker.input.flush()
                    continue
                self._receive(turn, worker, mine)
        except BaseException as error:  # noqa: BLE001 - whoever reads the batches gets it
            with turn.changed:
                if not turn.stopped and turn.error is None:
                    turn.error = error
                turn.changed.notify_all()

    def _next(self, turn: _Turn, mine: deque[int]) -> Request | None:
        """Returns another request for a worker that has `mine`, or None if it has its fill."""
        with turn.changed:
            while True:
                if turn.stopped or turn.error is not None:
                    raise RuntimeError("reading was stopped")
                if turn.next >= len(turn.chunks) or len(mine) >= _AHEAD:
                    return None
                if turn.next < turn.head + turn.window:
                    mine.append(turn.next)
                    turn.next += 1
                    return self._stamped(turn.chunks[mine[-1]])
                if mine:
                    return None
                turn.changed.wait()

    def _receive(self, turn: _Turn, worker: _Worker, mine: deque[int]) -> None:
        frame = read_frame(worker.output)
        if frame is None:
            raise SourceError("reader_ended", f"a reading process ended: {worker.last_words()}")
        kind, note, data = frame
        if kind == b"E":
            with turn.changed:
                turn.finished[mine.popleft()] = True
                turn.changed.notify_all()
            return
        rows, patch_bytes, failures = note
        raw = zstandard.ZstdDecompressor().decompress(data)
        with pa.ipc.open_stream(pa.py_buffer(raw)) as reader:
            batch = reader.read_next_batch()
        read = ReadBatch(
            batch,
            Payload(_COMMIT_KIND, rows, data),
            [(name, reason) for name, reason in failures],
            patch_bytes,
        )
        with turn.changed:
            while turn.waiting > _WAITING_BYTES and mine[0] != turn.head and not turn.stopped:
                turn.changed.wait()
            turn.waiting += batch.nbytes
            turn.parts[mine[0]].append(read)
            turn.changed.notify_all()

    def close(self) -> None:
        """Ends the workers and all that they started."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        if self._alone is not None:
            self._alone.close()
            self._alone = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
