"""Whatever happens, as an error that people can do something about, and its exit status."""

from __future__ import annotations

import sys
import traceback

import click

from govc_search.cli.options import Invocation
from govc_search.cli.terminal import has_colour, say_error
from govc_search.errors import EXIT_STATUS, GovcSearchError, StoreError, UsageError

__all__ = ["report"]


def report(error: BaseException, invocation: Invocation) -> int:
    """Shows an error and returns its exit status."""
    colour = has_colour(sys.stderr, allowed=invocation.colour)
    shown = _known(error)
    if invocation.debug:
        traceback.print_exception(error)
    if shown is None:
        first = str(error).partition("\n")[0]
        shown = GovcSearchError(
            "internal",
            f"{type(error).__name__}: {first}",
            hint="this is a fault of the program: please report it with the output of --debug",
        )
    say_error(shown, colour=colour)
    return EXIT_STATUS[shown.kind]


def _known(error: BaseException) -> GovcSearchError | None:
    """Returns an error that people can do something about, or None."""
    if isinstance(error, GovcSearchError):
        return error
    if isinstance(error, click.UsageError):
        context = error.ctx
        path = context.command_path if context is not None else "govc-search"
        message = error.format_message().rstrip(".")
        return UsageError(
            "invalid_usage", message[:1].lower() + message[1:], hint=f"`{path} --help` tells more"
        )
    if isinstance(error, click.ClickException):
        return UsageError("invalid_usage", error.format_message())
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return StoreError("system_error", f"{name}{error.strerror.lower()}")
    return None
