"""Measures indexing, questions, investigations and ranked search beside git and bare tantivy, in one run.

`python -m bench.run PATH` prints every figure with its target, misses plainly, and keeps the
page under bench/results/. It never fails for a figure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

import govc_search
from bench.gitview import GitFailedError, GitView
from bench.golden_searches import measure_golden_searches
from bench.measure_index import measure_index
from bench.measure_investigations import measure_investigations
from bench.measure_questions import measure_questions
from bench.measure_ranking import measure_ranking
from bench.report import Report, machine, now, repository_name
from govc_search.errors import GovcSearchError

__all__ = ["main"]

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("path", type=Path, help="the repository")
    parser.add_argument("--name", help="what the result is called; by default after the path")
    parser.add_argument(
        "--data", type=Path, help="where the index of HEAD is kept; one that is there is taken"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--seed", type=int, default=1, help="chooses other words and paths")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    report = Report(options.name or repository_name(options.path), now(), machine())

    def tell(what: str) -> None:
        console.print(f"measuring: {what}", markup=False, style="dim")

    try:
        with (
            tempfile.TemporaryDirectory(prefix="govc-search-bench-") as scratch,
            GitView(options.path) as view,
        ):
            data = options.data or Path(scratch) / "full"
            if not data.exists():
                report.sections += measure_index(view, options.path, Path(scratch), data, tell)
            with govc_search.open(data, create=False) as engine:
                report.sections += measure_questions(view, engine, options.seed, tell)
                report.sections.append(measure_investigations(view, engine, tell))
                report.sections += measure_ranking(view, engine, options.seed, tell)
                golden = measure_golden_searches(engine)
                report.sections += [golden] if golden is not None else []
    except (GovcSearchError, GitFailedError) as error:
        console.print(f"bench.run: {error}", markup=False)
        return 2
    file = report.keep(options.results)
    page = report.markdown()
    if console.is_terminal:
        console.print(Markdown(page))
    else:
        console.print(page, markup=False)
    console.print(f"kept as {file}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
