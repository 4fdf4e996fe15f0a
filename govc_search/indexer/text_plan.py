"""A text query as one of tantivy's, with what is known of it: is it exact, how many hits.

A plan gives every document that matches. Where a part cannot be told by the index, a
conjunction goes on without it and is no longer exact; a disjunction is given up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import tantivy
from rapidfuzz.distance import OSA

from govc_search import fragments, textquery
from govc_search.errors import QueryError
from govc_search.indexer.documents import BAGS, FIELDS
from govc_search.indexer.terms import Terms

__all__ = ["Planned", "Planner"]

Query = tantivy.Query
Occur = tantivy.Occur

# How much a match in a field counts, and how much of the other fields' scores is added to the
# best one's.
_WEIGHTS: Final = {"subject": 2.0, "heading": 0.8, "author": 0.8, "committer": 0.4, "path": 0.7}
_TIE_BREAKER: Final = 0.1

# What each edit leaves of the score of the word that was found.
_EDIT_DISCOUNT: Final = 0.4

_MAX_DEPTH: Final = 64

# A fragment that more words hold says too little.
_MAX_FRAGMENT_WORDS: Final = 512
# So few candidates are quicker looked at than made fewer.
_FEW: Final = 40
# A requirement is worth its intersection unless it is met by so many times more documents.
_WORTHWHILE: Final = 50


@dataclass(frozen=True, slots=True)
class Planned:
    """A query whose hits contain all matches; `exact`: and nothing else."""

    query: tantivy.Query
    exact: bool
    estimate: int


class Planner:
    """Plans the queries of one index at one moment."""

    def __init__(
        self,
        table: str,
        schema: tantivy.Schema,
        searcher: tantivy.Searcher,
        terms: Callable[[], Terms],
        expansions: int,
    ) -> None:
        self._table = table
        self._schema = schema
        self._searcher = searcher
        self._terms = terms
        self._expansions = expansions
        self._documents = max(1, searcher.num_docs)

    def plan(self, node: textquery.Node, *, scored: bool) -> Planned | None:
        """Returns the plan of a query, or None where the index cannot serve it."""
        planned = self._plan(node, 0, scored=scored)
        if planned is None or planned.estimate <= self._documents:
            return planned
        return replace(planned, estimate=self._documents)

    def _plan(self, node: textquery.Node, depth: int, *, scored: bool) -> Planned | None:
        if depth > _MAX_DEPTH:
            raise QueryError("query_too_deep", "the text query is nested too deeply")
        match node:
            case textquery.And(nodes):
                return self._and([self._plan(child, depth + 1, scored=scored) for child in nodes])
            case textquery.Or(nodes):
                return self._at_least(
                    1, [self._plan(child, depth + 1, scored=scored) for child in nodes]
                )
            case textquery.AtLeast(count, nodes):
                return self._at_least(
                    count, [self._plan(child, depth + 1, scored=scored) for child in nodes]
                )
            case textquery.Not(child):
                return self._not(self._plan(child, depth + 1, scored=False))
            case textquery.Boost(child, factor):
                planned = self._plan(child, depth + 1, scored=scored)
                if planned is None or not scored:
                    return planned
                return replace(planned, query=Query.boost_query(planned.query, factor))
        if not set(node.fields) <= set(FIELDS[self._table]):
            return None
        match node:
            case textquery.Term(fields, word):
                return self._words({field: {word: 1.0} for field in fields}, scored=scored)
            case textquery.Phrase(fields, words, slop):
                return self._either(
                    [self._phrase(f, words, slop) for f in fields], fields, scored=scored
                )
            case textquery.Substring(fields, needle, _):
                return self._required(fragments.of_needle(needle), fields)
            case textquery.Regex(fields, pattern, _):
                return self._required(fragments.of_pattern(pattern), fields)
        return self._words(self._expanded(node), scored=scored)

    # ---- combining

    def _nothing(self) -> Planned:
        return Planned(Query.empty_query(), True, 0)

    def _everything(self) -> Query:
        checkpoint = Query.term_query(self._schema, "mark", "checkpoint", "basic")
        return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, checkpoint)])

    def _not(self, planned: Planned | None) -> Planned | None:
        if planned is None or not planned.exact:
            return None
        query = Query.boolean_query(
            [
                (Occur.Must, Query.const_score_query(self._everything(), 0.0)),
                (Occur.MustNot, planned.query),
            ]
        )
        return Planned(query, True, self._documents)

    def _and(self, planned: Sequence[Planned | None]) -> Planned | None:
        clauses: list[tuple[tantivy.Occur, tantivy.Query]] = []
        exact = True
        estimate = self._documents
        for part in planned:
            if part is None:
                exact = False
                continue
            exact = exact and part.exact
            estimate = min(estimate, part.estimate)
            clauses.append((Occur.Must, part.query))
        if not clauses:
            return Planned(self._everything(), True, estimate) if not planned else None
        if len(clauses) == 1:
            return Planned(clauses[0][1], exact, estimate)
        return Planned(Query.boolean_query(clauses), exact, estimate)

    def _at_least(self, count: int, planned: Sequence[Planned | None]) -> Planned | None:
        known = [part for part in planned if part is not None]
        # Each part that the index cannot tell may be met.
        least = count - (len(planned) - len(known))
        exact = len(known) == len(planned) and all(part.exact for part in known)
        if count <= 0:
            return Planned(self._everything(), True, self._documents)
        if count > len(planned):
            return self._nothing()
        if least <= 0:
            return None
        estimate = sum(part.estimate for part in known) // least
        if len(known) == 1:
            return Planned(known[0].query, exact, estimate)
        query = Query.boolean_query([(Occur.Should, part.query) for part in known], least)
        return Planned(query, exact, estimate)

    def _either(self, parts: Sequence[Planned], fields: Sequence[str], *, scored: bool) -> Planned:
        """Returns what one of some fields matches; the best field's score counts."""
        exact = all(part.exact for part in parts)
        met = [(part, field) for part, field in zip(parts, fields, strict=True) if part.estimate]
        if not met:
            return replace(self._nothing(), exact=exact)
        estimate = sum(part.estimate for part, _ in met)
        if not scored:
            return Planned(_any_of([part.query for part, _ in met]), exact, estimate)
        queries = [_boosted(part.query, _WEIGHTS.get(field, 1.0)) for part, field in met]
        if len(queries) == 1:
            return Planned(queries[0], exact, estimate)
        return Planned(Query.disjunction_max_query(queries, _TIE_BREAKER), exact, estimate)

    # ---- words

    def _frequency(self, field: str, word: str) -> int:
        return int(self._searcher.doc_freq(field, word))

    def _term(self, field: str, word: str) -> tantivy.Query:
        return Query.term_query(self._schema, field, word, "freq")

    def _words(self, by_field: dict[str, dict[str, float]], *, scored: bool) -> Planned:
        """Returns what one of some words matches, each with its own weight, in its field."""
        parts: list[Planned] = []
        for field, words in by_field.items():
            counts = {word: self._frequency(field, word) for word in words}
            found = [word for word in words if counts[word]]
            estimate = sum(counts.values())
            if not found:
                parts.append(self._nothing())
            elif len(found) == 1:
                query = _boosted(self._term(field, found[0]), words[found[0]] if scored else 1.0)
                parts.append(Planned(query, True, estimate))
            elif scored:
                queries = [_boosted(self._term(field, w), words[w]) for w in found]
                best = Query.disjunction_max_query(queries, _TIE_BREAKER)
                parts.append(Planned(best, True, estimate))
            else:
                terms = Query.term_set_query(self._schema, field, found)
                parts.append(Planned(terms, True, estimate))
        return self._either(parts, list(by_field), scored=scored)

    def _phrase(self, field: str, words: tuple[str, ...], slop: int) -> Planned:
        counts = [self._frequency(field, word) for word in words]
        if not all(counts):
            return self._nothing()
        estimate = min(counts)
        if slop == 0 and field not in BAGS:
            phrase = Query.phrase_query(self._schema, field, list(words))
            return Planned(phrase, True, estimate)
        terms = [(Occur.Must, self._term(field, word)) for word in dict.fromkeys(words)]
        return Planned(Query.boolean_query(terms), False, estimate)

    def _expanded(
        self, node: textquery.Prefix | textquery.Fuzzy | textquery.TermRegex
    ) -> dict[str, dict[str, float]]:
        """Returns, by field, the words a node that widens stands for, each with its weight."""
        if isinstance(node, textquery.Prefix):
            limit = self._expansions + 1
            found = {
                field: [
                    w for w, _ in self._searcher.terms_with_prefix(field, node.prefix, limit=limit)
                ]
                for field in node.fields
            }
            for words in found.values():
                self._check_expansions(node.prefix + "*", words)
            return {field: dict.fromkeys(words, 1.0) for field, words in found.items()}
        candidates = self._candidates(node)
        if isinstance(node, textquery.TermRegex):
            self._check_expansions(f"/{node.pattern}/", candidates)
            return {field: dict.fromkeys(candidates, 1.0) for field in node.fields}
        self._check_expansions(f"{node.word}~{node.distance}", candidates)
        return {field: self._weights(node, field, candidates) for field in node.fields}

    def _candidates(self, node: textquery.Fuzzy | textquery.TermRegex) -> list[str]:
        by_first = self._terms().by_first
        if isinstance(node, textquery.Fuzzy) and node.same_first:
            words = by_first.get(node.word[0], [])
        else:
            words = [word for group in by_first.values() for word in group]
        return textquery.matching_words(node, words)

    def _check_expansions(self, what: str, words: Sequence[str]) -> None:
        if len(words) > self._expansions:
            raise QueryError(
                "too_many_expansions",
                f"{what} stands for more than {self._expansions} words",
                hint="write more of the word, or raise the setting expansions",
            )

    def _weights(
        self, node: textquery.Fuzzy, field: str, candidates: Sequence[str]
    ) -> dict[str, float]:
        """Returns the weight of each word found for a fuzzy one.

        Rarity speaks for a word that was asked for, not for one that was guessed: a guess counts
        as if it were as frequent as the word itself, or, where that occurs nowhere, as the most
        frequent of the nearest guesses.
        """
        edits = {word: int(OSA.distance(node.word, word)) for word in candidates}
        counts = {word: self._frequency(field, word) for word in candidates}
        present = [word for word in candidates if counts[word]]
        if not present:
            return {}
        nearest = min(edits[word] for word in present)
        reference = max(counts[word] for word in present if edits[word] == nearest)
        rarity = self._rarity(reference)
        return {
            word: _EDIT_DISCOUNT ** edits[word] * min(1.0, rarity / self._rarity(counts[word]))
            for word in present
        }

    def _rarity(self, count: int) -> float:
        return math.log1p((self._documents - count + 0.5) / (count + 0.5)) + 1e-6

    def corrections(self, node: textquery.Node) -> dict[str, tuple[str, ...]]:
        """Returns the words found for fuzzy words that occur nowhere."""
        out: dict[str, tuple[str, ...]] = {}
        for leaf in _fuzzy(node):
            fields = [field for field in leaf.fields if field in FIELDS[self._table]]
            if any(self._frequency(field, leaf.word) for field in fields):
                continue
            counts = {
                word: sum(self._frequency(field, word) for field in fields)
                for word in self._candidates(leaf)
            }
            found = [word for word in counts if counts[word]]
            found.sort(key=lambda w: (OSA.distance(leaf.word, w), -counts[w], w))
            out[leaf.word] = tuple(found)
        return out

    # ---- needles and patterns

    def _required(
        self, requirement: fragments.Requirement | None, fields: Sequence[str]
    ) -> Planned | None:
        if requirement is None:
            return None
        # Subject and body are one text cut in two: what a match spans may lie in both. Added and
        # removed lines are texts of their own.
        together = self._table == "commits"
        texts = [tuple(fields)] if together else [(field,) for field in fields]
        parts: list[Planned] = []
        for text in texts:
            part = self._held(requirement, text)
            if part is None:
                return None
            parts.append(part)
        for field in fields:
            # Words of these texts were cut: what they hold is not known.
            mark = f"long:{field}"
            count = self._frequency("mark", mark)
            if count:
                query = Query.term_query(self._schema, "mark", mark, "basic")
                parts.append(Planned(query, False, count))
        return self._one_of(parts)

    def _one_of(self, parts: Sequence[Planned]) -> Planned:
        met = [part for part in parts if part.estimate]
        if not met:
            return replace(self._nothing(), exact=False)
        estimate = sum(part.estimate for part in met)
        return Planned(_any_of([part.query for part in met]), False, estimate)

    def _held(self, requirement: fragments.Requirement, fields: tuple[str, ...]) -> Planned | None:
        """Returns the documents whose fields hold what is required, or None for too many.

        What a single requirement names stands in one field; several may stand in several.
        """
        match requirement:
            case fragments.Words((word,)):
                by_field = {field: {word: 1.0} for field in fields}
                return replace(self._words(by_field, scored=False), exact=False)
            case fragments.Words(words):
                return self._one_of([self._side_by_side(field, words) for field in fields])
            case fragments.Fragment(text, at):
                found = self._terms().containing(text, at, _MAX_FRAGMENT_WORDS)
                if found is None:
                    return None
                by_field = {field: dict.fromkeys(found, 1.0) for field in fields}
                return replace(self._words(by_field, scored=False), exact=False)
            case fragments.AnyOf(options):
                parts: list[Planned] = []
                for option in options:
                    part = self._held(option, fields)
                    if part is None:
                        return None
                    parts.append(part)
                return self._one_of(parts)
            case fragments.AllOf(requirements):
                return self._all_held(requirements, fields)

    def _side_by_side(self, field: str, words: tuple[str, ...]) -> Planned:
        counts = [self._frequency(field, word) for word in words]
        if not all(counts):
            return replace(self._nothing(), exact=False)
        phrase = Query.phrase_query(self._schema, field, list(words))
        return Planned(phrase, False, min(counts))

    def _all_held(
        self, requirements: Sequence[fragments.Requirement], fields: tuple[str, ...]
    ) -> Planned | None:
        kept: list[Planned] = []
        for requirement in sorted(requirements, key=_promise):
            part = self._held(requirement, fields)
            if part is None:
                continue
            if not part.estimate:
                return part
            kept.append(part)
            if part.estimate <= _FEW:
                break
        if not kept:
            return None
        kept.sort(key=lambda part: part.estimate)
        least = kept[0].estimate
        kept = [part for part in kept if part.estimate <= _WORTHWHILE * least]
        if len(kept) == 1:
            return kept[0]
        query = Query.boolean_query([(Occur.Must, part.query) for part in kept])
        return Planned(query, False, least)


def _promise(requirement: fragments.Requirement) -> tuple[int, int]:
    """Orders requirements: exact words, then long fragments first."""
    match requirement:
        case fragments.Words(words):
            return 0, -sum(map(len, words))
        case fragments.Fragment(text, _):
            return 1, -len(text)
    return 2, 0


def _boosted(query: tantivy.Query, factor: float) -> tantivy.Query:
    return query if factor == 1.0 else Query.boost_query(query, factor)


def _any_of(queries: Sequence[tantivy.Query]) -> tantivy.Query:
    if len(queries) == 1:
        return queries[0]
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _fuzzy(node: textquery.Node) -> Iterator[textquery.Fuzzy]:
    if isinstance(node, textquery.Fuzzy):
        yield node
    elif not isinstance(node, textquery.Not):
        for child in textquery.children(node):
            yield from _fuzzy(child)
