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
import pyarrow as pa

from govc_search.errors import QueryError, UsageError
from govc_search.indexer.trees import Source, Tree
from govc_search.ql.protocols import Ids
from govc_search.store.first_tag import first_tags
from govc_search.store.graph import CommitGraph, Graphs
from govc_search.store.hash_functions import HashFunction, of_every_commit
from govc_search.store.members import Members, members
from govc_search.store.path_history import path_history
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
        """Returns positions (of kind `history`: ids of changes), ascending, with warnings.

        `kind`: range, reachable, ancestors, descendants, history; only `repos` are asked, or all.
        Raises QueryError where no repository knows the revision.
        """
        graph = self._graph
        if kind == "history":
            return path_history(graph, revision, self._asked(repos)), ()
        if kind != "range":
            _check_single(revision)

        def found(repo: str) -> Ids:
            if kind == "descendants":
                return graph.descendants(repo, graph.resolve(repo, revision))
            return graph.range(repo, revision)

        each, warnings = _everywhere(self._asked(repos), found)
        if not each:
            return np.zeros(0, np.uint64), ()
        return np.sort(np.concatenate(list(each.values()))), warnings

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

    def has(self, repo: str) -> bool:
        """Returns whether a repository is indexed."""
        return repo in self._known

    def known(
        self, revision: str, repos: frozenset[str] | None, *, one: bool = False
    ) -> tuple[str, ...]:
        """Returns warnings of the repositories that do not know a revision.

        Raises QueryError where none does, and with `one` where it names several commits.
        """
        graph = self._graph
        _check_single(revision)
        found, warnings = _everywhere(
            self._asked(repos), lambda repo: graph.resolve(repo, revision)
        )
        if one:
            named = {}
            for repo, position in found.items():
                history = graph.history(repo)
                named[history.hash_of(history.numbers([position])[0])] = repo
            if len(named) > 1:
                a, b = list(named.values())[:2]
                raise QueryError(
                    "ambiguous_revision",
                    f'"{revision}" is one commit in {a} and another in {b}',
                    hint=f"say which is meant: repo => '{a}'",
                )
        return warnings

    def function(
        self, name: str, pattern: str, repos: frozenset[str] | None, *, by_row: bool
    ) -> Callable[..., pa.Array]:
        """Returns a function of the graph over Arrow arrays of texts; it gives texts, '' for NULL.

        `name`: is_ancestor, merge_base, resolve or first_tag. With `by_row` the first array names
        the repository to ask, else all of `repos` (None: every one) are asked. Its first argument
        is called now and then, and raises when time is up.
        """
        graph = self._graph
        asked = self._asked(repos)
        for repo in asked:
            # Nothing is read from the table while a statement runs.
            graph.refs(repo)
            if name == "merge_base":
                graph.dates(repo)
            if name == "first_tag":
                first_tags(graph, repo, pattern)
        return HashFunction(graph, name, pattern, tuple(asked), by_row)

    def of_every_commit(
        self, name: str, revision: str, pattern: str, repos: frozenset[str] | None
    ) -> pa.Table:
        """Returns (id, value): what a function gives for every commit, where it is not NULL.

        `name`: first_tag, or ancestors and descendants for IS_ANCESTOR with the revision as its
        second or first argument.
        """
        graph = self._graph
        parts = [
            of_every_commit(graph, repo, name, revision, pattern) for repo in self._asked(repos)
        ]
        kind = pa.string() if name == "first_tag" else pa.bool_()
        empty = pa.table({"id": pa.array([], pa.uint64()), "value": pa.array([], kind)})
        return pa.concat_tables([empty, *(p for p in parts if p is not None)])

    def members(self, refs: Sequence[tuple[str, str]], hashes: Sequence[str] | None) -> Members:
        """Returns the commits that each ref (repository, full name) reaches, or these of them."""
        return members(self._graph, refs, hashes)

    def _asked(self, repos: frozenset[str] | None) -> list[str]:
        return [r for r in self._known if repos is None or r in repos]


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
