"""Indexing that is stopped on its way, by Ctrl-C or an error, and what runs beside it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fixtures.indexed import HASHES, column, grow, small

import govc_search
from govc_search import Engine, Progress
from govc_search.errors import StoreError
from govc_search.store.table import Table


class _Stop(Exception):  # noqa: N818 - it is no error
    pass


def test_an_interrupted_run_is_carried_through_and_the_next_goes_on(
    tmp_path: Path, engine: Engine
) -> None:
    repo, hashes = small(tmp_path / "repo", 8)

    def stop(event: Progress) -> None:
        if event.phase == "commits" and event.done:
            raise KeyboardInterrupt

    report = engine.index(repo.path, progress=stop)
    assert report.interrupted
    assert report.commits_added == 8
    assert engine.status().repositories[0]["complete"] is False
    assert column(engine, "SELECT count(*) FROM refs") == [0]
    assert engine.verify() == []
    report = engine.index(repo.path)
    assert (report.interrupted, report.commits_added, report.refs_updated) == (False, 0, 1)
    assert column(engine, HASHES) == hashes
    assert engine.status().repositories[0]["complete"] is True
    assert engine.verify() == []


def test_an_error_on_the_way_leaves_an_engine_that_works(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, hashes = small(tmp_path / "repo")

    def fail(event: Progress) -> None:
        if event.phase == "commits" and event.done:
            raise _Stop

    with pytest.raises(_Stop):
        engine.index(repo.path, progress=fail)
    assert engine.verify() == []
    grow(repo, "more.txt")
    with monkeypatch.context() as patch:
        real, failing = Table.apply, iter([True])

        def apply(table: Table, from_: int, entries: Sequence[Any]) -> None:
            if next(failing, False):
                raise StoreError("table_unusable", "no space left on device")
            real(table, from_, entries)

        patch.setattr(Table, "apply", apply)
        with pytest.raises(StoreError, match="no space"):
            engine.index(repo.path)
    assert engine.as_of == engine.status().last_position
    engine.index(repo.path)
    assert column(engine, HASHES)[:4] == hashes
    assert len(column(engine, HASHES)) == 5
    assert engine.verify() == []


def test_queries_go_on_while_another_thread_indexes(tmp_path: Path) -> None:
    first, _ = small(tmp_path / "first", 3)
    second, _ = small(tmp_path / "second", 12)
    # Frames of one commit each, and views that publish each frame.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("govc_search.indexer.views._COMMIT_BYTES", 1)
        with govc_search.open(tmp_path / "data", settings={"frame_bytes": 1}) as engine:
            engine.index(first.path)
            done = threading.Event()
            seen: set[int] = set()
            errors: list[BaseException] = []

            def ask() -> None:
                try:
                    while not done.is_set():
                        # By the text index, by a scan, and by a count: all of one snapshot.
                        result = engine.query(
                            "SELECT (SELECT count(*) FROM commits WHERE MATCH(subject, 'add')),"
                            " (SELECT count(*) FROM commits WHERE MATCH(lower(subject), 'add')),"
                            " (SELECT count(*) FROM commits), (SELECT max(position) FROM commits)"
                        )
                        indexed, scanned, count, last = next(iter(result))
                        assert indexed == scanned == count
                        assert (last or 0) <= result.as_of
                        seen.add(count)
                except BaseException as error:  # noqa: BLE001 - told to the test
                    errors.append(error)

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            engine.index(second.path)
            engine.rebuild("table")
            done.set()
            for thread in threads:
                thread.join()
            assert errors == []
            assert len(seen) > 1
            assert column(engine, "SELECT count(*) FROM commits") == [15]
            assert engine.verify() == []
