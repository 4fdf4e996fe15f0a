"""One page of a query's rows: by key, by pinned keys, or of pinned rows (see `paging`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import pyarrow as pa

from govc_search.ql import ast, bound
from govc_search.ql.cursors import Place
from govc_search.ql.execute import Snapshot, answered, begun, parsed, placed, planned, stream
from govc_search.ql.paging import PINNED, Keyed, keyed
from govc_search.ql.pinned_results import Pinned, PinnedResults, pack
from govc_search.ql.planner import plan as make_plan
from govc_search.ql.result import Result, Stream
from govc_search.ql.run import Params, Run

__all__ = ["page"]

_TOO_LARGE = "the rest is larger than the setting pinned_bytes: its cursor has expired already"


def page(
    gql: str,
    params: Params,
    snapshot: Snapshot,
    started: float,
    timeout: float | None,
    *,
    limit: int,
    place: Place | None,
    pinned: PinnedResults,
) -> tuple[Result, Place | None]:
    """Returns at most `limit` rows from a place on (None: the first), and the place after them.

    Raises as `execute.run` does, and QueryError `cursor_expired`.
    """
    with placed(gql):
        own = begun(snapshot, started, timeout)
        if place is not None:
            own.now = place.now
        held = pinned.get(place.pin) if place is not None and place.key is None else None
        if place is not None and held is not None and held.columns:
            return _of_rows(held, place, limit)
        statement = parsed(gql, snapshot)
        if isinstance(statement, ast.Query):
            plan, warnings = planned(gql, statement, params, own)
            found = keyed(plan.query)
            if found is not None:
                asked = _Asked(gql, own, warnings, found)
                if found.fixed:
                    return asked.by_key(place, limit)
                return asked.by_ids(held, place, limit, pinned)
            rows = answered(plan, own, gql, warnings, whole=False)
        else:
            rows = stream(gql, params, snapshot, started, timeout)
        with rows:
            return _first(rows, Place(own.now), limit, pinned)


@dataclass(frozen=True, slots=True)
class _Asked:
    gql: str
    own: Run
    warnings: tuple[str, ...]
    found: Keyed

    def rows(self, query: bound.BoundQuery, **relations: pa.Table) -> Result:
        snapshot = self.own.snapshot
        plan = make_plan(query, self.own.text, snapshot.as_of)
        own = replace(self.own, relations=dict(relations), functions={})
        return answered(plan, own, self.gql, self.warnings, whole=True).result()

    def by_key(self, place: Place | None, limit: int) -> tuple[Result, Place | None]:
        query = self.found.query
        left, key, offset = query.limit, None, query.offset
        if place is not None:
            left, key, offset = place.left, place.key, 0
        most = limit + 1 if left is None else min(limit + 1, left)
        result = self.rows(self.found.page(key, most, offset))
        shown = len(self.found.select.exprs)
        table = result.to_arrow()
        after = None
        if table.num_rows > limit:
            last = tuple(c[limit - 1].as_py() for c in table.columns[shown:])
            after = Place(self.own.now, None if left is None else left - limit, last)
        return _cut(result, table.slice(0, limit).select(range(shown)), shown), after

    def by_ids(
        self, held: Pinned | None, place: Place | None, limit: int, pinned: PinnedResults
    ) -> tuple[Result, Place | None]:
        after, start, count = None, 0, 0
        if held is None or place is None:
            all_ids = self.rows(self.found.ids()).to_arrow()
            ids, count = all_ids.slice(0, limit), all_ids.num_rows
            if count > limit:
                name = _pin(all_ids.schema, iter(all_ids.to_batches(2048)), pinned)
                after = Place(self.own.now, pin=name, offset=limit)
        else:
            start, count = place.offset, held.count
            ids = held.rows(start, limit)
            if start + limit < count:
                after = replace(place, offset=start + limit)
        result = self.rows(self.found.of_ids(ids), **{PINNED: ids})
        if after is not None and not after.pin:
            result = replace(result, warnings=(*result.warnings, _TOO_LARGE))
        shown = len(self.found.select.exprs)
        return _cut(result, self.found.in_order(result.to_arrow(), ids), shown), after


def _cut(result: Result, table: pa.Table, shown: int) -> Result:
    return replace(result, columns=result.columns[:shown], _table=table)


def _of_rows(held: Pinned, place: Place, limit: int) -> tuple[Result, Place | None]:
    table = held.rows(place.offset, limit)
    end = place.offset + limit
    result = Result(held.columns, held.as_of, 0.0, held.warnings, False, table)
    return result, replace(place, offset=end) if end < held.count else None


def _first(
    rows: Stream, place: Place, limit: int, pinned: PinnedResults
) -> tuple[Result, Place | None]:
    """Returns the first page of a stream, and pins what follows."""
    first: list[pa.RecordBatch] = []
    room = limit
    rest: list[pa.RecordBatch] = []
    for batch in rows:
        first.append(batch.slice(0, room))
        if batch.num_rows > room:
            rest = [batch.slice(room)]
            break
        room -= batch.num_rows
    after = None
    if rest:
        packed = pack(rows.schema, chain(rest, rows), pinned.bytes)
        name = ""
        if packed is not None:
            name = pinned.put(Pinned(*packed, rows.columns, rows.as_of, rows.warnings))
        after = replace(place, pin=name)
    warnings = rows.warnings if after is None or after.pin else (*rows.warnings, _TOO_LARGE)
    table = pa.Table.from_batches(first, rows.schema)
    return (
        Result(rows.columns, rows.as_of, rows.elapsed, warnings, False, table, rows.explain),
        after,
    )


def _pin(schema: pa.Schema, batches: Iterator[pa.RecordBatch], pinned: PinnedResults) -> str:
    """Returns the name of rows that are kept, nothing where they are too large."""
    packed = pack(schema, batches, pinned.bytes)
    return "" if packed is None else pinned.put(Pinned(*packed))
