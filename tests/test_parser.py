# ruff: noqa: SIM905 - a list of tokens reads best as a line of them
from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from fixtures.golden import Block, check
from hypothesis import example, given, settings
from hypothesis import strategies as st

from govc_search.errors import GovcSearchError, QueryError
from govc_search.ql import ast, parser

GOLDEN = Path(__file__).parent / "golden"


def short(node: object) -> str:
    """Returns a syntax tree as an s-expression, without what was left out of the query."""
    match node:
        case ast.Literal():
            return repr(node.value)
        case ast.Name():
            return ".".join(node.parts)
        case ast.Parameter():
            return f"${node.name}"
        case ast.Binary():
            return f"({node.op} {short(node.left)} {short(node.right)})"
        case ast.Node():
            shown = []
            for i, f in enumerate(f for f in dataclasses.fields(node) if f.name != "span"):
                value = getattr(node, f.name)
                if value is not None and value != () and (value is not False or f.default is None):
                    named = i > 0 and (f.default is not dataclasses.MISSING or i > 2)
                    shown.append(f":{f.name}" if named or value is True else "")
                    shown.append("" if value is True else short(value))
            return f"({' '.join([type(node).__name__.lower(), *filter(None, shown)])})"
        case tuple():
            return f"[{' '.join(map(short, node))}]"
    return str(node)


def test_trees(update_golden: bool) -> None:
    def answer(block: Block) -> dict[str, str]:
        return {"tree": short(parser.parse(block.query))}

    check(GOLDEN / "syntax.txt", answer, update=update_golden)


def test_places_are_those_of_the_text() -> None:
    query = "SELECT a,\n  lower( b )\nFROM t WHERE x = 'ünï' AND y"
    tree = parser.parse(query)
    assert isinstance(tree, ast.Query)
    assert isinstance(tree.body, ast.Select)
    select = tree.body
    assert isinstance(select.where, ast.And)
    spans = [i.expr.span for i in select.items] + [o.span for o in select.where.operands]
    assert [query[s.start : s.end] for s in spans] == ["a", "lower( b )", "x = 'ünï'", "y"]


@pytest.mark.parametrize("place", [0, 100, 5_000, 9_990])
def test_a_long_line_is_shown_around_the_place(place: int) -> None:
    columns = "".join(f"column{i:04}, " for i in range(1_000))[:10_000]
    text = f"SELECT {columns[:place]} 'x' 'y' {columns[place:]}"
    with pytest.raises(QueryError) as caught:
        parser.parse(text)
    _, line, caret = caught.value.render().splitlines()
    assert len(line) < 260
    at = caret.index("^")
    assert line[at : at + caret.count("^")] == "'y'" == text[caught.value.span.start :][:3]  # type: ignore[union-attr] # it has one
    assert line.strip().strip("…") in text


def test_errors_know_line_and_column() -> None:
    with pytest.raises(QueryError) as caught:
        parser.parse("SELECT a\nFROM t\nWHERE\tx = = 1")
    assert (caught.value.line, caught.value.column) == (3, 11)
    assert caught.value.render().splitlines()[1:] == [
        "  WHERE    x = = 1",
        "               ^ expected an expression, ALL, ANY or SOME",
    ]


@pytest.mark.parametrize(
    "nested",
    [
        "(" * 40 + "1" + ")" * 40,
        "[" * 40 + "1" + "]" * 40,
        "CASE WHEN TRUE THEN " * 40 + "1" + " END" * 40,
        "NOT " * 300 + "TRUE",
        "- " * 300 + "1",
        "-" + "/* */ -" * 300 + "1",
        "(SELECT " * 40 + "1" + ")" * 40,
        "lower(" * 40 + "'x'" + ")" * 40,
        "1" + "::TEXT" * 300,
        "1" + "[1]" * 300,
        "1" + " IS NULL" * 300,
        "1" + " = 1" * 300,
        "1" + " + 1" * 300,
        "'a'" + " || 'b'" * 300,
        "x LIKE " * 300 + "'x'",
        "x AT TIME ZONE " * 300 + "'x'",
        "(" * 30_000,
        "1 " + "UNION SELECT 1 " * 300,
        "1 FROM t " + "JOIN t ON TRUE " * 300,
        "1 FROM " + "t CROSS JOIN " * 300 + "t",
        "1 FROM " + ", ".join(["t"] * 300),
        "(NOT NOT NOT NOT NOT NOT NOT - - - - " * 30 + "x" + ")" * 30,
    ],
    ids=lambda text: text[:24],
)
def test_nesting_is_bounded(nested: str) -> None:
    with pytest.raises(QueryError) as caught:
        parser.parse(f"SELECT {nested}")
    assert caught.value.code in {"query_too_deep", "syntax_error", "query_too_long"}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + ", ".join(["- 1"] * 100),
        "SELECT 1 -- " + "(" * 100,
        "SELECT '" + "(" * 100 + "'",
        'SELECT 1 AS "' + "[" * 100 + '"',
        "SELECT 1 /* " + "(" * 100 + " */",
        "SELECT " + " OR ".join(["x"] * 1000),
        "SELECT x IN (" + ", ".join(["1"] * 1000) + ")",
        "SELECT " + " + ".join(["1"] * 100),
    ],
    ids=lambda text: text[:24],
)
def test_length_and_comments_are_not_nesting(text: str) -> None:
    parser.parse(text)


def test_query_of_more_than_its_limit_is_refused() -> None:
    with pytest.raises(QueryError, match="longer than 65536 bytes") as caught:
        parser.parse("SELECT '" + "ü" * 33_000 + "'")
    assert caught.value.code == "query_too_long"


# Tokens of every kind, whole and broken.
TOKENS = [
    *(w.lower() for w in parser.keywords()),
    *r"""( ) [ ] , . ; * + - / % = < > <> != <= >= ~ ~* !~ || :: ? $ $a $1 ' " '' \\ -- /* */""".split(),
    *("'a'", "'it''s'", "'open", '"name"', '"open', "1", "2.5", "1e", "1e5", ".5", "0x1", "a.b"),
    *("commits", "c", "hash", "first", "text", "ünï", "名", "\0", "\ud800", "\u2028", "{0}", "`x`"),
]
REFUSALS = {"syntax_error", "query_too_long", "query_too_deep", "invalid_text", "invalid_number"}
VALID = [
    "SELECT a, count(*) FROM commits c JOIN changes f USING (hash) WHERE x = 'y' GROUP BY 1",
    "WITH t AS (SELECT 1) SELECT DISTINCT * FROM t ORDER BY 1 DESC NULLS LAST LIMIT 3 OFFSET 1",
    "SELECT CASE WHEN a THEN b ELSE c END, CAST(x AS TEXT[]), y[1] FROM t WHERE a IN (1, 2)",
    "EXPLAIN ANALYZE SELECT MATCH(c.message, 'a~1 \"b c\"') FROM commits c WHERE NOT a LIKE 'b'",
]


@settings(max_examples=300, derandomize=True)
@given(st.lists(st.sampled_from(TOKENS), max_size=25).map(" ".join))
@example("SELECT " * 9000)
def test_token_soup_never_breaks_the_parser(text: str) -> None:
    _parse_or_refuse(text)
    _parse_or_refuse(f"SELECT {text}")


@settings(max_examples=300, derandomize=True)
@given(st.data())
def test_mutated_queries_never_break_the_parser(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(VALID))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(at, min(len(text), at + 5)))
        text = text[:at] + data.draw(st.sampled_from(["", " ", *TOKENS])) + text[end:]
    _parse_or_refuse(text)


def _parse_or_refuse(text: str) -> None:
    error = None
    try:
        parser.parse(text)
    except GovcSearchError as e:
        error = e
    if error is None:
        return
    assert error.code in REFUSALS
    assert error.render().startswith(f"error[{error.code}]: ")
    if error.span is not None:
        assert 0 <= error.span.start <= error.span.end <= len(text)
        assert error.source == text
        assert error.line is not None
