"""What may stand beside GROUP BY and aggregates: what each group has one of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound

__all__ = ["check_grouped", "grouping_sets"]


_Columns = bound.Column | bound.DerivedColumn | bound.Score
_Predicates = bound.LineMatch | bound.TouchMatch | bound.RevisionMatch


def check_grouped(
    expr: bound.Expr,
    group: Sequence[bound.Expr],
    relations: Sequence[bound.Scan | bound.Derived],
    span: Span,
    error: Callable[..., QueryError],
) -> None:
    """Raises not_grouped where an expression needs single rows of `relations`, those of FROM."""
    own = {r.id: r for r in relations}

    def check(expr: bound.Expr) -> None:
        if _is_grouping(expr):
            _check_keys(expr, group, span, error)
        if expr in group or isinstance(expr, bound.Aggregate | bound.Constant | bound.Output):
            return
        if isinstance(expr, _Columns):
            name = _name(expr, own)
            if name is not None:
                raise error(
                    "not_grouped",
                    f'"{name}" is neither grouped nor aggregated',
                    span,
                    f"add it to GROUP BY, or use any_value({name})",
                )
        elif isinstance(expr, _Predicates):
            if expr.scan.id in own:
                raise error("not_grouped", f"{expr.text} is neither grouped nor aggregated", span)
        elif isinstance(expr, bound.WindowCall):
            # It looks at the groups: what it aggregates is one of each group as well.
            for child in (*bound.operands(expr.function), *bound.operands(expr)):
                if child is not expr.function:
                    check(child)
        else:
            for child in bound.operands(expr):
                check(child)
        if isinstance(expr, bound.Subquery):
            for node in bound.walk(expr.query):
                if isinstance(node, _Columns | _Predicates):
                    check(node)

    check(expr)


def _name(column: _Columns, own: dict[int, bound.Scan | bound.Derived]) -> str | None:
    """Returns what a column of these relations is called, or None for one of others."""
    if isinstance(column, bound.DerivedColumn):
        relation = own.get(column.relation)
        return relation.names[column.index] if isinstance(relation, bound.Derived) else None
    if column.scan.id not in own:
        return None
    return column.column.name if isinstance(column, bound.Column) else "score()"


def _is_grouping(node: object) -> TypeGuard[bound.Aggregate]:
    """Returns whether a node asks which keys its grouping set leaves out."""
    return isinstance(node, bound.Aggregate) and node.sql.startswith("grouping(")


def _check_keys(
    grouping: bound.Aggregate,
    group: Sequence[bound.Expr],
    span: Span,
    error: Callable[..., QueryError],
) -> None:
    if not set(grouping.args) <= set(group):
        raise error(
            "not_grouped",
            "grouping takes what stands in GROUP BY",
            span,
            "write its arguments as they stand there",
        )


def grouping_sets(
    items: Sequence[ast.GroupItem],
    key: Callable[[ast.Expr], bound.Expr],
    limit: int,
    error: Callable[..., QueryError],
) -> tuple[tuple[bound.Expr, ...], tuple[tuple[int, ...], ...]]:
    """Returns the keys of GROUP BY, and its grouping sets as places among them.

    There are none where rows are grouped in one way by what was written: `key` binds each.
    """
    keys: list[bound.Expr] = []
    plain = not any(isinstance(i, ast.GroupingSets) or i == () for i in items)

    def place(expr: ast.Expr) -> int:
        bound_key = key(expr)
        if not plain and bound.is_constant(bound_key):
            raise error(
                "invalid_argument", "a constant makes no groups", expr.span, "leave it out, or write ()"
            )  # fmt: skip
        if bound_key not in keys:
            keys.append(bound_key)
        return keys.index(bound_key)

    def sets(item: ast.GroupItem) -> list[tuple[int, ...]]:
        if isinstance(item, tuple):
            return [tuple(map(place, item))]
        if not isinstance(item, ast.GroupingSets):
            return [(place(item),)]
        parts = [sets(i) for i in item.items]
        if item.kind == "sets":
            return [one for part in parts for one in part]
        units = [part[0] for part in parts]
        if item.kind == "rollup":
            chosen: Iterable[Iterable[tuple[int, ...]]] = (
                units[:n] for n in range(len(units), -1, -1)
            )
        else:
            check(1 << len(units), item.span)
            chosen = (
                c for n in range(len(units), -1, -1) for c in itertools.combinations(units, n)
            )
        return [tuple(itertools.chain.from_iterable(c)) for c in chosen]

    def check(count: int, span: Span) -> None:
        if count > limit:
            raise error(
                "too_many_leaves", f"GROUP BY makes more than {limit} grouping sets", span,
                "the setting query_leaves is the limit",
            )  # fmt: skip

    product: list[tuple[int, ...]] = [()]
    for item in items:
        more = sets(item)
        check(len(product) * len(more), item.span if isinstance(item, ast.Node) else Span(0, 0))
        product = [a + b for a in product for b in more]
    return tuple(keys), () if plain else tuple(tuple(dict.fromkeys(p)) for p in product)
