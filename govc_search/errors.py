"""Every error a user can meet: one tree, one code each, one table of exit statuses."""

from __future__ import annotations

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

    def render(self) -> str:
        """Returns the error as people read it: code, message, the line with a caret, the hint."""
        out = [f"error[{self.code}]: {self.message}"]
        if self.span is None or self.source is None:
            if self.hint:
                out.append(f"  {self.hint}")
            return "\n".join(out)
        begin = self.source.rfind("\n", 0, self.span.start) + 1
        end = self.source.find("\n", begin)
        text = self.source[begin : end if end >= 0 else None]
        offset = self.span.start - begin
        width = max(1, min(self.span.end - self.span.start, len(text) - offset))
        # Tabs keep their width only if the caret line repeats them.
        pad = "".join("\t" if c == "\t" else " " for c in text[:offset])
        out.append(f"  {text}")
        out.append(f"  {pad}{'^' * width}" + (f" {self.hint}" if self.hint else ""))
        return "\n".join(out)


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
