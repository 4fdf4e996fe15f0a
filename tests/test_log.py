"""The log keeps what it acknowledged, cuts what was torn, refuses what is damaged."""

from __future__ import annotations

import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard

from govc_search.errors import BusyError, StoreError
from govc_search.records import REF_UPDATE, Kind
from govc_search.store import frame
from govc_search.store.log import Entry, Log, Payload, encode
from govc_search.store.manifest import DataDirectory

KIND = Kind(3, "ref_update", REF_UPDATE)


def batch(start: int, rows: int, text: bytes = b"") -> pa.RecordBatch:
    records = [
        {
            "repo": "r",
            "ref": b"refs/heads/%d" % i,
            "new_hash": f"{i:040x}",
            "forced": False,
            "message": text,
            "at": i,
        }
        for i in range(start, start + rows)
    ]
    return pa.RecordBatch.from_pylist(records, schema=REF_UPDATE)


def stamps(log: Log, after: int = 0) -> list[tuple[int, int]]:
    """Returns (position, at) of every record after a position."""
    return [
        (entry.first + i, at)
        for entries in log.read(after)
        for entry in entries
        for i, at in enumerate(entry.batch.column("at").to_pylist())
    ]


def fill(directory: Path, frames: int = 5, segment_bytes: int = 1 << 30) -> list[Path]:
    with Log.open(directory, segment_bytes) as log:
        for i in range(frames):
            assert log.append([(KIND, batch(3 * i + 1, 3))]) == (3 * i + 1, 3 * i + 3)
    return sorted(directory.glob("*.log"))


def frame_offsets(path: Path) -> list[int]:
    data, offsets, at = path.read_bytes(), [], 0
    while at < len(data):
        offsets.append(at)
        length, _, body = struct.unpack_from("<HIQ", data, at + 6)
        at += length + body
    return [*offsets, at]


def test_positions_are_dense_and_reading_starts_anywhere(tmp_path: Path) -> None:
    with Log.open(tmp_path / "log") as log:
        assert log.append([]) == (1, 0)
        assert log.append([(KIND, batch(1, 2)), (KIND, batch(3, 0)), (KIND, batch(3, 4))]) == (1, 6)
        assert log.append([encode(KIND, batch(7, 1))]) == (7, 7)
        for after in range(9):
            assert stamps(log, after) == [(i, i) for i in range(after + 1, 8)]
        entry = next(log.read(4))[0]
        assert (entry.kind.name, entry.first, entry.last) == ("ref_update", 5, 6)
    with Log.open(tmp_path / "log") as log:
        assert log.last == 7
        assert log.warnings == []
        assert stamps(log) == [(i, i) for i in range(1, 8)]


def test_segments_roll_and_are_found_again(tmp_path: Path) -> None:
    paths = fill(tmp_path, frames=6, segment_bytes=1)
    assert [int(p.stem) for p in paths] == [1, 4, 7, 10, 13, 16]
    with Log.open(tmp_path, 1) as log:
        for after in range(19):
            assert stamps(log, after) == [(i, i) for i in range(after + 1, 19)]
        assert log.append([(KIND, batch(19, 1))]) == (19, 19)
        report = log.verify()
        assert (report.frames, report.last, report.damage) == (7, 19, ())
        assert report.records["ref_update"] == 19
        assert report.bytes == log.size


def test_a_foreign_schema_is_refused(tmp_path: Path) -> None:
    with Log.open(tmp_path) as log, pytest.raises(ValueError, match="another schema"):
        log.append([(KIND, pa.RecordBatch.from_pydict({"a": [1]}))])


def test_a_torn_tail_is_cut_at_every_byte(tmp_path: Path) -> None:
    (path,) = fill(tmp_path, frames=3)
    whole, offsets = path.read_bytes(), frame_offsets(path)
    for cut in range(offsets[2], offsets[3]):
        path.write_bytes(whole[:cut])
        with Log.open(tmp_path) as log:
            assert log.last == 6
            assert len(log.warnings) == (0 if cut == offsets[2] else 1)
            assert log.append([(KIND, batch(7, 1))]) == (7, 7)
            assert stamps(log) == [(i, i) for i in range(1, 8)]
        with Log.open(tmp_path) as log:
            assert log.verify().damage == ()


def test_garbage_and_zeros_after_the_last_frame_are_cut(tmp_path: Path) -> None:
    (path,) = fill(tmp_path)
    whole = path.read_bytes()
    for tail in (bytes(5000), random.Random(1).randbytes(3000), b"GVLF" * 40):
        path.write_bytes(whole + tail)
        with Log.open(tmp_path) as log:
            assert log.last == 15
            assert len(log.warnings) == 1
    # Bytes of the last frame that never reached the disk, at its full length.
    last = frame_offsets(path)[-2]
    path.write_bytes(whole[: last + 120] + bytes(len(whole) - last - 120))
    with Log.open(tmp_path) as log:
        assert log.last == 12
        assert len(log.warnings) == 1


def test_every_flipped_byte_before_the_tail_is_damage(tmp_path: Path) -> None:
    (path,) = fill(tmp_path, frames=3)
    whole, offsets = path.read_bytes(), frame_offsets(path)
    for at in range(0, offsets[2], 7):
        broken = bytearray(whole)
        broken[at] ^= 1 << (at % 8)
        path.write_bytes(broken)
        with pytest.raises(StoreError) as caught, Log.open(tmp_path) as log:
            stamps(log)
        assert caught.value.code == "log_damaged", at
        assert path.name in caught.value.message
        assert "offset" in caught.value.message
        assert path.read_bytes() == broken, "damage must never be cut"


def test_a_flipped_byte_in_the_last_frame_is_a_torn_tail(tmp_path: Path) -> None:
    (path,) = fill(tmp_path, frames=2)
    whole, offsets = path.read_bytes(), frame_offsets(path)
    for at in range(offsets[1], offsets[2], 5):
        broken = bytearray(whole)
        broken[at] ^= 4
        path.write_bytes(broken)
        with Log.open(tmp_path) as log:
            assert (log.last, len(log.warnings)) == (3, 1), at


def test_damage_in_earlier_segments(tmp_path: Path) -> None:
    paths = fill(tmp_path, frames=4, segment_bytes=1)
    whole = paths[1].read_bytes()
    for broken in (whole[:-1], b"", whole[:200] + b"\xff" + whole[201:]):
        paths[1].write_bytes(broken)
        with Log.open(tmp_path, 1) as log:
            with pytest.raises(StoreError, match=paths[1].name):
                stamps(log)
            # What follows the damage is intact and says so.
            assert stamps(log, 6) == [(i, i) for i in range(7, 13)]
            report = log.verify()
            assert report.damage
            assert all(paths[3].name not in d for d in report.damage)
    paths[1].unlink()
    with Log.open(tmp_path, 1) as log, pytest.raises(StoreError, match="missing"):
        stamps(log)
    paths[0].unlink()
    with pytest.raises(StoreError, match="missing"):
        Log.open(tmp_path, 1)


def test_an_exchanged_segment_breaks_the_chain(tmp_path: Path) -> None:
    paths = fill(tmp_path / "a", frames=4, segment_bytes=1)
    with Log.open(tmp_path / "b", 1) as other:
        for i in range(4):
            other.append([(KIND, batch(3 * i + 1, 3, b"another history"))])
    paths[1].write_bytes((tmp_path / "b" / paths[1].name).read_bytes())
    with Log.open(tmp_path / "a", 1) as log:
        assert any("do not follow" in d for d in log.verify().damage)


def test_an_empty_newest_segment_is_what_a_crash_may_leave(tmp_path: Path) -> None:
    fill(tmp_path, frames=2, segment_bytes=1)
    (tmp_path / f"{7:020d}.log").touch()
    for position in (7, 8):
        with Log.open(tmp_path, 1) as log:
            assert log.append([(KIND, batch(position, 1))]) == (position, position)
            assert log.verify().damage == ()


def test_a_later_format_is_refused_not_cut(tmp_path: Path) -> None:
    (path,) = fill(tmp_path, frames=1)
    data = bytearray(path.read_bytes())
    data[4:6] = struct.pack("<H", 2)
    data[100:104] = struct.pack("<I", zlib.crc32(data[:100]))
    path.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        Log.open(tmp_path)
    assert caught.value.code == "format_too_new"
    assert path.read_bytes() == data


def test_a_payload_that_unfolds_too_far_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = encode(KIND, batch(1, 3))
    with Log.open(tmp_path) as log:
        unsized = zstandard.ZstdCompressor(write_content_size=False)
        raw = zstandard.ZstdDecompressor().decompress(good.data)
        with pytest.raises(StoreError) as caught:
            log.append([Payload(KIND, 3, unsized.compress(raw))])
        assert caught.value.code == "record_too_large"
        log.append([good])
        monkeypatch.setattr(frame, "_PART_BYTES", 100)
        with pytest.raises(StoreError, match="declares"):
            stamps(log)
        with pytest.raises(StoreError) as caught:
            log.append([good])
        assert caught.value.code == "record_too_large"


def test_one_fsync_acknowledges_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, calls, real = 0, 0, os.fsync
    ranges: list[tuple[int, int, int]] = []
    wrong: list[int] = []
    log = Log.open(tmp_path)
    log.append([(KIND, batch(1, 1))])
    frames = log._segments[-1].frames or []

    def fsync(fd: int) -> None:
        nonlocal synced, calls
        calls += 1
        size = os.fstat(fd).st_size
        # A disk so slow that all others have come to wait.
        until = time.monotonic() + 20
        while calls == 1 and len(log._queue) < 15 and time.monotonic() < until:
            time.sleep(0.001)
        real(fd)
        synced = size

    monkeypatch.setattr(os, "fsync", fsync)

    def work(seed: int) -> None:
        for i in range(10):
            rows = 1 + (seed + i) % 3
            first, last = log.append([(KIND, batch(1000 * seed + 10 * i, rows))])
            durable = next(f for f in frames if f.last >= last).end <= synced
            if not durable or log.last < last or last - first != rows - 1:
                wrong.append(first)
            ranges.append((first, last, 1000 * seed + 10 * i))

    threads = [threading.Thread(target=work, args=(s,)) for s in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ranges) == 160
    assert wrong == []
    # One by itself, then all that waited for it; the first may be back among them.
    assert [f.parts for f in frames[1:3]] in ([1, 15], [1, 16])
    assert len(frames) == 1 + calls
    content = dict(stamps(log))
    assert sorted(content) == list(range(1, log.last + 1))
    for first, last, start in ranges:
        assert [content[p] for p in range(first, last + 1)] == list(
            range(start, start + last - first + 1)
        )
    log.close()
    with pytest.raises(StoreError) as caught:
        log.append([(KIND, batch(1, 1))])
    assert caught.value.code == "log_write_failed"


def test_a_refused_write_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log.open(tmp_path)
    log.append([(KIND, batch(1, 3))])
    size = log.size

    def no_space(_: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            log.append([(KIND, batch(4, 3))])
        assert caught.value.code == "log_write_failed"
    assert log.last == 3
    assert log.size == size
    assert len(stamps(log)) == 3
    monkeypatch.undo()
    log.close()
    with Log.open(tmp_path) as log:
        assert log.warnings == []
        assert log.append([(KIND, batch(4, 1))]) == (4, 4)


WRITER = """
import sys, threading
sys.path[:0] = [{tests!r}, {root!r}]
from test_log import KIND, batch, Log
log = Log.open({directory!r}, 200_000)
def work(seed):
    n = 0
    while True:
        n += 1
        first, last = log.append([(KIND, batch(seed * 10**6 + n * 50, 40, bytes(200)))])
        sys.stdout.write(f"{{first}} {{last}} {{seed * 10**6 + n * 50}}\\n"); sys.stdout.flush()
for seed in (1, 2, 3):
    threading.Thread(target=work, args=(seed,), daemon=True).start()
threading.Event().wait()
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    tests = Path(__file__).parent
    code = WRITER.format(tests=str(tests), root=str(tests.parent), directory=str(tmp_path / "log"))
    writer = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(random.Random(seed).randint(20, 120))]
    os.kill(writer.pid, signal.SIGKILL)
    lines += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    writer.stdout.close()
    acknowledged = [tuple(map(int, s.split())) for s in lines if s.endswith("\n")]
    with Log.open(tmp_path / "log", 200_000) as log:
        content = dict(stamps(log))
        assert sorted(content) == list(range(1, log.last + 1))
        for first, last, start in acknowledged:
            assert [content[p] for p in range(first, last + 1)] == list(range(start, start + 40))
        assert log.verify().damage == ()


def test_entries_know_their_last_position() -> None:
    assert Entry(KIND, 7, batch(0, 3)).last == 9


def test_a_data_directory_is_private_and_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with DataDirectory.open(path) as first:
        assert path.stat().st_mode & 0o777 == 0o700
        epoch = first.epoch
        with pytest.raises(BusyError) as caught:
            DataDirectory.open(path)
        assert caught.value.code == "data_directory_busy"
        assert str(os.getpid()) in caught.value.message
    with DataDirectory.open(path, create=False) as again:
        assert again.epoch == epoch
        assert again.formats["log"] == frame.FORMAT
        again.record("text", again.formats["text"] + 1)
    with pytest.raises(StoreError) as too_new:
        DataDirectory.open(path)
    assert too_new.value.code == "format_too_new"


def test_a_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StoreError) as caught:
        DataDirectory.open(tmp_path)
    assert caught.value.code == "not_a_data_directory"
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(StoreError) as missing:
        DataDirectory.open(tmp_path / "none", create=False)
    assert missing.value.code == "no_data_directory"
    assert not (tmp_path / "none").exists()
    (tmp_path / "File").touch()
    with pytest.raises(StoreError, match=re.escape(f"{tmp_path}/File/Data cannot")) as unusable:
        DataDirectory.open(tmp_path / "File" / "Data")
    assert unusable.value.code == "data_directory_unusable"
    # A crash while a directory was being made leaves only its lock.
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "lock").touch()
    DataDirectory.open(tmp_path / "half").close()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    directory = DataDirectory.open(tmp_path / "d")
    read, write = os.pipe()
    ready, started = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.write(started, b".")
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    os.read(ready, 1)
    # As when the parent dies: nothing is said to the kernel but that the file is closed.
    os.close(directory._lock)
    directory._lock = -1
    try:
        DataDirectory.open(tmp_path / "d").close()
    finally:
        os.close(write)
        os.waitpid(child, 0)
