"""Says what an answer cannot hold, because it was not indexed: a warning for each repository."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from govc_search.catalog import Column
from govc_search.gaps import Gaps
from govc_search.ql import bound

__all__ = ["uncovered"]

_OF_LINES = frozenset({"hunks", "lines"})
# The fields of the index of changes that are known without any line.
_OF_PATHS = frozenset({"path"})


def uncovered(query: bound.BoundQuery, gaps: Callable[[], Sequence[Gaps]]) -> tuple[str, ...]:
    """Returns the warnings of a query; `gaps` is only asked where it reads what commits changed."""
    changes, lines = _reads(query)
    if not changes:
        return ()
    return tuple(text for one in gaps() for text in _told(one, lines=lines))


def _reads(query: bound.BoundQuery) -> tuple[bool, bool]:
    """Returns whether a query reads changes, and whether it reads their lines."""
    changes = lines = False
    for node in bound.walk(query):
        match node:
            case bound.Scan(table=table) if table.index == "changes":
                changes = True
                lines = lines or table.name in _OF_LINES
            case bound.TouchMatch() | bound.Column(column=Column(stage="history")):
                changes = True
            case bound.LineMatch():
                changes = lines = True
            case bound.TextMatch(scan=scan) if scan is not None and scan.table.index == "changes":
                lines = lines or not {name for name, _ in node.subjects} <= _OF_PATHS
    return changes, lines


def _told(gaps: Gaps, *, lines: bool) -> list[str]:
    out = []
    if gaps.incomplete:
        n = sum(gaps.incomplete.values())
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in gaps.incomplete.items())
        out.append(
            f"{gaps.repo}: {_commits(n)} incomplete ({kinds}), so not all that changed is here"
        )
    if gaps.without_changes:
        out.append(f"{gaps.repo}: {_commits(gaps.without_changes)} indexed without changes")
    if lines and gaps.without_lines:
        out.append(f"{gaps.repo}: {_commits(gaps.without_lines)} indexed without changed lines")
    return out


def _commits(n: int) -> str:
    return f"{n:,} commit{' is' if n == 1 else 's are'}"
