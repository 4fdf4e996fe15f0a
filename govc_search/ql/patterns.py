"""Regular expressions, globs and LIKE, turned into RE2 patterns that mean what GQL says."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "InvalidPatternError",
    "check",
    "glob",
    "glob_prefix",
    "groups",
    "is_by_line",
    "like_pieces",
    "regex",
]


class InvalidPatternError(ValueError):
    """A pattern that cannot be taken; the message says why."""


_OUTSIDE = {
    "<": r"\b",
    ">": r"\b",
    "A": "^",
    "z": "$",
    "Z": "$",
    "s": r"[\t\f\r ]",
    "S": r"[^\t\n\f\r ]",
    "W": r"[^0-9A-Za-z_\n]",
    "D": r"[^0-9\n]",
}
_NAMED = {
    "space": r"\t\f\v\r ",
    "cntrl": r"\x00-\x09\x0b-\x1f\x7f",
    "ascii": r"\x00-\x09\x0b-\x7f",
}
_LINE_END = 10
_ESCAPED = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_CODE_POINT = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,6})\}|(0[0-7]{0,2}))")
_CLASS_NAME = re.compile(r"\\([pP])(?:\{(\^?)(\w+)\}|(\w))")
_CATEGORIES_WITH_LINE_END = {"C", "Cc", "Any"}


def is_by_line(pattern: str) -> bool:
    """Returns whether an RE2 pattern made here is one of `regex`, whose ends are line ends."""
    return pattern.startswith(("(?m)", "(?im)"))


def regex(pattern: str, *, ignore_case: bool = False, by_line: bool = False) -> str:
    """Returns the RE2 pattern of a GQL regular expression.

    `^` and `$` are line ends and nothing but a written line end matches one, so that a text of
    many lines matches exactly when one of its lines does, as in git; with `by_line` a written
    line end is refused. Raises InvalidPatternError.
    """
    out = _Translation(pattern, by_line=by_line).text()
    result = ("(?im)" if ignore_case else "(?m)") + out
    try:
        check(result)
    except InvalidPatternError as e:
        # It quotes what it was given.
        raise InvalidPatternError(str(e).replace(result, pattern)) from None
    return result


def groups(pattern: str) -> int:
    """Returns how many groups an RE2 pattern made here has that a replacement may name."""
    plain = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", pattern, flags=re.DOTALL)
    return len(re.findall(r"\((?!\?)|\(\?P?<", plain))


def check(pattern: str) -> None:
    """Raises InvalidPatternError where RE2 does not take a pattern."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as e:
        reason = str(e).removeprefix("Invalid regular expression: ")
        raise InvalidPatternError(reason.splitlines()[0]) from None


class _Translation:
    """One pass over a pattern; `at` is where it stands."""

    def __init__(self, pattern: str, *, by_line: bool) -> None:
        self.pattern = pattern
        self.by_line = by_line
        self.at = 0

    def text(self) -> str:
        out: list[str] = []
        while self.at < len(self.pattern):
            c = self.pattern[self.at]
            if c == "\\":
                out.append(self._escape())
            elif c == "[":
                out.append(self._class())
            else:
                if c == "\n":
                    self._written_line_end()
                elif self.pattern.startswith("(?", self.at):
                    self._check_flags()
                out.append(c)
                self.at += 1
        return "".join(out)

    def _check_flags(self) -> None:
        m = re.match(r"\(\?([a-zA-Z-]*)[:)]", self.pattern[self.at :])
        if m and set(m[1]) & {"s", "m"}:
            raise InvalidPatternError(
                "the flags s and m are fixed: ^ and $ are line ends, . stays in its line"
            )

    def _written_line_end(self) -> None:
        if self.by_line:
            raise InvalidPatternError("it looks within one line, and holds a line end")

    def _escape(self) -> str:
        """Takes an escape that stands outside of [...]."""
        start = self.at
        e = self.pattern[start + 1 : start + 2]
        if not e:
            raise InvalidPatternError("it ends in a backslash")
        if e.isdigit() and e != "0":
            raise InvalidPatternError("back-references are not supported")
        if e == "C":
            raise InvalidPatternError(r"\C is not supported")
        if e == "Q":
            end = self.pattern.find("\\E", start + 2)
            end = len(self.pattern) if end < 0 else end
            self.at = end + 2
            quoted = self.pattern[start + 2 : end]
            if "\n" in quoted:
                self._written_line_end()
            return "".join(map(_quote, quoted))
        if e in "pP":
            return self._unicode_class()
        if e in _OUTSIDE:
            self.at = start + 2
            return _OUTSIDE[e]
        code = self._code_point()
        if code is not None:
            if code == _LINE_END:
                self._written_line_end()
            return self.pattern[start : self.at]
        self.at = start + 2
        return "\\" + e

    def _unicode_class(self) -> str:
        r"""Takes \p or \P; what is not in a class holds the line end, which is taken out."""
        m = _CLASS_NAME.match(self.pattern, self.at)
        if m is None:
            raise InvalidPatternError(r"\p takes the name of a class")
        self.at = m.end()
        name = m[3] or m[4]
        if (m[1] == "P") != (m[2] == "^"):
            return f"[^\\p{{{name}}}\\n]"
        if name in _CATEGORIES_WITH_LINE_END:
            raise InvalidPatternError(f"\\p{{{name}}} holds line ends: write [[:cntrl:]]")
        return f"\\p{{{name}}}"

    def _code_point(self) -> int | None:
        """Takes an escape that stands for one character and returns it, or None for others."""
        m = _CODE_POINT.match(self.pattern, self.at)
        if m:
            self.at = m.end()
            return int(m[1] or m[2], 16) if m[1] or m[2] else int(m[3], 8)
        e = self.pattern[self.at + 1 : self.at + 2]
        if e in _ESCAPED or (e and not e.isalnum()):
            self.at += 2
            return _ESCAPED[e] if e in _ESCAPED else ord(e)
        return None

    def _class(self) -> str:
        """Takes [...] and returns it without the line end, unless that is written there."""
        self.at += 1
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        members: list[str] = []
        # Complements stand beside the class: spelt as ranges inside it, they would fold to
        # letters where case is ignored.
        beside: list[str] = []
        first = True
        while first or not self.pattern.startswith("]", self.at):
            member = self._member(negated=negated)
            (beside if member.startswith("[^") else members).append(member)
            first = False
        self.at += 1
        if negated:
            return f"[^\\n{''.join(members)}]"
        if members:
            beside.insert(0, f"[{''.join(members)}]")
        return beside[0] if len(beside) == 1 else f"(?:{'|'.join(beside)})"

    def _member(self, *, negated: bool) -> str:
        start = self.at
        if self.pattern.startswith("[:", start) and (end := self.pattern.find(":]", start)) > 0:
            name = self.pattern[start + 2 : end]
            if name.startswith("^"):
                raise InvalidPatternError(f"write [^[:{name[1:]}:]] instead of [:{name}:]")
            self.at = end + 2
            return _NAMED.get(name, f"[:{name}:]")
        if self.pattern[start : start + 2] in ("\\p", "\\P"):
            text = self._unicode_class()
            return self.pattern[start : self.at] if negated else text
        low = self._single()
        if low is None:
            e = self.pattern[start + 1 : start + 2]
            self.at = start + 2
            if e == "s":
                return r"\t\f\r "
            return "\\" + e if negated or e not in "DSW" else _OUTSIDE[e]
        high = low
        if self.pattern[self.at : self.at + 1] == "-" and self.pattern[self.at + 1 :][:1] != "]":
            self.at += 1
            after = self._single()
            if after is None:
                raise InvalidPatternError("a range in [ ] ends in a class")
            high = after
        if low > high:
            raise InvalidPatternError("a range in [ ] runs backwards")
        if not negated and low < _LINE_END < high:
            return f"{_span(low, _LINE_END - 1)}{_span(_LINE_END + 1, high)}"
        if not negated and _LINE_END in (low, high):
            self._written_line_end()
        return _span(low, high)

    def _single(self) -> int | None:
        """Takes one character of [...], escaped or not; None where an escape is a class."""
        c = self.pattern[self.at : self.at + 1]
        if not c:
            raise InvalidPatternError("a [ has no closing ]")
        if c == "\\":
            return self._code_point()
        self.at += 1
        return ord(c)


def _span(low: int, high: int) -> str:
    return _shown(low) if low == high else f"{_shown(low)}-{_shown(high)}"


def _shown(code: int) -> str:
    c = chr(code)
    return c if c.isascii() and c.isalnum() else f"\\x{{{code:x}}}"


def like_pieces(pattern: str, escape: str = "") -> list[str]:
    """Returns the texts that stand between the wildcards of a LIKE pattern, in order."""
    pieces = [""]
    at = 0
    while at < len(pattern):
        c = pattern[at]
        if c == escape:
            at += 1
            pieces[-1] += pattern[at : at + 1]
        elif c in "%_":
            pieces.append("")
        else:
            pieces[-1] += c
        at += 1
    return [piece for piece in pieces if piece]


def glob(pattern: str) -> str:
    """Returns the RE2 pattern of a git `:(glob)` pattern with `{a,b}` alternatives.

    Without a `/` it matches the last part of a path, else the whole path; a `/` in front stands
    for the top. With a `/` at its end it is a directory: all paths in it.
    """
    if pattern.endswith("/"):
        pattern += "**"
    body = "".join(_glob_parts(pattern.removeprefix("/")))
    result = rf"(?s)(?:\A|/){body}\z" if "/" not in pattern else rf"(?s)\A{body}\z"
    check(result)
    return result


def _glob_parts(pattern: str) -> list[str]:
    out: list[str] = []
    i, n, depth = 0, len(pattern), 0
    while i < n:
        c = pattern[i]
        at_part = i == 0 or pattern[i - 1] == "/"
        if c == "*":
            start = i
            while i < n and pattern[i] == "*":
                i += 1
            if not at_part or i == start + 1 or (i < n and pattern[i] != "/"):
                out.append("[^/]*")
            elif i == n:
                out.append(".*")
            else:
                out.append("(?:.*/)?")
                i += 1
        elif c == "?":
            out.append("[^/]")
            i += 1
        elif c == "[":
            text, i = _glob_class(pattern, i + 1)
            out.append(text)
        elif c == "{":
            depth += 1
            out.append("(?:")
            i += 1
        elif c == "}" and depth:
            depth -= 1
            out.append(")")
            i += 1
        elif c == "," and depth:
            out.append("|")
            i += 1
        elif c == "\\" and i + 1 < n:
            out.append(_quote(pattern[i + 1]))
            i += 2
        else:
            out.append(_quote(c))
            i += 1
    if depth:
        raise InvalidPatternError("a { has no closing }")
    return out


# The named classes that hold a "/", without it.
_GLOB_NAMED = {
    "graph": r"\x{21}-\x{2e}\x{30}-\x{7e}",
    "print": r"\x{20}-\x{2e}\x{30}-\x{7e}",
    "punct": r"\x{21}-\x{2e}\x{3a}-\x{40}\x{5b}-\x{60}\x{7b}-\x{7e}",
}
_GLOB_CLASS = re.compile(r"\[:(\w*):\]")


def _glob_class(pattern: str, at: int) -> tuple[str, int]:
    """Returns what `[...]` from `at` on is in RE2, never a "/", and the place after it."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    start = at
    while at == start or not pattern.startswith("]", at):
        if named := _GLOB_CLASS.match(pattern, at):
            members.append(_GLOB_NAMED.get(named[1], named[0]))
            at = named.end()
            continue
        low, at = _glob_member(pattern, at)
        high = low
        if pattern.startswith("-", at) and pattern[at + 1 : at + 2] not in ("", "]"):
            high, at = _glob_member(pattern, at + 1)
        if low > high:
            raise InvalidPatternError("a range in [ ] runs backwards")
        if low < _SLASH < high:
            members += (_span(low, _SLASH - 1), _span(_SLASH + 1, high))
        elif low != high or low != _SLASH:
            members.append(_span(low + (low == _SLASH), high - (high == _SLASH)))
    if negated:
        return f"[^/{''.join(members)}]", at + 1
    return (f"[{''.join(members)}]" if members else _NOTHING), at + 1


_SLASH = ord("/")
_NOTHING = r"[^\x00-\x{10ffff}]"


def _glob_member(pattern: str, at: int) -> tuple[int, int]:
    """Returns the character of [...] that stands at a place, escaped or not, and what follows."""
    at += pattern.startswith("\\", at)
    if at >= len(pattern):
        raise InvalidPatternError("a [ has no closing ]")
    return ord(pattern[at]), at + 1


def _quote(c: str) -> str:
    return "\\" + c if c in r"\.+*?()|[]{}^$" else c


def glob_prefix(pattern: str) -> str:
    """Returns the directory part that every path matching `pattern` begins with, perhaps empty."""
    pattern = pattern.removeprefix("/")
    if "/" not in pattern:
        return ""
    plain = re.match(r"[^*?\[{\\]*", pattern)
    assert plain is not None
    return plain[0][: plain[0].rfind("/") + 1]
