"""Compares the answers of the engine with those of git, on any repository.

`python -m bench.compare PATH` indexes the repository into a temporary directory (`--data DIR`
uses an index that is there) and puts the same questions to both: counts, and the sets of commits
that -S, -G, --grep, --author, paths and ranges select. Ends with status 1 on any difference but
the documented ones of docs/git.md, which are counted. Where two definitions differ by intent, it is
told how much of their answers they share.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rich.console import Console

import govc_search
from bench.differences import documented
from bench.gitview import GitFailedError, GitView
from bench.outcome import Comparison, Outcome, Scope, as_table, print_differences, print_sum
from bench.question import Question, Row, quoted, with_repository
from bench.questions import questions
from bench.sampling import draw
from govc_search.engine import Engine
from govc_search.errors import GovcSearchError

__all__ = ["compare", "main"]

_DEADLINE = 3600.0
_EXPLAINED = 2000


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
        answer = view.run(command, stdin=feed, through=question.through, source=question.source)
    except GitFailedError as error:
        outcome.failed = f"git: {error}"
        return outcome
    outcome.git_seconds = answer.seconds
    git = Counter(question.read(answer.output))
    del answer
    if inside is not None:
        git = Counter({row: n for row, n in git.items() if row[0] in inside})
    outcome.git_count = git.total()
    if question.overlap:
        outcome.both = (git & ours).total()
    elif outcome.error is None:
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
                console.print(as_table(group, heading=heading))
                group, heading = [], False
            group.append(outcome)
            if status is not None:
                status.update(f"{len(comparison.outcomes)} questions answered")
    if comparison is None:
        return None
    console.print(as_table(group, heading=heading))
    print_differences(comparison, console)
    print_sum(comparison, console)
    return comparison


if __name__ == "__main__":
    sys.exit(main())
