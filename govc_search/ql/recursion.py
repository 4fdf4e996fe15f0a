"""Binding of recursive common table expressions: what they begin with, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound

if TYPE_CHECKING:
    from govc_search.ql.binder import Binder, Scope

__all__ = ["bind", "refers"]

_SHAPE = "write: first rows UNION [ALL] rows made from those before"


def refers(node: object, name: str) -> bool:
    """Returns whether a query reads a table of that name, which it does not define itself."""
    return next(_references(node, name.lower()), None) is not None


def _references(node: object, name: str) -> Iterator[ast.TableName]:
    if isinstance(node, tuple):
        for item in node:
            yield from _references(item, name)
        return
    if isinstance(node, ast.TableName):
        if node.name.lower() == name:
            yield node
        return
    if not is_dataclass(node) or isinstance(node, type | Span):
        return
    if isinstance(node, ast.Query) and any(c.name.lower() == name for c in node.ctes):
        return
    for f in fields(node):
        yield from _references(getattr(node, f.name), name)


def bind(binder: Binder, cte: ast.Cte, number: int, parent: Scope | None) -> bound.Cte:
    """Returns a bound recursive common table expression.

    The types of its columns are those of its first rows. Raises invalid_recursion where the rows
    that follow could not be told from those before alone.
    """
    query, body = cte.query, cte.query.body
    [first, *_] = _references(query, cte.name.lower())
    if not isinstance(body, ast.SetOperation) or body.op != "UNION":
        raise _refused(binder, f'"{cte.name}" reads itself, and is no UNION', first.span, _SHAPE)
    for found in _references(body.left, cte.name.lower()):
        raise _refused(binder, f'"{cte.name}" reads itself in its first rows', found.span, _SHAPE)
    if query.order_by or query.order_all or query.limit or query.offset or query.ctes:
        raise _refused(
            binder, "a recursive table takes no WITH, ORDER BY, LIMIT or OFFSET of its own",
            first.span, "say it where the table is read",
        )  # fmt: skip
    left = binder.body(body.left, parent)
    binder.name_cte(cte, number, left.names, left.types)
    right = binder.body(body.right, parent)
    if len(left.names) != len(right.names):
        raise binder.error(
            "column_count",
            f"UNION of {len(left.names)} and {len(right.names)} columns",
            body.span,
            "both sides need the same number",
        )
    called = cte.columns + left.names[len(cte.columns) :]
    for name, begun, followed in zip(called, left.types, right.types, strict=True):
        pair = [bound.DerivedColumn(0, 0, kind) for kind in (begun, followed)]
        binder.expressions.same([*pair], body.span, "{} and {} cannot be one column")
        if begun != "NULL" and bound.joint_type((begun, followed)) != begun:
            raise binder.error(
                "type_mismatch", f'"{name}" begins as {begun} and goes on as {followed}', body.span,
                f"cast it in the first rows: ...::{followed}",
            )  # fmt: skip
    _check(binder, cte, right, number, first.span)
    types = tuple(map(bound.joint_type, zip(left.types, right.types, strict=True)))
    op = "UNION ALL" if body.all else "UNION"
    union = bound.BoundSet(op, _typed(binder, left, types), right, left.names, types)
    return bound.Cte(number, bound.BoundQuery(union, (), (), None, 0), recursive=True)


def _refused(binder: Binder, message: str, span: Span, hint: str | None = None) -> QueryError:
    return binder.error("invalid_recursion", message, span, hint)


# DuckDB gives all rows the types of the first ones: they have to be those of GQL.
_WIDE = {"INTEGER": "BIGINT", "DOUBLE": "DOUBLE", "TEXT": "VARCHAR", "TIMESTAMP": "TIMESTAMP"}


def _typed(binder: Binder, left: bound.Body, types: tuple[str, ...]) -> bound.Body:
    query = bound.BoundQuery(left, (), (), None, 0)
    derived = bound.Derived(binder.next_id(), "", query, None, left.names, left.types)
    exprs: list[bound.Expr] = []
    for i, kind in enumerate(types):
        column = bound.DerivedColumn(derived.id, i, kind)
        base = kind.removesuffix("[]")
        target = _WIDE.get(base, base if base in ("BOOLEAN", "DATE", "INTERVAL") else None)
        lists = kind[len(base) :]
        exprs.append(
            bound.Apply(f"CAST({{0}} AS {target}{lists})", (column,), kind) if target else column
        )
    return bound.BoundSelect(left.names, tuple(exprs), derived, (), (), None, None, False)


def _check(binder: Binder, cte: ast.Cte, body: bound.Body, number: int, span: Span) -> None:
    """Raises invalid_recursion where rows would be asked for that are not made yet."""
    uses = [n for n in bound.walk(body) if _is_use(n, number)]
    if len(uses) > 1:
        raise _refused(binder, f'"{cte.name}" reads itself more than once', span, "join it once")
    for node in bound.walk(body):
        match node:
            case bound.BoundSet() if not node.op.startswith("UNION") and _reads(node, number):
                raise _refused(
                    binder, f"{node.op} cannot be asked of rows that are not all there", span
                )
            case bound.BoundSelect() if node.is_grouped and _reads(node.from_, number):
                raise _refused(
                    binder, f'an aggregate over "{cte.name}" needs all of its rows', span,
                    "aggregate where the table is read",
                )  # fmt: skip
            case bound.Subquery() if _reads(node.query, number):
                raise _refused(
                    binder, f'"{cte.name}" reads itself in a sub-query', span, "join it instead"
                )
            case bound.Join():
                missing = {"left": (node.right,), "right": (node.left,), "full": (node.left, node.right),
                           "anti": (node.right,), "semi": ()}  # fmt: skip
                if any(_reads(side, number) for side in missing.get(node.kind, ())):
                    raise _refused(
                        binder, f'"{cte.name}" cannot be the side of a join that may be missing', span
                    )  # fmt: skip


def _is_use(node: object, number: int) -> bool:
    return isinstance(node, bound.Derived) and node.query is None and node.cte == number


def _reads(node: object, number: int) -> bool:
    return any(_is_use(n, number) for n in bound.walk(node))
