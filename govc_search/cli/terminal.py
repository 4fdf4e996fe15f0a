"""What may reach a terminal, and in which colours.

Messages, names and paths come from strangers. Whatever could move the cursor, change colours or
reverse the order of what is read is shown by its escape instead.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Final

from govc_search.errors import GovcSearchError

__all__ = [
    "CLOSE",
    "HARMFUL",
    "OPEN",
    "Target",
    "escape",
    "has_colour",
    "paint",
    "paint_error",
    "say",
    "say_error",
]

# Marks of a match, as HIGHLIGHT is asked to set them.
OPEN: Final = "\x02"
CLOSE: Final = "\x03"

# C0, DEL and C1, the marks that change the direction of text, line and paragraph separators,
# and lone surrogates, which no terminal can print. One class, in the syntax of `re`.
_CODES: Final = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,
    0x200E,
    0x200F,
    0x2028,
    0x2029,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xFFF9, 0xFFFC),
)
# The same set for RE2, which Arrow uses.
HARMFUL: Final = "[" + "".join(f"\\x{{{code:x}}}" for code in _CODES) + "]"
_HARMFUL: Final = re.compile(
    "[" + "".join(map(chr, _CODES)).replace("\\", "\\\\") + "\ud800-\udfff]"
)
_NAMED: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _escape_one(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    return _NAMED.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _escape_line(found: re.Match[str]) -> str:
    return found[0] if found[0] in "\n\t" else _escape_one(found)


def escape(text: str, *, lines: bool = False) -> str:
    r"""Returns the text with each harmful character as its escape (`\x1b`, `\u202e`, `\n`).

    With `lines` line ends and tabs stay.
    """
    return _HARMFUL.sub(_escape_line if lines else _escape_one, text)


_STYLES: Final[Mapping[str, str]] = {
    "header": "1;36",
    "dim": "2",
    "strong": "1",
    "hash": "33",
    "person": "36",
    "place": "35",
    "match": "1;31",
    "added": "32",
    "removed": "31",
    "hunk": "36",
    "error": "1;31",
    "warning": "1;33",
    "hint": "32",
}


def paint(text: str, style: str, *, colour: bool) -> str:
    """Returns the text in a style, or as it is without colour."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colour and text else text


def has_colour(stream: IO[str], *, allowed: bool = True) -> bool:
    """Returns whether a stream is a terminal that shows colours and nobody said no."""
    return (
        allowed
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


@dataclass(frozen=True, slots=True)
class Target:
    """Where data goes. `width` counts only on a terminal."""

    write: Callable[[bytes], object]
    terminal: bool = False
    colour: bool = False
    width: int = 80

    @classmethod
    def standard_output(cls, *, colour: bool) -> Target:
        """Returns standard output; text leaves as UTF-8, whatever the locale says."""
        out = sys.stdout
        return cls(
            out.buffer.write,
            terminal=out.isatty(),
            colour=has_colour(out, allowed=colour),
            width=shutil.get_terminal_size().columns,
        )

    def text(self, text: str) -> None:
        """Writes text."""
        self.write(text.encode("utf-8", "backslashreplace"))


def say(text: str, style: str | None = None, *, colour: bool = False) -> None:
    """Writes one message to standard error."""
    safe = escape(text, lines=True)
    sys.stderr.write((paint(safe, style, colour=colour) if style else safe) + "\n")
    sys.stderr.flush()


_ERROR: Final = re.compile(r"error\[[^\]]*\]:")
_CARET: Final = re.compile(r"(\s*)(\^+)(.*)")


def say_error(error: GovcSearchError, *, colour: bool) -> None:
    """Writes an error to standard error."""
    sys.stderr.write(paint_error(error.render(escape), colour=colour) + "\n")


def paint_error(rendered: str, *, colour: bool) -> str:
    """Returns a rendered error, escaped and in colours."""
    out: list[str] = []
    for i, line in enumerate(escape(rendered, lines=True).split("\n")):
        if i == 0 and (head := _ERROR.match(line)):
            head_text = paint(head[0], "error", colour=colour)
            out.append(head_text + paint(line[head.end() :], "strong", colour=colour))
        elif caret := _CARET.fullmatch(line):
            mark = paint(caret[2], "error", colour=colour)
            out.append(caret[1] + mark + paint(caret[3], "hint", colour=colour))
        else:
            out.append(line)
    return "\n".join(out)
