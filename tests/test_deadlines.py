"""A deadline ends a query wherever it is, and leaves an engine that works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fixtures.history import history

import govc_search
from govc_search import Engine
from govc_search.catalog import MOST_BYTES
from govc_search.errors import DeadlineError
from govc_search.ql.run import Deadline


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("deadlines")
    history(path / "demo")
    with govc_search.open(path / "data") as opened:
        opened.index(path / "demo")
        yield opened


class _Clock:
    """Time is up when the thread that asks has looked so often."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.looked = 0
        self._asking = threading.current_thread()

    def is_over(self, _: Deadline) -> bool:
        if threading.current_thread() is self._asking:
            self.looked += 1
        return self.looked > self.looks


def ended_by(ask: Callable[[], None]) -> DeadlineError | None:
    try:
        ask()
    except DeadlineError as error:
        assert error.code == "deadline_exceeded"  # noqa: PT017 - there may be no error
        return error
    return None


# Each with how often it looks at the least: the steps it takes before its statement and after.
WAYS = {
    "SELECT count(*) FROM commits": 4,
    "SELECT count(*) FROM commits WHERE MATCH(message, '/r.*/ OR fuzz* OR rase~')": 6,
    "SELECT count(*) FROM commits WHERE MATCH(upper(message), 'race OR a')": 4,
    "SELECT count(*) FROM changes WHERE ADDED_RE('ret.*n') OR PICKAXE('tcp')": 7,
    "SELECT hash FROM commits WHERE message CONTAINS 'race'": 6,
    "SELECT hash, SCORE() FROM commits WHERE SEARCH('race') ORDER BY 2 DESC LIMIT 3": 5,
    "SELECT SNIPPET(message, 20) FROM commits WHERE SEARCH('race')": 8,
    "SELECT hash FROM commits WHERE IN_RANGE('v1.0..v1.1') AND HISTORY_OF('README.md')": 6,
    "SELECT MERGE_BASE(hash, 'old'), FIRST_TAG(hash) FROM commits": 6,
    "SELECT count(*) FROM ref_commits": 6,
    "SELECT path, size, last_modified FROM files('v1.0')": 5,
    "SELECT path FROM content WHERE MATCH(content, 'return') AND size > 1": 7,
    "SELECT author, count(*) FROM commits GROUP BY author ORDER BY 2": 4,
    "SELECT hash FROM commits ORDER BY author": 4,
}


@pytest.mark.parametrize("gql", WAYS)
@pytest.mark.parametrize("how", ["query", "stream", "page", "next page"])
def test_time_may_be_up_at_every_step(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, gql: str, how: str
) -> None:
    cursor = engine.query(gql, limit=1).next_cursor
    if how == "next page" and cursor is None:
        return

    def ask() -> None:
        # As if it was never planned.
        engine._plans.clear()
        match how:
            case "query":
                engine.query(gql)
            case "stream":
                with engine.stream(gql) as rows:
                    list(rows)
            case _:
                engine.query(gql, limit=1, cursor=cursor if how == "next page" else None)

    least = 0 if how == "next page" else WAYS[gql]
    for looks in range(200):
        clock = _Clock(looks)
        with monkeypatch.context() as patch:
            patch.setattr(Deadline, "is_over", property(clock.is_over))
            if ended_by(ask) is None:
                break
    assert least <= clock.looked < 200
    ask()
    named = "SELECT function_name FROM duckdb_functions() WHERE function_name LIKE 'gql_%'"
    with engine._table.cursor() as own:
        assert own.query(named).num_rows == 0


HEAVY = {
    "join": "SELECT count(*) FROM lines a, lines b, lines c, lines d WHERE a.text || b.text || c.text || d.text LIKE '%no such%'",
    "words": "SELECT count(*) FROM lines a, lines b, lines c WHERE MATCH(a.text || b.text || c.text, 'nowhere')",
    "graph": "SELECT count(MERGE_BASE(a.hash, b.hash)) FROM commits a, commits b, commits c, lines d, lines e",
    "sort": "SELECT a.text || b.text || c.text AS t FROM lines a, lines b, lines c ORDER BY t",
    "recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    "highlights": "SELECT HIGHLIGHT(a.message, '[', ']') FROM commits a, lines b, lines c WHERE MATCH(a.message, 'a OR race')",
    "groups": "SELECT a.text || b.text || c.text AS t, count(*) FROM lines a, lines b, lines c, lines d GROUP BY t ORDER BY 2",
    "edit distances": "SELECT sum(levenshtein(repeat('a', 300 + a.position), repeat('b', 300 + b.position))) FROM commits a, commits b, lines c, lines d",
    # As long as they may be, a vector of them is made before anybody looks at the deadline.
    "long texts": f"SELECT sum(length(upper(repeat('é', {MOST_BYTES // 2 - 100} + a.position)))) FROM lines a, lines b, lines c",
    "long lists": f"SELECT sum(len(generate_series(a.position, {MOST_BYTES // 8}))) FROM lines a, lines b, lines c",
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
@pytest.mark.parametrize("how", ["query", "stream", "page"])
def test_what_would_run_for_hours_ends_soon(engine: Engine, name: str, how: str) -> None:
    def ask() -> None:
        if how == "stream":
            with engine.stream(HEAVY[name], timeout=0.05) as rows:
                list(rows)
        else:
            engine.query(HEAVY[name], limit=5000 if how == "page" else None, timeout=0.05)

    began = time.monotonic()
    assert ended_by(ask) is not None
    # Machines that test may be busy; nothing of this would end by itself.
    assert time.monotonic() - began < 10
    assert list(engine.query("SELECT 1")) == [(1,)]
