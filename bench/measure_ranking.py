"""How much a ranked page costs beyond the bare search of the same text index."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import tantivy

from bench.gitview import GitView
from bench.question import quoted
from bench.report import Section
from bench.sampling import message_words
from govc_search.engine import Engine

__all__ = ["measure_ranking"]

_RUNS: Final = 200
_STORED: Final = ("hash", "subject", "author", "author_date")
_OTHERS: Final = (*_STORED, "committer_email", "files_changed", "insertions", "deletions")
_MORE: Final = {"stored": 0.5, "others": 5.0}


def measure_ranking(
    view: GitView, engine: Engine, seed: int, tell: Callable[[str], None]
) -> list[Section]:
    """Returns the figures of the ten best commits for words that messages hold."""
    section = Section(
        "Ranked search, the ten best",
        ("words and columns", "hits", "ms", "bare tantivy ms", "more ms", "target"),
    )
    section.notes.append(
        f"Medians of {_RUNS} runs, ours from the call to the rows in hand. Bare tantivy is "
        "`searcher.search(query, 10)` alone on the index of commits: the query (the words in "
        "subject or body) is already built, and nothing of a hit is read."
    )
    section.notes.append(
        f"Columns: {', '.join(_STORED)}; the others are {', '.join(_OTHERS[len(_STORED) :])}."
    )
    index = tantivy.Index.open(str(Path(engine.directory) / "text" / "commits"))
    searcher = index.searcher()
    for words in _words(view, seed):
        tell(f"ranked search for {words}")
        query = _query(index.schema, words.lower().split())
        # The stubs of tantivy lack it.
        hits = searcher.search(query, 10, count=True).count  # type: ignore[attr-defined]
        bare = _median(partial(searcher.search, query, 10))
        for name, columns in (("stored", _STORED), ("others", _OTHERS)):
            gql = (
                f"SELECT {', '.join(columns)} FROM commits WHERE MATCH(message, {quoted(words)}) "
                "ORDER BY SCORE() DESC LIMIT 10"
            )
            ours = _median(partial(_rows, engine, gql))
            more = ours - bare
            limit = _MORE[name]
            section.add(
                f"{words}: {'hash, subject, author, date' if name == 'stored' else 'others too'}",
                f"{hits:,}", f"{ours:.3f}", f"{bare:.3f}", f"{more:.3f}", f"<= {limit:g} ms more",
                met=more <= limit,
            )  # fmt: skip
    return [section]


def _words(view: GitView, seed: int) -> list[str]:
    common, middle, rare = message_words(view, seed)
    return [w for w in (common, middle, rare, f"{common} {middle}") if w.strip()]


def _query(schema: tantivy.Schema, words: list[str]) -> tantivy.Query:
    def term(field: str, word: str) -> tantivy.Query:
        return tantivy.Query.term_query(schema, field, word, "freq")

    each = [
        tantivy.Query.boolean_query(
            [(tantivy.Occur.Should, term(field, word)) for field in ("subject", "body")]
        )
        for word in words
    ]
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in each])


def _rows(engine: Engine, gql: str) -> list[tuple[Any, ...]]:
    return list(engine.query(gql))


def _median(run: Callable[[], object]) -> float:
    """Returns the median time of a call, in ms."""
    run()
    times = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000
