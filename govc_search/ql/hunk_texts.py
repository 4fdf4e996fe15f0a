"""Hunks of few changes, whose lines are read from beside the text index.

The table keeps lines by thousands in one block, so those of a few hundred scattered changes cost
as much as those of all. Its other columns are quick to read, and say which lines are whose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Final

import numpy as np
import pyarrow as pa

from govc_search import catalog
from govc_search.ql import bound
from govc_search.ql.plan import Access, Exactness, HunkTexts, Plan, TextScan
from govc_search.ql.protocols import Text
from govc_search.ql.run import Run

__all__ = ["MOST_BYTES", "hunk_texts", "read_texts"]

# Bytes of lines that are held at once. What has more is read from the table, block by block: common
# words stand in the largest changes, and there it is quicker too (measured on git.git: 24 MB in
# 96,000 hunks take 110 ms, out of the table 190; 500,000 hunks take 240).
MOST_BYTES: Final = 32 << 20
# Beyond this share of all changes the table is quicker (measured on git.git: a change costs 10 us
# beside 10 ms for the other columns, the table 80 ms for few and 150 for 16,000 of 136,000).
_SHARE: Final = 0.1
_CANDIDATES_ALWAYS: Final = 200
# The columns of the relation beside lines and heading, as the table has them.
_COLUMNS: Final = {
    "change_id": pa.uint64(),
    **dict.fromkeys(("hunk", "old_start", "old_lines", "new_start", "new_lines"), pa.uint32()),
}


def hunk_texts(
    plan: Plan, select: bound.BoundSelect, text: Text, name: Callable[[str], str]
) -> dict[bound.Scan, HunkTexts]:
    """Returns the tables of a SELECT whose lines are read from beside the index.

    They are those of which conjuncts leave few changes, by searches that are done anyway.
    """
    made = {}
    for scan in bound.scans(select.from_):
        if scan.table.name not in ("hunks", "lines") or not _reads_lines(plan, scan):
            continue
        hits = _hits(plan, select, scan)
        limit = max(_CANDIDATES_ALWAYS, int(text.documents("changes") * _SHARE))
        if hits and min(h.estimate for h in hits) <= limit:
            heading = any(
                isinstance(n, bound.Column) and n.scan == scan and n.column.name == "heading"
                for n in bound.walk(plan.query)
            )
            made[scan] = HunkTexts(name("h"), hits, heading)
    return made


def _reads_lines(plan: Plan, scan: bound.Scan) -> bool:
    return any(
        (isinstance(n, bound.Column) and n.scan == scan and bool(n.column.lines))
        or (isinstance(n, bound.LineMatch) and n.scan == scan)
        for n in bound.walk(plan.query)
    )


def _hits(plan: Plan, select: bound.BoundSelect, scan: bound.Scan) -> tuple[TextScan, ...]:
    """Returns the searches that find all changes of which the SELECT can show anything."""
    asked = [
        *(c for c in select.where if isinstance(c, bound.TextMatch | bound.LineMatch)),
        *plan.line_filters.get(scan, ()),
    ]
    served = [plan.accesses[c] for c in asked if c.scan == scan]
    if scan in plan.narrowed:
        served.append(plan.narrowed[scan])
    return tuple(dict.fromkeys(a.scan for a in served if isinstance(a.scan, TextScan)))


def read_texts(
    texts: HunkTexts, text: Text, own: Run, read: Callable[[Plan, Run], pa.Table]
) -> pa.Table | None:
    """Returns the relation, or None where it would hold too many bytes.

    `read` runs the statement that asks the table for the other columns.
    """
    each = [own.relations[hits.name].column("id").to_numpy() for hits in texts.hits]
    ids = reduce(np.intersect1d, each[1:], np.sort(each[0]))
    if text.line_bytes(ids) > MOST_BYTES:
        return None
    found = replace(texts.hits[0], name=texts.name, scored=False, brings=())
    known = {texts.name: pa.table({"id": pa.array(ids, pa.uint64())})}
    rows = read(_plan(found, heading=texts.heading), replace(own, relations=known))
    columns = {n: c.cast(t) for (n, t), c in zip(_COLUMNS.items(), rows.columns, strict=False)}
    if texts.heading:
        columns["heading"] = rows.column(len(_COLUMNS))
    old, new = (columns[n].to_numpy().astype(np.int64) for n in ("old_lines", "new_lines"))
    changes = columns["change_id"].to_numpy()
    columns["removed"], columns["added"] = text.hunk_texts(changes, old, new, own.deadline.check)
    return pa.table(columns)


def _plan(found: TextScan, *, heading: bool) -> Plan:
    hunks = catalog.table("hunks")
    assert hunks is not None
    scan = bound.Scan(0, "hunks", hunks)
    names = (*_COLUMNS, "heading") if heading else tuple(_COLUMNS)
    columns = tuple(bound.Column(scan, c) for n in names if (c := hunks.column(n)))
    select = bound.BoundSelect(names, columns, scan, (), (), None, None, distinct=False)
    order = tuple(bound.OrderKey(bound.Output(i, "INTEGER"), False, None) for i in (0, 1))
    query = bound.BoundQuery(select, (), order, None, 0)
    return Plan(query, narrowed={scan: Access(Exactness.INEXACT, found)})
