"""GQL while it is written: the tokens of a text that need not be whole, and what may follow it.

The parser itself reads it. What cannot stand where it stands is passed over, so that one misplaced
word does not spoil all that comes after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import lark
from lark.parsers.lalr_analysis import Shift

from govc_search.ql.grammar import parser_of
from govc_search.ql.parser import keywords

__all__ = ["COMMENT", "OPEN", "UNKNOWN", "Place", "Token", "cut", "place", "tokens"]

# Types of tokens beside the terminals of the grammar: a comment; a text, name or comment that has
# no end, and so is all the rest; what no token begins with.
COMMENT: Final = "COMMENT"
OPEN: Final = "OPEN"
UNKNOWN: Final = "UNKNOWN"

_KINDS: Final = {
    "NAME": "name",
    "QUOTED": "name",
    "STRING": "text",
    "INTEGER": "number",
    "DECIMAL": "number",
    "PARAMETER": "parameter",
    COMMENT: "comment",
    OPEN: "text",
    UNKNOWN: "unknown",
}
_COMMENTS: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_STRAY: Final = re.compile(r"""[^\w\s'"();]+|.""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece `[start, end)` of a text; `type` is a terminal of the grammar or one of the above."""

    type: str
    start: int
    end: int

    @property
    def kind(self) -> str:
        """Returns keyword, name, text, number, parameter, comment, operator or unknown."""
        return _KINDS.get(self.type) or ("keyword" if self.type in keywords() else "operator")


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two tokens, as the states of the parser there."""

    states: tuple[Any, ...]
    # The states from here on cover the token that is asked about.
    _mark: int = 0

    def accepts(self) -> list[str]:
        """Returns the terminals that may come next, `$END` among them, in the grammar's order."""
        return [t for t in _terminals() if t in self._choices and self._after(t) is not None]

    @property
    def _choices(self) -> Mapping[str, tuple[Any, Any]]:
        return _states()[self.states[-1]]

    def after(self, terminal: str) -> Place | None:
        """Returns the place behind a token of that type, or None where it cannot stand."""
        found = self._after(terminal)
        return found and found[0]

    def meanings(self, terminal: str) -> set[str]:
        """Returns the rules of the grammar that a token of that type may be read by.

        As in `column` or `table_name`; what only says that a name is a name is left out.
        """
        there = self.after(terminal)
        if there is None:
            return set()
        held = Place(there.states, len(there.states) - 1)
        found = set()
        for follower in _terminals():
            step = held._after(follower)
            rules = [r for r in step[1] if r != "name" and not r.startswith("_")] if step else []
            found.update(rules[:1])
        return found

    def _after(self, terminal: str) -> tuple[Place, list[str]] | None:
        """Returns the place behind a token, and the rules that were completed over the mark."""
        stack, mark = list(self.states), self._mark
        rules: list[str] = []
        while True:
            action, target = _states()[stack[-1]].get(terminal, (None, None))
            if action is None:
                return None
            if action is Shift:
                return Place((*stack, target), mark), rules
            size = len(target.expansion)
            del stack[len(stack) - size :]
            if len(stack) <= mark:
                mark = len(stack)
                rules.append(target.alias or target.origin.name)
            _, state = _states()[stack[-1]][target.origin.name]
            stack.append(state)
            if terminal == "$END" and state == _conf().end_state:
                return Place(tuple(stack), mark), rules


@cache
def _conf() -> Any:
    return parser_of("gql.lark").parse_interactive("").parser_state.parse_conf


def _states() -> Mapping[Any, Mapping[str, tuple[Any, Any]]]:
    states: Mapping[Any, Mapping[str, tuple[Any, Any]]] = _conf().states
    return states


@cache
def _terminals() -> list[str]:
    return [*(t.name for t in parser_of("gql.lark").terminals), "$END"]


def tokens(text: str) -> tuple[Token, ...]:
    """Returns the tokens of a text of any number of statements, comments among them."""
    return _read(text)[0]


def place(text: str) -> Place | None:
    """Returns the place at the end of a text, or None where a text or comment is open there."""
    return _read(text)[1]


def cut(text: str) -> list[str]:
    """Returns the statements of a text, each with its ";", and what stands after the last one.

    Comments belong to the statement that follows them; a rest of nothing else is "".
    """
    found = tokens(text)
    ends = [t.end for t in found if t.type == "SEMICOLON"]
    parts = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    if not any(t.start >= (ends or [0])[-1] and t.type != COMMENT for t in found):
        parts[-1] = ""
    return parts


@lru_cache(maxsize=32)
def _read(text: str) -> tuple[tuple[Token, ...], Place | None]:
    reader = parser_of("gql.lark").parse_interactive(text)
    start = here = Place(tuple(reader.parser_state.state_stack))
    found: list[Token] = []
    end = 0
    while (token := _next(reader, text)) is not None:
        found += _comments(text, end, token.start)
        if token.type == OPEN and found and found[-1].type == "STRING" and token.start == end:
            # A doubled quote, and no end of a text before it.
            token = Token(OPEN, found.pop().start, token.end)
        found.append(token)
        end = token.end
        here = start if token.type == "SEMICOLON" else here.after(token.type) or here
        reader.parser_state.state_stack[:] = here.states
    found += _comments(text, end, len(text))
    return tuple(found), None if found and _has_no_end(text, found[-1]) else here


def _next(reader: Any, text: str) -> Token | None:
    """Returns the next token, whether it may stand there or not, or None at the end."""
    counter = reader.lexer_thread.state.line_ctr
    try:
        token = next(reader.lexer_thread.lex(reader.parser_state), None)
        if token is None:
            return None
    except lark.UnexpectedToken as error:
        token = error.token
    except lark.UnexpectedCharacters:
        at = counter.char_pos
        stray = text[at:] if text[at] in "'\"" else _STRAY.findall(text[at : at + 80])[0]
        counter.feed(stray)
        return Token(OPEN if text[at] in "'\"" else UNKNOWN, at, at + len(stray))
    assert token.start_pos is not None
    if text.startswith("/*", token.start_pos):
        # A comment that has an end is never seen here.
        counter.feed(text[counter.char_pos :])
        return Token(OPEN, token.start_pos, len(text))
    return Token(token.type, token.start_pos, counter.char_pos)


def _comments(text: str, start: int, end: int) -> Iterator[Token]:
    # All that the parser passes over besides blanks.
    for found in _COMMENTS.finditer(text, start, end):
        yield Token(COMMENT, found.start(), found.end())


def _has_no_end(text: str, last: Token) -> bool:
    return last.end == len(text) and (last.type == OPEN or text.startswith("--", last.start))
