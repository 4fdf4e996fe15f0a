"""How long the questions published for ClickHouse's `git-import` take here and there.

ClickHouse runs inside this process (chdb) on tables that hold the same rows; the questions are
bench/clickhouse/*.sql, each in GQL and in ClickHouse's SQL.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from bench.clickhouse_tables import fill, stored_bytes
from bench.gitview import GitView
from bench.question import quoted
from bench.race import mean_ratio, raced
from bench.report import Section
from bench.sampling import draw, message_words, needle_candidates
from govc_search.engine import Engine
from govc_search.errors import QueryError

__all__ = ["Pair", "measure_clickhouse", "parameters", "questions"]

_QUESTIONS: Final = Path(__file__).parent / "clickhouse"
_DEADLINE: Final = 3600.0
_BESIDE: Final = 1.5
_DOCS: Final = ("md", "txt", "adoc", "rst")
# Translations are neither code nor documentation.
_NO_CODE: Final = (*_DOCS, "po", "pot")
_CANDIDATES: Final = 60
# How many changes a text is in, about.
_FREQUENCIES: Final = {"rare": 5, "middle": 300, "common": 5_000}
_EPOCH: Final = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question in both languages, with `$name` where a value belongs."""

    name: str
    title: str
    gql: str
    clickhouse: str
    indexed: bool


def questions() -> Iterator[Pair]:
    """Reads bench/clickhouse/*.sql in order."""
    current = _pair(_QUESTIONS / "current_files.sql")
    for file in sorted(_QUESTIONS.glob("[0-9]*.sql")):
        pair = _pair(file)
        yield Pair(
            pair.name,
            pair.title,
            pair.gql.replace("$current_files", current.gql),
            pair.clickhouse.replace("$current_files", current.clickhouse),
            pair.indexed,
        )


def _pair(file: Path) -> Pair:
    head, _, rest = file.read_text("utf-8").partition("-- gql\n")
    gql, _, clickhouse = rest.partition("-- clickhouse\n")
    title, *remarks = [line.removeprefix("-- ") for line in head.splitlines()]
    return Pair(file.stem, title, gql.strip(), clickhouse.strip(), "an index helps" in remarks)


def parameters(view: GitView, engine: Engine, seed: int) -> dict[str, str | Sequence[str]]:
    """Returns what the questions ask for: paths, people and texts of this history."""
    no_code = _list(_NO_CODE, quoted)
    code = _column(
        engine,
        f"SELECT extension FROM changes WHERE extension NOT IN {no_code}"
        " GROUP BY extension ORDER BY count(*) DESC, extension LIMIT 3",
    )
    by_changes = "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    renamed = "SELECT path FROM changes WHERE change_type = 'R'"
    (newest,) = _column(engine, "SELECT max(committer_date) FROM commits")
    values: dict[str, str | Sequence[str]] = {
        "code": code,
        "docs": _DOCS,
        "newest": str(newest),
        "year_ago": str(newest.replace(year=newest.year - 1, day=min(newest.day, 28))),
    }
    for name, gql in (
        ("path", f"SELECT path FROM changes WHERE extension IN {_list(code, quoted)} {by_changes}"),
        ("renamed", f"SELECT path FROM changes WHERE path IN ({renamed}) {by_changes}"),
        ("directory", f"SELECT split_part(path, '/', 1) || '/' FROM changes WHERE dir <> '' {by_changes}"),
        ("author", f"SELECT author_mapped FROM commits WHERE NOT is_merge {by_changes}"),
    ):  # fmt: skip
        values[name] = next(iter(_column(engine, gql)), "")
    return values | _texts(view, engine, seed)


def _texts(view: GitView, engine: Engine, seed: int) -> dict[str, str]:
    commits = view.run(["rev-list", "--no-merges", "HEAD"]).output.decode().split()
    counts = {
        needle: engine.query(
            f"SELECT count(*) FROM changes WHERE CHANGED({quoted(needle)})", timeout=_DEADLINE
        ).to_arrow()[0][0].as_py()
        for needle in needle_candidates(view, commits, seed)[:_CANDIDATES]
    }  # fmt: skip
    found = {
        name: min(
            (n for n in counts if counts[n]),
            key=lambda needle: (abs(math.log(counts[needle] / wanted)), needle),
            default="a",
        )
        for name, wanted in _FREQUENCIES.items()
    }
    # Patterns that begin or end a line would see its blanks, which ClickHouse's table lacks.
    patterns = [p for p in draw(view, commits, seed).line_patterns if "[a-z_]+" in p]
    words = [w for w in message_words(view, seed)[1:] if re.fullmatch("[a-z]+", w)]
    return found | {
        "pattern": next(iter(patterns), "0x[0-9a-f]+"),
        "word": next(iter(words), "the"),
        "subject_text": next(iter(words), "the")[:-1],
    }


def _column(engine: Engine, gql: str) -> list[Any]:
    return [row[0] for row in engine.query(gql, timeout=_DEADLINE)]


def _list(values: Iterable[str], quote: Callable[[str], str]) -> str:
    return f"({', '.join(map(quote, values))})"


def _escaped(text: str) -> str:
    return quoted(text.replace("\\", "\\\\"))


def _put(text: str, values: Mapping[str, str | Sequence[str]], quote: Callable[[str], str]) -> str:
    def value(found: re.Match[str]) -> str:
        given = values[found[1]]
        return quote(given) if isinstance(given, str) else _list(given, quote)

    return re.sub(r"\$(\w+)", value, text)


def measure_clickhouse(
    view: GitView, engine: Engine, scratch: Path, seed: int, tell: Callable[[str], None]
) -> list[Section]:
    """Returns the figures of all questions; `scratch` is an empty directory.

    Raises ImportError where chdb is not installed.
    """
    import chdb
    from chdb.session import Session

    exported = scratch / "exported"
    exported.mkdir()
    session = Session(str(scratch / "clickhouse"))
    try:
        started = time.perf_counter()
        fill(session, engine, exported, tell)
        seconds = time.perf_counter() - started
        # It would answer the second run of a question from what the first one found.
        session.query("SET use_query_condition_cache = 0")
        section = _measured(session, engine, parameters(view, engine, seed), tell)
        size = stored_bytes(session)
    finally:
        session.close()
    section.notes.insert(
        0,
        f"chdb {chdb.__version__}, tables as `clickhouse git-import` makes them, filled from the "
        f"index in {seconds:,.0f} s, {size / 1e6:,.1f} MB. Both run in this process, in turn, with "
        "their defaults (the query condition cache of ClickHouse aside, which answers a question "
        "that is asked again); the best of several runs, up to an Arrow table in hand.",
    )
    return [section]


def _measured(
    session: Any,
    engine: Engine,
    values: Mapping[str, str | Sequence[str]],
    tell: Callable[[str], None],
) -> Section:
    section = Section(
        "Beside ClickHouse", ("question", "rows", "ms", "ClickHouse ms", "ratio", "target")
    )
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for pair in questions():
        tell(pair.title)
        gql = _put(pair.gql, values, quoted)
        sql = _put(pair.clickhouse, values, _escaped)
        limit = 1.0 if pair.indexed else _BESIDE
        ask = partial(_asked, engine, gql)
        beside = partial(session.query, sql, "ArrowTable")
        try:
            ours, left, theirs, right = raced(ask, beside)
        except QueryError as error:
            section.add(
                f"{pair.title} (FAILED: {error.code})", "", "", "", "", f"<= {limit:g}", met=False
            )
            continue
        note = difference(left, right)
        ratio = ours / theirs
        ratios[pair.indexed].append(ratio)
        section.add(
            f"{pair.title}{note}", f"{left.num_rows:,}", f"{ours:.2f}", f"{theirs:.2f}",
            f"{ratio:.2f}", f"<= {limit:g}", met=ratio <= limit and not note,
        )  # fmt: skip
    for name, of in (
        ("where an index helps", ratios[True]),
        ("elsewhere", ratios[False]),
        ("all", [*ratios[True], *ratios[False]]),
    ):
        section.add(f"geometric mean of {len(of)}, {name}", "", "", "", f"{mean_ratio(of):.2f}", "")
    section.notes.append(
        "A ratio below 1 is in our favour. Asked for: "
        + "; ".join(f"{k} {v if isinstance(v, str) else ', '.join(v)}" for k, v in values.items())
        + "."
    )
    section.notes.append(
        "Of the published list these are left out: who rewrites whose lines, and how much of an "
        "author's lines others removed. They ask for the previous author of a line, which neither "
        "side holds: the tool takes it from a rough blame of its own."
    )
    return section


def _asked(engine: Engine, gql: str) -> pa.Table:
    return engine.query(gql, timeout=_DEADLINE).to_arrow()


def difference(left: pa.Table, right: pa.Table) -> str:
    """Returns what to say of two answers: nothing where the rows are equal, in order."""
    ours, theirs = _rows(left), _rows(right)
    if ours == theirs:
        return ""
    if sorted(ours, key=repr) == sorted(theirs, key=repr):
        return " (ANOTHER ORDER)"
    both = len(set(ours) & set(theirs))
    return f" (OTHER ROWS: {len(ours):,} and {len(theirs):,}, {both:,} in both)"


def _rows(table: pa.Table) -> list[tuple[object, ...]]:
    columns = [[_plain(v) for v in column.to_pylist()] for column in table.columns]
    return list(zip(*columns, strict=True))


def _plain(value: Any) -> object:
    """Returns a value as both sides write it: times as seconds, numbers with nine digits."""
    match value:
        case datetime():
            # Both give UTC, with its name or without.
            return round((value.replace(tzinfo=None) - _EPOCH).total_seconds())
        case date():
            return round((datetime(value.year, value.month, value.day) - _EPOCH).total_seconds())
        case bytes():
            return value.decode("utf-8", "replace")
        case float():
            if math.isnan(value):
                # The mean of nothing.
                return None
            # A sum of them depends on the order in which threads add.
            whole = round(value)
            return whole if value == whole else float(f"{value:.9g}")
        case _:
            return value
