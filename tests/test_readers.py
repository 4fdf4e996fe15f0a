"""Where rows are replaced, a query sees the new ones in every view or in none."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fixtures.repositories import Builder

import govc_search
from govc_search import Engine
from govc_search.errors import StoreError
from govc_search.indexer.text import TextIndex
from govc_search.indexer.views import Feeder
from govc_search.readers import Readers
from govc_search.records import AMENDMENT, KINDS
from govc_search.store.log import Entry
from govc_search.store.table import Table

COMMITS = 4
# The first count is the text index's, the second one the table's.
BOTH = (
    "SELECT (SELECT count(*) FROM changes WHERE ADDED('needle')),"
    " (SELECT count(*) FROM lines WHERE lower(text) LIKE '%needle%')"
)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    builder = Builder(tmp_path / "repo")
    for i in range(COMMITS):
        builder.write(f"file{i}.txt", f"needle {i}\n".encode())
        builder.commit(f"add {i}\n")
    return builder.path


@pytest.fixture
def engine(tmp_path: Path, repo: Path) -> Iterator[Engine]:
    with govc_search.open(tmp_path / "data") as opened:
        opened.index(repo, diffs="none")
        assert answer(opened) == (0, 0)
        yield opened


def answer(engine: Engine) -> tuple[Any, ...]:
    (row,) = engine.query(BOTH)
    return tuple(row)


def test_a_query_between_two_commits_waits_for_both(
    repo: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[Any, ...]] = []
    came, threads = threading.Event(), []
    real_commit, real_quiet = TextIndex.commit, Readers._quiet

    def ask() -> None:
        found.append(answer(engine))
        came.set()

    def quiet(readers: Readers) -> int:
        if threads and threading.current_thread() is threads[0]:
            came.set()
        return real_quiet(readers)

    def commit(text: TextIndex) -> int:
        if not threads and engine._table.checkpoint > text.checkpoint:
            threads.append(threading.Thread(target=ask))
            threads[0].start()
            assert came.wait(30)
            # A query that was let through has the time to end here.
            threads[0].join(0.3)
        return real_commit(text)

    monkeypatch.setattr(TextIndex, "commit", commit)
    monkeypatch.setattr(Readers, "_quiet", quiet)
    engine.index(repo, diffs="full")
    (thread,) = threads
    thread.join()
    assert found in ([(0, 0)], [(COMMITS, COMMITS)])
    assert answer(engine) == (COMMITS, COMMITS)


def test_a_query_that_was_overtaken_reads_again(
    repo: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = TextIndex.snapshot, []

    def snapshot(text: TextIndex, *arguments: Any) -> Any:
        taken = real(text, *arguments)
        if not begun:
            begun.append(True)
            thread = threading.Thread(target=engine.index, args=(repo,), kwargs={"diffs": "full"})
            thread.start()
            thread.join()
        return taken

    monkeypatch.setattr(TextIndex, "snapshot", snapshot)
    assert answer(engine) == (COMMITS, COMMITS)


def test_views_that_stay_apart_are_not_read(
    repo: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def fail(_: TextIndex) -> int:
            raise StoreError("text_write_failed", "no space left on device")

        patch.setattr(TextIndex, "commit", fail)
        with pytest.raises(StoreError, match="no space left"):
            engine.index(repo, diffs="full")
        assert engine._table.checkpoint > engine._text.checkpoint
        with pytest.raises(StoreError) as caught:
            answer(engine)
        assert caught.value.code == "views_apart"
    engine.index(repo)
    assert answer(engine) == (COMMITS, COMMITS)
    assert engine.verify() == []


def test_queries_are_answered_in_full_while_views_are_rebuilt(
    repo: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.index(repo, diffs="full")
    seen = []
    for view in (Table, TextIndex):
        real = view.commit

        def commit(made: Any, real: Any = real) -> int:
            seen.append(answer(engine))
            return int(real(made))

        monkeypatch.setattr(view, "commit", commit)
    engine.rebuild()
    assert len(seen) >= 2
    assert set(seen) == {(COMMITS, COMMITS)}
    assert engine.verify() == []


class _View:
    """A view that holds everything at once."""

    checkpoint = 0

    def apply(self, from_: int, entries: Sequence[Entry]) -> None:
        pass

    def commit(self) -> int:
        return 0

    def rollback(self) -> None:
        pass


def test_ctrl_c_while_replaced_rows_are_handed_on_has_views_commit_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = []

    @contextmanager
    def replacing() -> Iterator[None]:
        together.append(True)
        yield

    rows = pa.RecordBatch.from_pylist([], schema=AMENDMENT)
    real = Feeder._put

    def put(feeder: Feeder, item: list[Entry]) -> None:
        real(feeder, item)
        raise SystemExit

    monkeypatch.setattr(Feeder, "_put", put)
    with pytest.raises(SystemExit), Feeder([_View(), _View()], replacing) as feeder:
        feeder.feed([Entry(KINDS[1], 1, rows)])
    assert together == [True]


@pytest.mark.parametrize("wait", ["replacing", "swapping"])
def test_ctrl_c_while_readers_are_waited_for_lets_readers_in_again(
    wait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers()

    def interrupted(*_: object) -> bool:
        # An interrupt would end the tests if it came through.
        raise SystemExit

    with readers._open(), readers._held():
        monkeypatch.setattr(readers._changed, "wait", interrupted)
        with pytest.raises(SystemExit), getattr(readers, wait)():
            pytest.fail("nobody waited")
    # Waiting fails still, so who had to wait for it would fail.
    assert readers.read(lambda: 1) == 1
