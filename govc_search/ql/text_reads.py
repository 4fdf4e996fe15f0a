"""What a query asks of the text index before its statement runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa

from govc_search.ql.plan import Plan, TextScan
from govc_search.ql.protocols import Hits, Text

__all__ = ["corrected", "hits_of", "search"]

_SHOWN_WORDS: Final = 3


def hits_of(scan: TextScan, plan: Plan, text: Text, as_of: int, check: Callable[[], None]) -> Hits:
    """Returns the hits of a search, with a limit at least as many as can be among the first.

    `check` raises when time is up: one search cannot be stopped.
    """
    check()
    if scan.limit is None:
        return text.search(scan.table, scan.node, limit=None, as_of=as_of, scored=scan.scored)
    # Rows that tie with the last one may come first by the other keys of the order.
    limit = scan.limit
    while True:
        check()
        hits = text.search(scan.table, scan.node, limit=limit + 1, as_of=as_of, scored=True)
        scores = hits.scores
        assert scores is not None
        if len(scores) <= limit or scan.limit == 0 or scores[-1] < scores[scan.limit - 1]:
            return hits
        if len(plan.query.order_by) == 1:
            return hits
        limit *= 4


def search(
    scan: TextScan, plan: Plan, text: Text, as_of: int, check: Callable[[], None]
) -> pa.Table:
    """Returns the relation of a search: `id`, and what else the statement reads from it."""
    hits = hits_of(scan, plan, text, as_of, check)
    check()
    ids = hits.ids
    if scan.lines is not None:
        test = scan.lines
        ids = text.with_lines(ids, test.sides, test.mode, test.pattern, check)
    columns = {"id": pa.array(ids, pa.uint64())}
    if "message" in scan.brings:
        columns["message"] = text.messages(ids)
    if "subject" in scan.brings:
        pages = text.pages(ids.tolist(), hits.addresses)
        columns["subject"] = pa.array([page.subject for page in pages], pa.string())
    if scan.scored and hits.scores is not None:
        columns["score"] = pa.array(hits.scores, pa.float32())
    return pa.table(columns)


def corrected(scan: TextScan, text: Text) -> Iterator[str]:
    """Yields what was looked for in place of words that occur nowhere."""
    for word, found in text.corrections(scan.table, scan.node).items():
        if found:
            shown = ", ".join(f'"{w}"' for w in found[:_SHOWN_WORDS])
            more = ", ..." if len(found) > _SHOWN_WORDS else ""
            yield f'"{word}" occurs nowhere: looked for {shown}{more}'
