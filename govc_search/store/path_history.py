"""The history of a path through its renames, along ancestry.

It begins with every change that names the path. Where one of them is a rename to it, or a copy,
the file had another name in the commits before; where one is a rename away from it, in the
commits after. A name found that way counts only there: back to the change that brought it
(added, renamed or copied to it), forth to the change that took it away (deleted, or renamed to
another). So another file that once had the name, or has it on another branch, stays out. What
left before a rename and was merged after it knew the file by its old name, and belongs to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from govc_search.store.graph import CommitGraph
from govc_search.store.history import Bools, History, Positions

__all__ = ["path_history"]


@dataclass(frozen=True, slots=True)
class _Change:
    """A change as far as paths go; `commit` is the number of its commit in the history."""

    id: int
    commit: int
    path: str
    old_path: str | None
    kind: str

    @property
    def brings(self) -> str | None:
        """Returns the name that the file did not have before, or None."""
        return self.path if self.kind in "ARC" else None

    @property
    def takes(self) -> str | None:
        """Returns the name that no file has afterwards, or None."""
        return self.path if self.kind == "D" else self.old_path if self.kind == "R" else None


def path_history(graph: CommitGraph, path: str, repos: Collection[str]) -> Positions:
    """Returns the ids of the changes in the history of a path, in every repository, ascending."""
    found: set[int] = set()
    for repo, changes in _changes(graph, path, repos).items():
        found.update(_follow(graph.history(repo), path, changes))
    return np.array(sorted(found), np.uint64)


def _changes(
    graph: CommitGraph, path: str, repos: Collection[str]
) -> dict[str, dict[str, list[_Change]]]:
    """Returns repository -> name -> changes of all names that renames lead to from this one.

    These are more than the file had, and few: which of them count is for the graph to say.
    """
    found: dict[str, dict[str, list[_Change]]] = defaultdict(lambda: defaultdict(list))
    names: set[str] = set()
    more = {path}
    while more:
        names |= more
        rows = graph.read(
            "SELECT repo, change_id, position, path, old_path, change_type FROM changes"
            " WHERE position <= $p AND list_contains($r, repo)"
            " AND (path IN (SELECT unnest($n)) OR old_path IN (SELECT unnest($n)))",
            {"p": graph.as_of, "r": sorted(repos), "n": sorted(more)},
        ).to_pydict()
        wanted, more = more, set()
        for repo, id_, position, now, before, kind in zip(*rows.values(), strict=True):
            (commit,) = graph.history(repo).numbers([position])
            change = _Change(id_, commit, now, before, kind)
            for name in {now, before} & wanted:
                found[repo][name].append(change)
            if kind in "RC":
                more |= {now, before} - names
    return found


def _follow(history: History, path: str, changes: dict[str, list[_Change]]) -> Iterator[int]:
    """Yields the ids of the changes that belong to the path, some of them twice."""
    done: set[tuple[bool, str, int]] = set()
    # Name, and whether it was so before a commit (or after): the commits.
    open_: dict[tuple[bool, str], set[int]] = defaultdict(set)

    def meet(change: _Change, name: str, *, before: bool | None) -> None:
        steps = []
        if before is not False and change.path == name and change.kind in "RC":
            steps.append((True, str(change.old_path)))
        if before is not True and change.old_path == name and change.kind == "R":
            steps.append((False, change.path))
        for step in steps:
            if (*step, change.commit) not in done:
                done.add((*step, change.commit))
                open_[step].add(change.commit)

    for change in changes[path]:
        yield change.id
        meet(change, path, before=None)
    while open_:
        (before, name), commits = open_.popitem()
        region = (_before if before else _after)(history, name, changes[name], sorted(commits))
        for change in changes[name]:
            if region[change.commit]:
                yield change.id
                meet(change, name, before=before)


def _after(history: History, name: str, changes: list[_Change], renames: list[int]) -> Bools:
    """Returns the commits after renames to a name, as long as the file has it."""
    taken = sorted({c.commit for c in changes if c.takes == name})
    return history.reach_until(history.children_of(renames), taken, up=True)


def _before(history: History, name: str, changes: list[_Change], renames: list[int]) -> Bools:
    """Returns the commits in which a file had a name before it was renamed.

    They are the ancestors of the renames, and what left these and was merged afterwards.
    """
    brought = {c.commit for c in changes if c.brings == name}
    taken = {c.commit for c in changes if c.takes == name}
    tips = sorted({p for n in renames for p in history.parents_of(n) if p >= 0})
    region = history.reach_until(tips, sorted(brought), up=False)
    known = sorted({c.commit for c in changes if region[c.commit]})
    others = sorted(n for n in brought if not region[n])
    left = history.reach_until(known, sorted(taken), up=True)
    left = left & ~history.reach_until(others, sorted(taken), up=True)
    merged = history.reach(np.flatnonzero(history.tips_of(history.reach_up(renames))).tolist())
    return region | (left & merged)
