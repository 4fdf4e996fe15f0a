"""Measures questions beside other engines that hold the same rows, in one run.

`python -m bench.beside PATH` asks embedded ClickHouse (needs chdb, `pip install --group bench`)
and SQLite's FTS5, prints every figure with its target, and keeps the page under bench/results/.
It never fails for a figure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

import govc_search
from bench.gitview import GitFailedError, GitView
from bench.measure_clickhouse import measure_clickhouse
from bench.measure_sqlite import measure_sqlite
from bench.report import Report, machine, now, repository_name
from govc_search.errors import GovcSearchError

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"
_MEASURES = {"clickhouse": measure_clickhouse, "sqlite": measure_sqlite}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.beside", description=__doc__)
    parser.add_argument("path", type=Path, help="the repository")
    parser.add_argument("--name", help="what the result is called; by default after the path")
    parser.add_argument(
        "--data", type=Path, help="where the index of HEAD is kept; one that is there is taken"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--seed", type=int, default=1, help="chooses other words")
    parser.add_argument(
        "--only", choices=sorted(_MEASURES), help="one of the engines; by default all"
    )
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    name = f"{options.name or repository_name(options.path)}-beside"
    report = Report(name, now(), machine())

    def tell(what: str) -> None:
        console.print(f"measuring: {what}", markup=False, style="dim")

    try:
        with (
            tempfile.TemporaryDirectory(prefix="govc-search-bench-") as scratch,
            GitView(options.path) as view,
            govc_search.open(options.data or Path(scratch) / "data") as engine,
        ):
            engine.index(options.path, refs=["HEAD"])
            for engine_name, measure in _MEASURES.items():
                if options.only in (None, engine_name):
                    place = Path(scratch) / engine_name
                    place.mkdir()
                    report.sections += measure(view, engine, place, options.seed, tell)
    except ImportError as error:
        console.print(f"bench.beside: {error}: `pip install --group bench`", markup=False)
        return 2
    except (GovcSearchError, GitFailedError) as error:
        console.print(f"bench.beside: {error}", markup=False)
        return 2
    file = report.keep(options.results)
    console.print(report.markdown(), markup=False)
    console.print(f"kept as {file}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
