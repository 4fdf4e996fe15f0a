"""Results that are larger than memory: from the statement to the file, here and through a holder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.history import history
from fixtures.indexed import grow, small

import govc_search
from govc_search import Engine
from govc_search.errors import DeadlineError, QueryError, StoreError
from govc_search.scope import Scope

PROGRAM = [sys.executable, "-m", "govc_search"]
# Rows of a thousand bytes, as many as are asked for: numbers up to 10^6 from digits.
DIGITS = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))"
NUMBERS = " + ".join(f"{c}.col0 * {10**i}" for i, c in enumerate("abcdef"))
LARGE = f"SELECT {NUMBERS} AS n, repeat('x', 1000) || ({NUMBERS})::TEXT AS text FROM " + ", ".join(
    f"{DIGITS} {c}" for c in "abcdef"
)
ROWS = 1_000_000
# A quarter of it is still more than a process that held it would be let to grow by.
PART = f"SELECT * FROM ({LARGE}) AS part WHERE n < 250000"
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streams")
    history(path / "repo")
    with govc_search.open(path / "data") as engine:
        engine.index(path / "repo")
    return path


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[Engine]:
    shutil.copytree(home / "data", home / "own")
    with govc_search.open(home / "own") as opened:
        yield opened


# Memory

_MEASURED = """
import sys, threading, govc_search
from govc_search.cli import main
def private():
    for line in open('/proc/self/status'):
        if line.startswith('RssAnon'): return int(line.split()[1]) // 1024
{prepare}
before = most = private()
def watch():
    global most
    while not done.wait(0.02): most = max(most, private())
done = threading.Event()
thread = threading.Thread(target=watch); thread.start()
{run}
done.set(); thread.join()
print(most - before, file=sys.stderr)
"""


def growth(prepare: str, run: str, *arguments: object) -> int:
    """Returns by how many megabytes the private memory of a process grows while it runs."""
    code = _MEASURED.format(prepare=prepare, run=run)
    found = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return int(found.stderr.split()[-1])


OPENED = "engine = govc_search.open(sys.argv[1])\nengine.query('SELECT 1')"
COMMAND = "sys.argv[1:] = ['query', '-q', sys.argv[2], '--timeout', '300', '--data', sys.argv[1], *sys.argv[3:]]"
memory = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="nothing tells how much memory is private"
)


@memory
def test_a_stream_holds_but_some_of_its_rows(home: Path) -> None:
    run = (
        "with engine.stream(sys.argv[2], timeout=300) as rows:\n"
        f"    assert sum(b.num_rows for b in rows) == rows.count == {ROWS}"
    )
    assert growth(OPENED, run, home / "data", LARGE) < 150


@memory
@pytest.mark.parametrize("format_", ["csv", "ndjson", "parquet", "arrow"])
def test_a_command_writes_more_than_it_holds(home: Path, tmp_path: Path, format_: str) -> None:
    out = tmp_path / f"out.{format_}"
    run = f"{COMMAND}\ntry: main()\nexcept SystemExit as e: assert not e.code, e"
    data = shutil.copytree(home / "data", tmp_path / "data")
    rows = 250_000
    assert growth("", run, data, PART, "-o", out) < 150
    match format_:
        case "parquet":
            assert pq.ParquetFile(out).metadata.num_rows == rows
        case "arrow":
            with pa.memory_map(str(out)) as file:
                reader = pa.ipc.open_file(file)
                found = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
            assert sum(found) == rows
        case _:
            assert out.stat().st_size > 1000 * rows
    out.unlink()


@memory
def test_neither_a_holder_nor_who_asks_holds_all_rows(home: Path, tmp_path: Path) -> None:
    data = shutil.copytree(home / "data", tmp_path / "data")
    run = "print('open', flush=True); sys.stdin.read(); engine.close()"
    code = _MEASURED.format(prepare=OPENED, run=run)
    holder = subprocess.Popen(
        [sys.executable, "-c", code, data],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    out = tmp_path / "out.arrow"
    asked = f"{COMMAND}\ntry: main()\nexcept SystemExit as e: assert not e.code, e"
    assert growth("", asked, data, LARGE, "-o", out) < 200
    _, said = holder.communicate()
    assert int(said.split()[-1]) < 200
    assert out.stat().st_size > 1000 * ROWS
    out.unlink()


def test_sorting_goes_to_disk_and_leaves_nothing_there(home: Path, tmp_path: Path) -> None:
    data = shutil.copytree(home / "data", tmp_path / "data")
    ordered = LARGE.replace("repeat('x', 1000)", "repeat('x', 100)") + " ORDER BY text DESC"
    settings: dict[str, int | float | str] = {"table_memory_bytes": 96 * MEGABYTE}
    spill = data / "table" / "spill"
    with govc_search.open(data, settings=settings) as engine:
        with engine.stream(ordered, timeout=300) as rows:
            last = next(rows)
            assert last.column("n")[0].as_py() == ROWS - 1
            assert sum(f.stat().st_size for f in spill.iterdir()) > 10 * MEGABYTE
        assert sum(f.stat().st_size for f in spill.iterdir()) == 0
    assert not spill.exists()
    with (
        govc_search.open(data, settings={**settings, "spill_bytes": 1 << 20}) as engine,
        pytest.raises(QueryError) as caught,
        engine.stream(ordered, timeout=300) as rows,
    ):
        list(rows)
    assert caught.value.code == "out_of_memory"


# The same rows, and errors


@pytest.mark.parametrize(
    "gql",
    [
        "SELECT * FROM commits ORDER BY position",
        "SELECT HIGHLIGHT(subject, '[', ']'), SCORE() FROM commits WHERE SEARCH('race') ORDER BY 2 DESC",
        "SELECT position / (parent_count - 1) FROM commits",
        "SELECT ref, hash FROM ref_commits ORDER BY ALL",
        "SELECT MERGE_BASE(hash, 'old') FROM commits ORDER BY position",
        "SELECT hash FROM commits WHERE FALSE",
        "SHOW FUNCTIONS",
        "EXPLAIN SELECT hash FROM commits",
    ],
)
def test_a_stream_is_the_answer_in_parts(engine: Engine, gql: str) -> None:
    whole = engine.query(gql)
    with engine.stream(gql) as rows:
        assert rows.columns == whole.columns
        assert pa.Table.from_batches(list(rows), rows.schema) == whole.to_arrow()
        assert (rows.as_of, rows.warnings, rows.explain()) == (
            whole.as_of, whole.warnings, whole.explain(),
        )  # fmt: skip


def test_a_value_that_fails_after_many_rows_is_told_with_its_place(engine: Engine) -> None:
    fails = f"CASE WHEN {NUMBERS} = 999999 THEN 'x' ELSE '1' END"
    gql = LARGE.replace("repeat('x', 1000)", fails)
    gql = f"SELECT n, CAST(left(text, 1) AS INTEGER) FROM ({gql}) AS q"
    with engine.stream(gql) as rows, pytest.raises(QueryError) as caught:
        list(rows)
    seen = rows.count
    assert seen > 2048
    assert caught.value.code == "cast_failed"
    assert "'x'" in caught.value.message
    assert caught.value.render().splitlines()[-1].lstrip().startswith("^")
    # Where it means NULL, every row is seen once.
    zero = f"SELECT n, n / (n - 999999) AS d FROM ({LARGE}) AS q"
    with engine.stream(zero) as rows:
        table = pa.Table.from_batches(list(rows), rows.schema)
        assert any("division by zero" in w for w in rows.warnings)
    assert table.num_rows == ROWS
    assert table.column("d").null_count == 1


# Ends


def test_an_open_stream_sees_its_moment_while_others_index_and_ends_with_its_view(
    tmp_path: Path,
) -> None:
    repo, hashes = small(tmp_path / "repo", 3)
    gql = (
        f"SELECT c.hash FROM ({LARGE}) AS q, commits c WHERE q.n < 300000 ORDER BY c.position, q.n"
    )
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, diffs="none")
        with engine.stream(gql) as rows:
            first = next(rows).num_rows
            grow(repo, "more.txt")
            engine.index(repo.path, diffs="full")
            assert engine.as_of > rows.as_of
            found = pa.concat_arrays([b.column(0) for b in rows])
            assert first + len(found) == 3 * 300_000
            assert set(found.unique().to_pylist()) == set(hashes)
        with engine.stream(gql) as rows:
            first = next(rows).num_rows
            engine.remove("repo")
            assert first + sum(b.num_rows for b in rows) == 4 * 300_000
        for end in (engine.rebuild, engine.close):
            rows = engine.stream(LARGE)
            next(rows)
            end()
            with pytest.raises(StoreError) as caught:
                list(rows)
            assert caught.value.code == "result_ended"


def test_the_deadline_counts_the_time_of_the_engine(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("govc_search.ql.run.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("govc_search.engine.time.perf_counter", lambda: clock[0])
    with engine.stream(LARGE, timeout=10) as rows:
        next(rows)
        # The reader takes an hour.
        clock[0] += 3600
        for _ in range(10):
            next(rows)
        monkeypatch.setattr("govc_search.ql.execute.dress", _late(clock))
        with pytest.raises(DeadlineError) as caught:
            list(rows)
        assert caught.value.code == "deadline_exceeded"


def _late(clock: list[float]) -> Callable[..., Any]:
    from govc_search.ql.dress import dress

    def late(*arguments: Any) -> Any:
        clock[0] += 6
        return dress(*arguments)

    return late


def test_who_asked_may_stop_it_between_two_batches(engine: Engine) -> None:
    scope = Scope()
    with scope.entered(), engine.stream(LARGE) as rows:
        next(rows)
        scope.stop()
        with pytest.raises(DeadlineError) as caught:
            list(rows)
        assert caught.value.code == "interrupted"
    # Nothing of it is left.
    assert list(engine.query("SELECT 1")) == [(1,)]


def test_a_stream_that_is_dropped_lets_the_engine_go(home: Path, tmp_path: Path) -> None:
    engine = govc_search.open(shutil.copytree(home / "data", tmp_path / "data"))
    next(engine.stream(LARGE))
    thread = threading.Thread(target=engine.close)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("held", [False, True])
def test_a_reader_that_leaves_and_ctrl_c_end_a_stream(
    home: Path, tmp_path: Path, *, held: bool
) -> None:
    data = shutil.copytree(home / "data", tmp_path / "data")
    endless = f"SELECT p.n, q.text FROM ({LARGE}) AS p, ({LARGE}) AS q"
    asked = [*PROGRAM, "query", "-q", endless, "-F", "ndjson", "--timeout", "600", "--data", data]
    opened = govc_search.open(data) if held else None
    try:
        for ctrl_c in (False, True):
            process = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["n"] == 0
            if ctrl_c:
                process.send_signal(signal.SIGINT)
                os.read(process.stdout.fileno(), 10)
                process.stdout.read()
            process.stdout.close()
            said = process.stderr.read().decode()
            process.stderr.close()
            assert (process.wait(60), said.strip()) == ((130, "interrupted") if ctrl_c else (0, ""))
        if opened is not None:
            began = time.monotonic()
            opened.close()
            assert time.monotonic() - began < 10
    finally:
        if opened is not None:
            opened.close()
