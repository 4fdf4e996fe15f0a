"""How much of each repository the table holds, counted once for a snapshot."""

from __future__ import annotations

from govc_search import gaps
from govc_search.gaps import Gaps
from govc_search.store.table import Table

__all__ = ["Coverage"]


class Coverage:
    """The gaps of all repositories, remembered for the last snapshot that was asked about."""

    def __init__(self) -> None:
        self._last: tuple[int, tuple[Gaps, ...]] | None = None

    def at(self, table: Table, as_of: int) -> tuple[Gaps, ...]:
        """Returns the gaps of every repository that has any, by name."""
        last = self._last
        if last is None or last[0] != as_of:
            last = self._last = as_of, _count(table, as_of)
        return last[1]


def _count(table: Table, as_of: int) -> tuple[Gaps, ...]:
    # The first word of a reason is its kind; all of it would make a group of each lost object.
    with table.cursor() as cursor:
        rows = cursor.query(
            "SELECT repo, depth, split_part(incomplete, ' ', 1) AS word, count(*) AS n FROM commits"
            " WHERE position <= $as_of AND (incomplete IS NOT NULL OR depth <> 'full')"
            " GROUP BY ALL ORDER BY repo, n DESC, word",
            {"as_of": as_of},
        ).to_pylist()
    incomplete: dict[str, dict[str, int]] = {}
    shallow: dict[str, dict[str, int]] = {}
    for row in rows:
        repo, depth, word, n = row["repo"], row["depth"], row["word"], int(row["n"])
        if word is None:
            shallow.setdefault(repo, {})[depth] = n
        else:
            kinds = incomplete.setdefault(repo, {})
            kind = gaps.kind_of(word)
            kinds[kind] = kinds.get(kind, 0) + n
    return tuple(
        Gaps(
            repo,
            incomplete.get(repo, {}),
            shallow.get(repo, {}).get("none", 0),
            shallow.get(repo, {}).get("paths", 0),
        )
        for repo in sorted({*incomplete, *shallow})
    )
