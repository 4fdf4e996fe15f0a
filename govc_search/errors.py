"""Every error a user can meet: one tree, one code each, one table of exit statuses."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "EXIT_STATUS",
    "BusyError",
    "DeadlineError",
    "GovcSearchError",
    "QueryError",
    "SourceError",
    "Span",
    "StoreError",
    "UsageError",
]


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range `[start, end)` of code points in a query text."""

    start: int
    end: int


class GovcSearchError(Exception):
    """The root of the tree.

    `code` is stable and machine-readable, the message is lower case without a full stop,
    `hint` says how to mend it, `span` and `source` say where in a query it happened.
    """

    kind = "internal"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        span: Span | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.span = span
        self.source = source

    @property
    def line(self) -> int | None:
        """Returns the 1-based line of the place, or None where there is none."""
        if self.span is None or self.source is None:
            return None
        return self.source.count("\n", 0, self.span.start) + 1

    @property
    def column(self) -> int | None:
        """Returns the 1-based column of the place in code points, or None."""
        if self.span is None or self.source is None:
            return None
        return self.span.start - (self.source.rfind("\n", 0, self.span.start) + 1) + 1

    def render(self, show: Callable[[str], str] = str) -> str:
        """Returns the error as people read it: code, message, the line with a caret, the hint.

        `show` makes text fit for where it is shown; the caret stands under what it returns.
        """
        out = [show(f"error[{self.code}]: {self.message}")]
        hint = show(self.hint or "")
        if self.span is None or self.source is None:
            return "\n".join([*out, *([f"  {hint}"] if hint else [])])
        begin = self.source.rfind("\n", 0, self.span.start) + 1
        end = self.source.find("\n", begin)
        text = self.source[begin : end if end >= 0 else None]
        start, stop = self.span.start - begin, self.span.end - begin
        text, start, stop = _around(text, start, stop)
        # The line is put together from what it is shown as, a tab as blanks, so that widths add up.
        before, marked, after = (
            show(part.replace("\t", _TAB)) for part in (text[:start], text[start:stop], text[stop:])
        )
        out.append(f"  {before}{marked}{after}".rstrip())
        out.append(f"  {' ' * _cells(before)}{'^' * max(1, _cells(marked))} {hint}".rstrip())
        return "\n".join(out)


_TAB = "    "
_LINE = 240


def _around(text: str, start: int, stop: int) -> tuple[str, int, int]:
    """Returns the part of a long line that a place `[start, stop)` in it is shown in."""
    if len(text) <= _LINE:
        return text, start, stop
    first = max(0, start - _LINE // 3)
    cut = ("…" if first else "") + text[first : first + _LINE]
    shift = first - bool(first)
    more = "…" if first + _LINE < len(text) else ""
    return cut + more, start - shift, min(stop - shift, len(cut))


def _cells(text: str) -> int:
    """Returns how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(c) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


class UsageError(GovcSearchError):
    """A command, option, setting or argument that cannot be taken."""

    kind = "usage"


class QueryError(GovcSearchError):
    """A query that cannot be parsed, bound or run as it is written."""

    kind = "query"


class SourceError(GovcSearchError):
    """A repository that is missing, broken, or cannot be read."""

    kind = "source"


class StoreError(GovcSearchError):
    """A data directory that is damaged, too new, or not one of ours."""

    kind = "store"


class BusyError(GovcSearchError):
    """A data directory that another process holds."""

    kind = "busy"


class DeadlineError(GovcSearchError):
    """Work that did not finish within its deadline."""

    kind = "deadline"


# Exit status of the command line by error kind; 7 is "done, but something could not be read
# or did not agree", 130 is Ctrl-C, as shells have it.
EXIT_STATUS: dict[str, int] = {
    "internal": 1,
    "usage": 2,
    "query": 3,
    "source": 4,
    "store": 5,
    "busy": 6,
    "incomplete": 7,
    "deadline": 8,
    "interrupted": 130,
}
