"""How near the top the search box puts the commit that a person meant.

`golden/git.tsv` holds words as somebody types them and the commit of git.git that was meant,
half of them with a word mistyped. The figure is the mean reciprocal rank: 1 where every commit
comes first, 0.5 where every one comes second.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.report import Section
from govc_search.engine import Engine, open_engine

__all__ = ["measure_golden_searches"]

_GOLDEN: Final = Path(__file__).parent / "golden" / "git.tsv"
_LOOKED_AT: Final = 50


@dataclass(frozen=True, slots=True)
class _Search:
    hash: str
    words: str
    mistyped: str


def _searches() -> list[_Search]:
    with _GOLDEN.open(encoding="utf-8", newline="") as file:
        return [_Search(**row) for row in csv.DictReader(file, delimiter="\t")]


def measure_golden_searches(engine: Engine) -> Section | None:
    """Returns the ranks, or None where the commits are not all indexed."""
    searches = _searches()
    hashes = ", ".join(f"'{s.hash}'" for s in searches)
    ((known,),) = engine.query(f"SELECT count(DISTINCT hash) FROM commits WHERE hash IN ({hashes})")
    if known < len(searches):
        return None
    ranks = {s: _rank(engine, s) for s in searches}
    section = Section("Searches as people type them", ("searches", "first", "in ten", "MRR"))
    for name, chosen in (
        ("as spelt", [s for s in searches if not s.mistyped]),
        ("one word mistyped", [s for s in searches if s.mistyped]),
        ("all", searches),
    ):
        of = [ranks[s] for s in chosen]
        section.add(
            f"{name} ({len(of)})",
            f"{sum(r == 1 for r in of)}",
            f"{sum(r is not None and r <= 10 for r in of)}",
            f"{sum(1 / r for r in of if r) / len(of):.3f}",
        )
    missed = [
        f"{s.words} ({ranks[s] or f'beyond {_LOOKED_AT}'})" for s in searches if ranks[s] != 1
    ]
    section.notes.append(f"Not first: {'; '.join(missed) or 'none'}.")
    return section


def _rank(engine: Engine, search: _Search) -> int | None:
    rows = engine.search(search.words, limit=_LOOKED_AT).to_arrow()
    found = rows.column("hash").to_pylist()
    return found.index(search.hash) + 1 if search.hash in found else None


def main(arguments: Sequence[str]) -> int:
    """Prints the section for a data directory that holds git.git."""
    with open_engine(arguments[0], create=False) as engine:
        section = measure_golden_searches(engine)
    if section is None:
        print("the commits of bench/golden/git.tsv are not indexed there", file=sys.stderr)
        return 2
    print(section.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
