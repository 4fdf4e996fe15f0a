"""The first rows of a ranked search, shown from the text index alone.

A statement of DuckDB costs several times what the search does; what such a page shows most often
(hash, subject, author, dates, score) is stored beside the index instead.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from govc_search.ql import bound
from govc_search.ql.plan import Plan, TopK
from govc_search.ql.protocols import Hits, Text

__all__ = ["page", "page_of"]

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
    top, select = plan.top_k, plan.query.body
    if top is None or top.scan.table != "commits" or not isinstance(select, bound.BoundSelect):
        return None
    for expr in select.exprs:
        shown = expr.column if isinstance(expr, bound.Highlight) else expr
        if not isinstance(shown, bound.Score) and not (
            isinstance(shown, bound.Column) and shown.column.name in _COLUMNS
        ):
            return None
    for key in plan.query.order_by[1:]:
        expr = select.exprs[key.expr.index] if isinstance(key.expr, bound.Output) else key.expr
        if not isinstance(expr, bound.Column) or expr.column.name != "position":
            return None
    return top if len(plan.query.order_by) <= 2 else None


def page(plan: Plan, text: Text, hits: Hits) -> pa.Table:
    """Returns the rows of a plan with a page, from its hits in the order of their score."""
    query, select = plan.query, plan.query.body
    assert isinstance(select, bound.BoundSelect)
    assert hits.scores is not None
    order = list(zip(hits.ids.tolist(), hits.scores.tolist(), hits.addresses, strict=True))
    if len(query.order_by) > 1:
        sign = -1 if query.order_by[1].descending else 1
        order.sort(key=lambda hit: (-hit[1], sign * hit[0]))
    end = None if query.limit is None else query.offset + query.limit
    order = order[query.offset : end]
    rows = text.pages([i for i, _, _ in order], [a for _, _, a in order])
    arrays = []
    for expr in select.exprs:
        if isinstance(expr, bound.Score):
            arrays.append(pa.array([s for _, s, _ in order], pa.float64()))
            continue
        column = expr.column if isinstance(expr, bound.Highlight) else expr
        assert isinstance(column, bound.Column)
        kind, value = _COLUMNS[column.column.name]
        arrays.append(pa.array([value(r) for r in rows], kind))
    return pa.Table.from_arrays(arrays, names=list(query.names))
