"""The program: runs one command line and turns whatever happens into an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from govc_search.cli.commands import PROGRAM, cli
from govc_search.cli.options import Invocation
from govc_search.cli.output import ReaderLeftError
from govc_search.cli.report import report
from govc_search.cli.terminal import say
from govc_search.errors import EXIT_STATUS

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
            return report(leaving.__context__, invocation)
        return leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - panics of the text index are no Exception
        return report(error, invocation)
    return status if isinstance(status, int) else 0
