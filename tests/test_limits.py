"""How long, how deep and how much a query may be: it works up to the limit, which is named beyond."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fixtures.answers import error_of, rows_of
from fixtures.history import history

import govc_search
from govc_search import Engine
from govc_search.errors import QueryError


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("history")
    history(path / "demo")
    with govc_search.open(path / "data") as opened:
        opened.index(path / "demo")
        yield opened


def test_long_conditions_work_up_to_the_limit(engine: Engine) -> None:
    many = " OR ".join(f"position = {i}" for i in range(1000))
    assert rows_of(
        engine, f"SELECT count(*) = (SELECT count(*) FROM commits) FROM commits WHERE {many}"
    ) == [(True,)]
    many = " OR ".join(f"subject LIKE '%{i}%'" for i in range(1000))
    assert len(rows_of(engine, f"SELECT 1 FROM commits WHERE {many}")) == 1
    many = " OR ".join(f"ADDED('needle{i}')" for i in range(30))
    assert rows_of(engine, f"SELECT 1 FROM commits WHERE {many}") == []
    items = ", ".join(map(str, range(2000)))
    assert len(rows_of(engine, f"SELECT 1 FROM commits WHERE position IN ({items})")) > 10
    with pytest.raises(QueryError) as caught:
        engine.query(
            "SELECT 1 FROM commits WHERE " + " OR ".join(f"position = {i}" for i in range(1100))
        )
    assert caught.value.code == "too_many_leaves"


@pytest.mark.parametrize(
    "place",
    [
        "MATCH(subject, $p)", "SEARCH($p)", "PHRASE(subject, $p)", "FUZZY(subject, $p)", "CONTAINS(subject, $p)",
        "subject LIKE $p", "subject ~ $p", "subject GLOB $p", "ADDED($p)", "CHANGED_RE($p)", "PICKAXE($p)",
        "TOUCHES($p)", "IN_RANGE($p)", "regexp_extract(subject, $p) = ''",
    ],
)  # fmt: skip
def test_patterns_have_a_longest_length(engine: Engine, place: str) -> None:
    gql = f"SELECT count(*) FROM commits WHERE {place}"
    assert error_of(engine, gql, {"p": "x" * 1000}) in {None, "unknown_revision"}
    assert error_of(engine, gql, {"p": "x" * 1001}) == "pattern_too_long"


def _conditions(count: int) -> str:
    return " OR ".join(f"ADDED('x{i}')" if i % 2 else f"position = {i}" for i in range(count))


# How large each may be set to, the error beyond, and a query of a size.
LIMITED: dict[str, tuple[int, str, Callable[[int], str]]] = {
    "query_bytes": (1_000, "query_too_long", lambda n: f"SELECT '{'x' * (n - 9)}'"),
    "query_nesting": (5, "query_too_deep", lambda n: f"SELECT {'(' * n}1{')' * n}"),
    "query_leaves": (9, "too_many_leaves", lambda n: f"SELECT 1 FROM commits WHERE {_conditions(n)}"),
    "fuzzy_words": (2, "too_many_fuzzy_words", lambda n: f"SELECT 1 FROM commits WHERE MATCH(subject, '{'race~ ' * n}')"),
    "pattern_length": (20, "pattern_too_long", lambda n: f"SELECT 1 FROM commits WHERE subject ~ '{'x' * n}'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("small")
    history(path / "demo")
    limits = {name: limit for name, (limit, _, _) in LIMITED.items()}
    with govc_search.open(path / "data", settings=limits) as opened:
        opened.index(path / "demo")
        yield opened


@pytest.mark.parametrize("name", LIMITED)
def test_limits_are_settings_and_named_where_they_are_passed(small: Engine, name: str) -> None:
    limit, code, query = LIMITED[name]
    small.query(query(limit))
    with pytest.raises(QueryError) as caught:
        small.query(query(limit + 1))
    assert caught.value.code == code
    assert str(limit) in caught.value.message
    assert name in (caught.value.hint or "")


@pytest.mark.parametrize(
    "clause",
    ["JOIN changes f ON {}", "GROUP BY position HAVING {}", "QUALIFY {}", "WHERE CASE WHEN {} THEN TRUE END"],
)  # fmt: skip
def test_every_clause_has_so_many_leaves_at_most(small: Engine, clause: str) -> None:
    def gql(count: int) -> str:
        said = " OR ".join(f"c.position + row_number() OVER () = {i}" if "QUAL" in clause else f"c.position = {i}" for i in range(count))  # fmt: skip
        return f"SELECT 1 FROM commits c {clause.format(said)}"

    small.query(gql(8))
    with pytest.raises(QueryError) as caught:
        small.query(gql(10))
    assert caught.value.code == "too_many_leaves"


CHAINS = {
    "sum": ("1", " + 1", 100),
    "text": ("'a'", " || 'b'", 100),
    "compare": ("TRUE", " = TRUE", 150),
    "truth": ("TRUE", " IS TRUE", 150),
    "distinct": ("1", " IS NULL IS DISTINCT FROM TRUE", 70),
    "between": ("1", "::TEXT::INTEGER", 70),
    "like": ("'x'", " LIKE 'x' = TRUE", 1),
    "union": ("1", " UNION SELECT 1", 150),
    "join": ("1 FROM commits", " CROSS JOIN (SELECT 1)", 90),
    "tables": ("1 FROM commits", ", (SELECT 1)", 90),
}


@pytest.mark.parametrize("kind", CHAINS)
def test_what_the_parser_takes_does_not_outgrow_the_stack(engine: Engine, kind: str) -> None:
    first, more, times = CHAINS[kind]
    assert len(rows_of(engine, f"SELECT {first}{more * times}")) > 0
    for count in range(times, 3 * times + 200, 23):
        code = error_of(engine, f"SELECT {first}{more * count}")
        assert code in {None, "query_too_deep", "type_mismatch"}


@pytest.mark.parametrize(
    ("open_", "close"),
    [("(", ")"), ("NOT (", ")"), ("coalesce(", ")"), ("(SELECT ", ")"), ("CASE WHEN ", " THEN TRUE END"),
     ("EXISTS (SELECT 1 WHERE ", ")"), ("(TRUE OR NOT TRUE AND ", ")"), ("(SELECT x FROM (SELECT ", " AS x))"),
     ("TRUE IN (SELECT ", ")"), ("NOT NOT NOT (", ")")],
)  # fmt: skip
def test_nesting_works_up_to_its_limit(engine: Engine, open_: str, close: str) -> None:
    depth = 32 // open_.count("(") if "(" in open_ else 32
    assert rows_of(engine, f"SELECT {open_ * (depth - 1)}TRUE{close * (depth - 1)}") != []
    with pytest.raises(QueryError) as caught:
        engine.query(f"SELECT {open_ * (depth + 1)}TRUE{close * (depth + 1)}")
    assert caught.value.code == "query_too_deep"
