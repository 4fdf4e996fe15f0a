"""All repositories at one snapshot: their commit graphs and their trees, as queries ask for them.

A revision may mean a commit in some repositories and none in others: those that do not know it
are told as warnings, and it is an error where none does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from govc_search.errors import QueryError, UsageError
from govc_search.indexer.trees import Source, Tree
from govc_search.ql.protocols import Ids
from govc_search.store.graph import CommitGraph, Graphs
from govc_search.store.table import Table

__all__ = ["Repositories"]

# Repositories that a message names.
_SHOWN = 5

T = TypeVar("T")


class Repositories:
    """All repositories at one snapshot; their files are read in directories made in `place`."""

    def __init__(self, graphs: Graphs, table: Table, as_of: int, place: Path) -> None:
        self._graphs = graphs
        self._table = table
        self._as_of = as_of
        self._place = place

    @cached_property
    def _known(self) -> dict[str, dict[str, Any]]:
        """Returns url and object format of every repository, by name."""
        cursor = self._table.cursor()
        try:
            rows = cursor.query(
                "SELECT repo, url, object_format FROM repositories WHERE from_position <= $p"
                " AND (to_position IS NULL OR to_position > $p) ORDER BY repo",
                {"p": self._as_of},
            )
        finally:
            cursor.close()
        return {str(r["repo"]): r for r in rows.to_pylist()}

    @property
    def _graph(self) -> CommitGraph:
        return self._graphs.at(self._as_of)

    def repos(self) -> list[str]:
        """Returns the names of the repositories, in order."""
        return list(self._known)

    def positions(
        self, kind: str, revision: str, repos: frozenset[str] | None
    ) -> tuple[Ids, tuple[str, ...]]:
        """Returns the positions in a range, or reachable, in these repositories or in every one."""
        graph = self._graph
        if kind == "reachable":
            _check_single(revision)
        asked = (r for r in self._known if repos is None or r in repos)
        found, warnings = _everywhere(asked, lambda repo: graph.range(repo, revision))
        if not found:
            return np.zeros(0, np.uint64), ()
        return np.concatenate(list(found.values())).astype(np.uint64), warnings

    def open(
        self, revision: str, repos: Sequence[str], check: Callable[[], None]
    ) -> tuple[list[Tree], tuple[str, ...]]:
        """Returns the trees of these repositories at a revision, with warnings; to be closed.

        `check` raises when time is up.
        """
        graph = self._graph
        _check_single(revision)
        found, warnings = _everywhere(repos, lambda repo: graph.resolve(repo, revision))
        trees = []
        for repo, position in found.items():
            known = self._known[repo]
            source = Source(repo, known["url"], known["object_format"])
            trees.append(Tree(source, graph, position, self._place, check))
        return trees, warnings

    def resolve(self, revision: str, repo: str | None) -> list[int]:
        """Returns the positions that a revision names, one for each repository that knows it."""
        graph = self._graph
        repos = self.repos()
        if repo is not None:
            if repo not in repos:
                raise UsageError(
                    "unknown_repository",
                    f'no repository "{repo}"',
                    hint="`govc-search status` lists them",
                )
            return [graph.resolve(repo, revision)]
        found, _ = _everywhere(repos, lambda name: graph.resolve(name, revision))
        if not found:
            raise QueryError("unknown_revision", f'no revision "{revision}": nothing is indexed')
        return list(found.values())


def _check_single(revision: str) -> None:
    if ".." in revision or revision.startswith("^") or " " in revision.strip():
        raise QueryError(
            "invalid_revision",
            f"{revision!r} is a range, not a revision",
            hint="use IN_RANGE for ranges, and range: in the search box",
        )


def _everywhere(
    repos: Iterable[str], ask: Callable[[str], T]
) -> tuple[dict[str, T], tuple[str, ...]]:
    """Returns what each repository answers; those that do not know the revision are warnings.

    Raises QueryError `unknown_revision` where none of them does.
    """
    found: dict[str, T] = {}
    unknown: dict[str, QueryError] = {}
    for repo in repos:
        try:
            found[repo] = ask(repo)
        except QueryError as e:
            if e.code != "unknown_revision":
                raise
            unknown[repo] = e
    if unknown and not found:
        raise _unknown_to_all(unknown)
    return found, tuple(e.message for e in unknown.values())


def _unknown_to_all(errors: Mapping[str, QueryError]) -> QueryError:
    """Returns one error for what none of the repositories asked knows."""
    (repo, first), *others = errors.items()
    if not others:
        return first
    shown = ", ".join(list(errors)[:_SHOWN]) + (", ..." if len(errors) > _SHOWN else "")
    return QueryError(
        "unknown_revision",
        f"{first.message.partition(f' in {repo}')[0]} in any of {len(errors)} repositories: {shown}",
        hint=next((e.hint for e in errors.values() if e.hint), None),
    )
