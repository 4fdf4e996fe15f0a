"""Text queries: what MATCH, SEARCH and the substring predicates ask, and the answer on one text.

The evaluation here is the reference: scans use it, highlights mark what it finds, and a text
index must agree with it. Words in a query are as `analysis.query_tokens` gives them.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import process
from rapidfuzz.distance import OSA

from govc_search import analysis
from govc_search.errors import QueryError

__all__ = [
    "And",
    "AtLeast",
    "Boost",
    "Fuzzy",
    "Node",
    "Not",
    "Or",
    "Phrase",
    "Prefix",
    "Regex",
    "Substring",
    "Term",
    "TermRegex",
    "children",
    "default_distance",
    "fields_of",
    "fuzzy_count",
    "matches",
    "matching",
    "matching_words",
    "necessary",
    "spans",
]

Fields = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All children match."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some child matches."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The child does not match."""

    child: Node


@dataclass(frozen=True, slots=True)
class AtLeast:
    """At least `count` children match."""

    count: int
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Boost:
    """The child, its score multiplied."""

    child: Node
    factor: float


@dataclass(frozen=True, slots=True)
class Term:
    """Some field holds the word."""

    fields: Fields
    word: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """Some field holds the words in order, with at most `slop` other words between in all."""

    fields: Fields
    words: tuple[str, ...]
    slop: int = 0


@dataclass(frozen=True, slots=True)
class Prefix:
    """Some field holds a word that begins so."""

    fields: Fields
    prefix: str


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Some field holds a word within `distance` edits.

    An edit inserts, removes or replaces one code point or swaps two neighbours, none of them
    edited twice (optimal string alignment). `same_first`: the first letter must stay, as the
    search box has it.
    """

    fields: Fields
    word: str
    distance: int
    same_first: bool = False


@dataclass(frozen=True, slots=True)
class TermRegex:
    """Some field holds a word that the RE2 pattern matches from end to end."""

    fields: Fields
    pattern: str


@dataclass(frozen=True, slots=True)
class Substring:
    """Some field's text contains the needle, respecting case unless told."""

    fields: Fields
    needle: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """The RE2 pattern matches somewhere in some field's text."""

    fields: Fields
    pattern: str
    ignore_case: bool = False


Node = (
    And
    | Or
    | Not
    | AtLeast
    | Boost
    | Term
    | Phrase
    | Prefix
    | Fuzzy
    | TermRegex
    | Substring
    | Regex
)


def necessary(node: Node) -> Node | None:
    """Returns a query without NOT that matches whatever `node` matches, or None for anything.

    It holds of a whole where `node` holds of a part, a line of a change for one.
    """
    match node:
        case Not():
            return None
        case And(nodes):
            kept = [part for part in map(necessary, nodes) if part is not None]
            return And(tuple(kept)) if kept else None
        case Or(nodes):
            parts = [necessary(part) for part in nodes]
            known = tuple(part for part in parts if part is not None)
            return Or(known) if len(known) == len(parts) else None
        case AtLeast(count, nodes):
            parts = [necessary(part) for part in nodes]
            known = tuple(part for part in parts if part is not None)
            least = count - (len(parts) - len(known))
            return AtLeast(least, known) if least > 0 else None
        case Boost(child, factor):
            inner = necessary(child)
            return None if inner is None else Boost(inner, factor)
    return node


def default_distance(word: str) -> int:
    """Returns the edit distance that goes with a word's length."""
    return 0 if len(word) <= 2 else 1 if len(word) <= 5 else 2


def children(node: Node) -> tuple[Node, ...]:
    """Returns the nodes right below."""
    match node:
        case And(nodes) | Or(nodes) | AtLeast(_, nodes):
            return nodes
        case Not(child) | Boost(child, _):
            return (child,)
    return ()


def fields_of(node: Node) -> set[str]:
    """Returns all fields that a query looks at."""
    match node:
        case And() | Or() | AtLeast() | Not() | Boost():
            return set().union(*(fields_of(child) for child in children(node)))
    return set(node.fields)


def fuzzy_count(node: Node) -> int:
    """Returns how many words of a query may be met by other words through edits."""
    if isinstance(node, Fuzzy):
        return int(node.distance > 0)
    return sum(fuzzy_count(child) for child in children(node))


# ---- many texts


def matching(
    node: Node, documents: Mapping[str, pa.Array], check: Callable[[], None] = lambda: None
) -> npt.NDArray[np.bool_]:
    """Returns which of many documents a query matches, as `matches` does for each.

    `documents` are the texts of all by field; `check` is called now and then, and may raise.
    """
    out = np.zeros(len(next(iter(documents.values()))), np.bool_)
    mask = _possible(node, documents)
    places = np.arange(len(out)) if mask is None else np.flatnonzero(mask)
    texts = [column.take(pa.array(places)).to_pylist() for column in documents.values()]
    for i, document in enumerate(zip(*texts, strict=True)):
        if i % 256 == 0:
            check()
        out[places[i]] = matches(node, dict(zip(documents, document, strict=True)))
    return out


def _possible(node: Node, texts: Mapping[str, pa.Array]) -> pa.Array | None:
    """Returns whether each document may match by its letters alone, or None if any may."""
    match node:
        case And(nodes):
            known = [mask for n in nodes if (mask := _possible(n, texts)) is not None]
            return functools.reduce(pc.and_, known) if known else None
        case Or(nodes):
            masks = [_possible(n, texts) for n in nodes]
            known = [mask for mask in masks if mask is not None]
            return functools.reduce(pc.or_, known) if len(known) == len(masks) else None
        case Boost(child, _):
            return _possible(child, texts)
        case Term(fields, word) | Prefix(fields, word):
            return functools.reduce(pc.or_, (_holding(texts[f], (word,)) for f in fields))
        case Phrase(fields, words, _):
            return functools.reduce(pc.or_, (_holding(texts[f], words) for f in fields))
    return None


def _holding(texts: pa.Array, words: Sequence[str]) -> pa.Array:
    """Returns where texts hold the letters of all words, or letters that fold into others."""
    texts = pc.fill_null(texts, "")
    lowered = pc.ascii_lower(texts)
    held = (pc.match_substring(lowered, word) for word in words)
    return pc.or_(functools.reduce(pc.and_, held), pc.invert(pc.string_is_ascii(texts)))


# ---- one text


def matches(node: Node, document: Mapping[str, str | None]) -> bool:
    """Returns whether a query matches a document: field to text; a missing text holds nothing."""
    return _matches(node, _Document(document))


class _Document:
    """The texts of a document with their words, found at first need."""

    __slots__ = ("_letters", "texts", "words")

    def __init__(self, texts: Mapping[str, str | None]) -> None:
        self.texts = texts
        self.words: dict[str, dict[str, list[int]]] = {}
        self._letters: dict[str, str] = {}

    def letters(self, field: str) -> str:
        """Returns a text that holds the words in ASCII of a field, and what others begin with."""
        if field not in self._letters:
            self._letters[field] = analysis.plain_letters(self.texts.get(field) or "")
        return self._letters[field]

    def words_around(self, field: str, part: str) -> Iterator[str]:
        """Yields words of a field, those with a part (or the beginning) in ASCII among them."""
        text, letters = self.texts.get(field) or "", self.letters(field)
        if part not in letters:
            return
        if text.isascii():
            yield from analysis.words_around(text, letters, part)
            return
        for line in text.split("\n"):
            if part in analysis.plain_letters(line):
                yield from (word for word, _ in analysis.positions(line)[0])

    def positions(self, field: str) -> dict[str, list[int]]:
        """Returns the words of a field, each with its positions in order."""
        found = self.words.get(field)
        if found is None:
            found = {}
            for word, position in analysis.positions(self.texts.get(field) or "")[0]:
                found.setdefault(word, []).append(position)
            self.words[field] = found
        return found


def _matches(node: Node, document: _Document) -> bool:
    match node:
        case And(nodes):
            return all(_matches(child, document) for child in nodes)
        case Or(nodes):
            return any(_matches(child, document) for child in nodes)
        case AtLeast(count, nodes):
            return sum(_matches(child, document) for child in nodes) >= count
        case Not(child):
            return not _matches(child, document)
        case Boost(child, _):
            return _matches(child, document)
        case Substring() | Regex():
            found = finder(node)
            return any(
                text is not None and found(text) for text in map(document.texts.get, node.fields)
            )
    return any(_in_field(node, document, field) for field in node.fields)


_WordNode = Term | Phrase | Prefix | Fuzzy | TermRegex


def _in_field(node: _WordNode, document: _Document, field: str) -> bool:
    """Returns whether a field has what a node looks for; not all of its words are made for that."""
    if field in document.words:
        return _field_matches(node, document.words[field])
    match node:
        case Term(_, part) | Prefix(_, part) if part.isascii():
            return bool(matching_words(node, list(document.words_around(field, part))))
        case Phrase(_, parts, _):
            letters = document.letters(field)
            if not all(part in letters for part in parts if part.isascii()):
                return False
    return _field_matches(node, document.positions(field))


def _field_matches(node: _WordNode, words: Mapping[str, list[int]]) -> bool:
    match node:
        case Term(_, word):
            return word in words
        case Phrase(_, phrase, slop):
            return (
                next(_occurrences([words.get(word, ()) for word in phrase], slop), None) is not None
            )
        case Fuzzy(_, word) if word in words:
            return True
    return bool(matching_words(node, list(words)))


def _occurrences(places: Sequence[Sequence[int]], slop: int) -> Iterator[tuple[int, int]]:
    """Yields first and last position of each occurrence of a phrase, the nearest per start."""
    if not all(places):
        return
    for first in places[0]:
        last = first
        for candidates in places[1:]:
            # The nearest next word leaves the most room for the rest.
            after = bisect_right(candidates, last)
            if after == len(candidates):
                return
            last = candidates[after]
        if last - first - (len(places) - 1) <= slop:
            yield first, last


def matching_words(node: Prefix | Fuzzy | TermRegex | Term | Phrase, words: list[str]) -> list[str]:
    """Returns which of some words a node that widens stands for, in their order."""
    match node:
        case Term(_, word):
            return [w for w in words if w == word]
        case Phrase(_, phrase, _):
            return [w for w in words if w in phrase]
        case Prefix(_, prefix):
            return [w for w in words if w.startswith(prefix)]
        case Fuzzy():
            return _near(node, words)
        case TermRegex(_, pattern):
            if not words:
                return []
            mask = _regex_mask(rf"\A(?:{pattern})\z", pa.array(words, pa.string()))
            return [w for w, hit in zip(words, mask.to_pylist(), strict=True) if hit]


def _near(node: Fuzzy, words: list[str]) -> list[str]:
    word, distance = node.word, node.distance
    first = word[0] if node.same_first else ""
    low, high = len(word) - distance, len(word) + distance
    close = [w for w in words if low <= len(w) <= high and w.startswith(first)]
    if len(close) <= 8:
        return [w for w in close if OSA.distance(word, w, score_cutoff=distance) <= distance]
    edits = process.cdist(
        [word], close, scorer=OSA.distance, score_cutoff=distance, dtype=np.uint16
    )[0]
    return [close[i] for i in np.flatnonzero(edits <= distance)]


def _regex_mask(pattern: str, texts: pa.Array) -> pa.Array:
    try:
        return pc.match_substring_regex(texts, pattern=pattern)
    except pa.ArrowInvalid as error:
        raise QueryError("invalid_pattern", _reason(error)) from None


def _reason(error: pa.ArrowInvalid) -> str:
    detail = str(error).removeprefix("Invalid regular expression: ").splitlines()[0]
    return f"not a regular expression: {detail}"


def finder(node: Substring | Regex) -> Callable[[str], bool]:
    """Returns the test of one text for a needle or a pattern."""
    if isinstance(node, Substring) and not node.ignore_case:
        needle = node.needle
        return lambda text: needle in text
    if isinstance(node, Substring):
        lowered = lower(node.needle)
        return lambda text: lowered in lower(text)
    pattern = source(node)
    return lambda text: bool(_regex_mask(pattern, pa.array([text], pa.large_string()))[0].as_py())


def source(node: Regex) -> str:
    """Returns the RE2 pattern with its flags."""
    return f"(?i){node.pattern}" if node.ignore_case else node.pattern


def lower(text: str) -> str:
    """Returns the text in lower case, of the same length: offsets stay."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(c if len(c.lower()) != 1 else c.lower() for c in text)


# ---- where it matched


def spans(node: Node, field: str, text: str) -> list[tuple[int, int]]:
    """Returns every place in the text of a field that a query speaks of, in order.

    Spans are half-open, in code points, sorted, and do not touch the part under a NOT; where
    they overlap they are joined.
    """
    found: list[tuple[int, int]] = []
    tokens: list[analysis.Token] | None = None
    for leaf in _positive_leaves(node):
        if field not in leaf.fields:
            continue
        if isinstance(leaf, Substring | Regex):
            found.extend(_text_spans(leaf, text))
            continue
        if tokens is None:
            tokens = analysis.tokens(text)
        found.extend(_word_spans(leaf, tokens))
    return _joined(found)


def _positive_leaves(node: Node) -> Iterator[_WordNode | Substring | Regex]:
    match node:
        case Not():
            return
        case And() | Or() | AtLeast() | Boost():
            for child in children(node):
                yield from _positive_leaves(child)
        case _:
            yield node


def _joined(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if start == end:
            continue
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _word_spans(node: _WordNode, tokens: list[analysis.Token]) -> Iterator[tuple[int, int]]:
    if not isinstance(node, Phrase):
        wanted = set(matching_words(node, list({token.text for token in tokens})))
        yield from ((t.start, t.end) for t in tokens if t.text in wanted)
        return
    places: dict[str, dict[int, analysis.Token]] = {word: {} for word in node.words}
    for token in tokens:
        if token.text in places:
            places[token.text].setdefault(token.position, token)
    for first, last in _occurrences([list(places[word]) for word in node.words], node.slop):
        yield places[node.words[0]][first].start, places[node.words[-1]][last].end


def _text_spans(node: Substring | Regex, text: str) -> Iterator[tuple[int, int]]:
    if isinstance(node, Regex):
        yield from _regex_spans(source(node), text)
        return
    needle, where = node.needle, text
    if node.ignore_case:
        needle, where = lower(needle), lower(text)
    at = where.find(needle) if needle else -1
    while at >= 0:
        yield at, at + len(needle)
        at = where.find(needle, at + len(needle))


# All characters for private use: so many that some are left.
_PRIVATE: Final = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


def _regex_spans(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    # RE2 is the one engine that says what matches; it gives places only as replacements, so
    # matches are wrapped in two characters that the text does not hold.
    free = (chr(code) for code in chain(*_PRIVATE) if chr(code) not in text)
    open_, close = next(free), next(free)
    try:
        marked = pc.replace_substring_regex(
            pa.array([text], pa.large_string()),
            pattern=pattern,
            replacement=f"{open_}\\0{close}",
        )[0].as_py()
    except pa.ArrowInvalid as error:
        raise QueryError("invalid_pattern", _reason(error)) from None
    at = marked.find(open_)
    shift = 0
    while at >= 0:
        end = marked.find(close, at)
        yield at - shift, end - shift - 1
        shift += 2
        at = marked.find(open_, end)
