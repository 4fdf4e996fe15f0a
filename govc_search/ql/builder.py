"""Lark's parse tree to our syntax tree: statements, queries and what stands in FROM.

A method for each rule or alias of the grammar; those of expressions are inherited.
"""

from __future__ import annotations

from typing import Any

import lark
from lark.tree import Meta

from govc_search.errors import QueryError, Span
from govc_search.ql import ast
from govc_search.ql.expression_builder import (
    CHAIN,
    Clause,
    ExpressionBuilder,
    clause,
    nodes_of,
    span_of,
    words_of,
)

__all__ = ["build"]

# What makes a list, and so a table of one column.
_OF_LISTS = frozenset({"unnest", "generate_series", "range"})


def build(tree: lark.Tree[lark.Token], text: str) -> ast.Statement:
    """Returns the syntax tree of a parse tree of `text`; raises QueryError."""
    try:
        statement = _Builder(text).transform(tree)
    except lark.exceptions.VisitError as e:
        if isinstance(e.orig_exc, QueryError):
            raise e.orig_exc from None
        raise
    assert isinstance(statement, ast.Statement)
    return statement


@lark.v_args(meta=True)
class _Builder(ExpressionBuilder):
    """Builds the tree bottom-up."""

    # Statements

    def start(self, meta: Meta, c: list[Any]) -> Any:
        return nodes_of(c)[0]

    def explain(self, meta: Meta, c: list[Any]) -> ast.Explain:
        return ast.Explain(nodes_of(c)[0], "ANALYZE" in words_of(c), span=span_of(meta))

    def show(self, meta: Meta, c: list[Any]) -> ast.Show:
        what = str(c[-1]).lower()
        if what not in ("tables", "functions"):
            raise QueryError(
                "syntax_error",
                f"cannot show {what!r}",
                hint="expected TABLES or FUNCTIONS",
                span=Span(c[-1].start_pos, c[-1].end_pos),
                source=self.text,
            )
        return ast.Show(what, span=span_of(meta))

    def describe(self, meta: Meta, c: list[Any]) -> ast.Describe:
        name = nodes_of(c)[0]
        return ast.Describe(name.value, span=name.span)

    # Queries

    def query(self, meta: Meta, c: list[Any]) -> ast.Query:
        parts: dict[str, Any] = {}
        body: Any = None
        for child in nodes_of(c):
            if isinstance(child, Clause):
                if child[0] in parts:
                    raise QueryError(
                        "syntax_error",
                        f"{child[0].upper()} twice",
                        span=span_of(meta),
                        source=self.text,
                    )
                parts[child[0]] = child[1]
            else:
                body = child
        recursive, ctes = parts.get("with", (False, ()))
        order = parts.get("order", [])
        return ast.Query(
            body,
            ctes=tuple(ctes),
            recursive=recursive,
            order_by=tuple(order),
            order_all=parts["order_all"][0] if "order_all" in parts else None,
            limit=parts["limit"][0] if "limit" in parts else None,
            offset=parts["offset"][0] if "offset" in parts else None,
            span=span_of(meta),
        )

    def with_(self, meta: Meta, c: list[Any]) -> Clause:
        return Clause(("with", ("RECURSIVE" in words_of(c), nodes_of(c))))

    def cte(self, meta: Meta, c: list[Any]) -> ast.Cte:
        name, *rest = nodes_of(c)
        columns = tuple(rest[0]) if len(rest) == 2 else ()
        return ast.Cte(name.value, columns, rest[-1], span=name.span)

    def _set(self, op: str, meta: Meta, c: list[Any]) -> ast.SetOperation:
        left, right = nodes_of(c)
        return ast.SetOperation(op, "ALL" in words_of(c), left, right, span=span_of(meta))

    def union(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("UNION", meta, c)

    def except_(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("EXCEPT", meta, c)

    def intersect(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("INTERSECT", meta, c)

    def values(self, meta: Meta, c: list[Any]) -> ast.Values:
        return ast.Values(tuple(nodes_of(c)), span=span_of(meta))

    def row(self, meta: Meta, c: list[Any]) -> tuple[ast.Expr, ...]:
        return tuple(nodes_of(c))

    def select(self, meta: Meta, c: list[Any]) -> ast.Select:
        items = tuple(x for x in c if isinstance(x, ast.SelectItem))
        parts = {x[0]: x[1] for x in c if isinstance(x, Clause)}

        def one(name: str) -> Any:
            return parts[name][0] if name in parts else None

        return ast.Select(
            items,
            one("from"),
            one("where"),
            tuple(parts.get("group", ())),
            "group_all" in parts,
            one("having"),
            one("qualify"),
            "distinct" in parts or "distinct_on" in parts,
            tuple(parts.get("distinct_on", ())),
            tuple(parts.get("windows", ())),
            span=span_of(meta),
        )

    distinct = clause("distinct")
    distinct_on = clause("distinct_on")
    not_distinct = clause("all")
    where = clause("where")
    group_by = clause("group")
    group_all = clause("group_all")
    having = clause("having")
    windows = clause("windows")
    qualify = clause("qualify")
    order_by = clause("order")
    limit = clause("limit")
    offset = clause("offset")

    def _sets(self, kind: str, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return ast.GroupingSets(kind, tuple(nodes_of(c)), span=span_of(meta))

    def rollup(self, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return self._sets("rollup", meta, c)

    def cube(self, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return self._sets("cube", meta, c)

    def grouping_sets(self, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return self._sets("sets", meta, c)

    def keys(self, meta: Meta, c: list[Any]) -> tuple[ast.Expr, ...]:
        return tuple(c)

    def named_window(self, meta: Meta, c: list[Any]) -> tuple[str, ast.Window]:
        name, window = nodes_of(c)
        return (name.value, window)

    def order_all(self, meta: Meta, c: list[Any]) -> Clause:
        item = self.order_item(meta, [ast.Star(None, span=span_of(meta)), *nodes_of(c)])
        return Clause(("order_all", [item]))

    def select_item(self, meta: Meta, c: list[Any]) -> ast.SelectItem:
        expr, *alias = nodes_of(c)
        return ast.SelectItem(expr, alias[0].value if alias else None, span=span_of(meta))

    def star(self, meta: Meta, c: list[Any]) -> ast.Star:
        nodes = nodes_of(c)
        return ast.Star(None, tuple(nodes[0]) if nodes else (), span=span_of(meta))

    def table_star(self, meta: Meta, c: list[Any]) -> ast.Star:
        nodes = nodes_of(c)
        return ast.Star(
            nodes[0].value, tuple(nodes[1]) if len(nodes) > 1 else (), span=span_of(meta)
        )

    def exclude(self, meta: Meta, c: list[Any]) -> tuple[str, ...]:
        return tuple(nodes_of(c)[0])

    def from_(self, meta: Meta, c: list[Any]) -> Clause:
        items = nodes_of(c)
        if len(items) > CHAIN:
            raise self._chain("tables", meta)
        result = items[0]
        for item in items[1:]:
            result = ast.Join("cross", result, item, None, (), span=item.span)
        return Clause(("from", [result]))

    def from_parens(self, meta: Meta, c: list[Any]) -> Any:
        return nodes_of(c)[0]

    def join_on(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, kind, right, on = nodes_of(c)
        return ast.Join(kind, left, right, on, (), span=span_of(meta))

    def join_using(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, kind, right, using = nodes_of(c)
        return ast.Join(kind, left, right, None, tuple(using), span=span_of(meta))

    def join_cross(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, right = nodes_of(c)
        return ast.Join("cross", left, right, None, (), span=span_of(meta))

    def inner(self, meta: Meta, c: list[Any]) -> str:
        return "inner"

    def left(self, meta: Meta, c: list[Any]) -> str:
        return "left"

    def right(self, meta: Meta, c: list[Any]) -> str:
        return "right"

    def full(self, meta: Meta, c: list[Any]) -> str:
        return "full"

    def semi(self, meta: Meta, c: list[Any]) -> str:
        return "semi"

    def anti(self, meta: Meta, c: list[Any]) -> str:
        return "anti"

    def table_name(self, meta: Meta, c: list[Any]) -> ast.TableName:
        name, *alias = nodes_of(c)
        return ast.TableName(name.value, alias[0].value if alias else None, span=name.span)

    table_arguments = clause("arguments")

    def table_function(self, meta: Meta, c: list[Any]) -> ast.TableFunction | ast.DerivedTable:
        name, arguments, *rest = nodes_of(c)
        alias = rest[0].value if rest else None
        if name.value.lower() in _OF_LISTS:
            return self._of_list(name, tuple(arguments[1]), alias, *rest[1:], span=span_of(meta))
        if "LATERAL" in words_of(c) or len(rest) > 1:
            raise QueryError(
                "syntax_error", f"{name.value} takes neither LATERAL nor names of columns",
                span=span_of(meta), source=self.text,
            )  # fmt: skip
        return ast.TableFunction(name.value, tuple(arguments[1]), alias, span=span_of(meta))

    def _of_list(
        self,
        name: ast.Literal,
        args: tuple[ast.Expr, ...],
        alias: str | None,
        columns: tuple[str, ...] = (),
        *,
        span: Span,
    ) -> ast.DerivedTable:
        """Returns the rows of a list: LATERAL (SELECT unnest(...) AS alias)."""
        rows = ast.Call(str(name.value), args, span=span)
        if rows.name.lower() != "unnest":
            rows = ast.Call("unnest", (rows,), span=span)
        called = alias or str(name.value)
        item = ast.SelectItem(rows, called, span=span)
        select = ast.Select((item,), None, None, (), False, None, None, False, span=span)
        return ast.DerivedTable(
            ast.Query(select, span=span), called, columns, lateral=True, span=span
        )

    def derived_table(self, meta: Meta, c: list[Any]) -> ast.DerivedTable:
        query, *rest = nodes_of(c)
        return ast.DerivedTable(
            query,
            rest[0].value if rest else None,
            tuple(rest[1]) if len(rest) > 1 else (),
            "LATERAL" in words_of(c),
            span=span_of(meta),
        )

    def order_item(self, meta: Meta, c: list[Any]) -> ast.OrderItem:
        expr, *rest = c
        nulls = [r for r in rest if r in ("nulls_first", "nulls_last")]
        return ast.OrderItem(
            expr,
            "descending" in rest,
            (nulls[0] == "nulls_first") if nulls else None,
            span=span_of(meta),
        )

    def ascending(self, meta: Meta, c: list[Any]) -> str:
        return "ascending"

    def descending(self, meta: Meta, c: list[Any]) -> str:
        return "descending"

    def nulls_first(self, meta: Meta, c: list[Any]) -> str:
        return "nulls_first"

    def nulls_last(self, meta: Meta, c: list[Any]) -> str:
        return "nulls_last"
