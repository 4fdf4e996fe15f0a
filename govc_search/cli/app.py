"""The program: runs one command line and turns whatever happens into an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from govc_search.cli.commands import PROGRAM, cli
from govc_search.cli.options import Invocation
from govc_search.cli.output import ReaderLeftError
from govc_search.cli.terminal import has_colour, say, say_error
from govc_search.errors import EXIT_STATUS, GovcSearchError, StoreError, UsageError

__all__ = ["main"]

_DEFAULT_DATA: Final = ".govc-search"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's own) and returns the exit status."""
    invocation = Invocation(
        data=Path(os.environ.get("GOVC_SEARCH_DATA") or _DEFAULT_DATA),
        debug=bool(os.environ.get("GOVC_SEARCH_DEBUG")),
    )
    if sys.stderr is None:
        # Closed by whoever started us: then nobody wants to hear.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    # Without any argument it is asked what there is.
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        status = cli.main(given, PROGRAM, standalone_mode=False, obj=invocation)
        if sys.stdout is not None:
            sys.stdout.flush()
    except ReaderLeftError:
        # `| head` has what it wants. Python flushes once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return EXIT_STATUS["interrupted"]
    except SystemExit as leaving:
        # What click makes of a broken pipe to anybody else, such as a git that died.
        if isinstance(leaving.__context__, OSError):
            return _report(leaving.__context__, invocation)
        return leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - panics of the text index are no Exception
        return _report(error, invocation)
    return status if isinstance(status, int) else 0


def _report(error: BaseException, invocation: Invocation) -> int:
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
        path = context.command_path if context is not None else PROGRAM
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
