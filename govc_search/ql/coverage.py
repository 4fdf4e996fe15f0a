"""Says what an answer cannot hold, because it is not indexed: a warning for each repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from govc_search.catalog import Column
from govc_search.gaps import Gaps
from govc_search.ql import bound
from govc_search.ql.pins import pinned

__all__ = ["uncovered", "unknown_repositories"]

_OF_LINES = frozenset({"hunks", "lines"})
# The fields of the index of changes that are known without any line.
_OF_PATHS = frozenset({"path"})


def uncovered(query: bound.BoundQuery, gaps: Callable[[], Sequence[Gaps]]) -> tuple[str, ...]:
    """Returns the warnings of a query; `gaps` is only asked where it reads what commits changed.

    Repositories that no row of such a table can be of are passed over.
    """
    of: dict[bound.Scan, frozenset[str]] = {}
    for node in bound.walk(query):
        if isinstance(node, bound.BoundSelect):
            of.update(pinned(node))
    read = list(_reads(query))
    changes = [scan for scan, _ in read]
    if not changes:
        return ()
    lines = [scan for scan, reads_lines in read if reads_lines]

    def concerns(repo: str, scans: Sequence[bound.Scan]) -> bool:
        return any(repo in of.get(scan, (repo,)) for scan in scans)

    return tuple(
        text
        for one in gaps()
        if concerns(one.repo, changes)
        for text in _told(one, lines=concerns(one.repo, lines))
    )


def unknown_repositories(query: bound.BoundQuery, has: Callable[[str], bool]) -> tuple[str, ...]:
    """Returns a warning for each repository that a query asks for by name and that is not there."""
    names = {
        name
        for node in bound.walk(query)
        if isinstance(node, bound.BoundSelect)
        for pin in pinned(node).values()
        for name in pin
    }
    return tuple(
        f'no repository "{name}": SELECT repo FROM repos lists them'
        for name in sorted(names)
        if not has(name)
    )


def _reads(query: bound.BoundQuery) -> Iterator[tuple[bound.Scan, bool]]:
    """Yields the tables by which a query reads changes, and whether it reads their lines."""
    for node in bound.walk(query):
        match node:
            case bound.Scan(table=table) if table.index == "changes":
                yield node, table.name in _OF_LINES
            case bound.TouchMatch() | bound.Column(column=Column(stage="history")):
                yield node.scan, False
            case bound.LineMatch():
                yield node.scan, True
            case bound.TextMatch(scan=scan) if scan is not None and scan.table.index == "changes":
                yield scan, not {name for name, _ in node.subjects} <= _OF_PATHS


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
