"""How long words, phrases, prefixes and ranked pages take here and in SQLite's FTS5.

FTS5 holds the same texts: a document for each commit's message, and one for each hunk with its
added and removed lines. A hunk is what both can name; a document for each change would find a
phrase that begins in one hunk and ends in the next.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.gitview import GitView
from bench.question import quoted
from bench.race import mean_ratio, raced
from bench.report import Section
from bench.sampling import message_words, needle_candidates
from govc_search.engine import Engine

__all__ = ["measure_sqlite"]

_POSITIONS: Final = 8_000
_DEADLINE: Final = 3600.0
_CANDIDATES: Final = 60
_PAGE: Final = 10
# Accents are kept here too.
_TOKENIZER: Final = "unicode61 remove_diacritics 0"
_TABLES: Final = {
    "messages": (
        "message",
        "SELECT position, message FROM commits WHERE position > $low AND position <= $high",
    ),
    "hunks": (
        "added, removed",
        """SELECT (change_id * 65536) + hunk, added, removed FROM hunks
        WHERE position > $low AND position <= $high""",
    ),
}


@dataclass(frozen=True, slots=True)
class _Texts:
    """What is searched in one of the two tables."""

    name: str
    column: str
    gql: str
    key: str
    fts: str
    words: tuple[str, ...]
    pair: str


def measure_sqlite(
    view: GitView, engine: Engine, scratch: Path, seed: int, tell: Callable[[str], None]
) -> list[Section]:
    """Returns the figures of texts in messages and in changed lines; `scratch` is a directory.

    Raises sqlite3.OperationalError where FTS5 is not compiled in.
    """
    file = scratch / "fts5.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        told = [_filled(connection, engine, name, tell) for name in _TABLES]
        section = Section(
            "Beside SQLite FTS5", ("question", "rows", "ms", "FTS5 ms", "ratio", "target")
        )
        ratios = [
            _race(section, engine, connection, texts, *question, tell=tell)
            for texts in _texts(view, engine, connection, seed)
            for question in _questions(texts)
        ]
    section.add(f"geometric mean of {len(ratios)}", "", "", "", f"{mean_ratio(ratios):.2f}", "")
    own = sum(f.stat().st_size for f in (engine.directory / "text").rglob("*") if f.is_file())
    section.notes.append(
        f"SQLite {sqlite3.sqlite_version}, FTS5 with `{_TOKENIZER}`, positions (`detail=full`), no "
        f"prefix index, then `optimize`: {', '.join(told)}, {file.stat().st_size / 1e6:,.1f} MB "
        f"with the texts. The text index here takes {own / 1e6:,.1f} MB: words of messages, paths, "
        "people and changed lines, and the messages and lines themselves."
    )
    section.notes.append(
        "Both in this process, in turn; the best of several runs, up to the rows in hand (numbers "
        "of rows, or the count). Words are not quite the same: here `camelCase` is found as "
        "`camel` and `case` too, and accents are found without them."
    )
    section.notes.append(
        "A ratio below 1 is in our favour. Of ranked pages the overlap is told: both rank by BM25, "
        "FTS5 without regard to subject and body, and a hunk ranks as its change does here."
    )
    return [section]


def _filled(
    connection: sqlite3.Connection, engine: Engine, name: str, tell: Callable[[str], None]
) -> str:
    """Fills a table of FTS5 and returns what it took."""
    columns, gql = _TABLES[name]
    tell(f"FTS5 over {name}")
    connection.execute(
        f"CREATE VIRTUAL TABLE {name} USING fts5({columns}, tokenize='{_TOKENIZER}')"
    )
    ((last,),) = engine.query("SELECT max(position) FROM commits")
    count, seconds = 0, 0.0
    names = f"rowid, {columns}"
    marks = ", ".join("?" * (columns.count(",") + 2))
    for low in range(0, last or 0, _POSITIONS):
        rows = list(engine.query(gql, {"low": low, "high": low + _POSITIONS}, timeout=_DEADLINE))
        started = time.perf_counter()
        connection.executemany(f"INSERT INTO {name} ({names}) VALUES ({marks})", rows)
        seconds += time.perf_counter() - started
        count += len(rows)
    started = time.perf_counter()
    connection.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")
    connection.commit()
    seconds += time.perf_counter() - started
    return f"{count:,} {name} in {seconds:,.0f} s"


def _texts(
    view: GitView, engine: Engine, connection: sqlite3.Connection, seed: int
) -> Iterator[_Texts]:
    """Returns words of messages and of added lines, common ones first, with a pair of each."""
    words = tuple(w.lower() for w in message_words(view, seed) if w)
    yield _Texts(
        "messages", "message", "commits", "position", "messages", words,
        _pair(engine, "commits", "message", words),
    )  # fmt: skip
    commits = view.run(["rev-list", "--no-merges", "HEAD"]).output.decode().split()
    candidates = [n for n in needle_candidates(view, commits, seed) if re.fullmatch("[a-z]+", n)]
    counts = {n: _count(connection, n) for n in candidates[:_CANDIDATES]}
    ranked = sorted((n for n in counts if counts[n]), key=lambda n: (-counts[n], n))
    words = tuple(dict.fromkeys((*ranked[:1], *ranked[len(ranked) // 3 :][:1], *ranked[-1:])))
    yield _Texts(
        "lines", "added", "hunks", "(change_id * 65536) + hunk", "hunks", words,
        _pair(engine, "hunks", "added", words),
    )  # fmt: skip


def _count(connection: sqlite3.Connection, word: str) -> int:
    asked = (f'added : "{word}"',)
    ((count,),) = connection.execute("SELECT count(*) FROM hunks WHERE hunks MATCH ?", asked)
    return int(count)


def _pair(engine: Engine, table: str, column: str, words: Sequence[str]) -> str:
    """Returns two words that follow each other in some text."""
    for word in words[1:]:
        gql = f"SELECT {column} FROM {table} WHERE MATCH({column}, {quoted(word)}) LIMIT 200"
        for (text,) in engine.query(gql, timeout=_DEADLINE):
            if found := re.search(rf"\b{word} [a-z]+\b", text or ""):
                return found[0]
    return " ".join(words[:2])


def _questions(texts: _Texts) -> Iterator[tuple[str, str, str]]:
    """Returns kind, words of the match language and words of FTS5."""
    for word in texts.words:
        yield "match", word, f'"{word}"'
        yield "count", word, f'"{word}"'
        yield "ranked", word, f'"{word}"'
    first, _, second = texts.pair.partition(" ")
    both = (f"{first} {second}", f'"{first}" AND "{second}"')
    for kind in ("match", "count", "ranked"):
        yield kind, *both
    yield "phrase", f'"{texts.pair}"', f'"{texts.pair}"'
    yield "ranked phrase", f'"{texts.pair}"', f'"{texts.pair}"'
    stem = max(texts.words[1:] or texts.words, key=len)[:4]
    yield "prefix", f"{stem}*", f'"{stem}"*'
    yield "count of a prefix", f"{stem}*", f'"{stem}"*'


def _race(
    section: Section,
    engine: Engine,
    connection: sqlite3.Connection,
    texts: _Texts,
    kind: str,
    words: str,
    fts_words: str,
    *,
    tell: Callable[[str], None],
) -> float:
    tell(f"{kind} of {words} in {texts.name}")
    selected = "count(*)" if kind.startswith("count") else texts.key
    fts_selected = "count(*)" if kind.startswith("count") else "rowid"
    ranked = kind.startswith("ranked")
    gql = f"SELECT {selected} FROM {texts.gql} WHERE MATCH({texts.column}, {quoted(words)})"
    sql = f"SELECT {fts_selected} FROM {texts.fts} WHERE {texts.fts} MATCH ?"
    if ranked:
        gql += f" ORDER BY SCORE() DESC LIMIT {_PAGE}"
        sql += f" ORDER BY rank LIMIT {_PAGE}"
    asked = f"{texts.column} : ({fts_words})"
    ours, left, theirs, right = raced(
        lambda: engine.query(gql, timeout=_DEADLINE).to_arrow(),
        lambda: connection.execute(sql, (asked,)).fetchall(),
    )
    mine = left.column(0).to_pylist()
    section.add(
        f"{kind} of `{words}` in {texts.name}{_difference(mine, right, ranked=ranked)}",
        f"{mine[0]:,}" if kind.startswith("count") else f"{len(mine):,}",
        f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}", "<= 1", met=ours <= theirs,
    )  # fmt: skip
    return ours / theirs


def _difference(mine: list[int], rows: list[tuple[Any, ...]], *, ranked: bool) -> str:
    theirs = [row[0] for row in rows]
    both = len(set(mine) & set(theirs))
    if ranked:
        return f" ({both} of {len(theirs)} the same)"
    if sorted(mine) == sorted(theirs):
        return ""
    if len(mine) == len(theirs) == 1:
        return f" ({theirs[0]:,} there)"
    return f" ({len(theirs):,} there, {both:,} in both)"
