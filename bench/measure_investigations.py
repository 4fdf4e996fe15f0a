"""How long the investigations take on a repository, with their plans, beside git where it can.

`python -m bench.measure_investigations PATH DIR` prints them for the repository at PATH, which the
data directory DIR holds.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.gitview import GitView
from bench.investigations import Investigation, investigations
from bench.report import Section
from govc_search.engine import Engine, open_engine

__all__ = ["measure_investigations"]

_RUNS: Final = 5
_BUDGET: Final = 4.0
_DEADLINE: Final = 600.0
# What nine in ten, and all, may take, in ms.
_MOST: Final = 100.0
_EVERY: Final = 2000.0
_SHARE: Final = 0.9
# Commits between the two revisions that stand for releases, along first parents.
_BETWEEN: Final = 500
_PERIOD: Final = 90
_SCAN: Final = re.compile(r"^ *scan (\w+)", re.MULTILINE)
_READ: Final = re.compile(r"^\w+ = (text index \w+|commit graph|tree)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Run:
    rows: int
    first: float
    best: float
    processor: float


def measure_investigations(view: GitView, engine: Engine, tell: Callable[[str], None]) -> Section:
    """Returns the figures of an engine that holds the history of `view`'s HEAD at least."""
    section = Section(
        "Investigations",
        ("question", "rows", "first ms", "ms", "processor ms", "git ms", "x git", "plan", "target"),
    )
    section.notes.append(
        f"`ms` is the best of {_RUNS} runs after the first in one open engine, `processor ms` the "
        "least time of all cores together: on a busy machine it tells more. git is run once, on HEAD. "
        f"Nine in ten are to take {_MOST:g} ms at most, all of them {_EVERY / 1000:g} s."
    )
    chosen = _parameters(view, engine)
    times: list[float] = []
    for question in investigations():
        tell(f"{question.number}. {question.title}")
        parameters = {name: chosen.get(name, v) for name, v in question.parameters.items()}
        run = _timed(engine, question, parameters)
        git = _git(view, question, parameters)
        times.append(run.best)
        section.add(
            f"{question.number}. {question.title}", f"{run.rows:,}", f"{run.first:.1f}",
            f"{run.best:.1f}", f"{run.processor:.1f}",
            "" if git is None else f"{git:,.0f}",
            "" if git is None else f"{git / run.best:,.0f}",
            _plan(engine, question, parameters), f"<= {_MOST:g} ms", met=run.best <= _MOST,
        )  # fmt: skip
    quick = sum(t <= _MOST for t in times) / len(times)
    section.add(
        f"all {len(times)}", "", "", f"{max(times):.1f}", "", "", "", f"{quick:.0%} quick",
        f"{_SHARE:.0%} quick, <= {_EVERY:g} ms", met=quick >= _SHARE and max(times) <= _EVERY,
    )  # fmt: skip
    return section


def _parameters(view: GitView, engine: Engine) -> dict[str, object]:
    """Returns parameters that fit any repository: the busiest file, its function, a recent range."""
    depth = len(view.run(["rev-list", "--first-parent", "HEAD"]).output.split()) - 1
    ((path, folder),) = engine.query(
        "SELECT t.path, t.dir FROM files t JOIN changes f ON f.repo = t.repo AND f.path = t.path"
        " WHERE t.dir <> '' AND t.language IS NOT NULL AND NOT t.is_generated"
        " GROUP BY t.path, t.dir ORDER BY count(*) DESC, t.path LIMIT 1"
    ) or (("", ""),)
    headings = engine.query(
        r"SELECT regexp_extract(heading, '\w+ ?\(') AS name FROM hunks WHERE path = $path"
        r" AND heading ~ '\w\(' GROUP BY name ORDER BY count(*) DESC, name LIMIT 1",
        {"path": path},
    )
    ((days,),) = engine.query(
        "SELECT date_diff('day', max(committer_date), now()) FROM commits"
        " WHERE REACHABLE_FROM('HEAD')"
    )
    before = f"HEAD~{min(_BETWEEN, depth)}"
    return {
        "range": f"{before}..HEAD",
        "main": "HEAD",
        "stable": before,
        "glob": f"{folder}/**",
        "path": path,
        "heading": "".join(rf"\<{re.escape(row[0])}" for row in headings) or "$^",
        "period": f"{max(days, 0) + _PERIOD} days",
    }


def _timed(engine: Engine, question: Investigation, parameters: dict[str, object]) -> _Run:
    seconds: list[float] = []
    processor: list[float] = []
    begin = time.perf_counter()
    while len(seconds) < 3 or (len(seconds) <= _RUNS and time.perf_counter() - begin < _BUDGET):
        used, at = time.process_time(), time.perf_counter()
        result = engine.query(question.gql, parameters, timeout=_DEADLINE)
        seconds.append(time.perf_counter() - at)
        processor.append(time.process_time() - used)
    return _Run(len(result), seconds[0] * 1e3, min(seconds[1:]) * 1e3, min(processor) * 1e3)


def _git(view: GitView, question: Investigation, parameters: dict[str, object]) -> float | None:
    if not question.git:
        return None
    return view.run(question.git_arguments("%h", parameters, "HEAD")).seconds * 1e3


def _plan(engine: Engine, question: Investigation, parameters: dict[str, object]) -> str:
    """Returns what is read, in a line: the tables, and what indexes and graph find for them."""
    told = "\n".join(row[0] for row in engine.query(f"EXPLAIN {question.gql}", parameters))
    tables = ", ".join(dict.fromkeys(_SCAN.findall(told)))
    found = ", ".join(dict.fromkeys(_READ.findall(told)))
    return f"{tables or 'index alone'}{f'; by {found}' if found else ''}"


def main(arguments: Sequence[str]) -> int:
    """Prints the section, misses last."""
    with GitView(arguments[0]) as view, open_engine(arguments[1], create=False) as engine:
        section = measure_investigations(view, engine, lambda what: print(what, file=sys.stderr))
    print(section.markdown())
    for missed in section.missed:
        print(f"\nmissed: {': '.join(c for c in missed.cells if c)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
