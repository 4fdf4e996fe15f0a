"""Pages: what is asked for one, and where the next begins.

Rows that their tables' keys tell apart are paged through by key: the order is completed by these
keys, and a page is asked with the condition of coming after the last row. Where the order can
change from one page to the next, as by SCORE, the keys of all rows are pinned in their order, and
a page is asked for by its keys. Of all other queries the rows themselves are pinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from govc_search.ql import bound
from govc_search.ql.relations import relations

__all__ = ["PINNED", "Keyed", "keyed"]

# The relation that holds the keys of a page.
PINNED: Final = "pinned"
_COMPARED: Final = frozenset({"INTEGER", "DOUBLE", "TEXT", "BOOLEAN", "TIMESTAMP", "DATE"})
_MOVING: Final = (bound.Score, bound.Subquery, bound.GraphCall)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A query whose rows have keys: `order` is the user's, and then that of the keys.

    `fixed` says that what it orders by stays what it is while indexing goes on.
    """

    query: bound.BoundQuery
    select: bound.BoundSelect
    order: tuple[bound.OrderKey, ...]
    keys: tuple[bound.Expr, ...]
    fixed: bool

    def page(
        self, key: Sequence[object] | None, limit: int | None, offset: int
    ) -> bound.BoundQuery:
        """Returns the query for rows after the one with `key`, whose key is in further columns."""
        where = self.select.where
        if key is not None:
            where = (*where, _after(self.order, key))
        exprs = tuple(k.expr for k in self.order)
        body = _showing(replace(self.select, where=where), exprs)
        return replace(self.query, body=body, order_by=self.order, limit=limit, offset=offset)

    def ids(self) -> bound.BoundQuery:
        """Returns the query for the keys of all rows in their order."""
        names = tuple(f"k{i}" for i in range(len(self.keys)))
        body = replace(self.select, names=names, exprs=self.keys)
        return replace(self.query, body=body, order_by=self.order)

    def of_ids(self, ids: pa.Table) -> bound.BoundQuery:
        """Returns the query for the rows with some keys, in any order, keys in further columns."""
        columns = range(len(self.keys))
        if len(self.keys) == 1:
            sql = f"({{0}} IN (SELECT k0 FROM {PINNED}))"
        else:
            same = " AND ".join(f"p.k{i} IS NOT DISTINCT FROM {{{i}}}" for i in columns)
            sql = f"(EXISTS (SELECT 1 FROM {PINNED} p WHERE {same}))"
        where = (*self.select.where, bound.Apply(sql, self.keys, "BOOLEAN"))
        body = _showing(replace(self.select, where=where), self.keys)
        return replace(self.query, body=body, order_by=(), limit=None, offset=0)

    def in_order(self, rows: pa.Table, ids: pa.Table) -> pa.Table:
        """Returns the rows that `of_ids` found in the order of the keys, without these."""
        shown = len(self.select.exprs)
        columns = [rows.column(shown + i).to_pylist() for i in range(len(self.keys))]
        places = {key: i for i, key in enumerate(zip(*columns, strict=True))}
        wanted = zip(*(c.to_pylist() for c in ids.columns), strict=True)
        found = [places[key] for key in wanted if key in places]
        return rows.select(range(shown)).take(pa.array(found, pa.int64()))


def keyed(query: bound.BoundQuery) -> Keyed | None:
    """Returns the query by its keys, or None where its rows have none."""
    select = query.body
    if not isinstance(select, bound.BoundSelect) or select.from_ is None:
        return None
    if select.is_grouped or select.distinct or select.distinct_on or select.qualify is not None:
        return None
    asked = (*select.exprs, *(k.expr for k in query.order_by))
    if any(map(bound.has_window, asked)) or any(map(_makes_rows, asked)):
        return None
    keys: list[bound.Expr] = []
    for relation in relations(select.from_):
        if not isinstance(relation, bound.Scan) or not relation.table.order:
            return None
        for name in relation.table.order:
            column = relation.table.column(name)
            assert column is not None
            keys.append(bound.Column(relation, column))
    order = [replace(k, expr=_ordered(k.expr, select)) for k in query.order_by]
    order = [k for k in order if not bound.is_constant(k.expr)]
    named = {k.expr for k in order if isinstance(k.expr, bound.Column)}
    order += [bound.OrderKey(k, False, None) for k in keys if k not in named]
    fixed = all(
        k.expr.type in _COMPARED and not any(isinstance(n, _MOVING) for n in bound.walk(k.expr))
        for k in order
    )
    return Keyed(query, select, tuple(order), tuple(keys), fixed)


def _makes_rows(expr: bound.Expr) -> bool:
    return any(isinstance(n, bound.Apply) and n.sql == bound.UNNEST for n in bound.walk(expr))


def _ordered(expr: bound.Expr, select: bound.BoundSelect) -> bound.Expr:
    """Returns what a key of the order compares."""
    found = select.exprs[expr.index] if isinstance(expr, bound.Output) else expr
    return found.column if isinstance(found, bound.Highlight) else found


def _showing(select: bound.BoundSelect, exprs: tuple[bound.Expr, ...]) -> bound.BoundSelect:
    names = tuple(f"key {i}" for i in range(len(exprs)))
    return replace(select, names=(*select.names, *names), exprs=(*select.exprs, *exprs))


def _after(order: Sequence[bound.OrderKey], values: Sequence[object]) -> bound.Expr:
    """Returns the condition that a row comes after the one with these values."""
    found: bound.Expr | None = None
    for key, value in reversed(list(zip(order, values, strict=True))):
        given = bound.Constant(value, "NULL" if value is None else key.expr.type)
        either = [*_beyond(key, given)]
        if found is not None:
            same = bound.Apply("({0} IS NOT DISTINCT FROM {1})", (key.expr, given), "BOOLEAN")
            either.append(bound.Junction("AND", (same, found)))
        if either:
            found = either[0] if len(either) == 1 else bound.Junction("OR", tuple(either))
    return bound.constant(False) if found is None else found


def _beyond(key: bound.OrderKey, given: bound.Constant) -> list[bound.Expr]:
    """Returns the conditions one of which holds where a key comes after a value."""
    null = bound.Apply("({0} IS NULL)", (key.expr,), "BOOLEAN")
    if given.value is None:
        return [bound.Negation(null)] if key.nulls_first else []
    sign = "<" if key.descending else ">"
    beyond = bound.Apply(f"({{0}} {sign} {{1}})", (key.expr, given), "BOOLEAN")
    return [beyond] if key.nulls_first else [beyond, null]
