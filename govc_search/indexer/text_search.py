"""Text queries run against the text index at one moment.

Words that widen (prefix, fuzzy, /regex/) are expanded here, through the index's own words, into
plain terms: so they can be bounded, and are ranked like any other word. Needles and patterns
become what `fragments` says that every match must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tantivy

from govc_search import facts, textquery
from govc_search.errors import QueryError
from govc_search.facts import ANYTHING, Fact, OneOf, Within
from govc_search.indexer import changed_text, message_text
from govc_search.indexer.documents import Page, page_of
from govc_search.indexer.text_part import Pinned, TextPart, reading
from govc_search.indexer.text_plan import Planned, Planner
from govc_search.records import CHANGE_BITS

__all__ = ["Exactness", "Hits", "Served", "TextSnapshot"]

Ids = npt.NDArray[np.uint64]

Query = tantivy.Query
Occur = tantivy.Occur

_Top = tuple[Ids, npt.NDArray[np.float32], list[tantivy.DocAddress]]

_CACHED_PLANS = 256
_COUNTED_FROM = 20_000
# So many commits are named one by one to the index; among more, hits are looked for afterwards.
_LOOKED_UP = 2_000
_NUMBERS = (1 << 64) - 1


class Exactness(Enum):
    """How an index answers a text query: as asked, with too many rows, or not at all."""

    EXACT = "exact"
    INEXACT = "inexact"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Served:
    """What an index can do for a query, and at most about how many hits it gives."""

    exactness: Exactness
    estimate: int


@dataclass(frozen=True, slots=True)
class Hits:
    """Keys of documents: by falling score then key where scored, else by key."""

    ids: Ids
    scores: npt.NDArray[np.float32] | None
    # Where scored hits lie in the index, for `pages` of the same snapshot.
    addresses: tuple[tantivy.DocAddress, ...] = ()


class TextSnapshot:
    """Both indexes as they were at one moment."""

    def __init__(
        self, commits: TextPart, changes: TextPart, pinned: tuple[Pinned, Pinned], expansions: int
    ) -> None:
        self.pinned = pinned
        self.expansions = expansions
        self.checkpoint = min(p.checkpoint for p in pinned)
        self._tables = {
            part.table: _TableSearch(part, p, expansions)
            for part, p in zip((commits, changes), pinned, strict=True)
        }

    def serve(self, table: str, node: textquery.Node) -> Served:
        """Returns how the index serves a query; raises QueryError where it widens too far.

        INEXACT hits contain all rows that match, and maybe others.
        """
        with reading(table):
            planned = self._tables[table].plan(node, scored=False)
        if planned is None:
            return Served(Exactness.UNSUPPORTED, self._tables[table].documents)
        exactness = Exactness.EXACT if planned.exact else Exactness.INEXACT
        return Served(exactness, planned.estimate)

    def search(
        self,
        table: str,
        node: textquery.Node,
        *,
        limit: int | None,
        as_of: int,
        scored: bool,
        within: Within = ANYTHING,
        positions: Ids | None = None,
    ) -> Hits:
        """Returns the hits at positions up to `as_of`: all, or the first `limit` of them.

        They are those `within` something, and of these commits alone where there are `positions`.
        """
        with reading(table):
            return self._tables[table].search(node, limit, as_of, within, positions, scored=scored)

    def count(
        self,
        table: str,
        node: textquery.Node,
        as_of: int | None = None,
        within: Within = ANYTHING,
    ) -> int:
        """Returns the number of hits at positions up to `as_of`."""
        with reading(table):
            until = self.checkpoint if as_of is None else as_of
            return self._tables[table].count(node, until, within)

    def estimate(self, table: str, fact: Fact) -> int:
        """Returns of how many documents a fact holds, those after the snapshot among them."""
        with reading(table):
            return self._tables[table].estimate(fact)

    def documents(self, table: str) -> int:
        """Returns the number of documents."""
        return self._tables[table].documents

    def with_lines(
        self,
        ids: Ids,
        sides: Sequence[str],
        mode: str,
        pattern: str,
        check: Callable[[], None] | None = None,
    ) -> Ids:
        """Returns those changes that have a line that matches; see `changed_text.matching`."""
        return changed_text.matching(self.pinned[1].texts, ids, sides, mode, pattern, check)

    def line_bytes(self, ids: Ids) -> int:
        """Returns about how many bytes the changed lines of changes have."""
        return self.pinned[1].texts.size(ids)

    def hunk_texts(
        self,
        ids: Ids,
        old_lines: npt.NDArray[np.int64],
        new_lines: npt.NDArray[np.int64],
        check: Callable[[], None] | None = None,
    ) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Returns the removed and the added lines of hunks; see `changed_text.hunks`."""
        return changed_text.hunks(self.pinned[1].texts, ids, old_lines, new_lines, check)

    def messages(self, ids: Ids) -> pa.Array:
        """Returns the messages of commits that this snapshot holds."""
        return message_text.messages(self.pinned[0].texts, ids)

    def corrections(self, table: str, node: textquery.Node) -> dict[str, tuple[str, ...]]:
        """Returns, for each fuzzy word that the index lacks, the words found in its place.

        Nearest first, then most frequent first.
        """
        with reading(table):
            return self._tables[table].corrections(node)

    def pages(self, ids: Sequence[int], addresses: Sequence[tantivy.DocAddress]) -> list[Page]:
        """Returns what a page shows of commits that this snapshot found at these addresses."""
        with reading("commits"):
            return self._tables["commits"].pages(ids, addresses)


class _TableSearch:
    """One of the indexes at one moment."""

    def __init__(self, part: TextPart, pinned: Pinned, expansions: int) -> None:
        self.checkpoint = pinned.checkpoint
        self._table = part.table
        self._schema = part.schema
        self._searcher = searcher = pinned.searcher
        self.documents = searcher.num_docs
        self._planner = Planner(
            part.table,
            part.schema,
            searcher,
            lambda: part.terms(pinned),
            expansions,
        )
        self._plans: dict[tuple[textquery.Node, bool], Planned | None] = {}
        self._counts: dict[Fact, int] = {}

    def plan(self, node: textquery.Node, *, scored: bool) -> Planned | None:
        key = node, scored
        plans = self._plans
        if key in plans:
            return plans[key]
        planned = self._planner.plan(node, scored=scored)
        if len(plans) >= _CACHED_PLANS:
            # Replaced, not cleared: another thread may be reading it.
            plans = self._plans = {}
        plans[key] = planned
        return planned

    def _query(
        self,
        node: textquery.Node,
        as_of: int,
        within: Within,
        positions: Ids | None = None,
        *,
        scored: bool,
    ) -> tantivy.Query:
        queries = [self._served(node, scored=scored)]
        narrower = [self._fact(fact) for fact in within.facts]
        if within.node is not None:
            narrower.append(self._served(within.node, scored=False))
        if as_of < self.checkpoint:
            narrower.append(self._range("position", None, as_of))
        if positions is not None and len(positions) <= _LOOKED_UP:
            narrower.append(
                Query.boolean_query(
                    [(Occur.Should, self._number("position", int(p))) for p in positions]
                )
            )
        if not narrower:
            return queries[0]
        queries += [Query.const_score_query(query, 0.0) for query in narrower]
        return Query.boolean_query([(Occur.Must, query) for query in queries])

    def _served(self, node: textquery.Node, *, scored: bool) -> tantivy.Query:
        planned = self.plan(node, scored=scored)
        if planned is None:
            raise QueryError("not_indexed", "the text index does not serve this predicate")
        return planned.query

    def _number(self, field: str, value: int) -> tantivy.Query:
        return Query.term_query(self._schema, field, value, "basic")

    def _range(self, field: str, low: int | None, high: int | None) -> tantivy.Query:
        if low is not None and high is not None and low > high:
            return Query.empty_query()
        if field == "position":
            if (high is not None and high < 0) or (low is not None and low >= _NUMBERS):
                return Query.empty_query()
            ends = (
                low if low is None else max(low, 0),
                high if high is None else min(high, _NUMBERS),
            )
            return Query.range_query(self._schema, field, tantivy.FieldType.Unsigned, *ends)
        return Query.range_query(self._schema, field, tantivy.FieldType.Integer, low, high)

    def _fact(self, fact: Fact) -> tantivy.Query:
        if not isinstance(fact, OneOf):
            return self._range(fact.field, fact.low, fact.high)
        marks = [m for v in fact.values if (m := facts.term(fact.field, v)) is not None]
        if len(marks) == 1:
            return Query.term_query(self._schema, "mark", marks[0], "basic")
        return Query.term_set_query(self._schema, "mark", marks) if marks else Query.empty_query()

    def estimate(self, fact: Fact) -> int:
        if isinstance(fact, OneOf):
            marks = (facts.term(fact.field, v) for v in fact.values)
            return sum(int(self._searcher.doc_freq("mark", m)) for m in marks if m is not None)
        if fact not in self._counts:
            if len(self._counts) >= _CACHED_PLANS:
                self._counts = {}
            self._counts[fact] = self._count(self._fact(fact))
        return self._counts[fact]

    def count(self, node: textquery.Node, as_of: int, within: Within) -> int:
        return self._count(self._query(node, as_of, within, scored=False))

    def _count(self, query: tantivy.Query) -> int:
        # The stubs of tantivy lack it.
        return int(self._searcher.search(query, 1, count=True).count)  # type: ignore[attr-defined]

    def search(
        self,
        node: textquery.Node,
        limit: int | None,
        as_of: int,
        within: Within,
        positions: Ids | None,
        *,
        scored: bool,
    ) -> Hits:
        if limit is not None and limit <= 0:
            nothing = np.empty(0, np.uint64)
            return Hits(nothing, np.empty(0, np.float32) if scored else None)
        query = self._query(node, as_of, within, positions, scored=scored)
        if not scored:
            found = self._all_keys(query, node) if limit is None else self._keys(query, limit)
            if positions is not None and len(positions) > _LOOKED_UP:
                owners = found if self._table == "commits" else found >> np.uint64(CHANGE_BITS)
                found = found[np.isin(owners, positions)]
            return Hits(found, None)
        if limit is None:
            ids, scores, addresses = self._top(query, max(1, self._count(query)))
        else:
            ids, scores, addresses = self._top_with_ties(query, limit)
        order = np.lexsort((ids, -scores))[:limit]
        return Hits(ids[order], scores[order], tuple(addresses[i] for i in order.tolist()))

    def _all_keys(self, query: tantivy.Query, node: textquery.Node) -> Ids:
        # Of few hits, room for all that there can be is had more cheaply than their number. The
        # place that stays empty shows that none is missing.
        planned = self.plan(node, scored=False)
        if planned is not None and planned.estimate < _COUNTED_FROM:
            keys = self._keys(query, planned.estimate + 1)
            if len(keys) <= planned.estimate:
                return keys
        return self._keys(query, max(1, self._count(query)))

    def _keys(self, query: tantivy.Query, limit: int) -> Ids:
        hits = self._searcher.search(
            query,
            min(limit, max(1, self.documents)),
            count=False,
            order_by_field="key",
            order=tantivy.Order.Asc,
        ).hits
        return np.fromiter((key for key, _ in hits), np.uint64, len(hits))

    def _top(self, query: tantivy.Query, limit: int) -> _Top:
        hits = self._searcher.search(query, limit, count=False).hits
        addresses = [address for _, address in hits]
        keys = self._searcher.fast_field_values("key", addresses)
        scores = np.fromiter((score for score, _ in hits), np.float32, len(hits))
        return np.array(keys, np.uint64), scores, addresses

    def _top_with_ties(self, query: tantivy.Query, limit: int) -> _Top:
        """Returns the best hits with all that tie with the last one.

        Their keys, not the order of segments, say which of those belong to the best.
        """
        size = min(limit, self.documents) + 8
        while True:
            ids, scores, addresses = self._top(query, size)
            if len(ids) < size or scores[limit - 1] > scores[-1] or size > self.documents:
                return ids, scores, addresses
            size *= 4

    def corrections(self, node: textquery.Node) -> dict[str, tuple[str, ...]]:
        return self._planner.corrections(node)

    def pages(self, ids: Sequence[int], addresses: Sequence[tantivy.DocAddress]) -> list[Page]:
        read = self._searcher.doc
        return [
            page_of(position, bytes(read(address).get_first("page") or b""))
            for position, address in zip(ids, addresses, strict=True)
        ]
