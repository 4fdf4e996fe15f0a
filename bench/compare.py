"""Compares the answers of the engine with those of git, on any repository.

`python -m bench.compare PATH` indexes the repository into a temporary directory (`--data DIR`
uses an index that is there) and puts the same questions to both: counts, and the sets of commits
that -S, -G, --grep, --author, paths and ranges select. Ends with status 1 on any difference but
the documented ones of docs/git.md, which are counted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import govc_search
from bench.differences import documented
from bench.gitview import GitFailedError, GitView
from bench.questions import Question, Row, questions, quoted, with_repository
from bench.sampling import draw
from govc_search.engine import Engine
from govc_search.errors import GovcSearchError

__all__ = ["Comparison", "Outcome", "Scope", "compare", "main"]

_DEADLINE = 3600.0
_SHOWN = 5
_EXPLAINED = 2000


@dataclass(frozen=True, slots=True)
class Scope:
    """What git walks in place of `--all`, and which commits both sides leave out.

    `everything` is what the index was asked to hold, `selection` what of it can be compared.
    `inside` are the hashes that are compared, None for all. `feed` goes to git's input.
    """

    everything: tuple[str, ...] = ("--all",)
    selection: tuple[str, ...] = ("--all",)
    feed: bytes = b""
    inside: frozenset[str] | None = None
    note: str = ""

    def command(self, question: Question) -> tuple[str, ...]:
        """Returns the command of a question for this scope."""
        walked = self.selection if question.limited else self.everything
        out: list[str] = []
        for argument in question.command:
            out += walked if argument == "--all" else [argument]
        return tuple(out)


@dataclass(slots=True)
class Outcome:
    """The answers to one question; `missing` are rows that git alone has, `extra` ours alone.

    `failed` is what git said where it could not answer, `error` what we said.
    """

    question: Question
    command: tuple[str, ...]
    gql: str
    git_count: int = 0
    our_count: int = 0
    git_seconds: float = 0.0
    our_seconds: float = 0.0
    scan_seconds: float | None = None
    missing: list[Row] = field(default_factory=list)
    extra: list[Row] = field(default_factory=list)
    documented: Counter[str] = field(default_factory=Counter)
    scan_differs: int = 0
    failed: str | None = None
    error: str | None = None

    @property
    def wrong(self) -> bool:
        """Returns whether the answers differ in a way that is no documented one."""
        return bool(self.missing or self.extra or self.scan_differs or self.error)

    @property
    def verdict(self) -> str:
        """Returns what is to be said of it, in a few words."""
        if self.failed is not None and not self.wrong:
            return f"not compared: {self.failed}"
        parts = [f"ERROR: {self.error}"] if self.error is not None else []
        if self.missing or self.extra:
            parts.append(f"DIFFERENT: {len(self.missing)} missing, {len(self.extra)} extra")
        if self.scan_differs:
            parts.append(f"INDEX CHANGES THE ANSWER: {self.scan_differs} rows")
        parts += [f"{n} documented: {kind}" for kind, n in sorted(self.documented.items())]
        return "; ".join(parts) or "same"


@dataclass(slots=True)
class Comparison:
    """All outcomes of one repository."""

    path: str
    scope: Scope
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def wrong(self) -> list[Outcome]:
        """Returns the outcomes with differences that are no documented ones."""
        return [o for o in self.outcomes if o.wrong]


def compare(
    view: GitView,
    engine: Engine,
    *,
    repo: str | None = None,
    refs: Sequence[str] = (),
    seed: int = 1,
    only: Collection[str] = (),
) -> Iterator[Comparison]:
    """Yields the comparison, longer by one outcome each time.

    `repo` names the repository where the index holds several, `refs` are the patterns that it
    was indexed with, none where it holds every ref. `only` are groups of questions, none for all.
    """
    scope = _scope(view, engine, repo, refs)
    comparison = Comparison(str(view.repository.path), scope)
    indexed = _indexed_refs(view, refs)
    branch = view.repository.head().branch or b"HEAD"
    if indexed is not None and not {"HEAD", branch.decode("utf-8", "replace")} & indexed:
        # What is not indexed is not asked for.
        view.head = None
    sample = draw(view, _commits(view, scope), seed, scope.everything)
    for question in questions(view, sample, indexed):
        if question.whole and scope.note:
            continue
        if not only or question.group in only:
            comparison.outcomes.append(_ask(view, engine, question, scope, repo))
            yield comparison


def _commits(view: GitView, scope: Scope) -> list[str]:
    """Returns the commits to draw from, as git sees them: the index has no say in what is asked."""
    if scope.feed:
        return scope.feed.decode().split()
    try:
        return view.run(["rev-list", "--no-merges", *scope.selection]).output.decode().split()
    except GitFailedError:
        # An empty repository has nothing to list.
        return []


def _indexed_refs(view: GitView, refs: Sequence[str]) -> frozenset[str] | None:
    """Returns the full names of the refs that the patterns choose, None where that is all."""
    if not refs:
        return None
    head = view.repository.head()
    found = {r.name for r in view.repository.refs(refs)}
    if "HEAD" in refs and head.branch is not None:
        found.add(head.branch)
    return frozenset(name.decode("utf-8", "replace") for name in found)


def _scope(view: GitView, engine: Engine, repo: str | None, refs: Sequence[str]) -> Scope:
    """Returns what can be compared: everything, if both sides could read everything.

    Where objects are missing git gives up at the first one, so only branches and tags are
    walked; what is incomplete even there is left out of both sides.
    """
    tips: tuple[str, ...] = ("--all",)
    if list(refs) == ["HEAD"]:
        tips = ("HEAD",)
    elif refs:
        commits = {r.commit for r in view.repository.refs(refs) if r.commit is not None}
        tips = tuple(sorted(commits))
    incomplete = engine.query(
        with_repository("SELECT hash FROM commits WHERE incomplete IS NOT NULL", repo)
    )
    left_out = {str(h) for (h,) in incomplete}
    if not left_out:
        return Scope(tips, tips)
    everything = tips
    if not refs:
        tips = ("--branches", "--tags")
    try:
        inside = set(view.run(["rev-list", *tips]).output.decode().split())
    except GitFailedError:
        known = engine.query(with_repository("SELECT hash FROM commits", repo))
        inside = {str(h) for (h,) in known}
    what = "branches and tags" if not refs else "the refs indexed"
    if not inside & left_out:
        note = f"{what} only: {len(left_out):,} other commits are incomplete"
        return Scope(everything, tips, b"", frozenset(inside), note)
    whole = inside - left_out
    note = (
        f"{what} only, without {len(inside & left_out):,} incomplete commits, given to git by hash"
    )
    feed = "".join(f"{h}\n" for h in sorted(whole)).encode()
    selection = ("--no-walk=unsorted", "--stdin")
    return Scope(everything, selection, feed, frozenset(whole), note)


def _ask(
    view: GitView, engine: Engine, question: Question, scope: Scope, repo: str | None
) -> Outcome:
    command = scope.command(question)
    outcome = Outcome(question, command, with_repository(question.gql, repo))
    feed = scope.feed if "--stdin" in command else b""
    inside = scope.inside if question.limited and question.by_commit else None
    ours: Counter[Row] = Counter()
    try:
        ours, outcome.our_seconds = _rows(engine, outcome, inside, indexes=True)
        outcome.our_count = ours.total()
        if question.scan:
            scanned, outcome.scan_seconds = _rows(engine, outcome, inside, indexes=False)
            outcome.scan_differs = ((ours - scanned) + (scanned - ours)).total()
    except GovcSearchError as error:
        outcome.error = str(error).splitlines()[0]
    try:
        answer = view.run(command, stdin=feed, source=question.source)
    except GitFailedError as error:
        outcome.failed = f"git: {error}"
        return outcome
    outcome.git_seconds = answer.seconds
    git = Counter(question.read(answer.output))
    del answer
    if inside is not None:
        git = Counter({row: n for row, n in git.items() if row[0] in inside})
    outcome.git_count = git.total()
    if outcome.error is None:
        _sort_out(view, outcome, git - ours, ours - git)
    return outcome


def _rows(
    engine: Engine, outcome: Outcome, inside: frozenset[str] | None, *, indexes: bool
) -> tuple[Counter[Row], float]:
    started = time.perf_counter()
    result = engine.query(outcome.gql, indexes=indexes, timeout=_DEADLINE)
    seconds = time.perf_counter() - started
    convert = outcome.question.convert
    rows = (convert(row) for row in result)
    return Counter(row for row in rows if inside is None or row[0] in inside), seconds


def _sort_out(view: GitView, outcome: Outcome, missing: Counter[Row], extra: Counter[Row]) -> None:
    for rows, kept, git_only in (
        (missing, outcome.missing, True),
        (extra, outcome.extra, False),
    ):
        for row in sorted(rows.elements(), key=str):
            kind = None
            if outcome.question.explain is not None and len(kept) < _EXPLAINED:
                kind = documented(view, outcome.question, str(row[0]), git_only=git_only)
            if kind is None:
                kept.append(row)
            else:
                outcome.documented[kind] += 1


# Command line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("path", help="the repository")
    parser.add_argument("--data", type=Path, help="a data directory that holds it already")
    parser.add_argument(
        "--refs", nargs="+", default=[], help="these refs only (with --data: what it holds)"
    )
    parser.add_argument("--jobs", type=int, help="processes that read while indexing")
    parser.add_argument("--seed", type=int, default=1, help="chooses other words, paths, ranges")
    parser.add_argument(
        "--only", action="append", default=[], help="one group of questions, such as --only=-S"
    )
    parser.add_argument("-o", "--output", type=Path, help="write the report here too, as text")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True, record=options.output is not None)
    try:
        with contextlib.ExitStack() as stack:
            view = stack.enter_context(GitView(options.path))
            engine, repo = _engine(stack, options, console)
            comparison = _told(
                compare(
                    view, engine, repo=repo, refs=options.refs, seed=options.seed, only=options.only
                ),
                console,
            )
    except (GovcSearchError, GitFailedError) as error:
        console.print(f"bench.compare: {error}", markup=False)
        return 2
    if options.output is not None:
        options.output.write_text(console.export_text())
    return 1 if comparison is None or comparison.wrong else 0


def _engine(
    stack: contextlib.ExitStack, options: argparse.Namespace, console: Console
) -> tuple[Engine, str | None]:
    if options.data is not None:
        engine = stack.enter_context(govc_search.open(options.data, create=False))
        url = str(Path(options.path).resolve())
        rows = engine.query(f"SELECT repo, url FROM repos WHERE url = {quoted(url)}")
        found = [str(repo) for repo, _ in rows]
        if not found:
            raise GitFailedError(f"{options.data} does not hold {url}")
        return engine, found[0] if len(engine.query("SELECT repo FROM repos")) > 1 else None
    place = stack.enter_context(tempfile.TemporaryDirectory(prefix="govc-search-compare-"))
    engine = stack.enter_context(govc_search.open(place))
    report = engine.index(options.path, refs=options.refs or None, jobs=options.jobs)
    console.print(
        f"indexed {report.commits_added:,} commits of {options.path} in {report.elapsed:.1f} s;"
        f" {report.incomplete:,} incomplete, {len(report.failures):,} unreadable",
        markup=False,
    )
    return engine, None


def _told(steps: Iterator[Comparison], console: Console) -> Comparison | None:
    """Prints each group of questions when it is answered, then the sum."""
    comparison = None
    group: list[Outcome] = []
    heading = True
    with console.status("asking") if console.is_terminal else contextlib.nullcontext() as status:
        for comparison in steps:
            outcome = comparison.outcomes[-1]
            if len(comparison.outcomes) == 1 and comparison.scope.note:
                console.print(f"compared: {comparison.scope.note}", markup=False)
            if group and group[-1].question.group != outcome.question.group:
                console.print(_table(group, heading=heading))
                group, heading = [], False
            group.append(outcome)
            if status is not None:
                status.update(f"{len(comparison.outcomes)} questions answered")
    if comparison is None:
        return None
    console.print(_table(group, heading=heading))
    _differences(comparison, console)
    _sum(comparison, console)
    return comparison


def _table(outcomes: Sequence[Outcome], *, heading: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if heading else None, show_header=heading, width=156)
    table.add_column("the question to git, and in GQL", width=80, overflow="fold")
    for name in ("git", "ours"):
        table.add_column(name, justify="right", width=7)
    table.add_column("git ms", justify="right", width=8)
    table.add_column("ours ms", justify="right", width=8)
    table.add_column("times", justify="right", width=6)
    table.add_column("scan ms", justify="right", width=8)
    table.add_column("verdict", width=16, overflow="fold")
    for o in outcomes:
        ratio = o.git_seconds / o.our_seconds if o.our_seconds else 0.0
        table.add_row(
            Text(_printable(f"{GitView.shown(o.command)}\n{o.gql}")),
            f"{o.git_count}",
            f"{o.our_count}",
            f"{o.git_seconds * 1000:.1f}",
            f"{o.our_seconds * 1000:.1f}",
            f"{ratio:.1f}",
            "" if o.scan_seconds is None else f"{o.scan_seconds * 1000:.1f}",
            Text(_printable(o.verdict)),
            style="bold red" if o.wrong else None,
        )
    return table


def _printable(text: str) -> str:
    """Returns text in which no control character reaches the terminal."""
    return "".join(c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _differences(comparison: Comparison, console: Console) -> None:
    for o in comparison.wrong:
        asked = f"\n{GitView.shown(o.command)}\n{o.gql}"
        console.print(Text(_printable(asked), style="bold red"))
        for name, rows in (("git alone has", o.missing), ("we alone have", o.extra)):
            for row in rows[:_SHOWN]:
                console.print(Text(f"  {name} {_printable(' '.join(map(str, row)))}"))
            if len(rows) > _SHOWN:
                console.print(f"  and {len(rows) - _SHOWN:,} more that {name}")


def _sum(comparison: Comparison, console: Console) -> None:
    outcomes = comparison.outcomes
    kinds: Counter[str] = Counter()
    for o in outcomes:
        kinds.update(o.documented)
    failed = [o for o in outcomes if o.failed is not None]
    console.print(
        f"\n{len(outcomes)} questions to git: {len(comparison.wrong)} with differences,"
        f" {len(failed)} that git could not answer;"
        f" {sum(1 for o in outcomes if o.question.scan)} asked with indexes off as well,"
        f" {sum(1 for o in outcomes if o.scan_differs)} with another answer"
    )
    for kind, count in sorted(kinds.items()):
        console.print(f"documented differences: {count:,} rows, {kind}")


if __name__ == "__main__":
    sys.exit(main())
