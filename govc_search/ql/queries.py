"""What a text predicate asks of the text index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from govc_search import textquery
from govc_search.ql import bound

__all__ = ["index_query", "positive"]


def _with_fields(node: textquery.Node, fields: tuple[str, ...]) -> textquery.Node:
    """Returns the query with what it asks of the text of a line asked of other fields."""
    match node:
        case textquery.And() | textquery.Or() | textquery.AtLeast():
            return replace(node, children=tuple(_with_fields(c, fields) for c in node.children))
        case textquery.Not() | textquery.Boost():
            return replace(node, child=_with_fields(node.child, fields))
        case _:
            return replace(node, fields=fields) if node.fields == ("text",) else node


def index_query(match: bound.TextMatch) -> tuple[textquery.Node | None, bool]:
    """Returns what to ask the index for a predicate, and whether that is the same question.

    Where a field of the index holds more than the row's own text (all hunks of a change, the
    e-mail beside the name), only what has to be there narrows, not what must be absent.
    """
    assert match.scan is not None
    query = match.node
    column = match.subjects[0][1]
    if isinstance(column, bound.Column) and column.column.lines:
        query = _with_fields(query, column.column.lines)
    if match.scan.table.name == match.scan.table.index and _holds_whole_fields(match):
        return query, True
    return _without_exclusions(query), False


def _without_exclusions(node: textquery.Node) -> textquery.Node | None:
    """Returns a query for a superset that excludes nothing, or None where that is everything."""
    match node:
        case textquery.Not():
            return None
        case textquery.Boost():
            child = _without_exclusions(node.child)
            return None if child is None else replace(node, child=child)
        case textquery.And():
            kept = tuple(c for n in node.children if (c := _without_exclusions(n)) is not None)
            return replace(node, children=kept) if len(kept) > 1 else kept[0] if kept else None
        case textquery.Or() | textquery.AtLeast():
            parts = tuple(c for n in node.children if (c := _without_exclusions(n)) is not None)
            return replace(node, children=parts) if len(parts) == len(node.children) else None
    return node


def _holds_whole_fields(match: bound.TextMatch) -> bool:
    """Returns whether the predicate's columns are all that its index fields hold."""
    assert match.scan is not None
    texts = match.scan.table.texts
    return all(
        isinstance(column, bound.Column)
        and f in texts
        and column.column.expression == texts[f].expression
        for f, column in match.subjects
    )


def positive(expr: bound.Expr) -> Iterator[bound.Expr]:
    """Yields what stands in an expression but under no NOT: what may make a row match."""
    match expr:
        case bound.Junction():
            for operand in expr.operands:
                yield from positive(operand)
        case bound.Negation():
            return
        case _:
            yield expr
