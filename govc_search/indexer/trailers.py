"""Finds the trailers of a message as `git interpret-trailers` does, for commits that git never saw.

Source: trailer.c and commit.c of git 2.39, without configured trailers; "#" begins a comment.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["find_trailers"]

_TRAILER: Final = re.compile(rb"([A-Za-z0-9-]+)[ \t]*:")
# What git writes itself: one such line lets three others stand beside it.
_GENERATED: Final = (b"Signed-off-by: ", b"(cherry picked from commit ")
_SCISSORS: Final = b"# ------------------------ >8 ------------------------\n"
_BLANKS: Final = b" \t\n\r"
_WHITE: Final = (b" ", b"\t", b"\n", b"\r")
_FOLD: Final = re.compile(rb"\n[ \t\n\r]*")
_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")


def find_trailers(message: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the (key, value) pairs at the end of a message, values on one line."""
    if b":" not in message:
        return []
    # The subject is the first line that is not blank.
    lines = _LINE.findall(message[: _end(message)])
    while lines and not lines[0].strip(_BLANKS):
        del lines[0]
    found: list[list[bytes]] = []
    last = False
    for line in lines[_start(lines) :]:
        if last and line[:1] in _WHITE:
            found[-1][1] += line
            continue
        trailer = _TRAILER.match(line)
        last = trailer is not None
        if trailer is not None:
            found.append([trailer[1], line[trailer.end() :]])
    return [(key, _FOLD.sub(b" ", value.strip(_BLANKS))) for key, value in found]


def _end(message: bytes) -> int:
    """Returns where trailing comments, blank lines and a block of conflicts begin."""
    cut = len(message)
    if message.startswith(_SCISSORS):
        cut = 0
    elif (at := message.find(b"\n" + _SCISSORS)) >= 0:
        cut = at + 1
    first = None
    conflicts = False
    at = 0
    while at < cut:
        end = message.find(b"\n", at) + 1 or len(message)
        if message[at : at + 1] in (b"#", b"\n"):
            first = at if first is None else first
        elif message.startswith(b"Conflicts:\n", at):
            conflicts = True
            first = at if first is None else first
        elif not (conflicts and message[at : at + 1] == b"\t") and first is not None:
            first, conflicts = None, False
        at = end
    return cut if first is None else first


def _start(lines: list[bytes]) -> int:
    """Returns the first line of the block of trailers, or how many lines there are."""
    title = 0
    while title < len(lines) and (lines[title][:1] == b"#" or lines[title].strip(_BLANKS)):
        title += 1
    trailers = others = continued = 0
    generated = False
    blank = True
    for i in range(len(lines) - 1, title - 1, -1):
        line = lines[i]
        if line[:1] == b"#":
            others, continued = others + continued, 0
            continue
        if not line.strip(_BLANKS):
            if blank:
                continue
            others += continued
            whole = trailers > 0 and not others
            return i + 1 if (generated and trailers * 3 >= others) or whole else len(lines)
        blank = False
        if line.startswith(_GENERATED):
            trailers, continued, generated = trailers + 1, 0, True
        elif _TRAILER.match(line):
            trailers, continued = trailers + 1, 0
        elif line[:1] in _WHITE:
            continued += 1
        else:
            others, continued = others + 1 + continued, 0
    return len(lines)
