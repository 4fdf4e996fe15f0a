"""What every text that holds a needle or matches a pattern must hold, in terms of its words.

A needle is cut into its ASCII letters and digits. A text that contains the needle has, for each
such fragment, a word (lower case, as `analysis` gives it) that contains the fragment; where the
needle itself shows that the word ends there, the word ends there. Texts whose words were cut
are the exception, which an index must know of. A pattern is parsed as far as it is understood;
what is not understood requires nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = [
    "AllOf", "AnyOf", "At", "Fragment", "Requirement", "Words", "of_needle", "of_pattern", "texts_of",
]  # fmt: skip

At = Literal["prefix", "suffix", "infix"]


@dataclass(frozen=True, slots=True)
class Words:
    """These words stand side by side in one line."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """Some word begins with, ends in, or contains the text."""

    text: str
    at: At


@dataclass(frozen=True, slots=True)
class AllOf:
    """Each is required."""

    parts: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One is required."""

    parts: tuple[Requirement, ...]


Requirement = Words | Fragment | AllOf | AnyOf

_FRAGMENT: Final = re.compile("[A-Za-z0-9]+")
_IGNORING_CASE: Final = re.compile(r"\(\?[A-Za-z-]*i")
# So many texts are looked for, none of which may be shorter.
_MOST_TEXTS: Final = 4
_SHORTEST: Final = 3


def of_needle(
    needle: str, *, starts_line: bool = False, ends_line: bool = False
) -> Requirement | None:
    """Returns what a text that contains the needle must hold, or None for nothing.

    `starts_line`, `ends_line`: nothing but a line end, or nothing at all, stands right before or
    after it.
    """
    parts: list[Requirement] = []
    run: list[str] = []
    run_end = -1
    for match in _FRAGMENT.finditer(needle):
        start, end = match.span()
        left = starts_line if start == 0 else needle[start - 1].isascii()
        right = ends_line if end == len(needle) else needle[end].isascii()
        text = match.group().lower()
        between = needle[run_end:start] if run else ""
        if not (left and right):
            at: At = "prefix" if left else "suffix" if right else "infix"
            parts.append(Fragment(text, at))
            continue
        if run and not (
            between.isascii() and "\n" not in between and not _FRAGMENT.search(between)
        ):
            parts.append(Words(tuple(run)))
            run = []
        run.append(text)
        run_end = end
    if run:
        parts.append(Words(tuple(run)))
    return _all(parts)


def _all(parts: list[Requirement]) -> Requirement | None:
    distinct = tuple(dict.fromkeys(parts))
    if not distinct:
        return None
    return distinct[0] if len(distinct) == 1 else AllOf(distinct)


def of_pattern(pattern: str) -> Requirement | None:
    """Returns what a text must hold in which the RE2 pattern matches somewhere, or None."""
    try:
        tree = _Parser(pattern).parse()
    except (_UnknownSyntaxError, RecursionError):
        return None
    return _required(tree)


def texts_of(pattern: str) -> tuple[str, ...]:
    """Returns texts of which one, letter by letter, is in whatever the RE2 pattern matches.

    Looking for them takes a fraction of the time that the pattern takes. Empty where nothing is
    known, or what is known is too short or too much to be worth it.
    """
    try:
        tree = _Parser(pattern).parse()
    except (_UnknownSyntaxError, RecursionError):
        return ()
    return () if _IGNORING_CASE.search(pattern) else _texts(tree)


def _texts(tree: _Pattern) -> tuple[str, ...]:
    known: list[tuple[str, ...]] = []
    run = ""
    for item in (*_flat(tree), _Any()):
        match item:
            case _Text(char, exact=True):
                run += char
            case _Edge():
                pass
            case _:
                known.append((run,))
                run = ""
                if isinstance(item, _Repeated):
                    known.append(_texts(item.item))
                elif isinstance(item, _Choice):
                    each = [_texts(option) for option in item.options]
                    known.append(tuple(t for ts in each for t in ts) if all(each) else ())
    worth = [ts for ts in known if 0 < len(ts) <= _MOST_TEXTS and min(map(len, ts)) >= _SHORTEST]
    return max(worth, key=lambda ts: min(map(len, ts)), default=())


# ---- the pattern as a tree


@dataclass(frozen=True, slots=True)
class _Text:
    """One character, or (not `exact`) one of several that are equal in lower case."""

    char: str
    exact: bool = True


@dataclass(frozen=True, slots=True)
class _Edge:
    """A place between characters; `line` where it is the begin or end of a line."""

    line: Literal["start", "end", ""]


@dataclass(frozen=True, slots=True)
class _Any:
    """Something of which nothing is known."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    items: tuple[_Pattern, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[_Pattern, ...]


@dataclass(frozen=True, slots=True)
class _Repeated:
    """At least once, maybe more."""

    item: _Pattern


_Pattern = _Text | _Edge | _Any | _Sequence | _Choice | _Repeated


def _flat(tree: _Pattern) -> Iterator[_Pattern]:
    if isinstance(tree, _Sequence):
        for item in tree.items:
            yield from _flat(item)
    else:
        yield tree


@dataclass(slots=True)
class _Literal:
    """A stretch of the pattern that is plain text, as far as it is known."""

    text: list[str] = field(default_factory=list)
    starts_line: bool = False
    ends_line: bool = False

    def required(self) -> Requirement | None:
        return of_needle("".join(self.text), starts_line=self.starts_line, ends_line=self.ends_line)


def _required(tree: _Pattern) -> Requirement | None:
    parts: list[Requirement] = []
    literal = _Literal()

    def close() -> None:
        nonlocal literal
        requirement = literal.required()
        if requirement is not None:
            parts.append(requirement)
        literal = _Literal()

    for item in _flat(tree):
        match item:
            case _Text(char):
                if literal.ends_line:
                    close()
                literal.text.append(char)
            case _Edge("start"):
                if literal.text:
                    close()
                literal.starts_line = True
            case _Edge("end"):
                literal.ends_line = True
            case _Edge():
                pass
            case _:
                close()
                requirement = _required_of_part(item)
                if requirement is not None:
                    parts.append(requirement)
    close()
    return _all(parts)


def _required_of_part(item: _Pattern) -> Requirement | None:
    match item:
        case _Repeated(inner):
            return _required(inner)
        case _Choice(options):
            each = [_required(option) for option in options]
            known = tuple(dict.fromkeys(r for r in each if r is not None))
            if None in each:
                return None
            return known[0] if len(known) == 1 else AnyOf(known)
    return None


class _UnknownSyntaxError(ValueError):
    """The pattern uses something that this parser does not know."""


_MAX_DEPTH: Final = 50
_CONTROL: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REPEAT: Final = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP: Final = re.compile(r"\((?:\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?:))?")
_FLAGS: Final = re.compile(r"\(\?[imsU]*(?:-[imsU]+)?\)")
_HEX: Final = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_UNICODE_CLASS: Final = re.compile(r"[pP](?:\{\^?\w+\}|\w)")


class _Parser:
    """Reads RE2's syntax; flags change nothing here, for words are in lower case anyway."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def parse(self) -> _Pattern:
        tree = self.choice(0)
        if self.at < len(self.pattern):
            raise _UnknownSyntaxError
        return tree

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def choice(self, depth: int) -> _Pattern:
        if depth > _MAX_DEPTH:
            raise _UnknownSyntaxError
        options = [self.sequence(depth)]
        while self.peek() == "|":
            self.at += 1
            options.append(self.sequence(depth))
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def sequence(self, depth: int) -> _Pattern:
        items: list[_Pattern] = []
        while self.peek() not in ("", "|", ")"):
            flags = _FLAGS.match(self.pattern, self.at)
            if flags:
                self.at = flags.end()
                continue
            if self.pattern.startswith(r"\Q", self.at):
                end = self.pattern.find(r"\E", self.at)
                end = len(self.pattern) if end < 0 else end
                quoted = self.pattern[self.at + 2 : end]
                # A repeat after it would be of the last character alone: too rare to model.
                self.at = end + 2
                if self.peek() in ("*", "+", "?", "{"):
                    raise _UnknownSyntaxError
                items.extend(map(_Text, quoted))
                continue
            items.append(self.repeats(self.atom(depth)))
        return _Sequence(tuple(items))

    def repeats(self, item: _Pattern) -> _Pattern:
        while True:
            sign = self.peek()
            if sign in ("*", "?"):
                self.at += 1
                item = _Any()
            elif sign == "+":
                self.at += 1
                item = _Repeated(item)
            elif sign == "{" and (found := _REPEAT.match(self.pattern, self.at)):
                self.at = found.end()
                least = int(found[1])
                if found[2] is None and least == 1:
                    continue
                item = _Repeated(item) if least else _Any()
            else:
                return item
            if self.peek() == "?":
                self.at += 1

    def atom(self, depth: int) -> _Pattern:
        char = self.peek()
        if char == "(":
            group = _GROUP.match(self.pattern, self.at)
            if group is None or (group.group() == "(" and self.pattern.startswith("(?", self.at)):
                raise _UnknownSyntaxError
            self.at = group.end()
            inner = self.choice(depth + 1)
            if self.peek() != ")":
                raise _UnknownSyntaxError
            self.at += 1
            return inner
        if char == "[":
            return self.char_class()
        if char == "\\":
            return self.escape()
        self.at += 1
        if char == ".":
            return _Any()
        if char == "^":
            return _Edge("start")
        if char == "$":
            return _Edge("end")
        if char in "*+?":
            raise _UnknownSyntaxError
        return _Text(char)

    def escape(self) -> _Pattern:
        rest = self.pattern[self.at + 1 :]
        char = rest[:1]
        if (found := _HEX.match(rest)) is not None:
            code = int(found[1] or found[2], 16)
            if code > 0x10FFFF:
                raise _UnknownSyntaxError
            self.at += 1 + found.end()
            return _Text(chr(code))
        if (found := _UNICODE_CLASS.match(rest)) is not None:
            self.at += 1 + found.end()
            return _Any()
        self.at += 2
        if char in _CONTROL:
            return _Text(_CONTROL[char])
        if char and char in "dDwWsS":
            return _Any()
        if char and char in "bB":
            return _Edge("")
        if char == "A":
            return _Edge("start")
        if char == "z":
            return _Edge("end")
        if not char or char.isalnum():
            raise _UnknownSyntaxError
        return _Text(char)

    def char_class(self) -> _Pattern:
        """Reads `[...]`: a character where all members are one in lower case, else anything."""
        self.at += 1
        negated = self.peek() == "^"
        self.at += negated
        members: list[_Pattern] = []
        first = True
        while first or self.peek() != "]":
            if not self.peek():
                raise _UnknownSyntaxError
            first = False
            if self.pattern.startswith("[:", self.at):
                end = self.pattern.find(":]", self.at)
                if end < 0:
                    raise _UnknownSyntaxError
                self.at = end + 2
                members.append(_Any())
                continue
            members.append(self.member())
            if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                self.member()
                members[-1] = _Any()
        self.at += 1
        chars = {m.char.lower() if isinstance(m, _Text) else None for m in members}
        if negated or len(chars) != 1 or None in chars:
            return _Any()
        # Only characters are left by now.
        return _Text(chars.pop() or "", exact=False) if len(set(members)) > 1 else members[0]

    def member(self) -> _Pattern:
        if self.peek() == "\\":
            return self.escape()
        char = self.peek()
        if not char:
            raise _UnknownSyntaxError
        self.at += 1
        return _Text(char)
