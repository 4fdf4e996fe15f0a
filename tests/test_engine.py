"""The engine as callers meet it: arguments, answers, deadlines, opening and closing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from fixtures.indexed import HASHES, column, grow, small

import govc_search
from govc_search import Engine
from govc_search.errors import (
    BusyError,
    DeadlineError,
    GovcSearchError,
    QueryError,
    StoreError,
    UsageError,
)


def test_settings_and_arguments_are_checked(tmp_path: Path, engine: Engine) -> None:
    for settings, code in (
        ({"frame_byte": 1}, "unknown_setting"),
        ({"frame_bytes": "many"}, "invalid_setting"),
        ({"frame_bytes": 0}, "invalid_setting"),
        ({"frame_bytes": float("inf")}, "invalid_setting"),
        ({"deadline_seconds": 0}, "invalid_setting"),
        ({"deadline_seconds": "nan"}, "invalid_setting"),
        ({"deadline_seconds": "inf"}, "invalid_setting"),
        ({"table_memory_bytes": 1}, "invalid_setting"),
        ({"text_heap_bytes": 1 << 40}, "invalid_setting"),
    ):
        with pytest.raises(UsageError) as caught:
            govc_search.open(tmp_path / "other", settings=settings)
        assert caught.value.code == code
    assert not (tmp_path / "other").exists()
    calls: list[Callable[[], object]] = [
        lambda: engine.index(tmp_path, diffs="deep"),
        lambda: engine.index(tmp_path, merges="all"),
        lambda: engine.index(tmp_path, jobs=0),
        lambda: engine.rebuild("log"),
    ]
    for call in calls:
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.code == "invalid_argument"


def test_one_process_holds_a_directory(engine: Engine) -> None:
    code = (
        "import sys, govc_search\n"
        "try:\n    govc_search.open(sys.argv[1])\n"
        "except govc_search.GovcSearchError as e:\n    print(e.code, e.message)\n"
    )
    arguments = [sys.executable, "-c", code, str(engine.directory)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("data_directory_busy")
    with pytest.raises(BusyError):
        govc_search.open(engine.directory)
    engine.close()
    govc_search.open(engine.directory).close()


def test_a_deadline_ends_the_query_and_not_the_engine(filled: Engine) -> None:
    heavy = (
        "SELECT count(*) FROM lines a, lines b, lines c, lines d, lines e, lines f, lines g,"
        " lines h, lines i WHERE a.text || b.text || c.text || d.text || e.text || f.text"
        " || g.text || h.text || i.text LIKE '%no such%'"
    )
    for indexes in (True, False):
        with pytest.raises(DeadlineError) as caught:
            filled.query(heavy, timeout=0.01, indexes=indexes)
        assert caught.value.code == "deadline_exceeded"
    assert column(filled, "SELECT count(*) FROM commits") == [5]


def test_results(filled: Engine) -> None:
    result = filled.query("SELECT path, change_id FROM changes ORDER BY change_id LIMIT 2")
    assert [(c.name, c.type) for c in result.columns] == [
        ("path", "TEXT"),
        ("change_id", "INTEGER"),
    ]
    assert len(result) == 2
    assert list(result) == list(zip(*result.to_arrow().to_pydict().values(), strict=True))
    assert isinstance(result.to_arrow(), pa.Table)
    assert result.as_of == filled.as_of == filled.status().as_of == filled.status().last_position
    assert result.elapsed > 0
    assert result.truncated is False
    begun = time.perf_counter()
    with filled.stream("SELECT path, count(*) FROM lines GROUP BY path ORDER BY 2, 1") as stream:
        # Most of the work is done before the first rows are read, and it counts.
        assert stream.elapsed > (time.perf_counter() - begun) / 4
    assert "changes" in result.explain()
    explained = filled.query("EXPLAIN SELECT path FROM changes")
    assert "\n".join(row[0] for row in explained) == explained.explain()
    assert list(filled.query("SELECT path FROM changes WHERE FALSE")) == []
    assert [c.name for c in filled.search("needle1").columns]
    assert len(filled.search("hay")) == 4
    assert len(filled.search("hay", limit=2)) == 2


def test_pandas_is_asked_for_where_it_is_missing(
    filled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError) as caught:
        filled.query("SELECT 1").to_pandas()
    assert caught.value.code == "pandas_missing"
    assert "govc-search[pandas]" in (caught.value.hint or "")


def test_data_frames(filled: Engine) -> None:
    pytest.importorskip("pandas")
    frame = filled.query("SELECT path FROM changes ORDER BY path").to_pandas()
    assert list(frame["path"]) == column(filled, "SELECT path FROM changes ORDER BY path")


def test_as_of_is_what_a_query_saw(tmp_path: Path, engine: Engine) -> None:
    assert engine.as_of == 0
    assert column(engine, "SELECT count(*) FROM commits") == [0]
    repo, _ = small(tmp_path / "repo", 2)
    engine.index(repo.path)
    before = engine.query(HASHES)
    grow(repo, "more.txt")
    report = engine.index(repo.path)
    after = engine.query(HASHES)
    assert before.as_of < after.as_of == report.last_position
    assert len(after) == len(before) + 1


def test_parameters(filled: Engine) -> None:
    by_name = "SELECT path FROM changes WHERE path = $path"
    assert column(filled, by_name, {"path": "file2.txt"}) == ["file2.txt"]
    by_place = "SELECT path FROM changes WHERE path IN (?, ?) ORDER BY path"
    assert column(filled, by_place, ["file2.txt", "file0.txt"]) == ["file0.txt", "file2.txt"]
    assert len(column(filled, "SELECT hash FROM changes WHERE ADDED($n)", {"n": "needle1"})) == 2
    for params in (None, {}, {"other": 1}, {"path": object()}):
        with pytest.raises(QueryError):
            filled.query(by_name, params)


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    repo, _ = small(tmp_path / "repo", 1)
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path)
    engine.close()
    calls: list[Callable[[], object]] = [
        lambda: engine.query("SELECT 1"),
        lambda: engine.search("x"),
        lambda: engine.commit("main"),
        lambda: engine.index(repo.path),
        engine.status,
        engine.verify,
        engine.rebuild,
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "engine_closed"
    with govc_search.open(tmp_path / "data") as engine:
        assert len(engine.query(HASHES)) == 1


def test_what_cannot_be_opened_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").write_text("x")
    for name in ("file", "full"):
        with pytest.raises(GovcSearchError) as caught:
            govc_search.open(tmp_path / name)
        assert caught.value.code == "not_a_data_directory"
    with pytest.raises(StoreError):
        govc_search.open(tmp_path / "missing", create=False)
    assert not (tmp_path / "missing").exists()
    with govc_search.open(tmp_path / "data"):
        pass
    (tmp_path / "data" / "log" / "broken.log").write_text("x")
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            govc_search.open(tmp_path / "data")
        assert caught.value.code == "log_damaged"
    (tmp_path / "data" / "log" / "broken.log").unlink()
    with govc_search.open(tmp_path / "data") as engine:
        assert engine.as_of == 0


def test_what_was_mended_is_told_once(filled: Engine) -> None:
    filled.close()
    (segment,) = (filled.directory / "log").glob("*.log")
    with segment.open("ab") as file:
        file.write(b"GVLF torn")
    code = (
        "import sys, govc_search\n"
        "with govc_search.open(sys.argv[1]) as engine:\n"
        "    print(*engine.warnings, sep='\\n')\n"
    )
    arguments = [sys.executable, "-c", code, str(filled.directory)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.count("cut 9 bytes") == 1
    assert done.stderr == ""
