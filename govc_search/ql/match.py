"""The little language inside MATCH, and the words of SEARCH, PHRASE and FUZZY, to text queries."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any

import lark

from govc_search import analysis, textquery
from govc_search.errors import QueryError, Span
from govc_search.ql import patterns
from govc_search.ql.grammar import parser_of

__all__ = ["fuzzy", "parse", "phrase", "search"]

Fields = tuple[str, ...]
_NESTING = 32


def _grammar() -> lark.Lark:
    return parser_of("match.lark")


def parse(text: str, fields: Fields, columns: Mapping[str, Fields]) -> textquery.Node:
    """Returns the text query of a MATCH pattern over `fields`.

    `columns` are the names that may stand before a colon, with the fields they mean. Raises
    QueryError with the place in `text`.
    """
    if not text.strip():
        raise QueryError("empty_pattern", "MATCH needs some words to look for")
    depth = deepest = 0
    for c in text:
        depth += (c == "(") - (c == ")")
        deepest = max(deepest, depth)
    if deepest > _NESTING:
        raise QueryError("query_too_deep", f"the pattern nests deeper than {_NESTING} levels")
    try:
        tree = _grammar().parse(text)
    except lark.exceptions.UnexpectedInput as e:
        at: int = getattr(e, "pos_in_stream", None) or 0
        if at >= len(text) or (
            isinstance(e, lark.exceptions.UnexpectedToken) and e.token.type == "$END"
        ):
            raise QueryError(
                "syntax_error", "the pattern ends too early", span=Span(len(text), len(text)), source=text,
            ) from None  # fmt: skip
        hint = 'quote what is meant literally: "..."'
        if text[at] in '"/':
            hint = f"close it with {text[at]}"
        raise QueryError(
            "syntax_error",
            f"unexpected {text[at]!r} in the pattern",
            hint=hint,
            span=Span(at, at + 1),
            source=text,
        ) from None
    try:
        node: textquery.Node = _Builder(text, fields, columns).transform(tree)
    except lark.exceptions.VisitError as e:
        if isinstance(e.orig_exc, QueryError):
            raise e.orig_exc from None
        raise
    return node


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.S)


def phrase(text: str, fields: Fields, slop: int) -> textquery.Node:
    """Returns the words of `text` in order, with up to `slop` other words between."""
    words = analysis.query_tokens(text)
    if not words:
        raise QueryError("empty_pattern", "there is no word to look for")
    return _words(words, fields, slop)


def _words(words: list[str], fields: Fields, slop: int = 0) -> textquery.Node:
    if len(words) == 1:
        return textquery.Term(fields, words[0])
    return textquery.Phrase(fields, tuple(words), slop)


def fuzzy(text: str, fields: Fields, distance: int | None) -> textquery.Node:
    """Returns one word within an edit distance, by default the one of its length."""
    words = analysis.query_tokens(text)
    if len(words) != 1:
        raise QueryError("invalid_argument", "FUZZY takes one word", hint="use SEARCH for several")
    d = textquery.default_distance(words[0]) if distance is None else distance
    if d > 2:
        raise QueryError("invalid_argument", "the edit distance is at most 2")
    return textquery.Fuzzy(fields, words[0], d)


def search(text: str, fields: Fields) -> textquery.Node:
    """Returns what the search box means: two thirds of the words, exactly or nearly."""
    children: list[textquery.Node] = []
    for part in re.findall(r'"[^"]*"|[^\s"]+', text):
        words = analysis.query_tokens(part)
        if not words:
            continue
        if part.startswith('"') or len(words) > 1:
            children.append(_words(words, fields))
        else:
            d = textquery.default_distance(words[0])
            children.append(
                textquery.Fuzzy(fields, words[0], d, same_first=True)
                if d
                else textquery.Term(fields, words[0])
            )
    if not children:
        raise QueryError("empty_pattern", "there is no word to look for")
    unique = tuple(dict.fromkeys(children))
    if len(unique) == 1:
        return unique[0]
    return textquery.AtLeast(math.ceil(len(unique) * 2 / 3), unique)


@lark.v_args(meta=True)
class _Builder(lark.Transformer[lark.Token, Any]):
    """Builds the text query; a term is kept as a function of its fields until they are known."""

    def __init__(self, text: str, fields: Fields, columns: Mapping[str, Fields]) -> None:
        super().__init__()
        self.text = text
        self.fields = fields
        self.columns = columns

    def _nodes(self, c: list[Any]) -> list[textquery.Node]:
        return [x(self.fields) if callable(x) else x for x in c if not isinstance(x, lark.Token)]

    def start(self, meta: Any, c: list[Any]) -> textquery.Node:
        node = self._nodes(c)[0]
        if isinstance(node, textquery.Not):
            raise QueryError(
                "only_exclusions",
                "the pattern only excludes",
                hint="add a word to look for, or use NOT MATCH(...)",
            )
        return node

    def or_(self, meta: Any, c: list[Any]) -> textquery.Node:
        return textquery.Or(tuple(self._nodes(c)))

    def and_(self, meta: Any, c: list[Any]) -> textquery.Node:
        return textquery.And(tuple(self._nodes(c)))

    def not_(self, meta: Any, c: list[Any]) -> textquery.Node:
        return textquery.Not(self._nodes(c)[0])

    def boost(self, meta: Any, c: list[Any]) -> textquery.Node:
        factor = float(c[1][1:])
        if factor > 1000:
            raise QueryError(
                "invalid_argument",
                "the boost is at most 1000",
                span=Span(c[1].start_pos, c[1].end_pos),
                source=self.text,
            )
        return textquery.Boost(self._nodes(c[:1])[0], factor)

    def column(self, meta: Any, c: list[Any]) -> textquery.Node:
        name = str(c[0]).lower()
        fields = self.columns.get(name)
        if fields is None:
            near = difflib.get_close_matches(name, self.columns, 1)
            raise QueryError(
                "unknown_column",
                f'no searchable column "{name}"',
                hint=f'did you mean "{near[0]}"?'
                if near
                else 'quote it to search for a colon: "a: b"',
                span=Span(c[0].start_pos, c[0].end_pos),
                source=self.text,
            )
        node: textquery.Node = c[1](fields) if callable(c[1]) else c[1]
        return node

    def _analyzed(self, token: lark.Token) -> list[str]:
        words = analysis.query_tokens(_unescape(str(token)))
        if not words:
            raise QueryError(
                "empty_pattern", f"{str(token)!r} holds no word", span=Span(token.start_pos or 0, token.end_pos or 0),
                source=self.text, hint="use CONTAINS for punctuation",
            )  # fmt: skip
        return words

    def word(self, meta: Any, c: list[Any]) -> Any:
        words = self._analyzed(c[0])
        return lambda fields: _words(words, fields)

    def fuzzy(self, meta: Any, c: list[Any]) -> Any:
        words = self._analyzed(c[0])
        if len(words) != 1:
            raise QueryError(
                "invalid_argument",
                "~ goes with one word",
                span=Span(c[0].start_pos, c[0].end_pos),
                source=self.text,
            )
        distance = int(c[1][1:]) if len(c[1]) > 1 else textquery.default_distance(words[0])
        if distance > 2:
            raise QueryError(
                "invalid_argument", "the edit distance is at most 2", span=Span(c[1].start_pos, c[1].end_pos),
                source=self.text,
            )  # fmt: skip
        return lambda fields: textquery.Fuzzy(fields, words[0], distance)

    def prefix(self, meta: Any, c: list[Any]) -> Any:
        words = self._analyzed(c[0])
        if len(words) != 1:
            raise QueryError(
                "invalid_argument",
                "* goes with one word",
                span=Span(c[0].start_pos, c[0].end_pos),
                source=self.text,
            )
        return lambda fields: textquery.Prefix(fields, words[0])

    def phrase(self, meta: Any, c: list[Any]) -> Any:
        words = self._analyzed_phrase(c[0])
        return lambda fields: _words(words, fields)

    def slop(self, meta: Any, c: list[Any]) -> Any:
        words = self._analyzed_phrase(c[0])
        slop = int(c[1][1:])
        if slop > 100:
            raise QueryError(
                "invalid_argument",
                "the slop is at most 100",
                span=Span(c[1].start_pos, c[1].end_pos),
                source=self.text,
            )
        return lambda fields: _words(words, fields, slop)

    def _analyzed_phrase(self, token: lark.Token) -> list[str]:
        inner = str(token)[1:-1].replace('""', '"')
        words = analysis.query_tokens(_unescape(inner))
        if not words:
            raise QueryError(
                "empty_pattern", "the phrase holds no word", span=Span(token.start_pos or 0, token.end_pos or 0),
                source=self.text,
            )  # fmt: skip
        return words

    def regex(self, meta: Any, c: list[Any]) -> Any:
        pattern = str(c[0])[1:-1].replace("\\/", "/")
        try:
            patterns.check(pattern)
        except patterns.InvalidPatternError as e:
            raise QueryError(
                "invalid_pattern", f"not a regular expression: {e}", span=Span(c[0].start_pos, c[0].end_pos),
                source=self.text,
            ) from None  # fmt: skip
        return lambda fields: textquery.TermRegex(fields, pattern)
