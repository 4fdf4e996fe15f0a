"""How long analysts' questions take over a million commits, beside the same SQL in DuckDB alone.

`python -m bench.measure_million DATA` takes the history of one repository from its data directory
and tells it over and over (see `bench.million`).
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from rich.console import Console

import govc_search
from bench.million import make_history
from bench.question import quoted
from bench.report import Report, Section, machine, now
from govc_search.engine import Engine

__all__ = ["main", "measure_million"]

_COMMITS: Final = 1_000_000
_RUNS: Final = 9
_BUDGET: Final = 4.0
_DEADLINE: Final = 600.0
# What a question may take whose filters leave at most so many commits, and how many times what
# DuckDB takes where there is no filter.
_LIMIT: Final = 10.0
_SURVIVING: Final = 0.05
_RATIO: Final = 1.2
_LOOKUP: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Question:
    """A question in GQL and in SQL over the same table, with the condition that filters commits."""

    gql: str
    sql: str
    filter: str = ""
    limit: float = _LIMIT


@dataclass(frozen=True, slots=True)
class _Values:
    """What the questions name, taken from the history: each is met by few commits."""

    author: str
    domain: str
    word: str
    rare: str
    directory: str
    since: str
    hash: str


def measure_million(engine: Engine, bare: Path, tell: Callable[[str], None]) -> Section:
    """Returns the figures of an engine beside those of DuckDB on a copy of its table at `bare`."""
    section = Section(
        "A million commits",
        ("question", "commits left", "rows", "ms", "DuckDB ms", "ratio", "target"),
    )
    section.notes.append(
        "The best of several runs inside one open engine and one open connection of DuckDB (the "
        "same file, two threads each), in turn. DuckDB looks for words by regular expressions."
    )
    tell("what to ask")
    values = _values(engine)
    connection = duckdb.connect(str(bare), read_only=True, config={"threads": 2})
    try:
        total = _number(engine, "SELECT count(*) FROM commits")
        for question in _questions(values):
            tell(question.gql)
            left = _number(
                engine, f"SELECT count(*) FROM commits c WHERE {question.filter or 'TRUE'}"
            )
            _measure(section, engine, connection, question, left, total)
    finally:
        connection.close()
    return section


def _number(engine: Engine, gql: str) -> int:
    ((count,),) = list(engine.query(gql, timeout=_DEADLINE))
    return int(count)


def _measure(
    section: Section,
    engine: Engine,
    connection: duckdb.DuckDBPyConnection,
    question: _Question,
    left: int,
    total: int,
) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    rows = len(engine.query(question.gql, timeout=_DEADLINE))
    found = len(connection.sql(question.sql).to_arrow_table())
    until = time.perf_counter() + _BUDGET
    while len(ours) < 3 or (len(ours) < _RUNS and time.perf_counter() < until):
        ours.append(engine.query(question.gql, timeout=_DEADLINE).elapsed * 1000)
        begin = time.perf_counter()
        connection.sql(question.sql).to_arrow_table()
        theirs.append((time.perf_counter() - begin) * 1000)
    mine, other = min(ours), min(theirs)
    filtered = bool(question.filter)
    met = mine <= question.limit if filtered else mine <= _RATIO * other
    if filtered and left > _SURVIVING * total:
        raise AssertionError(f"{question.gql}: {left} of {total} commits are more than few")
    note = "" if rows == found else f" (DUCKDB HAS {found:,} ROWS)"
    section.add(
        f"`{question.gql}`{note}", f"{left:,}", f"{rows:,}", f"{mine:.2f}", f"{other:.1f}",
        f"{mine / other:.2f}", f"<= {question.limit:g} ms" if filtered else f"<= {_RATIO} x DuckDB",
        met=met,
    )  # fmt: skip


def _values(engine: Engine) -> _Values:
    total = _number(engine, "SELECT count(*) FROM commits")
    few = int(_SURVIVING * total)

    def most(column: str, table: str = "commits", where: str = "TRUE") -> str:
        """Returns the most frequent value that few commits have."""
        gql = (
            f"SELECT {column} AS v FROM {table} WHERE {where} GROUP BY 1"
            f" HAVING count(DISTINCT position) <= {few} ORDER BY count(*) DESC LIMIT 1"
        )
        ((value,),) = list(engine.query(gql, timeout=_DEADLINE))
        return str(value)

    subjects = engine.query(
        "SELECT subject FROM commits WHERE position % 50 = 0", timeout=_DEADLINE
    )
    words = Counter(w for (s,) in subjects for w in set(re.findall(r"\b[a-z]{5,}\b", s)))
    counts = (
        (w, _number(engine, f"SELECT count(*) FROM commits WHERE MATCH(message, '{w}')"))
        for w, _ in words.most_common(400)
    )
    fitting = [(w, n) for w, n in counts if n <= few]
    word = max(fitting, key=lambda pair: pair[1])[0]
    rare = min(fitting, key=lambda pair: pair[1])[0]
    ((since,),) = list(
        engine.query("SELECT quantile(committer_date, 0.97) FROM commits", timeout=_DEADLINE)
    )
    ((name,),) = list(
        engine.query("SELECT hash FROM commits ORDER BY hash LIMIT 1", timeout=_DEADLINE)
    )
    return _Values(
        most("author"), most("author_domain", where="author_domain IS NOT NULL"), word, rare,
        most("dir", "changes", "dir <> ''"), f"{since:%Y-%m-%d}", name,
    )  # fmt: skip


def _questions(values: _Values) -> list[_Question]:
    author, domain = quoted(values.author), quoted(values.domain)
    since, name = quoted(values.since), quoted(values.hash)

    def match(word: str) -> tuple[str, str]:
        plain = rf"regexp_matches(c.message, '(?i)(^|[^\pL\pN\pM]){word}($|[^\pL\pN\pM])')"
        return f"MATCH(c.message, '{word}')", plain

    text, text_sql = match(values.word)
    rare, rare_sql = match(values.rare)
    by, dated = f"c.author = {author}", f"c.committer_date >= {since}"
    at = f"split_part(c.author_email, '@', -1) = {domain}"
    files = "JOIN changes f ON f.position = c.position"
    inside = f"starts_with(f.path, {quoted(values.directory + '/')})"
    year = "EXTRACT(year FROM c.committer_date)"

    def both(
        select: str, where: tuple[str, str] | str, tail: str, *, joins: str = "", few: str = "",
        limit: float = _LIMIT,
    ) -> _Question:  # fmt: skip
        ours, theirs = (where, where) if isinstance(where, str) else where
        head = f"SELECT {select} FROM commits c"
        return _Question(
            f"{head} {joins.replace(files, 'JOIN changes f USING (hash)')} WHERE {ours} {tail}",
            f"{head} {joins} WHERE {theirs} {tail}",
            few or ours, limit,
        )  # fmt: skip

    def whole(select: str, tail: str, joins: str = "") -> _Question:
        gql = joins.replace(files, "JOIN changes f USING (hash)")
        return _Question(
            f"SELECT {select} FROM commits c {gql} {tail}",
            f"SELECT {select} FROM commits c {joins} {tail}",
        )

    def ranked(ours: str, theirs: str) -> _Question:
        gql = f"SELECT c.hash, c.subject, c.author FROM commits c WHERE {text} AND {ours}"
        sql = f"SELECT c.hash, c.subject, c.author FROM commits c WHERE {text_sql} AND {theirs}"
        return _Question(
            f"{gql} ORDER BY SCORE() DESC LIMIT 10", f"{sql} ORDER BY c.committer_date DESC LIMIT 10",
            f"{text} AND {ours}",
        )  # fmt: skip

    top = "GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10"
    months = "GROUP BY 1 ORDER BY 1"
    month = "date_trunc('month', c.committer_date)"
    return [
        both("c.author, count(*) AS n", (f"{text} AND {dated}", f"{text_sql} AND {dated}"), top),
        both("c.author, count(*) AS n", (text, text_sql), top),
        both(f"{year} AS y, count(*) AS n, sum(c.insertions) AS added", (rare, rare_sql), months),
        both(f"{month} AS m, count(*) AS n", by, months),
        both("c.author, count(*) AS n, sum(c.insertions) AS added", dated, top),
        both("count(*) AS n", (f"{text} AND {dated}", f"{text_sql} AND {dated}"), ""),
        both("f.path, count(*) AS n", by, top, joins=files),
        both("f.path, count(*) AS n", (f"{text} AND {by}", f"{text_sql} AND {by}"), top, joins=files),
        both(
            "c.author, count(*) AS n", f"{inside} AND {dated}", top, joins=files, few=dated,
        ),
        both("f.path, count(*) AS n", (rare, rare_sql), top, joins=files),
        ranked(by, by),
        ranked(dated, dated),
        ranked("NOT c.is_merge AND c.insertions > 100", "c.parent_count <= 1 AND c.insertions > 100"),
        ranked(f"c.author_domain = lower({domain})", at),
        both("c.subject", f"c.hash = {name}", "", limit=_LOOKUP),
        both("c.hash, c.subject", by, "ORDER BY c.committer_date DESC, c.position LIMIT 10"),
        both("count(*) AS n", f"contains(c.subject, {quoted(values.rare)})", ""),
        whole("count(*) AS n", ""),
        whole("c.author, count(*) AS n", top),
        whole(f"{year} AS y, count(*) AS n, sum(c.insertions) AS added", months),
        whole("count(DISTINCT c.author_email) AS n", ""),
        whole("c.author, count(DISTINCT f.path) AS n", top, joins=files),
        whole("f.path, count(*) AS n, sum(f.insertions) AS added", top, joins=files),
        whole("c.hash, c.subject", "ORDER BY c.committer_date DESC, c.position LIMIT 10"),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints its figures with the misses first, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.measure_million", description=__doc__)
    parser.add_argument("data", type=Path, help="the data directory of one repository")
    parser.add_argument(
        "--history", type=Path, help="where the long history is kept and taken from"
    )
    parser.add_argument("--commits", type=int, default=_COMMITS, help="how many it has")
    parser.add_argument("--results", type=Path, help="where the page is kept")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)

    def tell(what: str) -> None:
        console.print(f"measuring: {what}", markup=False, style="dim")

    report = Report("million", now(), machine())
    with tempfile.TemporaryDirectory(prefix="govc-search-bench-") as scratch:
        history = options.history or Path(scratch) / "history"
        if not history.exists():
            make_history(options.data, history, options.commits, tell)
        with govc_search.open(history, create=False):
            tell("views made")
        bare = Path(scratch) / "bare.duckdb"
        shutil.copyfile(history / "table" / "table.duckdb", bare)
        with govc_search.open(history, create=False) as engine:
            report.sections.append(measure_million(engine, bare, tell))
    if options.results is not None:
        tell(f"kept as {report.keep(options.results)}")
    console.print(report.markdown(), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
