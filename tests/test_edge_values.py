"""Values at the edge of their types, through every function, operator and cast."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from fixtures.history import history

import govc_search
from govc_search import Engine, catalog
from govc_search.cli.render import FORMATS, render
from govc_search.cli.terminal import Target
from govc_search.errors import QueryError


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("history")
    history(path / "demo")
    with govc_search.open(path / "data") as opened:
        opened.index(path / "demo")
        yield opened


# Of each type: what is at its edge, as GQL; what a parameter can be besides.
EDGES = {
    "TEXT": ["''", "'a'", "'abc'", "'\\'", "'%'", "'ü\U0001f600'", "'1e999'", "'infinity'", "'0044-03-15 (BC)'", "'290000-01-01'", "'NaN'", "' '", "NULL"],
    "INTEGER": ["0", "-1", "1", "9223372036854775807", "-9223372036854775807 - 1", "4294967296", "2147483648", "99999999999999999999999999999999999999", "NULL"],
    "DOUBLE": ["0.0", "-0.5", "1e308", "-1e308", "5e-324", "'nan'::DOUBLE", "'infinity'::DOUBLE", "'-infinity'::DOUBLE", "NULL::DOUBLE"],
    "BOOLEAN": ["TRUE", "FALSE", "NULL"],
    "TIMESTAMP": ["TIMESTAMP '0001-01-01'", "TIMESTAMP '9999-12-31T23:59:59.999999'", "TIMESTAMP '1970-01-01'", "NULL::TIMESTAMP"],
    "DATE": ["DATE '0001-01-01'", "DATE '9999-12-31'", "NULL::DATE"],
    "INTERVAL": ["INTERVAL '0 days'", "INTERVAL '-1 day'", "INTERVAL '9999 years'", "INTERVAL '2400000 hours'", "NULL::INTERVAL"],
    "LIST": ["[]::INTEGER[]", "[1, NULL, 9223372036854775807]", "['', NULL]", "[[1], []]", "NULL::TEXT[]"],
}  # fmt: skip
CONSTANTS = {
    "PART": ["'decade'", "'month'", "'epoch'", "'microsecond'", "''", "NULL", "'x'"],
    "PATTERN": ["''", "'('", "'(a)|b'", "'\\9'", "NULL"],
    "INTERVAL": ["'0 days'", "'-1 day'", "'9999 years'", "'99999999999 years'", "'9999999 hours'", "'1 month 1 day'", "''", "NULL"],
    "FORMAT": ["'%Q'", "'%'", "'%Y-%-m'", "''", "'%%'", "NULL", "'%\U0001f600'"],
    "FLAGS": ["''", "'g'", "'x'", "NULL", "subject"],
    "SEPARATOR": ["''", "'; '", "NULL", "subject"],
    "SHARE": ["0", "1", "0.5", "1.5", "-0.5", "'nan'::DOUBLE", "NULL", "insertions"],
    "GROUP": ["0", "9", "10", "-1", "99999999999999999999", "NULL", "insertions"],
    "DIGITS": ["0", "-1", "2147483648", "99999999999999999999", "NULL", "insertions"],
    "COUNT": ["0", "-1", "1", "100000", "100001", "NULL", "insertions"],
    "WIDTH": ["0", "-1", "1000", "1001", "NULL", "insertions"],
}  # fmt: skip
USUAL = {
    "TEXT": "'a b'", "INTEGER": "2", "DOUBLE": "1.5", "BOOLEAN": "TRUE", "TIMESTAMP": "TIMESTAMP '2020-02-29'",
    "DATE": "DATE '2020-02-29'", "INTERVAL": "'2 weeks'", "LIST": "['a', 'b']", "TEXT|LIST": "'a'", "ANY": "'a'", "PART": "'month'",
    "PATTERN": "'(a)'", "FORMAT": "'%Y'", "SEPARATOR": "','", "FLAGS": "'g'", "SHARE": "0.5", "GROUP": "1", "DIGITS": "1",
    "COUNT": "2", "WIDTH": "10", "STEP": "1", "SOME": "'a'", "NUMBERS": "[1, 2]", "LISTS": "[[1], [2]]",
}  # fmt: skip
CODES = {
    "argument_too_large", "cast_failed", "invalid_argument", "invalid_date", "invalid_interval", "invalid_pattern",
    "number_out_of_range", "pattern_not_constant", "type_mismatch", "unknown_part", "invalid_number",
}  # fmt: skip


def outcome(engine: Engine, gql: str, params: Any = None) -> str | None:
    """Returns the code of the error, or None where there are rows; all else fails the test."""
    error = None
    try:
        result = engine.query(gql, params)
    except QueryError as e:
        error = e
    if error is not None:
        assert error.code in CODES, f"{gql}\n{error.render()}\n{error.__cause__}"
        assert error.span is not None, f"{gql}\n{error.render()}"
        assert error.source == gql
        assert 0 <= error.span.start < error.span.end <= len(gql)
        assert len(error.render().splitlines()) == 3, error.render()
        return error.code
    try:
        for row in result:
            for value in row:
                assert not isinstance(value, datetime) or 1 <= value.year <= 9999
        for format_ in FORMATS:
            render(result.to_arrow(), format_, Target(io.BytesIO().write))
    except Exception as e:
        raise AssertionError(gql) from e
    return None


def call(function: catalog.Function, args: list[str]) -> str:
    over = " OVER (ORDER BY position)" if function.kind == "window" else ""
    return f"{function.name}({', '.join(args)}){over}"


def edges(kind: str) -> list[str]:
    if kind in ("ANY", "SOME", "STEP") or "|" in kind:
        return [values[i] for values in EDGES.values() for i in (0, -1)]
    return CONSTANTS.get(kind) or EDGES["LIST" if kind in ("NUMBERS", "LISTS") else kind]


def usual(kind: str) -> str:
    return USUAL[kind] if kind in USUAL else USUAL[kind.split("|", maxsplit=1)[0]]


# A map only comes out of an aggregate, and `grouping` takes what stands in GROUP BY.
PLAIN = [
    f
    for f in catalog.FUNCTIONS
    if f.kind in ("scalar", "aggregate", "window") and "MAP" not in f.args and f.name != "grouping"
]


@pytest.mark.parametrize("function", PLAIN, ids=lambda f: f.name)
def test_functions_take_any_value_or_say_where_not(
    engine: Engine, function: catalog.Function
) -> None:
    for i, kind in enumerate(function.args):
        for value in edges(kind):
            args = [usual(k) for k in function.args]
            args[i] = value
            if function.args == ("ANY", "ANY"):
                args = [value] * 2
            outcome(engine, f"SELECT {call(function, args)} FROM commits WHERE is_root")
            # The same from a row, where no binder can see it.
            if kind not in CONSTANTS:
                args[i] = "v"
                gql = f"SELECT {call(function, args)} FROM commits, (SELECT {value} AS v WHERE NOW() > '2020') WHERE is_root"
                outcome(engine, gql)


PAIRS = [
    ("INTEGER", "INTEGER"), ("INTEGER", "DOUBLE"), ("DOUBLE", "DOUBLE"), ("TIMESTAMP", "INTERVAL"),
    ("DATE", "INTERVAL"), ("DATE", "INTEGER"), ("INTEGER", "DATE"), ("INTERVAL", "TIMESTAMP"), ("TIMESTAMP", "DATE"),
    ("INTERVAL", "INTERVAL"), ("INTERVAL", "DOUBLE"), ("INTEGER", "INTERVAL"), ("TEXT", "INTEGER"), ("TEXT", "TIMESTAMP"),
    ("LIST", "TEXT"), ("LIST", "LIST"), ("BOOLEAN", "INTEGER"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_operators_take_any_values_or_say_where_not(engine: Engine, left: str, right: str) -> None:
    for op in ("+", "-", "*", "/", "%", "||", "<", "IN"):
        pairs = [(a, EDGES[right][0]) for a in EDGES[left]]
        pairs += [(EDGES[left][1], b) for b in EDGES[right]]
        for a, b in dict.fromkeys(pairs):
            shown = f"({b})" if op == "IN" else b
            outcome(engine, f"SELECT ({a}) {op} {shown}, - {a if left != 'TEXT' else 1}")
            row = f"(SELECT {a} AS a, {b} AS b WHERE NOW() > '2020')"
            outcome(engine, f"SELECT a {op} {'(b)' if op == 'IN' else 'b'} FROM {row}")


TYPES = ["TEXT", "INTEGER", "DOUBLE", "BOOLEAN", "TIMESTAMP", "DATE", "INTERVAL", "INTEGER[]", "TEXT[]"]  # fmt: skip


@pytest.mark.parametrize("kind", EDGES)
def test_casts_take_any_values_or_say_where_not(engine: Engine, kind: str) -> None:
    for value in EDGES[kind]:
        for type_ in TYPES:
            row = f"(SELECT {value} AS v WHERE NOW() > '2020')"
            for gql in (f"SELECT CAST({value} AS {type_})", f"SELECT v::{type_} FROM {row}"):
                outcome(engine, gql)
                attempt = gql.replace("CAST(", "TRY_CAST(").replace(
                    f"v::{type_}", f"TRY_CAST(v AS {type_})"
                )
                assert outcome(engine, attempt) in {None, "type_mismatch"}


def test_no_value_passes_for_what_checks_say(engine: Engine) -> None:
    for text in ("gql_fault 0", "gql_ 0", "gql_fault zero"):
        gql = "SELECT 1 WHERE CAST($v || '' AS BOOLEAN)"
        with pytest.raises(QueryError) as caught:
            engine.query(gql, {"v": text})
        assert caught.value.message == f"'{text}' cannot be cast to BOOLEAN"


# Where in a query an expression stands, each alone in needing its own way to be found.
PLACES = [
    "SELECT {} FROM commits c",
    "SELECT 1 FROM commits c WHERE {} > 1",
    "SELECT 1 FROM commits c WHERE NOT is_merge AND ({} > 1 OR parent_count = 0)",
    "SELECT author, {} FROM commits c GROUP BY ALL",
    "SELECT {} + 1 FROM commits c GROUP BY {}",
    "SELECT author FROM commits c GROUP BY author HAVING max({}) > 1",
    "SELECT sum({}) FILTER (WHERE TRUE) FROM commits c",
    "SELECT row_number() OVER (PARTITION BY author ORDER BY {}) FROM commits c",
    "SELECT author FROM commits c QUALIFY row_number() OVER (ORDER BY {}) = 1",
    "SELECT author FROM commits c ORDER BY {}",
    "SELECT 1 FROM commits c JOIN changes f ON f.position = c.position AND {} > 1",
    "SELECT (SELECT max({} + f.insertions) FROM changes f WHERE f.position = c.position) FROM commits c",
    "SELECT 1 FROM commits c WHERE EXISTS (SELECT 1 FROM changes f WHERE f.position = {})",
    "SELECT CASE WHEN is_root THEN {} END FROM commits c",
    "WITH w AS (SELECT {} AS x FROM commits c) SELECT max(x) FROM w",
    "SELECT 1 UNION SELECT {} FROM commits c",
    "SELECT list_contains([{}], 1), coalesce({}, 2) FROM commits c",
    "SELECT subject, SCORE() FROM commits c WHERE MATCH(upper(subject), 'import') AND {} > 0",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("expression", "code", "message"),
    [
        ("CAST(c.subject AS INTEGER)", "cast_failed", "' cannot be cast to INTEGER"),
        ("(c.insertions * 9223372036854775807 + c.insertions)", "number_out_of_range", " * 9223372036854775807 is beyond"),
        ("sign(substr(c.subject, 9223372036854775807)::INTEGER)", "invalid_argument", "substr cannot take '"),
    ],
)  # fmt: skip
def test_the_place_is_found_wherever_it_is(
    engine: Engine, place: str, expression: str, code: str, message: str
) -> None:
    gql = place.replace("{}", expression)
    with pytest.raises(QueryError) as caught:
        engine.query(gql)
    error = caught.value
    assert (error.code, error.source) == (code, gql), error.__cause__
    assert message in error.message
    assert error.span is not None
    assert gql[error.span.start : error.span.end] in expression
    # A division there is no error, and warns.
    gql = place.replace("{}", "(c.insertions / (c.parent_count - c.parent_count))")
    assert engine.query(gql).warnings == ("division by zero: NULL in the rows where it happened",)


@pytest.mark.parametrize(
    ("open_", "close"),
    [
        ("1 / (", ")"), ("1 % (", ")"), ("sqrt(", ")"), ("ln(2 + ", ")"), ("nullif(", ", 7)"), ("mod(7, ", ")"),
        ("minute(LOCAL(author_date, ", "))"), ("len(array_to_string([", "], ','))"), ("abs(", ")"),
        ("date_diff('day', author_date, author_date + INTERVAL '1 day' * ", ")"),
    ],
)  # fmt: skip
def test_nesting_does_not_multiply(engine: Engine, open_: str, close: str) -> None:
    depth = 30 // (open_.count("(") + open_.count("["))
    for inner in ("parent_count", "(parent_count - parent_count)", "CAST(subject AS INTEGER)"):
        gql = f"SELECT {open_ * depth}{inner}{close * depth} FROM commits WHERE is_root"
        # A second is far more than it takes, and far less than what doubles at every level.
        try:
            engine.query(gql, timeout=5)
        except QueryError as e:
            code = e.code
        else:
            code = "none"
        assert (code == "cast_failed") == ("CAST" in inner), gql


@pytest.mark.parametrize(
    ("open_", "close"),
    [
        ("replace(", ", 'x', 'xxxxxxxxxxxxxxxxxxxx')"),
        ("regexp_replace(", ", 'x', '\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0', 'g')"),
        ("array_to_string(split(", f", ''), '{'x' * 900}')"),
    ],
)
def test_short_texts_do_not_become_all_memory(engine: Engine, open_: str, close: str) -> None:
    for inner in ("'xxxxxxxxxx'", "left(subject, 10) || 'xxxxx'"):
        gql = f"SELECT length({open_ * 12}{inner}{close * 12}) FROM commits WHERE is_root"
        with pytest.raises(QueryError) as caught:
            engine.query(gql)
        assert caught.value.code == "invalid_argument"
        assert "100,000 bytes" in (caught.value.hint or "")
