"""GQL text to syntax tree."""

from __future__ import annotations

import difflib
import re
from functools import cache, lru_cache

import lark

from govc_search.errors import QueryError, Span
from govc_search.ql import ast
from govc_search.ql.builder import build
from govc_search.ql.dialects import instead
from govc_search.ql.expression_builder import span_of
from govc_search.ql.grammar import parser_of

__all__ = ["keywords", "on_one_line", "parse"]

# The passes over the tree are recursive: what is deeper than this could outgrow the stack.
# Thirty-two nested sub-queries need 160 levels.
_DEPTH = 200


def _grammar() -> lark.Lark:
    return parser_of("gql.lark")


@cache
def keywords() -> tuple[str, ...]:
    """Returns every keyword of the grammar, upper case, in alphabetical order."""
    return tuple(sorted(t.name for t in _grammar().terminals if t.name.isalpha() and _is_word(t)))


def _is_word(terminal: lark.lexer.TerminalDef) -> bool:
    return terminal.pattern.value == terminal.name.lower() + r"\b"


@lru_cache(maxsize=512)
def parse(text: str, *, max_bytes: int = 65_536, max_nesting: int = 32) -> ast.Statement:
    """Returns the statement that `text` is.

    Raises QueryError: query_too_long, query_too_deep, syntax_error.
    """
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise QueryError(
            "query_too_long",
            f"the query is longer than {max_bytes} bytes",
            hint="the setting query_bytes is the limit",
        )
    lone = _SURROGATE.search(text)
    if lone:
        raise QueryError(
            "invalid_text",
            f"half a character at place {lone.start() + 1}: text has to be valid Unicode",
        )
    _check_nesting(text, max_nesting)
    try:
        tree = _grammar().parse(text)
    except lark.exceptions.UnexpectedInput as e:
        raise _syntax_error(e, text) from None
    _check_depth(tree, text)
    return build(tree, text)


_WORD = re.compile(r"\w+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# A comment without an end goes to the end, or the search for it would begin again at each "/*".
_NESTING = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?(?:\*/|\Z)|[()\[\]]|\b(?i:case|end)\b",
    re.DOTALL,
)
_BLANKS = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?:\s|--[^\n]*|/\*.*?\*/)+", re.DOTALL)


def on_one_line(source: str, span: Span) -> str:
    """Returns a part of a query as it was written, without line ends and comments."""
    return _BLANKS.sub(lambda m: m[1] or " ", source[span.start : span.end]).strip()


def _check_nesting(text: str, limit: int) -> None:
    """Refuses what would nest too deep for the recursive passes that follow the parser."""
    depth = 0
    for m in _NESTING.finditer(text):
        word = m.group().lower()
        if word in ("(", "[", "case"):
            depth += 1
        elif word in (")", "]", "end"):
            depth = max(0, depth - 1)
        if depth > limit:
            raise QueryError(
                "query_too_deep",
                f"the query nests deeper than {limit} levels",
                hint="the setting query_nesting is the limit",
                span=Span(m.start(), m.end()),
                source=text,
            )


def _check_depth(tree: lark.Tree[lark.Token], text: str) -> None:
    """Refuses chains without parentheses that nest too deep, such as `NOT NOT NOT a`."""
    level = [tree]
    for _ in range(_DEPTH):
        level = [c for t in level for c in t.children if isinstance(c, lark.Tree)]
        if not level:
            return
    raise QueryError(
        "query_too_deep",
        "too many operators, joins or set operations in a row",
        span=span_of(level[0].meta),
        source=text,
    )


_SYMBOLS = {
    "LPAR": '"("', "RPAR": '")"', "COMMA": '","', "LSQB": '"["', "RSQB": '"]"', "DOT": '"."',
    "SEMICOLON": '";"', "NAME": "a name", "QUOTED": "a name", "STRING": "text in '...'",
    "INTEGER": "a number", "DECIMAL": "a number", "PARAMETER": "a $parameter",
    "COMPARE": "a comparison", "$END": "the end", "PLUS": '"+"', "MINUS": '"-"', "STAR": '"*"',
    "SLASH": '"/"', "SLASHES": '"//"', "PERCENT": '"%"', "ARROW": '"=>"', "UNIT": "a unit such as DAY", "LONG_TYPE": "a type", "__ANON_0": '"||"', "__ANON_1": '"::"', "QMARK": '"?"',
}  # fmt: skip


def _syntax_error(error: lark.exceptions.UnexpectedInput, text: str) -> QueryError:
    start: int = getattr(error, "pos_in_stream", None) or 0
    if isinstance(error, lark.exceptions.UnexpectedToken):
        token = error.token
        expected = set(error.accepts or error.expected)
        if token.type == "$END":
            start = end = len(text.rstrip())
            what = "the query ends too early"
        else:
            start = token.start_pos or 0
            end = start + len(token)
            what = f"unexpected {str(token)!r}" if len(token) < 40 else "unexpected text"
    else:
        assert isinstance(error, lark.exceptions.UnexpectedCharacters)
        expected, end = set(error.allowed or ()), start + 1
        rest = text[start:]
        if rest[:1] in ("'", '"'):
            what = f"the {'text' if rest[0] == chr(39) else 'name'} that begins here has no end"
            return QueryError(
                "syntax_error",
                what,
                hint=f"close it with {rest[0]}",
                span=Span(start, end),
                source=text,
            )
        what = f"unexpected character {rest[:1]!r}"
        if rest[:1].isdecimal():
            number = _WORD.match(rest)
            end = start + (number.end() if number else 1)
            return QueryError(
                "syntax_error",
                f"{text[start:end]!r} is neither a number nor a name",
                hint="a name begins with a letter",
                span=Span(start, end),
                source=text,
            )
    if text[max(start - 1, 0) : start + 1] == "==":
        return QueryError(
            "syntax_error",
            "unexpected '=='",
            hint="write = to compare",
            span=Span(start - 1, start + 1),
            source=text,
        )
    other = instead(text, start)
    if other is not None:
        return QueryError("syntax_error", what, hint=other, span=Span(start, end), source=text)
    words = sorted(e for e in expected if e in keywords())
    word = text[start:end]
    near = difflib.get_close_matches(word.upper(), words, 1, 0.7) if word else []
    if near:
        hint = f'did you mean "{near[0]}"?'
    else:
        # The word before may be the misspelt one: "SELECT a FORM t" fails at "t".
        before = _last_word(text, start)
        word = text[before.start : before.end].upper()
        late = difflib.get_close_matches(word, keywords(), 1, 0.7)
        if late and late[0] != word:
            return QueryError(
                "syntax_error",
                what,
                hint=f'did you mean "{late[0]}"?',
                span=before,
                source=text,
            )
        names = _expectations(expected)
        if len(names) > 6:
            names = [*names[:6], "the like"]
        parts = (", ".join(names[:-1]), *names[-1:]) if names else ("the end of the query",)
        hint = f"expected {' or '.join(p for p in parts if p)}"
    return QueryError("syntax_error", what, hint=hint, span=Span(start, end), source=text)


def _last_word(text: str, end: int) -> Span:
    """Returns where the word right before `end` stands; it is empty where there is none."""
    # From the end: a search for a word at the end would begin at each character.
    start = end = len(text[:end].rstrip())
    while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    return Span(start, end)


_BEGINS_VALUE = {
    "LPAR", "PLUS", "MINUS", "QMARK", "LSQB", "STRING", "INTEGER", "DECIMAL", "PARAMETER", "NAME",
    "QUOTED", "CASE", "CAST", "TRY_CAST", "EXISTS", "EXTRACT", "NOT", "TRUE", "FALSE", "NULL", "LEFT", "RIGHT",
    "CONTAINS", "MATCH", "GLOB", "LIKE", "ARRAY", "INTERVAL",
}  # fmt: skip
_FOLLOWS_VALUE = {
    "COMPARE", "PLUS", "MINUS", "STAR", "SLASH", "SLASHES", "PERCENT", "LSQB", "__ANON_0", "__ANON_1", "AND",
    "OR", "NOT", "BETWEEN", "IN", "LIKE", "ILIKE", "GLOB", "MATCH", "CONTAINS", "IS", "AT",
    "ARROW",
}  # fmt: skip


def _expectations(expected: set[str]) -> list[str]:
    """Returns what could have come, as people call it."""
    names = []
    if expected >= {"STRING", "PARAMETER", "LPAR"}:
        names.append("an expression")
        expected = expected - _BEGINS_VALUE
    elif "COMPARE" in expected:
        names.append("an operator")
        expected = expected - _FOLLOWS_VALUE
    return names + sorted({_SYMBOLS.get(e, e) for e in expected} - {"the end"})
