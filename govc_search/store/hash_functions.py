"""Functions of the commit graph over columns of hashes and revisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from govc_search.errors import QueryError
from govc_search.store.first_tag import FirstTags, first_tags
from govc_search.store.graph import CommitGraph
from govc_search.store.history import Ints

__all__ = ["HashFunction", "of_every_commit"]


def of_every_commit(
    graph: CommitGraph, repo: str, name: str, revision: str, pattern: str
) -> pa.Table | None:
    """Returns (id, value) of a repository: see `Revisions.of_every_commit`.

    None where it does not know the revision.
    """
    history = graph.history(repo)
    if name == "first_tag":
        tags = first_tags(graph, repo, pattern)
        there = tags.of >= 0
        values = pa.DictionaryArray.from_arrays(
            pa.array(tags.of[there].astype(np.int32)), pa.array(tags.names, pa.string())
        )
        ids = history.positions[there]
        return pa.table({"id": ids, "value": values.cast(pa.string())})
    try:
        (number,) = history.numbers([graph.resolve(repo, revision)])
    except QueryError:
        return None
    reached = history.reach([number]) if name == "ancestors" else history.reach_up([number])
    return pa.table({"id": history.positions, "value": pa.array(reached)})


@dataclass(slots=True)
class HashFunction:
    """One function of the graph over arrays of texts: is_ancestor, merge_base, resolve, first_tag."""

    graph: CommitGraph
    name: str
    pattern: str
    repos: tuple[str, ...]
    by_row: bool

    def __call__(self, check: Callable[[], None], *columns: pa.ChunkedArray) -> pa.Array:
        """Returns the results, a text for each row, empty for NULL."""
        arrays = [_whole(c) for c in columns]
        if not self.by_row:
            return pa.array(self._of_any(arrays, check), pa.string())
        names, *texts = arrays
        out = np.full(len(names), "", object)
        for repo in pc.unique(names).to_pylist():
            if repo in self.repos:
                rows = np.flatnonzero(pc.equal(names, repo).to_numpy(zero_copy_only=False))
                out[rows] = self._of(repo, [t.take(pa.array(rows)) for t in texts], check)
        return pa.array(out, pa.string())

    def _of_any(self, texts: list[pa.Array], check: Callable[[], None]) -> list[str]:
        """Returns one answer of all repositories: see docs/git.md."""
        if self.name == "first_tag":
            return self._first_of_any(texts[0])
        answers = [self._of(repo, texts, check) for repo in self.repos]
        out = []
        for row in zip(*answers, strict=True):
            said = {a for a in row if a}
            if self.name == "resolve":
                out.append(said.pop() if len(said) == 1 else "")
            elif self.name == "is_ancestor":
                out.append(max(said, default=""))
            else:
                out.append(next((a for a in row if a), ""))
        return out or [""] * len(texts[0])

    def _of(self, repo: str, texts: list[pa.Array], check: Callable[[], None]) -> list[str]:
        numbers = [self._numbers(repo, t) for t in texts]
        match self.name:
            case "is_ancestor":
                return self._is_ancestor(repo, numbers[0], numbers[1], check)
            case "merge_base":
                return self._merge_base(repo, numbers[0], numbers[1], check)
            case "resolve":
                history = self.graph.history(repo)
                return [history.hash_of(n) if n >= 0 else "" for n in map(int, numbers[0])]
        tags, places = self._places(repo, numbers[0])
        return [tags.names[p] if p >= 0 else "" for p in map(int, places)]

    def _numbers(self, repo: str, texts: pa.Array) -> Ints:
        encoded = texts.dictionary_encode()
        each = self.graph.numbers(repo, encoded.dictionary)
        found: Ints = each[encoded.indices.to_numpy()]
        return found

    def _is_ancestor(self, repo: str, a: Ints, b: Ints, check: Callable[[], None]) -> list[str]:
        history = self.graph.history(repo)
        out = np.where((a < 0) | (b < 0), "", "false").astype(object)
        ancestors, descendants = np.unique(a[a >= 0]), np.unique(b[b >= 0])
        # A walk for each of those that are fewer.
        up = len(ancestors) * 8 < len(descendants)
        walked = [int(n) for n in (ancestors if up else descendants)]
        mine, other = (a, b) if up else (b, a)
        each = (history.reach_up([n]) for n in walked) if up else history.reach_each(walked)
        for one, reached in zip(walked, each, strict=True):
            check()
            rows = np.flatnonzero((mine == one) & (other >= 0))
            out[rows[reached[other[rows]]]] = "true"
        return [str(o) for o in out]

    def _merge_base(self, repo: str, a: Ints, b: Ints, check: Callable[[], None]) -> list[str]:
        history = self.graph.history(repo)
        # Of what stands on fewer sides one walk each, and each is kept; the others come in turn.
        few, many = (a, b) if len(np.unique(a)) <= len(np.unique(b)) else (b, a)
        both = (a >= 0) & (b >= 0)
        out = np.full(len(a), "", object)
        walked = [int(n) for n in np.unique(many[both])]
        for one, reached in zip(walked, history.reach_each(walked), strict=True):
            rows = np.flatnonzero((many == one) & both)
            for other in map(int, np.unique(few[rows])):
                check()
                base = self.graph.best(repo, reached & history.reach([other]))
                if base:
                    out[rows[few[rows] == other]] = history.hash_of(base[0])
        return [str(o) for o in out]

    def _places(self, repo: str, numbers: Ints) -> tuple[FirstTags, Ints]:
        tags = first_tags(self.graph, repo, self.pattern)
        if not len(tags.of):
            return tags, np.full(len(numbers), -1, np.int64)
        return tags, np.where(numbers >= 0, tags.of[numbers], -1)

    def _first_of_any(self, texts: pa.Array) -> list[str]:
        found: list[list[tuple[bool, int, str]]] = [[] for _ in texts]
        for repo in self.repos:
            tags, places = self._places(repo, self._numbers(repo, texts))
            for row in map(int, np.flatnonzero(places >= 0)):
                found[row].append(tags.order[int(places[row])])
        return [min(f)[2] if f else "" for f in found]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
