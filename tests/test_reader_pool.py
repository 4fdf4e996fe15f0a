"""Readers are processes: all of them end, whatever happens to them or to their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from govc_search.errors import SourceError, UsageError
from govc_search.indexer.reader_pool import ReaderPool, cores
from govc_search.indexer.repository import Repository
from govc_search.settings import Settings


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def group(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def wait_gone(leaders: Sequence[int]) -> None:
    deadline = time.monotonic() + 10
    while any(group(leader) for leader in leaders):
        assert time.monotonic() < deadline, "left behind"
        time.sleep(0.02)


def test_leaving_early_ends_every_process(odd: tuple[Repository, dict[str, str]]) -> None:
    source, made = odd
    hashes = list(made.values()) * 10
    with ReaderPool(source, "r", jobs=2, settings=Settings({"frame_bytes": 1000})) as pool:
        stream = pool.read(hashes)
        next(stream)
        leaders = pool.pids
        assert len(leaders) == 2
        stream.close()  # type: ignore[attr-defined]
        wait_gone(leaders)
        # The pool is good for another round.
        assert sum(part.commits for part in pool.read(hashes)) == len(hashes)
        leaders = pool.pids
    wait_gone(leaders)


def test_a_worker_that_dies_is_an_error(odd: tuple[Repository, dict[str, str]]) -> None:
    source, made = odd
    with ReaderPool(source, "r", jobs=2, settings=Settings({"frame_bytes": 1000})) as pool:
        stream = pool.read(list(made.values()) * 40)
        next(stream)
        os.kill(pool.pids[0], signal.SIGKILL)
        with pytest.raises(SourceError) as caught:
            list(stream)
    assert caught.value.code == "reader_ended"


PARENT = """
import os, sys
from pathlib import Path
from govc_search.indexer.repository import Repository
from govc_search.indexer.reader_pool import ReaderPool, cores
source = Repository.open(sys.argv[1], Path(sys.argv[2]))
pool = ReaderPool(source, "r", jobs=2)
stream = pool.read(source.rev_list([source.head().hash]) * 100)
next(stream)
print(*pool.pids, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_do_not_outlive_the_parent(
    odd: tuple[Repository, dict[str, str]], how: signal.Signals, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, os.fspath(odd[0].path), os.fspath(scratch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": os.fspath(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        leaders = parent.stdout.readline().split()
        assert len(leaders) == 2
        assert all(alive(int(leader)) for leader in leaders)
        parent.send_signal(how)
        parent.wait()
        wait_gone([int(leader) for leader in leaders])
    # What is killed cannot clear up: its view is where the owner of the place does.
    assert list(tmp_path.iterdir()) == [scratch]
    assert bool(list(scratch.iterdir())) == (how == signal.SIGKILL)


def test_a_module_in_the_working_directory_is_not_imported(
    odd: tuple[Repository, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    source, made = odd
    with ReaderPool(source, "r", jobs=1) as pool:
        assert sum(part.commits for part in pool.read(list(made.values()) * 2)) > 64


def test_unknown_ways_to_read_are_refused(odd: tuple[Repository, dict[str, str]]) -> None:
    with pytest.raises(UsageError):
        ReaderPool(odd[0], "r", depth="deep")
    with pytest.raises(UsageError):
        ReaderPool(odd[0], "r", merges="all")


def test_cores_are_counted_where_a_process_cannot_be_kept_to_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()
