"""What is made of the rows of a result: names, types, HIGHLIGHT and SNIPPET."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from govc_search import highlight, textquery
from govc_search.ql import bound, patterns

__all__ = ["dress", "types"]


def types(schema: pa.Schema, query: bound.BoundQuery) -> tuple[str, ...]:
    """Returns the GQL type of each column."""
    # A column of nothing but NULL has no type of its own there.
    return tuple(
        bound_type
        if pa.types.is_null(f.type) and bound_type not in ("NULL", "ANY")
        else _type(f.type)
        for f, bound_type in zip(schema, query.types, strict=True)
    )


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _type(kind.value_type) + "[]"
    if pa.types.is_map(kind):
        return "MAP"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_integer(kind):
        return "INTEGER"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "DOUBLE"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_interval(kind) or pa.types.is_duration(kind):
        return "INTERVAL"
    return "TEXT"


# Highlights


def dress(
    rows: pa.RecordBatch, query: bound.BoundQuery, check: Callable[[], None]
) -> pa.RecordBatch:
    """Returns rows with the names of their columns, HIGHLIGHT and SNIPPET done.

    `check` raises when time is up.
    """
    body = query.body
    columns = list(rows.columns)
    if isinstance(body, bound.BoundSelect):
        for i, expr in enumerate(body.exprs):
            if isinstance(expr, bound.Highlight):
                asked = (*body.where, *_on(body.from_))
                found = [q for e in asked for q in _marked(e, expr.column)]
                columns[i] = _dressed(columns[i], expr, found, check)
    return pa.RecordBatch.from_arrays(columns, names=list(query.names))


def _dressed(
    texts: pa.Array,
    expr: bound.Highlight,
    found: Sequence[tuple[str, textquery.Node]],
    check: Callable[[], None],
) -> pa.Array:
    marked = []
    for text in texts.to_pylist():
        check()
        marked.append(None if text is None else _mark(text, expr, found))
    return pa.array(marked, _MARKED[expr.type])


_MARKED = {
    "TEXT": pa.string(), "INTEGER[]": pa.list_(pa.int64()),
    "INTEGER[][]": pa.list_(pa.list_(pa.int64())),
}  # fmt: skip


def _on(relation: bound.Relation | None) -> Iterator[bound.Expr]:
    """Yields the conditions of the joins in FROM."""
    if isinstance(relation, bound.Join):
        yield from _on(relation.left)
        yield from _on(relation.right)
        if relation.on is not None:
            yield relation.on


def _marked(expr: bound.Expr, column: bound.Column) -> Iterator[tuple[str, textquery.Node]]:
    """Yields what a condition looks for in a column, as queries of a field each."""
    match expr:
        case bound.Junction():
            for operand in expr.operands:
                yield from _marked(operand, column)
        case bound.TextMatch():
            for name, subject in expr.subjects:
                same = expr.scan == column.scan and name in column.column.words
                if subject == column or same:
                    yield name, expr.node
        case bound.LineMatch() if expr.scan == column.scan:
            if set(expr.sides) & set(column.column.lines):
                yield "text", _needle(expr.pattern, regex=expr.mode == "regex")
        case bound.Apply(sql, (subject, bound.Constant(str() as pattern))) if subject == column:
            if sql == bound.CONTAINS:
                yield "text", _needle(pattern, regex=False)
            elif sql == bound.MATCHES and patterns.is_by_line(pattern):
                yield "text", _needle(pattern, regex=True)
            elif sql in bound.LIKES:
                flags = "(?im)" if "ILIKE" in sql else "(?m)"
                for piece in patterns.like_pieces(pattern):
                    yield "text", _needle(flags + re.escape(piece), regex=True)


def _needle(pattern: str, *, regex: bool) -> textquery.Node:
    if regex:
        return textquery.Regex(("text",), pattern)
    return textquery.Substring(("text",), pattern)


def _mark(
    text: str, expr: bound.Highlight, found: Sequence[tuple[str, textquery.Node]]
) -> str | list[int] | list[list[int]]:
    spans: list[tuple[int, int]] = []
    for start, end in sorted({s for name, q in found for s in textquery.spans(q, name, text)}):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    if expr.type == "INTEGER[]" and expr.length is not None:
        return [*highlight.passage(text, spans, expr.length)]
    if expr.type == "INTEGER[][]":
        return [[start, end] for start, end in spans]
    if expr.length is not None:
        return highlight.snippet(text, spans, expr.length, expr.open, expr.close)
    return highlight.highlight(text, spans, expr.open, expr.close)
