"""Regular expressions, globs and LIKE, turned into RE2 patterns that mean what GQL says."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["InvalidPattern", "glob", "glob_prefix", "regex"]


class InvalidPattern(ValueError):
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
# Inside [...]: the same sets without the line end, spelt as members.
_INSIDE = {
    "s": r"\t\f\r ",
    "W": r"\x00-\x09\x0b-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x{10FFFF}",
    "D": r"\x00-\x09\x0b-\x2f\x3a-\x{10FFFF}",
}


def regex(pattern: str, *, ignore_case: bool = False) -> str:
    """Returns the RE2 pattern of a GQL regular expression.

    `^` and `$` are line ends and nothing but a written line end matches one, so that a text of
    many lines matches exactly when one of its lines does, as in git. Raises InvalidPattern.
    """
    out: list[str] = []
    i, n = 0, len(pattern)
    while i < n:
        c = pattern[i]
        if c == "\\":
            if i + 1 >= n:
                raise InvalidPattern("it ends in a backslash")
            e = pattern[i + 1]
            if e.isdigit() and e != "0":
                raise InvalidPattern("back-references are not supported")
            if e == "C":
                raise InvalidPattern(r"\C is not supported")
            if e == "Q":
                end = pattern.find("\\E", i + 2)
                end = n if end < 0 else end
                out.append(re.escape(pattern[i + 2 : end]))
                i = end + 2
                continue
            if e == "P":
                m = re.match(r"\\P(\{\w+\}|\w)", pattern[i:])
                if not m:
                    raise InvalidPattern(r"\P takes a class name")
                out.append(f"[^\\p{m[1]}\\n]")
                i += m.end()
                continue
            out.append(_OUTSIDE.get(e, "\\" + e))
            i += 2
        elif c == "[":
            text, i = _class(pattern, i)
            out.append(text)
        elif pattern.startswith("(?", i):
            m = re.match(r"\(\?([a-zA-Z-]*)[:)]", pattern[i:])
            if m and set(m[1]) & {"s", "m"}:
                raise InvalidPattern("the flags s and m are fixed: ^ and $ are line ends, . stays in its line")
            out.append(c)
            i += 1
        else:
            out.append(c)
            i += 1
    result = ("(?im)" if ignore_case else "(?m)") + "".join(out)
    try:
        pc.match_substring_regex(pa.array([""]), pattern=result)
    except pa.ArrowInvalid as e:
        reason = str(e).removeprefix("Invalid regular expression: ")
        raise InvalidPattern(reason.splitlines()[0]) from None
    return result


def _class(pattern: str, start: int) -> tuple[str, int]:
    i, n = start + 1, len(pattern)
    negated = i < n and pattern[i] == "^"
    out = ["[^\\n" if negated else "["]
    i += negated
    first = True
    while i < n:
        c = pattern[i]
        if c == "]" and not first:
            out.append("]")
            return "".join(out), i + 1
        if c == "]":
            out.append("\\]")
            i += 1
        elif pattern.startswith("[:", i) and (end := pattern.find(":]", i)) > 0:
            name = pattern[i + 2 : end]
            if name == "space":
                out.append(r"\t\f\v\r ")
            elif name == "cntrl":
                out.append(r"\x00-\x09\x0b-\x1f\x7f")
            elif name.startswith("^"):
                raise InvalidPattern(f"write [^[:{name[1:]}:]] instead of [:{name}:]")
            else:
                out.append(pattern[i : end + 2])
            i = end + 2
        elif c == "\\" and i + 1 < n:
            e = pattern[i + 1]
            out.append(_INSIDE.get(e, "\\" + e) if not negated else "\\" + e)
            i += 2
        elif c == "[":
            out.append("\\[")
            i += 1
        else:
            out.append(c)
            i += 1
        first = False
    raise InvalidPattern("a [ has no closing ]")


def glob(pattern: str) -> str:
    """Returns the RE2 pattern of a git `:(glob)` pattern with `{a,b}` alternatives.

    Without a `/` it matches the last part of a path, else the whole path.
    """
    body = "".join(_glob_parts(pattern))
    return rf"(?s)(?:\A|/){body}\z" if "/" not in pattern else rf"(?s)\A{body}\z"


def _glob_parts(pattern: str) -> list[str]:
    out: list[str] = []
    i, n, depth = 0, len(pattern), 0
    while i < n:
        c = pattern[i]
        at_part = i == 0 or pattern[i - 1] == "/"
        if at_part and pattern.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif at_part and pattern[i:] == "**":
            out.append(".*")
            i += 2
        elif c == "*":
            while i < n and pattern[i] == "*":
                i += 1
            out.append("[^/]*")
        elif c == "?":
            out.append("[^/]")
            i += 1
        elif c == "[":
            end = pattern.find("]", i + 2 + (pattern[i + 1 : i + 2] in ("!", "^")))
            if end < 0:
                raise InvalidPattern("a [ has no closing ]")
            members = pattern[i + 1 : end]
            negated = members[:1] in ("!", "^")
            members = members[1:] if negated else members
            inner = members.replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            out.append(f"[^/{inner}]" if negated else f"[{inner}]")
            i = end + 1
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
        raise InvalidPattern("a { has no closing }")
    return out


def _quote(c: str) -> str:
    return "\\" + c if c in r"\.+*?()|[]{}^$" else c


def glob_prefix(pattern: str) -> str:
    """Returns the directory part that every path matching `pattern` begins with, perhaps empty."""
    if "/" not in pattern:
        return ""
    plain = re.match(r"[^*?\[{\\]*", pattern)
    assert plain is not None
    return plain[0][: plain[0].rfind("/") + 1]
