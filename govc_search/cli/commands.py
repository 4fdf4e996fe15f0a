"""The commands: each opens the engine, asks it one thing and shows the answer."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from govc_search import __version__
from govc_search.cli.answers import question, show_commits, show_hits, show_rows
from govc_search.cli.listing import size_text
from govc_search.cli.options import (
    GqlCommand,
    Invocation,
    OptionList,
    WordsCommand,
    parameters,
    shared_options,
)
from govc_search.cli.output import Output
from govc_search.cli.progress import ProgressView, duration_text
from govc_search.cli.terminal import escape, has_colour, paint, say, say_error
from govc_search.errors import EXIT_STATUS, SourceError, UsageError
from govc_search.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from govc_search.engine import Engine, IndexReport
    from govc_search.holder.asking import SharedDirectory

__all__ = ["PROGRAM", "cli"]

PROGRAM: Final = "govc-search"


@click.group(context_settings={"max_content_width": 100})
@shared_options
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Search the commit history of git repositories: words, changed lines, SQL.

    Exit status: 0 done, 1 internal error, 2 usage, 3 query, 4 repository, 5 data directory,
    6 data directory busy, 7 done but something could not be read or did not agree, 8 deadline,
    130 interrupted.
    """


_with_invocation = click.make_pass_decorator(Invocation, ensure=True)


def _progress(invocation: Invocation, label: str) -> ProgressView:
    return ProgressView(label, quiet=invocation.quiet, colour=invocation.colour)


@contextmanager
def _opened(
    invocation: Invocation,
    output: Output,
    *,
    create: bool = False,
    accept_loss: bool = False,
    mend: bool = False,
) -> Iterator[SharedDirectory]:
    """Opens the data directory, which only `index` makes, or reaches the process that holds it."""
    from govc_search.holder.asking import SharedDirectory

    # What cannot be taken is told before anything is opened.
    settings = Settings(invocation.settings)

    def open_here() -> Engine:
        from govc_search.engine import open_engine

        with _progress(invocation, "opening") as progress:
            engine = open_engine(
                invocation.data,
                settings=settings,
                create=create,
                accept_loss=accept_loss,
                mend=mend,
                progress=progress,
            )
        for warning in engine.warnings:
            output.warn(warning)
        return engine

    shared = SharedDirectory(
        invocation.data,
        invocation.settings,
        open_here,
        lambda: _progress(invocation, "opening"),
        output.warn,
    )
    with closing(shared):
        yield shared


# index


@cli.command(cls=OptionList)
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option("--name", help="Name of the repository (default: from its path).")
@click.option(
    "--diffs",
    type=click.Choice(("none", "paths", "full")),
    help="How deep to read changes: not at all, paths, or all changed lines (default: full).",
)
@click.option(
    "--merges",
    type=click.Choice(("none", "first-parent")),
    help="Whether merges get the changes against their first parent (default: none).",
)
@click.option(
    "--refs",
    multiple=True,
    metavar="GLOB...",
    help="Refs to read, such as HEAD, main, 'v*'; repeatable, and after PATH it takes several "
    "(default: every ref).",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Parallel readers (default: by cores).")
@shared_options
@_with_invocation
def index(
    invocation: Invocation,
    paths: tuple[Path, ...],
    name: str | None,
    diffs: str | None,
    merges: str | None,
    refs: tuple[str, ...],
    jobs: int | None,
) -> int:
    """Index what is new in git repositories.

    What is indexed already is not read again: run it as often as you like, and again after it
    was interrupted.
    """
    if name is not None and len(paths) > 1:
        raise UsageError(
            "invalid_usage", "--name names one repository, and there are several paths"
        )
    output = Output(invocation)
    colour = has_colour(sys.stderr, allowed=invocation.colour)
    reports: list[IndexReport] = []
    statuses: list[int] = []
    with _opened(invocation, output, create=True) as engine:
        for path in paths:
            try:
                with _progress(invocation, name or path.name or str(path)) as progress:
                    report = engine.index(
                        path,
                        name=name,
                        diffs=diffs,
                        merges=merges,
                        refs=refs or None,
                        jobs=jobs,
                        progress=progress,
                    )
            except SourceError as error:
                # The others may be sound.
                say_error(error, colour=colour)
                statuses.append(EXIT_STATUS[error.kind])
                continue
            reports.append(report)
            statuses.append(_tell_report(report, _why_incomplete(engine, report), output))
            if report.interrupted:
                break
    if output.chosen is not None or invocation.output is not None:
        output.table(_reports_table(reports))
    return (
        EXIT_STATUS["interrupted"]
        if EXIT_STATUS["interrupted"] in statuses
        else max(statuses, key=_gravity)
    )


def _gravity(status: int) -> int:
    """Returns how grave a status is: an error before "incomplete" before success."""
    return {0: 0, EXIT_STATUS["incomplete"]: 1}.get(status, 2)


# Commits that lack something by choice or by nature, not because reading failed.
_EXPECTED_GAPS: Final = frozenset({"shallow", "too_large"})


def _why_incomplete(engine: SharedDirectory, report: IndexReport) -> dict[str, int]:
    """Returns the reasons why commits of a repository are incomplete, each with their number."""
    found = engine.query(
        "SELECT incomplete, count(*) AS n FROM commits"
        " WHERE repo = $repo AND incomplete IS NOT NULL GROUP BY incomplete ORDER BY n DESC",
        {"repo": report.repo},
    )
    return {str(reason): int(n) for reason, n in found}


_SHOWN_FAILURES: Final = 10


def _tell_report(report: IndexReport, incomplete: dict[str, int], output: Output) -> int:
    """Says what indexing a repository did and returns the exit status."""
    parts = [f"{report.commits_added:,} commits added"]
    if report.amended:
        parts.append(f"{report.amended:,} completed")
    parts += [f"{report.commits_known:,} known", f"{report.refs_updated:,} refs updated"]
    pace = report.commits_added / report.elapsed if report.elapsed > 0 else 0
    rate = f" ({pace:,.0f} commits/s)" if report.commits_added and report.elapsed > 1 else ""
    output.say(f"{report.repo}: {', '.join(parts)} in {duration_text(report.elapsed)}{rate}")
    for warning in report.warnings:
        output.warn(f"{report.repo}: {warning}")
    for hash_, reason in report.failures[:_SHOWN_FAILURES]:
        output.warn(f"{report.repo}: commit {hash_} could not be read: {reason}")
    if len(report.failures) > _SHOWN_FAILURES:
        more = len(report.failures) - _SHOWN_FAILURES
        output.warn(f"{report.repo}: and {more:,} more commits could not be read")
    for reason, n in incomplete.items():
        output.warn(
            f"{report.repo}: {n:,} commit{'s are' if n > 1 else ' is'} incomplete: {reason}"
        )
    if report.interrupted:
        say(f"{report.repo}: interrupted; what was read is kept, run the same command to go on")
        return EXIT_STATUS["interrupted"]
    if report.failures or {r.partition(":")[0] for r in incomplete} - _EXPECTED_GAPS:
        return EXIT_STATUS["incomplete"]
    return 0


def _reports_table(reports: Sequence[IndexReport]) -> Any:
    import pyarrow as pa

    rows = []
    for report in reports:
        row = dataclasses.asdict(report)
        row["failures"] = [{"hash": h, "reason": reason} for h, reason in report.failures]
        rows.append(row)
    return pa.Table.from_pylist(rows)


# remove


@cli.command()
@click.argument("name", metavar="NAME")
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody could answer.")
@shared_options
@_with_invocation
def remove(invocation: Invocation, name: str, yes: bool) -> None:
    """Remove a repository and all its commits from the index; the repository itself stays."""
    output = Output(invocation)
    with _opened(invocation, output) as engine:
        known = {str(r["name"]): int(r["commits"]) for r in engine.status().repositories}
        if name in known and not yes:
            question = f"remove {escape(name)} with its {known[name]:,} commits from the index?"
            if not sys.stdin.isatty():
                raise UsageError(
                    "confirmation_needed",
                    f"nobody is there to confirm: {question}",
                    hint="--yes removes it without asking",
                )
            if not click.confirm(question, err=True):
                output.say("nothing was removed")
                return
        commits = engine.remove(name)
    output.say(f"{escape(name)}: removed with {commits:,} commits")


# query


@cli.command(cls=GqlCommand)
@click.argument("gql", required=False, metavar="GQL")
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Read the query from a file.",
)
@click.option(
    "-p",
    "--param",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="The value of the parameter $NAME (of the n-th ? where NAME is n); repeatable.",
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds it may take.")
@click.option("--limit", type=click.IntRange(min=1), help="Rows of a page.")
@click.option("--cursor", help="Where the page begins: what the one before it ended with.")
@click.option(
    "--no-indexes", is_flag=True, help="Scan, and use no text index: the same rows, slower."
)
@shared_options
@_with_invocation
def query(
    invocation: Invocation,
    gql: str | None,
    file: Path | None,
    given: tuple[str, ...],
    timeout: float | None,
    limit: int | None,
    cursor: str | None,
    no_indexes: bool,
) -> None:
    """Answer a GQL query; - reads it from standard input."""
    text = _query_text(gql, file)
    values = parameters(given)
    output = Output(invocation)
    if cursor is not None and limit is None:
        raise UsageError("invalid_usage", "--cursor takes --limit, the rows of a page")
    with _opened(invocation, output) as engine:
        if limit is None:
            with engine.stream(text, values, indexes=not no_indexes, timeout=timeout) as rows:
                show_rows(text, rows, output)
            output.footer(rows)
            return
        page = engine.query(
            text, values, limit=limit, cursor=cursor, indexes=not no_indexes, timeout=timeout
        )
        show_rows(text, page.to_arrow().to_reader(), output)
    output.footer(page)
    if page.next_cursor is not None:
        say(f"next page: --cursor {page.next_cursor}")


def _query_text(gql: str | None, file: Path | None) -> str:
    if (gql is None) == (file is None):
        raise UsageError(
            "invalid_usage",
            "a query is expected"
            if gql is None
            else "a query and a file with a query are too much",
            hint=f"`{PROGRAM} query GQL`, `-f FILE`, or `-` for standard input",
        )
    if gql is not None and gql != "-":
        return gql
    try:
        raw = sys.stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(
            "cannot_read", f"cannot read {file}: {str(error.strerror).lower()}"
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("cannot_read", f"the query is not UTF-8: byte {error.start}") from None


# search


@cli.command(cls=WordsCommand)
@click.argument("words", nargs=-1, required=True, metavar="WORDS...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Most hits."
)
@click.option("--gql", is_flag=True, help="Show the GQL that the words mean, and search nothing.")
@shared_options
@_with_invocation
def search(invocation: Invocation, words: tuple[str, ...], limit: int, gql: bool) -> None:
    """Search commits with words and qualifiers, such as author:linus path:drivers/** race."""
    from govc_search.engine import errors_in_box, to_gql

    text = " ".join(words)
    output = Output(invocation)
    if gql:
        shown = to_gql(text, limit, literals=True)[0]
        with output.opened() as target:
            target.text((escape(shown, lines=True) if target.terminal else shown) + "\n")
        return
    compiled, params = question(text, limit, output)
    with _opened(invocation, output) as engine, errors_in_box(text, compiled):
        result = engine.query(compiled, params)
    show_hits(result, output)
    output.footer(result)


# show


@cli.command()
@click.argument("revision", metavar="HASH")
@click.option("--repo", metavar="NAME", help="Only the commit of this repository.")
@shared_options
@_with_invocation
def show(invocation: Invocation, revision: str, repo: str | None) -> None:
    """Show a commit with its message and patch, as indexed."""
    output = Output(invocation)
    with _opened(invocation, output) as engine:
        commits = engine.commit(revision, repo)
    show_commits(commits, output)


# shell


@cli.command()
@shared_options
@_with_invocation
def shell(invocation: Invocation) -> None:
    r"""Ask one question after another, at a prompt or from standard input.

    A statement ends with ";". At the prompt Tab completes, \? lists the commands; statements
    from standard input are run up to the first error.
    """
    from govc_search.cli.shell import Shell

    session = Shell(invocation)
    with _opened(invocation, Output(invocation)) as engine:
        session.run(engine)


# status


@cli.command()
@shared_options
@_with_invocation
def status(invocation: Invocation) -> None:
    """Show what the data directory holds."""
    import pyarrow as pa

    output = Output(invocation)
    with _opened(invocation, output) as engine:
        found = engine.status()
    if output.format in ("json", "ndjson"):
        shown = dataclasses.asdict(found)
        for repository in shown["repositories"]:
            repository["incomplete"] = [
                {"why": why, "commits": n} for why, n in repository["incomplete"].items()
            ]
        output.table(pa.Table.from_pylist([shown]))
        return
    columns = ("name", "commits", "refs", "diffs", "complete", "incomplete", "indexed_at", "url")
    rows = [{c: r[c] for c in columns} for r in found.repositories]
    for row in rows:
        row["incomplete"] = ", ".join(f"{n:,} {why}" for why, n in row["incomplete"].items())
    table = pa.Table.from_pylist(rows) if rows else pa.table({c: pa.nulls(0) for c in columns})
    if output.format == "table":
        with output.opened() as target:
            for label, value in (
                ("directory", found.directory),
                ("positions", f"{found.last_position:,} in the log, as of {found.as_of:,}"),
                ("log", size_text(found.log_bytes)),
                ("table", size_text(found.table_bytes)),
                ("text index", size_text(found.text_bytes)),
            ):
                name = paint(f"{label:12}", "header", colour=target.colour)
                target.text(f"{name}{escape(value)}\n")
            target.text("\n")
            if not rows:
                target.text("no repositories\n")
    if rows or output.format != "table":
        output.table(table)


# verify, rebuild


@cli.command()
@shared_options
@_with_invocation
def verify(invocation: Invocation) -> int:
    """Compare the log, the table and the text index; name every difference."""
    import pyarrow as pa

    output = Output(invocation)
    with _opened(invocation, output) as engine:
        with _progress(invocation, "verify") as progress:
            differences = engine.verify(progress)
        as_of = engine.status().as_of
    if differences or output.chosen is not None or invocation.output is not None:
        output.table(pa.table({"difference": pa.array(differences, pa.string())}))
    if differences:
        n = len(differences)
        output.say(f"{n:,} difference{'' if n == 1 else 's'}; `{PROGRAM} rebuild` makes views anew")
        return EXIT_STATUS["incomplete"]
    output.say(f"sound: log, table and text index agree up to position {as_of:,}")
    return 0


@cli.command()
@click.argument("part", required=False, type=click.Choice(("table", "text")))
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Go on with what the log still holds, where the table or text index holds more.",
)
@shared_options
@_with_invocation
def rebuild(invocation: Invocation, part: str | None, accept_loss: bool) -> None:
    """Make the table, the text index, or both, anew from the log; a lost manifest, too."""
    output = Output(invocation)
    with _opened(invocation, output, accept_loss=accept_loss, mend=True) as engine:
        with _progress(invocation, "rebuild") as progress:
            engine.rebuild(part, progress)
        as_of = engine.status().as_of
    what = {"table": "the table", "text": "the text index"}.get(part or "", "table and text index")
    output.say(f"rebuilt {what} up to position {as_of:,}")


# settings, completion


@cli.command()
@shared_options
@_with_invocation
def settings(invocation: Invocation) -> None:
    """List the settings, with what is in force in this run."""
    import pyarrow as pa

    values = Settings(invocation.settings)
    rows = [
        {
            "name": s.name,
            "value": float(values[s.name]),
            "default": float(s.default),
            "help": s.help,
        }
        for s in SETTINGS
    ]
    Output(invocation).table(pa.Table.from_pylist(rows))


@cli.command()
@click.argument("shell", required=False, type=click.Choice(("bash", "zsh", "fish")))
@shared_options
@_with_invocation
def completion(invocation: Invocation, shell: str | None) -> None:
    """Print the completion script of a shell (default: the one that runs).

    As in: eval "$(govc-search completion bash)"
    """
    from click.shell_completion import get_completion_class

    name = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(name)
    if found is None:
        raise UsageError(
            "unknown_shell", f'no completion for the shell "{name}"', hint="bash, zsh or fish"
        )
    variable = "_" + PROGRAM.replace("-", "_").upper() + "_COMPLETE"
    script = found(cli, {}, PROGRAM, variable).source()
    with Output(invocation).opened() as target:
        target.text(script + "\n")
