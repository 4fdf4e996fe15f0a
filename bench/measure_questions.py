"""How long questions take that git can answer too, beside git and beside a scan."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.gitview import GitView
from bench.question import quoted
from bench.report import Section
from bench.sampling import draw, needle_candidates
from govc_search.engine import Engine

__all__ = ["Timed", "measure_questions", "timed"]

_RUNS: Final = 15
_BUDGET: Final = 2.0
_DEADLINE: Final = 3600.0
_TIMES_GIT: Final = 20
# A scan chosen by the planner and one asked for differ by noise alone.
_NOISE: Final = 1.1
_CANDIDATES: Final = 150
# Matching changes of a needle (from, to), what it may take in ms, how many are measured.
_CLASSES: Final = ((1, 20, 10.0, 4), (21, 2_000, 30.0, 4), (2_001, 1 << 60, None, 2))
# Of each class this many are put to git too, which takes its time.
_ASKED_OF_GIT: Final = 2


@dataclass(frozen=True, slots=True)
class Timed:
    """The median of several runs of a query inside the engine, and its first column."""

    milliseconds: float
    values: frozenset[str]
    rows: int


def timed(engine: Engine, gql: str, *, indexes: bool = True) -> Timed:
    """Returns the median time of a query, in the same open engine, after a first run."""
    result = engine.query(gql, indexes=indexes, timeout=_DEADLINE)
    seconds: list[float] = []
    until = time.perf_counter() + _BUDGET
    while len(seconds) < 3 or (len(seconds) < _RUNS and time.perf_counter() < until):
        seconds.append(engine.query(gql, indexes=indexes, timeout=_DEADLINE).elapsed)
    values = frozenset(str(row[0]) for row in result)
    return Timed(statistics.median(seconds) * 1000, values, len(result))


def measure_questions(
    view: GitView, engine: Engine, seed: int, tell: Callable[[str], None]
) -> list[Section]:
    """Returns the figures of an engine whose index holds HEAD."""
    commits = view.run(["rev-list", "--no-merges", "HEAD"]).output.decode().split()
    return [
        _needles(view, engine, _chosen(view, engine, commits, seed, tell), tell),
        _others(view, engine, commits, seed, tell),
    ]


def _chosen(
    view: GitView, engine: Engine, commits: list[str], seed: int, tell: Callable[[str], None]
) -> list[tuple[str, int]]:
    """Returns needles of each class with the number of changes that they match."""
    tell("how often needles match")
    wanted = {bounds: bounds[3] for bounds in _CLASSES}
    chosen: list[tuple[str, int]] = []
    for needle in needle_candidates(view, commits, seed)[:_CANDIDATES]:
        if not any(wanted.values()):
            break
        counted = engine.query(
            f"SELECT count(*) FROM changes WHERE CHANGED({quoted(needle)})", timeout=_DEADLINE
        )
        ((count,),) = list(counted)
        for bounds in _CLASSES:
            if bounds[0] <= count <= bounds[1] and wanted[bounds]:
                wanted[bounds] -= 1
                chosen.append((needle, int(count)))
    return sorted(chosen, key=lambda pair: (pair[1], pair[0]))


def _needles(
    view: GitView, engine: Engine, chosen: list[tuple[str, int]], tell: Callable[[str], None]
) -> Section:
    section = Section(
        "Needles in changed lines",
        ("question", "changes", "rows", "ms", "scan ms", "git ms", "x git", "target"),
    )
    section.notes.append(
        "`ms` and `scan ms` (indexes off) are medians inside one open engine; a needle is met when "
        f"it keeps its limit and is not slower than {_NOISE} times the scan, the 0.1 for noise. "
        "git walks HEAD without merges."
    )
    asked = dict.fromkeys(_CLASSES, 0)
    for needle, count in chosen:
        bounds = next(b for b in _CLASSES if b[0] <= count <= b[1])
        asked[bounds] += 1
        git = asked[bounds] <= _ASKED_OF_GIT
        pickaxe = f"SELECT hash FROM commits WHERE NOT is_merge AND PICKAXE({quoted(needle)})"
        command = [f"-S{needle}"] if git else None
        _row(section, view, engine, pickaxe, count, bounds[2], command, tell)
        changed = f"SELECT hash, path FROM changes WHERE CHANGED({quoted(needle)})"
        _row(section, view, engine, changed, count, bounds[2], None, tell)
        word = needle.isidentifier()
        if git and word:
            pattern = f"{needle[:-1]}[{needle[-1]}]"
            regex = f"SELECT hash FROM commits WHERE NOT is_merge AND CHANGED_RE({quoted(pattern)})"
            command = [f"-G{pattern}"] if asked[bounds] == 1 else None
            _row(section, view, engine, regex, count, bounds[2], command, tell)
    return section


def _row(
    section: Section,
    view: GitView,
    engine: Engine,
    gql: str,
    changes: int | None,
    limit: float | None,
    command: list[str] | None,
    tell: Callable[[str], None],
) -> None:
    tell(gql)
    ours = timed(engine, gql)
    scan = timed(engine, gql, indexes=False)
    git_ms, times, note = "", "", ""
    if command is not None:
        milliseconds, hashes = _git(view, ["log", "HEAD", "--no-merges", "--format=%H", *command])
        git_ms, times = f"{milliseconds:,.0f}", f"{milliseconds / ours.milliseconds:,.0f}"
        note = "" if hashes == ours.values else " (OTHER COMMITS THAN GIT)"
    quick = limit is None or ours.milliseconds <= limit
    section.add(
        f"`{gql}`{note}", "" if changes is None else f"{changes:,}", f"{ours.rows:,}",
        f"{ours.milliseconds:.2f}", f"{scan.milliseconds:.1f}", git_ms, times,
        "<= scan" if limit is None else f"<= {limit:g} ms, <= scan",
        met=quick and not note and ours.milliseconds <= scan.milliseconds * _NOISE,
    )  # fmt: skip


def _git(view: GitView, arguments: list[str]) -> tuple[float, frozenset[str]]:
    """Returns the median time of a command, in ms, and the lines that it prints.

    One that takes more than a second is run once: it will not differ by the factors asked for.
    """
    answer = view.run(arguments)
    seconds = [answer.seconds]
    while answer.seconds < 1 and len(seconds) < 5:
        seconds.append(view.run(arguments).seconds)
    return statistics.median(seconds) * 1000, frozenset(
        answer.output.decode("utf-8", "replace").splitlines()
    )


def _others(
    view: GitView, engine: Engine, commits: list[str], seed: int, tell: Callable[[str], None]
) -> Section:
    section = Section(
        "Messages, paths, people",
        ("question", "rows", "ms", "scan ms", "git ms", "x git", "target"),
        notes=["Medians inside one open engine, and of whole runs of git on HEAD."],
    )
    sample = draw(view, commits, seed)
    log = ["log", "HEAD", "--no-merges", "--format=%H"]
    asked = [
        ([*log, "-E", f"--grep={p}"], f"message ~ {quoted(p)}") for p in sample.message_patterns[:5]
    ]
    asked += [
        ([*log, "--full-history", "--", p], f"TOUCHES({quoted(p)})")
        for p in sample.files
        if "/" in p
    ][:3]
    asked += [
        ([*log, "--full-history", "--", f"{p}/"], f"TOUCHES({quoted(p + '/**')})")
        for p in sample.directories[:3]
    ]
    for command, condition in asked:
        gql = f"SELECT hash FROM commits WHERE NOT is_merge AND {condition}"
        tell(gql)
        milliseconds, hashes = _git(view, command)
        ours = timed(engine, gql)
        scan = timed(engine, gql, indexes=False)
        note = "" if hashes == ours.values else " (OTHER COMMITS THAN GIT)"
        _beside(section, f"`{gql}`{note}", ours, scan, milliseconds, good=not note)
    gql = "SELECT author_mapped, count(*) AS n FROM commits GROUP BY author_mapped ORDER BY n DESC"
    tell(gql)
    milliseconds, lines = _git(view, ["shortlog", "-s", "-n", "HEAD"])
    ours = timed(engine, gql)
    note = "" if {line.partition("\t")[2] for line in lines} == ours.values else " (OTHER NAMES)"
    _beside(section, f"`{gql}`{note}", ours, None, milliseconds, good=not note)
    return section


def _beside(
    section: Section, what: str, ours: Timed, scan: Timed | None, git: float, *, good: bool
) -> None:
    times = git / ours.milliseconds
    section.add(
        what, f"{ours.rows:,}", f"{ours.milliseconds:.2f}",
        "" if scan is None else f"{scan.milliseconds:.1f}", f"{git:,.0f}", f"{times:,.0f}",
        f">= {_TIMES_GIT} x git", met=good and times >= _TIMES_GIT,
    )  # fmt: skip
