"""What may stand beside GROUP BY and aggregates: what each group has one of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from govc_search.errors import QueryError, Span
from govc_search.ql import bound

__all__ = ["check_grouped"]

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
