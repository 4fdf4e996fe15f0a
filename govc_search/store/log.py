"""The log: every record, in order, checksummed and chained, on disk before it is acknowledged.

A log is a directory of segments named by the position of their first record. A segment is a
run of frames; a frame is what one fsync made durable.

Writers that wait at the same time share one frame, so at any moment at most one frame is not yet
durable, and only the last frame of the last segment can be torn by a crash.
"""

from __future__ import annotations

import bisect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from govc_search.errors import StoreError
from govc_search.records import KINDS, Kind
from govc_search.store.frame import (
    FORMAT,
    NO_FRAME,
    Entry,
    Frame,
    Payload,
    build,
    check_payload,
    damaged,
    encode,
    next_frame,
    place,
    read_body,
    read_entries,
    read_header,
)

__all__ = ["FORMAT", "Entry", "Log", "LogReport", "Payload", "encode", "is_log"]

# Waiting writers beyond this many bytes go into the next frame.
_GROUP_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class LogReport:
    """What `Log.verify` found: totals over the readable frames, and each damaged place."""

    frames: int
    bytes: int
    last: int
    records: dict[str, int]
    damage: tuple[str, ...]


@dataclass(slots=True)
class _Waiting:
    payloads: list[Payload]
    size: int
    first: int = 0
    last: int = 0
    done: bool = False
    error: BaseException | None = None


@dataclass(slots=True)
class _Segment:
    path: Path
    first: int
    # Durable frames, known for segments that this process walked or wrote.
    frames: list[Frame] | None = None

    @property
    def name(self) -> str:
        return self.path.name


class Log:
    """An append-only log of records in one directory, written by one process.

    `warnings` tells what opening had to mend (a torn tail that was cut).
    """

    def __init__(self, directory: Path, segment_bytes: int) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)
        self._queue: list[_Waiting] = []
        self._writing = False
        self._failed: str | None = None
        self._last = 0
        self._previous = NO_FRAME
        self._end = 0
        self._fd = -1
        self._segments: list[_Segment] = []
        self.warnings: list[str] = []

    @classmethod
    def open(cls, directory: Path | str, segment_bytes: int = 256 << 20) -> Log:
        """Returns the log in `directory`, made if it is not there; cuts a torn tail.

        Raises StoreError `log_damaged` when records before the tail cannot be trusted, and
        `format_too_new` when a later release wrote them.
        """
        log = cls(Path(directory), segment_bytes)
        log._recover()
        return log

    @property
    def last(self) -> int:
        """Returns the position of the last acknowledged record, 0 in an empty log."""
        with self._lock:
            return self._last

    @property
    def size(self) -> int:
        """Returns the bytes that the segments take."""
        return sum(s.path.stat().st_size for s in self._segments)

    def append(self, parts: Sequence[tuple[Kind, pa.RecordBatch] | Payload]) -> tuple[int, int]:
        """Returns the first and last position of the records, once they are durable.

        The records of one call are kept together and in order, in one frame with those of other
        threads that wait at the same time. Without any row nothing is written and the range is
        empty (first = last + 1). Raises StoreError `log_write_failed` when the disk refuses, and
        `record_too_large` for a part that could not be read back.
        """
        payloads = [p if isinstance(p, Payload) else encode(*p) for p in parts]
        payloads = [p for p in payloads if p.rows]
        for payload in payloads:
            check_payload(payload)
        mine = _Waiting(payloads, sum(len(p.data) for p in payloads))
        with self._lock:
            if not payloads:
                return self._last + 1, self._last
            self._queue.append(mine)
            while not mine.done:
                if self._writing:
                    self._turn.wait()
                    continue
                group = self._take_group()
                self._writing = True
                self._lock.release()
                try:
                    self._write(group)
                finally:
                    self._lock.acquire()
                    self._writing = False
                    for waiting in group:
                        waiting.done = True
                    self._turn.notify_all()
        if mine.error is not None:
            raise mine.error
        return mine.first, mine.last

    def wait(self, until: Callable[[int], bool]) -> None:
        """Waits until `until` is true of the last position: asked at every append and `wake`."""
        with self._lock:
            self._turn.wait_for(lambda: until(self._last))

    def wake(self) -> None:
        """Has those who wait ask again whether they still have to."""
        with self._lock:
            self._turn.notify_all()

    def read(self, after: int = 0) -> Iterator[list[Entry]]:
        """Yields the records after position `after`, a list of entries for each frame.

        Ends at the last record that was acknowledged when the first list was asked for. Raises
        StoreError `log_damaged` at a frame that cannot be trusted.
        """
        with self._lock:
            last = self._last
            segments = list(self._segments)
        start = max(0, bisect.bisect_right([s.first for s in segments], after + 1) - 1)
        for i in range(start, len(segments)):
            segment = segments[i]
            if max(segment.first - 1, after) >= last:
                return
            stop = segments[i + 1].first - 1 if i + 1 < len(segments) else last
            with segment.path.open("rb", buffering=0) as file:
                position = max(segment.first - 1, after)
                for frame in self._frames(segment, file.fileno(), after):
                    if frame.first > last:
                        break
                    position = frame.last
                    if frame.last > after:
                        yield _from(read_entries(file.fileno(), frame, segment.name), after)
                if position < min(stop, last):
                    raise damaged(
                        segment.name,
                        segment.path.stat().st_size,
                        f"positions from {position + 1}"
                        f" to {stop} are missing at the end of the segment",
                    )

    def verify(self, progress: Callable[[int, int], None] | None = None) -> LogReport:
        """Returns what a walk over every frame found; `progress` is told (bytes done, of all).

        Each frame's checksum, its link to the frame before it, and every part's decoding are
        checked. Goes on after a damaged place where the next frame can be found.
        """
        with self._lock:
            last = self._last
            segments = list(self._segments)
            sizes = [s.path.stat().st_size for s in segments[:-1]] + [self._end] * bool(segments)
        damage: list[str] = []
        records = {kind.name: 0 for kind in KINDS}
        frames = done = position = 0
        previous: bytes | None = NO_FRAME
        for segment, size in zip(segments, sizes, strict=True):
            with segment.path.open("rb", buffering=0) as file:
                fd, offset = file.fileno(), 0
                while offset < size:
                    try:
                        frame = read_header(fd, offset, size, segment.name)
                        if frame.first != position + 1 or frame.previous != previous:
                            damage.append(
                                place(segment.name, offset)
                                + f"positions {frame.first} to {frame.last} do not follow"
                                f" position {position}"
                            )
                        position, previous = frame.last, frame.digest
                    except StoreError as error:
                        damage.append(error.message)
                        found = next_frame(fd, offset + 1, size, segment.name)
                        if found is None:
                            break
                        offset, position, previous = found.offset, found.first - 1, found.previous
                        continue
                    try:
                        for entry in read_entries(fd, frame, segment.name):
                            records[entry.kind.name] += entry.batch.num_rows
                        frames += 1
                    except StoreError as error:
                        damage.append(error.message)
                    offset = frame.end
                    if progress is not None:
                        progress(done + offset, sum(sizes))
            done += size
        if position != last and not damage:
            damage.append(f"the log ends at position {position}, not at {last}")
        return LogReport(frames, sum(sizes), position, records, tuple(damage))

    def close(self) -> None:
        """Closes the log once the frame being written is durable; waiting writers fail."""
        with self._lock:
            self._failed = self._failed or "the log is closed"
            while self._writing:
                self._turn.wait()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_group(self) -> list[_Waiting]:
        count, size = 0, 0
        for waiting in self._queue:
            size += waiting.size
            if count and size > _GROUP_BYTES:
                break
            count += 1
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    def _write(self, group: list[_Waiting]) -> None:
        """Writes one frame for the group; each member gets its range or the error."""
        try:
            self._write_frame(group)
        except BaseException as error:
            failure = error
            if isinstance(error, OSError):
                failure = StoreError(
                    "log_write_failed",
                    f"the log in {self._directory} cannot be written: {error}",
                    hint="free space or mend the disk, then start again: nothing that was"
                    " acknowledged is lost",
                )
            for waiting in group:
                waiting.error = failure
            if not isinstance(error, Exception):
                raise

    def _write_frame(self, group: list[_Waiting]) -> None:
        if self._failed is not None:
            raise StoreError("log_write_failed", self._failed)
        first = position = self._last + 1
        for waiting in group:
            waiting.first = position
            position += sum(p.rows for p in waiting.payloads)
            waiting.last = position - 1
        payloads = [p for waiting in group for p in waiting.payloads]
        data, digest = build(payloads, first, position - 1, self._previous)
        if self._fd < 0 or self._end >= self._segment_bytes:
            self._roll(first)
        try:
            _write_all(self._fd, data)
            os.fsync(self._fd)
        except BaseException as error:
            # What a failed fsync left on disk is unknown: only reading it again tells, so
            # this log takes nothing more.
            self._failed = f"an earlier write to the log failed: {error}"
            os.ftruncate(self._fd, self._end)
            raise
        frame = Frame(self._end, len(data), len(payloads), first, position - 1, b"", digest)
        with self._lock:
            segment = self._segments[-1]
            if segment.frames is None:
                segment.frames = []
            segment.frames.append(frame)
            self._end = frame.end
            self._last = frame.last
            self._previous = digest

    def _roll(self, first: int) -> None:
        """Starts a new segment, durable by name before a frame goes into it."""
        path = self._directory / f"{first:020d}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        _sync_directory(self._directory)
        if self._fd >= 0:
            os.close(self._fd)
        with self._lock:
            self._fd, self._end = fd, 0
            if not self._segments or self._segments[-1].first != first:
                self._segments.append(_Segment(path, first, []))

    def _recover(self) -> None:
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700, parents=True)
            _sync_directory(self._directory.parent)
        for path in sorted(self._directory.glob("*.log")):
            if len(path.stem) != 20 or not path.stem.isdigit():
                raise StoreError("log_damaged", f"{path} is not the name of a log segment")
            self._segments.append(_Segment(path, int(path.stem)))
        if self._segments and self._segments[0].first != 1:
            raise StoreError(
                "log_damaged",
                f"the log begins at position {self._segments[0].first}: the segments before"
                f" {self._segments[0].path.name} are missing",
            )
        # A crash may leave the newest segment without a frame; the chain then hangs on the one
        # before it.
        for i in range(len(self._segments) - 1, -1, -1):
            segment = self._segments[i]
            segment.frames = self._recover_segment(segment, newest=i == len(self._segments) - 1)
            if segment.frames:
                self._last = segment.frames[-1].last
                self._previous = segment.frames[-1].digest
                break
        if self._segments:
            newest = self._segments[-1]
            if not newest.frames and newest.first != self._last + 1:
                raise damaged(newest.name, 0, f"it should begin at position {self._last + 1}")
            self._fd = os.open(newest.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._end = newest.path.stat().st_size

    def _recover_segment(self, segment: _Segment, *, newest: bool) -> list[Frame]:
        frames: list[Frame] = []
        with segment.path.open("r+b", buffering=0) as file:
            fd, size = file.fileno(), segment.path.stat().st_size
            offset, position = 0, segment.first - 1
            trouble: str | None = None
            while offset < size and trouble is None:
                try:
                    frame = read_header(fd, offset, size, segment.name)
                except StoreError as error:
                    if error.code != "log_damaged":
                        raise
                    trouble = error.message
                    break
                if frame.first != position + 1 or (frames and frame.previous != frames[-1].digest):
                    raise damaged(
                        segment.name,
                        offset,
                        f"positions {frame.first} to {frame.last} do not follow"
                        f" position {position}",
                    )
                frames.append(frame)
                offset, position = frame.end, frame.last
            # Frames that others follow are checked when they are read; the last one may be torn
            # with all its bytes in place.
            if frames and trouble is None:
                try:
                    read_body(fd, frames[-1], segment.name)
                except StoreError as error:
                    trouble = error.message
                    offset = frames.pop().offset
            if trouble is None:
                return frames
            if not newest:
                raise damaged(segment.name, offset, trouble)
            after = next_frame(fd, offset + 1, size, segment.name)
            if after is not None:
                raise damaged(
                    segment.name,
                    offset,
                    f"a frame is broken, and frames follow it: positions"
                    f" {frames[-1].last + 1 if frames else segment.first} to {after.first - 1}"
                    " cannot be read",
                )
            # Kept aside: whoever knows better than a torn write can still look at it.
            aside = segment.path.with_name(f"{segment.path.name}.cut-{offset}")
            aside.write_bytes(os.pread(fd, size - offset, offset))
            os.ftruncate(fd, offset)
            os.fsync(fd)
        message = (
            f"cut {size - offset} bytes of a write that was not finished at offset {offset} of"
            f" log segment {segment.path.name}; they are kept as {aside.name}"
        )
        self.warnings.append(message)
        return frames

    def _frames(self, segment: _Segment, fd: int, after: int) -> Iterator[Frame]:
        """Yields the segment's frames, from memory where they are known."""
        known = segment.frames
        if known is not None:
            start = bisect.bisect_right([f.last for f in known], after) if after else 0
            yield from known[start:]
            return
        offset, position, size = 0, segment.first - 1, segment.path.stat().st_size
        previous: bytes | None = None
        while offset < size:
            frame = read_header(fd, offset, size, segment.name)
            if frame.first != position + 1 or previous not in (None, frame.previous):
                raise damaged(
                    segment.name,
                    offset,
                    f"positions {frame.first} to {frame.last} do not follow position {position}",
                )
            yield frame
            offset, position, previous = frame.end, frame.last, frame.digest


def is_log(directory: Path) -> bool:
    """Returns whether there is a segment in a directory that begins with a frame of ours."""
    for path in directory.glob("*.log"):
        try:
            with path.open("rb", buffering=0) as file:
                read_header(file.fileno(), 0, path.stat().st_size, path.name)
        except StoreError as error:
            if error.code == "log_damaged":
                continue
        return True
    return False


def _from(entries: list[Entry], after: int) -> list[Entry]:
    if entries[0].first > after:
        return entries
    kept = [e for e in entries if e.last > after]
    if kept[0].first <= after:
        skip = after + 1 - kept[0].first
        kept[0] = Entry(kept[0].kind, after + 1, kept[0].batch.slice(skip))
    return kept


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
