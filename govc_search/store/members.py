"""What refs reach, as a relation whose rows are made while it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from govc_search.store.graph import CommitGraph
from govc_search.store.history import Positions

__all__ = ["Members", "members"]

_SCHEMA: Final = pa.schema(
    [
        ("repo", pa.dictionary(pa.int32(), pa.string())),
        ("ref", pa.dictionary(pa.int32(), pa.string())),
        ("id", pa.uint64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Members:
    """A relation (repo, ref, id) whose rows are made whenever it is read, never all at once."""

    batches: Callable[[], Iterator[pa.RecordBatch]]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Returns the rows as Arrow's C interface wants them."""
        reader = pa.RecordBatchReader.from_batches(_SCHEMA, self.batches())
        return reader.__arrow_c_stream__(requested_schema)


def members(
    graph: CommitGraph, refs: Sequence[tuple[str, str]], hashes: Sequence[str] | None
) -> Members:
    """Returns the commits that each ref (repository, full name) reaches.

    With `hashes` only these commits.
    """
    by_repo: dict[str, list[str]] = {}
    for repo, ref in refs:
        by_repo.setdefault(repo, []).append(ref)

    # Now, while the table is sure to hold what they are made from.
    known = {repo: (graph.history(repo), graph.refs(repo)) for repo in by_repo}

    def batches() -> Iterator[pa.RecordBatch]:
        for repo, chosen in by_repo.items():
            history, tips = known[repo]
            names = [name for name in chosen if name in tips]
            numbers = [history.numbers([tips[name]])[0] for name in names]
            if hashes is None:
                for name, reached in zip(names, history.reach_each(numbers), strict=True):
                    yield _members(repo, name, history.named(reached))
                continue
            for one in np.unique(graph.numbers(repo, pa.array(hashes, pa.string()))).tolist():
                above = history.reach_up([one]) if one >= 0 else None
                for name, number in zip(names, numbers, strict=True):
                    if above is not None and above[number]:
                        yield _members(repo, name, history.positions[one : one + 1])

    return Members(batches)


def _members(repo: str, ref: str, ids: Positions) -> pa.RecordBatch:
    zeros = pa.array(np.zeros(len(ids), np.int32))
    named = [pa.DictionaryArray.from_arrays(zeros, pa.array([n], pa.string())) for n in (repo, ref)]
    return pa.RecordBatch.from_arrays([*named, pa.array(ids, pa.uint64())], schema=_SCHEMA)
