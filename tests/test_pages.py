"""Pages by cursor are the whole: whatever the order, while indexing goes on, after a restart."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.history import history
from fixtures.indexed import grow, small
from fixtures.repositories import Builder
from hypothesis import given
from hypothesis import strategies as st
from test_query_properties import KEYS, ORDERS, condition, examples, whole_query

import govc_search
from govc_search import Engine
from govc_search.cli import main
from govc_search.errors import EXIT_STATUS, QueryError, UsageError
from govc_search.ql.pinned_results import PinnedResults
from govc_search.settings import Settings


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("history")
    history(path / "demo")
    with govc_search.open(path / "data") as opened:
        opened.index(path / "demo")
        yield opened


def paged(engine: Engine, gql: str, size: int, params: Any = None) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    cursor = None
    while True:
        page = engine.query(gql, params, limit=size, cursor=cursor)
        rows += page
        cursor = page.next_cursor
        assert page.truncated == (cursor is not None)
        if cursor is None:
            return rows
        assert len(page) == size


SIZES = st.sampled_from([1, 2, 7])
# Expressions, NULLs on either side, ties, and what becomes another thing in each row.
MORE_ORDERS = {
    "commits": ["insertions NULLS FIRST, author DESC", "deletions / insertions", "length(subject) % 3, 1 DESC", "author_date DESC NULLS LAST",
                "signature NULLS FIRST", "parents", "(SELECT count(*) FROM changes f WHERE f.position = commits.position)", "NOW() - author_date", "insertions * 1.5 DESC"],
    "changes": ["old_path NULLS FIRST, new_mode DESC", "similarity DESC NULLS LAST, extension"],
    "hunks": ["old_lines - new_lines, heading DESC"],
    "lines": ["old_line NULLS FIRST, new_line DESC", "new_line DESC NULLS LAST"],
}  # fmt: skip


@examples(60)
@given(st.data(), st.sampled_from(sorted(KEYS)), SIZES)
def test_pages_by_cursor_are_the_whole(
    engine: Engine, data: st.DataObject, table: str, size: int
) -> None:
    order = data.draw(st.sampled_from([*ORDERS[table], *MORE_ORDERS[table]]))
    where = data.draw(condition(table))
    if "SCORE" in order:
        where = f"MATCH(message, 'race OR a OR net OR needles') AND {where}"
    gql = f"SELECT {KEYS[table]} FROM {table} WHERE {where} ORDER BY {order} LIMIT 40 OFFSET 1"
    assert paged(engine, gql, size) == list(engine.query(gql))


JOINS = [
    "SELECT c.position, f.path FROM commits c {} changes f ON f.position = c.position AND f.insertions > 1 ORDER BY {}",
    "SELECT f.path, t.value FROM commits c {} trailers t USING (hash) LEFT JOIN changes f USING (hash) ORDER BY {}",
    "SELECT c.author FROM commits c {} changes f USING (hash) LEFT JOIN trailers t USING (hash) ORDER BY c.author, {}",
]


@examples(30)
@given(
    st.sampled_from(JOINS),
    st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]),
    st.sampled_from(["f.path NULLS FIRST", "f.path DESC, c.author", "c.insertions", "1 DESC"]),
    SIZES,
)
def test_pages_of_joins_are_the_whole(
    engine: Engine, shape: str, join: str, order: str, size: int
) -> None:
    gql = shape.format(join, order)
    assert paged(engine, gql, size) == list(engine.query(gql))


@examples(40)
@given(whole_query(), SIZES)
def test_pages_of_any_query_are_the_whole(engine: Engine, gql: str, size: int) -> None:
    found = sorted(map(repr, paged(engine, gql, size)))
    assert found == sorted(map(repr, engine.query(gql)))


def test_pages_of_statements_and_of_nothing(engine: Engine) -> None:
    for gql in ("SHOW FUNCTIONS", "DESCRIBE commits", "EXPLAIN SELECT 1", "SELECT 1"):
        assert paged(engine, gql, 7) == list(engine.query(gql))
    empty = engine.query("SELECT hash FROM commits WHERE FALSE ORDER BY 1", limit=3)
    assert (len(empty), empty.next_cursor, empty.truncated) == (0, None, False)
    assert [c.name for c in empty.columns] == ["hash"]
    marked = "SELECT HIGHLIGHT(subject, '[', ']') AS s FROM commits WHERE SEARCH($w) ORDER BY {}"
    for order in ("s", "SCORE() DESC"):
        gql = marked.format(order)
        assert paged(engine, gql, 2, {"w": "race"}) == list(engine.query(gql, {"w": "race"}))


class _Growing:
    """A repository that another thread indexes whenever a page has been read."""

    def __init__(self, path: Path, repo: Builder) -> None:
        self.engine = govc_search.open(path)
        self.engine.index(repo.path)
        self._repo = repo
        self._names = iter(range(100))

    def grow(self) -> None:
        # Names and words that come before, between and after those that are there.
        n = next(self._names)
        grow(self._repo, f"{'amz'[n % 3]}{n}.txt", f"needle hay {'hay ' * n}")
        thread = threading.Thread(target=self.engine.index, args=(self._repo.path,))
        thread.start()
        thread.join()

    def pages(self, gql: str, size: int) -> list[tuple[Any, ...]]:
        rows, cursor = [], None
        while True:
            page = self.engine.query(gql, limit=size, cursor=cursor)
            rows += list(page)
            cursor = page.next_cursor
            if cursor is None:
                return rows
            self.grow()


@pytest.mark.parametrize(
    ("gql", "pinned"),
    [
        ("SELECT path, hash FROM changes ORDER BY path DESC", False),
        ("SELECT author_date, hash FROM commits ORDER BY author_date DESC", False),
        ("SELECT hash, hash FROM commits", False),
        ("SELECT f.path, c.hash FROM commits c JOIN changes f USING (hash) ORDER BY 1", False),
        ("SELECT subject, hash FROM commits WHERE SEARCH('hay') ORDER BY SCORE() DESC", True),
        ("SELECT first_tag(hash), hash FROM commits ORDER BY 1, author", True),
        ("SELECT author, list(hash) FROM commits GROUP BY author, subject ORDER BY subject", True),
        ("SELECT hash, 1 FROM commits UNION SELECT path, 2 FROM changes ORDER BY 2, 1", True),
    ],
)
def test_pages_neither_skip_nor_repeat_while_indexing_goes_on(
    tmp_path: Path, gql: str, *, pinned: bool
) -> None:
    repo, _ = small(tmp_path / "repo", 7)
    growing = _Growing(tmp_path / "data", repo)
    with growing.engine as engine:
        before = list(engine.query(gql))
        found = growing.pages(gql, 2)
        assert len(set(map(repr, found))) == len(found)
        if pinned:
            assert found == before
        else:
            # What came later stands in its place, or is not seen.
            assert [row for row in found if row in before] == before
            assert [row for row in engine.query(gql) if row in found] == found
        assert len(engine.query("SELECT 1 FROM commits")) > 7


def test_rows_that_are_amended_or_removed_stay_what_they_are_by_their_keys(tmp_path: Path) -> None:
    repo, hashes = small(tmp_path / "repo", 5)
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, diffs="none")
        gql = "SELECT hash, files_changed FROM commits WHERE SEARCH('needle0 OR hay') ORDER BY SCORE() DESC"
        whole = engine.query(gql)
        first = engine.query(gql, limit=2)
        by_key = engine.query("SELECT hash FROM commits ORDER BY position", limit=2)
        engine.index(repo.path, diffs="full")
        second = engine.query(gql, limit=9, cursor=first.next_cursor)
        assert [h for h, _ in [*first, *second]] == [h for h, _ in whole]
        assert {n for _, n in second} == {1}
        rest = engine.query(
            "SELECT hash FROM commits ORDER BY position", limit=9, cursor=by_key.next_cursor
        )
        assert [h for (h,) in [*by_key, *rest]] == hashes
        engine.remove(engine.status().repositories[0]["name"])
        assert len(engine.query(gql, limit=9, cursor=first.next_cursor)) == 0


def test_a_key_works_after_a_restart_and_a_pin_does_not(tmp_path: Path) -> None:
    repo, _ = small(tmp_path / "repo", 5)
    ordered = "SELECT hash FROM commits ORDER BY author_date DESC"
    ranked = "SELECT hash FROM commits WHERE SEARCH('hay') ORDER BY SCORE() DESC"
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path)
        whole = list(engine.query(ordered))
        cursors = [engine.query(q, limit=2).next_cursor for q in (ordered, ranked)]
    with govc_search.open(tmp_path / "data") as engine:
        assert list(engine.query(ordered, limit=9, cursor=cursors[0])) == whole[2:]
        with pytest.raises(QueryError, match="not kept any more") as caught:
            engine.query(ranked, limit=9, cursor=cursors[1])
        assert caught.value.code == "cursor_expired"


def test_commands_page_through_a_holder_and_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    repo, _ = small(tmp_path / "repo", 5)
    data = str(tmp_path / "data")
    ranked = "SELECT hash FROM commits WHERE SEARCH('hay') ORDER BY SCORE() DESC, hash"
    ordered = "SELECT hash, author_date FROM commits ORDER BY author_date DESC"

    def pages(gql: str) -> list[str]:
        found: list[str] = []
        told = ["--limit", "2"]
        while True:
            assert main(["query", "-q", gql, "-F", "csv", "--data", data, *told]) == 0
            out, err = capfd.readouterr()
            found += out.splitlines()[1:]
            if not err:
                return found
            warned, said = err.splitlines()
            assert warned.startswith("warning: truncated")
            told = ["--limit", "2", *said.removeprefix("next page: ").split(" ")]

    def whole(gql: str) -> list[str]:
        assert main(["query", "-q", gql, "-F", "csv", "--data", data]) == 0
        return capfd.readouterr().out.splitlines()[1:]

    with govc_search.open(data) as engine:
        engine.index(repo.path)
        assert pages(ranked) == whole(ranked)
        assert pages(ordered) == whole(ordered)
    assert pages(ordered) == whole(ordered)
    assert main(["query", ordered, "--cursor", "x", "--data", data]) == EXIT_STATUS["usage"]


GROUPS = "SELECT author, count(*) FROM commits GROUP BY author ORDER BY 2"


@pytest.mark.parametrize(
    ("bound", "value"), [("pinned_results", 2), ("pinned_bytes", 2.5), ("pinned_seconds", 5)]
)
def test_pins_are_bounded_in_number_size_and_age(engine: Engine, bound: str, value: float) -> None:
    now = 0.0
    before = engine._pinned
    if bound == "pinned_bytes":
        # So many results.
        engine._pinned = PinnedResults(Settings())
        engine.query(GROUPS, limit=1)
        (one,) = engine._pinned._held.values()
        value = int(value * one.packed.size)
    engine._pinned = PinnedResults(Settings({bound: value}), lambda: now)
    try:
        cursors = []
        for _ in range(3):
            cursors.append(engine.query(GROUPS, limit=1).next_cursor)
            now += 2
        # The last two are there still; the one that is used is young again.
        found = [engine.query(GROUPS, limit=1, cursor=c) for c in cursors[1:]]
        assert list(found[0]) == list(found[1])
        with pytest.raises(QueryError) as caught:
            engine.query(GROUPS, limit=1, cursor=cursors[0])
        assert caught.value.code == "cursor_expired"
        now += 4
        assert list(engine.query(GROUPS, limit=1, cursor=cursors[1])) == list(found[0])
    finally:
        engine._pinned = before


def test_what_is_too_large_to_pin_says_so(engine: Engine) -> None:
    before = engine._pinned
    engine._pinned = PinnedResults(Settings({"pinned_bytes": 1}))
    try:
        for gql in (GROUPS, "SELECT hash FROM commits WHERE SEARCH('race') ORDER BY SCORE() DESC"):
            page = engine.query(gql, limit=1)
            assert list(page) == list(engine.query(gql))[:1]
            assert any("pinned_bytes" in w for w in page.warnings)
            with pytest.raises(QueryError) as caught:
                engine.query(gql, limit=1, cursor=page.next_cursor)
            assert caught.value.code == "cursor_expired"
    finally:
        engine._pinned = before


def test_cursors_are_checked(engine: Engine) -> None:
    gql = "SELECT hash FROM commits WHERE author <> $a ORDER BY author, subject"
    page = engine.query(gql, {"a": "x"}, limit=1)
    cursor = page.next_cursor
    assert cursor is not None
    assert set(cursor) <= set(base64.urlsafe_b64encode(bytes(range(256)) * 3).decode()) - {"="}
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[-3] ^= 1
    changed = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    for wrong in (cursor[:-4], "", "ä", "AAAA", cursor + "!", "A" + cursor, changed):
        with pytest.raises(QueryError) as caught:
            engine.query(gql, {"a": "x"}, limit=1, cursor=wrong)
        assert caught.value.code == "invalid_cursor"
    for other, params in ((gql, {"a": "y"}), (gql + ", hash", {"a": "x"})):
        with pytest.raises(QueryError, match="another statement") as caught:
            engine.query(other, params, limit=1, cursor=cursor)
        assert caught.value.code == "invalid_cursor"
    for wrong_use in ({"limit": 0}, {"cursor": cursor}):
        with pytest.raises(UsageError):
            engine.query(gql, {"a": "x"}, **wrong_use)
