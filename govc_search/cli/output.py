"""Where the data of a command goes, in which format, and what is said about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from govc_search.cli.options import Invocation
from govc_search.cli.pager import paged
from govc_search.cli.progress import duration_text
from govc_search.cli.render import Rows, binary_to_terminal, format_of, is_binary, render
from govc_search.cli.terminal import Target, has_colour, say
from govc_search.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from govc_search import Result, Stream

__all__ = ["Output", "ReaderLeftError", "cannot_write"]


class ReaderLeftError(Exception):
    """Whoever read standard output has seen enough."""


def cannot_write(name: str, error: OSError) -> UsageError:
    """Returns the error of a place that takes no more."""
    return UsageError("cannot_write", f"cannot write {name}: {str(error.strerror).lower()}")


class Output:
    """Standard output or a file, as the shared options say.

    With `paged`, what does not fit on a terminal goes through a pager.
    """

    def __init__(self, invocation: Invocation, *, paged: bool = False) -> None:
        self._paged = paged
        path = invocation.output
        self._path = None if path is None or str(path) == "-" else path
        if self._path is not None and not self._path.name:
            raise UsageError("cannot_write", "-o takes the name of a file")
        self._quiet = invocation.quiet
        self._colour = invocation.colour
        suffix = self._path.suffix if self._path is not None else ""
        self.chosen = invocation.format
        self.format = invocation.format or format_of(suffix) or "table"
        if self._path is None and sys.stdout is None:
            raise UsageError("cannot_write", "standard output is closed")
        if is_binary(self.format) and self._path is None and sys.stdout.isatty():
            # Said before the work is done, not after.
            raise binary_to_terminal(self.format)

    @property
    def is_listing(self) -> bool:
        """Returns whether people look at it on a terminal and asked for no format."""
        return self._path is None and self.chosen is None and sys.stdout.isatty()

    @contextmanager
    def opened(self) -> Iterator[Target]:
        """Yields where to write; a file appears under its name when all of it is written."""
        if self._path is None:
            try:
                target = Target.standard_output(colour=self._colour)
                with paged(target) if self._paged else nullcontext(target) as target:
                    yield target
                sys.stdout.flush()
            except BrokenPipeError:
                raise ReaderLeftError from None
            except OSError as error:
                raise cannot_write("standard output", error) from None
            return
        # A device or a pipe cannot be replaced by a file.
        direct = self._path.exists() and not self._path.is_file()
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        place = self._path if direct else partial
        try:
            with place.open("wb") as file:
                yield Target(file.write)
            if not direct:
                place.replace(self._path)
        except OSError as error:
            raise cannot_write(str(self._path), error) from None
        finally:
            partial.unlink(missing_ok=True)

    def table(self, table: pa.Table) -> None:
        """Writes a table in the format chosen."""
        self.rows(table)

    def rows(self, rows: Rows | pa.Table) -> None:
        """Writes rows in the format chosen, as they come."""
        with self.opened() as target:
            render(rows, self.format, target)

    def say(self, text: str) -> None:
        """Writes a message to standard error, unless it should be quiet."""
        if not self._quiet:
            say(text)

    def warn(self, text: str) -> None:
        """Writes a warning to standard error."""
        colour = has_colour(sys.stderr, allowed=self._colour)
        say(f"warning: {text}", "warning", colour=colour)

    def footer(self, result: Result | Stream, *, timing: bool = True) -> None:
        """Says how many rows there were, how long they took and what they are true of."""
        from govc_search import Result

        for warning in result.warnings:
            self.warn(warning)
        rows = result.count
        text = f"{rows:,} row{'' if rows == 1 else 's'}"
        if timing:
            text += f" in {duration_text(result.elapsed)}"
        text += f", as of position {result.as_of:,}"
        truncated = isinstance(result, Result) and result.truncated
        if truncated:
            text += "; truncated: a limit cut the rest off"
        if not self._quiet:
            colour = has_colour(sys.stderr, allowed=self._colour)
            say(text, "dim", colour=colour)
        elif truncated:
            self.warn("truncated: a limit cut the rest off")
