"""Rows of commits shown from the text index alone: ranked pages, and the few that a name leaves.

A statement of DuckDB costs several times what the search does; what such a page shows most often
(hash, subject, author, dates, score) is stored beside the index instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from govc_search import textquery
from govc_search.ql import bound
from govc_search.ql.plan import Plan, TextScan, TopK
from govc_search.ql.protocols import Hits, Text

__all__ = ["dressed", "lookup_of", "page", "page_of", "positions_of"]

# Rows of a page that are looked up by their positions.
_PAGE_ROWS = 64

_EPOCH = datetime(1970, 1, 1)
_LOWEST = int((datetime(1, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
_HIGHEST = int(
    (
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    ).total_seconds()
)


def _time(seconds: int | None) -> datetime | None:
    if seconds is None or not _LOWEST <= seconds <= _HIGHEST:
        return None
    return _EPOCH + timedelta(seconds=seconds)


_COLUMNS: dict[str, tuple[pa.DataType, Callable[[Any], object]]] = {
    "position": (pa.uint64(), lambda p: p.position),
    "repo": (pa.string(), lambda p: p.repo),
    "hash": (pa.string(), lambda p: p.hash),
    "short_hash": (pa.string(), lambda p: p.hash[:12]),
    "subject": (pa.string(), lambda p: p.subject),
    "author": (pa.string(), lambda p: p.author),
    "author_email": (pa.string(), lambda p: p.author_email),
    "author_date": (pa.timestamp("us"), lambda p: _time(p.author_time)),
    "committer_date": (pa.timestamp("us"), lambda p: _time(p.committer_time)),
}


def page_of(plan: Plan) -> TopK | None:
    """Returns what to show without the table, or None where a column or order needs it."""
    top = plan.top_k
    if top is None or top.scan.table != "commits" or not _shown(plan):
        return None
    if not top.exact:
        # Filtered by the table first, in whatever order.
        return top if 0 < top.rows <= _PAGE_ROWS else None
    select = plan.query.body
    assert isinstance(select, bound.BoundSelect)
    for key in plan.query.order_by[1:]:
        expr = select.exprs[key.expr.index] if isinstance(key.expr, bound.Output) else key.expr
        if not isinstance(expr, bound.Column) or expr.column.name != "position":
            return None
    return top if len(plan.query.order_by) <= 2 else None


def positions_of(plan: Plan) -> bound.BoundQuery:
    """Returns the query of a page that asks the table for positions and scores alone."""
    query, select = plan.query, plan.query.body
    assert isinstance(select, bound.BoundSelect)
    assert isinstance(select.from_, bound.Scan)
    position = select.from_.table.column("position")
    assert position is not None
    asked = replace(
        select,
        names=("position", "score"),
        exprs=(bound.Column(select.from_, position), bound.Score(select.from_)),
    )
    order = tuple(replace(key, expr=_key(plan, key)) for key in query.order_by)
    return replace(query, body=asked, order_by=order)


def dressed(plan: Plan, text: Text, found: pa.Table, as_of: int) -> pa.Table:
    """Returns the page of a plan whose positions and scores the table has `found`, in order."""
    positions, scores = found.column(0).to_numpy(), found.column(1).to_pylist()
    hits = text.search(
        "commits", textquery.And(()), limit=len(positions), as_of=as_of, scored=True,
        positions=positions,
    )  # fmt: skip
    addresses = dict(zip(hits.ids.tolist(), hits.addresses, strict=True))
    ids = positions.tolist()
    return _table(plan, text.pages(ids, [addresses[i] for i in ids]), scores)


def lookup_of(plan: Plan, found: TextScan) -> TopK | None:
    """Returns what to show of all that a search finds, or None where the table is needed."""
    order = plan.query.order_by
    if any(isinstance(n, bound.Score) for n in bound.walk(plan.query)):
        return None
    if not _shown(plan) or not all(_is_shown(_key(plan, key), ordered=True) for key in order):
        return None
    # All that can be found, in the order of their scores, which are equal or not asked for.
    scan = replace(found, scored=True, limit=max(1, found.estimate))
    return TopK(scan, scan.estimate, exact=True)


def _shown(plan: Plan) -> bool:
    select = plan.query.body
    return isinstance(select, bound.BoundSelect) and all(map(_is_shown, select.exprs))


def _is_shown(expr: bound.Expr, *, ordered: bool = False) -> bool:
    shown = expr.column if isinstance(expr, bound.Highlight) and not ordered else expr
    if isinstance(shown, bound.Score):
        return not ordered
    return isinstance(shown, bound.Column) and shown.column.name in _COLUMNS


def _key(plan: Plan, key: bound.OrderKey) -> bound.Expr:
    select = plan.query.body
    assert isinstance(select, bound.BoundSelect)
    return select.exprs[key.expr.index] if isinstance(key.expr, bound.Output) else key.expr


def page(plan: Plan, text: Text, hits: Hits) -> pa.Table:
    """Returns the rows of a plan with a page, from its hits in the order of their score."""
    query = plan.query
    assert hits.scores is not None
    order = list(zip(hits.ids.tolist(), hits.scores.tolist(), hits.addresses, strict=True))
    end = None if query.limit is None else query.offset + query.limit
    if plan.top_k is None:
        order.sort(key=lambda hit: hit[0])
        rows = list(text.pages([i for i, _, _ in order], [a for _, _, a in order]))
        for key in reversed(query.order_by):
            column = _key(plan, key)
            assert isinstance(column, bound.Column)
            rows = _sorted(rows, _COLUMNS[column.column.name][1], key)
        rows = rows[query.offset : end]
    else:
        if len(query.order_by) > 1:
            sign = -1 if query.order_by[1].descending else 1
            order.sort(key=lambda hit: (-hit[1], sign * hit[0]))
        order = order[query.offset : end]
        rows = list(text.pages([i for i, _, _ in order], [a for _, _, a in order]))
    return _table(plan, rows, [score for _, score, _ in order])


def _table(plan: Plan, rows: Sequence[Any], scores: Sequence[float]) -> pa.Table:
    select = plan.query.body
    assert isinstance(select, bound.BoundSelect)
    arrays = []
    for expr in select.exprs:
        if isinstance(expr, bound.Score):
            arrays.append(pa.array(scores, pa.float64()))
            continue
        column = expr.column if isinstance(expr, bound.Highlight) else expr
        assert isinstance(column, bound.Column)
        kind, value = _COLUMNS[column.column.name]
        arrays.append(pa.array([value(r) for r in rows], kind))
    return pa.Table.from_arrays(arrays, names=list(plan.query.names))


def _sorted(rows: list[Any], value: Callable[[Any], Any], key: bound.OrderKey) -> list[Any]:
    """Returns rows by one key of the order; those that are equal in it stay as they stand."""
    nothing = [r for r in rows if value(r) is None]
    rest = sorted((r for r in rows if value(r) is not None), key=value, reverse=key.descending)
    return [*nothing, *rest] if key.nulls_first else [*rest, *nothing]
