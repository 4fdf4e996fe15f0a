"""What a query asks of the text index before its statement runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from govc_search.ql.plan import Plan, TextScan, TopK
from govc_search.ql.protocols import Hits, Ids, Text

__all__ = ["corrected", "hits_of", "more_hits", "search"]

_SHOWN_WORDS: Final = 3
# How many times more hits are read where those before did not fill a page.
_WIDER: Final = 8


def hits_of(
    scan: TextScan,
    plan: Plan,
    text: Text,
    as_of: int,
    check: Callable[[], None],
    positions: Ids | None = None,
) -> tuple[Hits, int, bool]:
    """Returns the hits of a search, how many of them count, and whether these are all.

    With a limit they are at least as many as can be among the first. `check` raises when time is
    up: one search cannot be stopped.
    """

    def found(limit: int | None) -> Hits:
        check()
        return text.search(
            scan.table, scan.node, limit=limit, as_of=as_of, scored=scan.scored,
            within=scan.within, positions=positions,
        )  # fmt: skip

    if scan.limit is None:
        hits = found(None)
        return hits, len(hits.ids), True
    # Rows that tie with the last one may come first by the other keys of the order.
    limit = scan.limit
    while True:
        hits = found(limit + 1)
        scores = hits.scores
        assert scores is not None
        if len(scores) <= limit:
            return hits, len(scores), True
        if scan.limit == 0 or len(plan.query.order_by) == 1:
            return hits, len(scores), False
        if plan.top_k is not None and plan.top_k.exact:
            if scores[-1] < scores[scan.limit - 1]:
                return hits, len(scores), False
        elif scores[0] > scores[-1]:
            # Of those that tie with the last one some may be missing.
            return hits, int(np.count_nonzero(scores > scores[-1])), False
        limit *= 4


def more_hits(top: TopK, hits: int, rows: int) -> int | None:
    """Returns how many hits to read next, where so many gave so few rows; None is all."""
    needed = max(_WIDER * hits, 2 * hits * top.rows // max(1, rows))
    return needed if needed < top.scan.estimate // 2 else None


def search(
    scan: TextScan,
    plan: Plan,
    text: Text,
    as_of: int,
    relations: Mapping[str, Any],
    check: Callable[[], None],
) -> tuple[pa.Table, bool]:
    """Returns the relation of a search, and whether it holds all that there is.

    It has `id`, and what else the statement reads from it; `relations` are those made before.
    """
    positions = None
    if scan.among is not None:
        positions = relations[scan.among.name].column("id").to_numpy()
    hits, count, whole = hits_of(scan, plan, text, as_of, check, positions)
    check()
    ids = hits.ids[:count]
    if scan.lines is not None:
        test = scan.lines
        ids = text.with_lines(ids, test.sides, test.mode, test.pattern, check)
    columns = {"id": pa.array(ids, pa.uint64())}
    if "message" in scan.brings:
        columns["message"] = text.messages(ids)
    if "subject" in scan.brings:
        pages = text.pages(ids.tolist(), hits.addresses[:count])
        columns["subject"] = pa.array([page.subject for page in pages], pa.string())
    if scan.scored and hits.scores is not None:
        columns["score"] = pa.array(hits.scores[:count], pa.float32())
    return pa.table(columns), whole


def corrected(scan: TextScan, text: Text) -> Iterator[str]:
    """Yields what was looked for in place of words that occur nowhere."""
    for word, found in text.corrections(scan.table, scan.node).items():
        if found:
            shown = ", ".join(f'"{w}"' for w in found[:_SHOWN_WORDS])
            more = ", ..." if len(found) > _SHOWN_WORDS else ""
            yield f'"{word}" occurs nowhere: looked for {shown}{more}'
