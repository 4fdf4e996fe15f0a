"""Asks the commit graph for what a plan needs of it, before the statement runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from govc_search.errors import QueryError, Span
from govc_search.ql import bound
from govc_search.ql.plan import GraphFunction, Plan
from govc_search.ql.protocols import Graph

__all__ = ["GraphReads", "read_graph"]


@dataclass(frozen=True, slots=True)
class GraphReads:
    """Relations and functions by their names in the statement, and what is to be said of them."""

    relations: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, Callable[..., pa.Array]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_graph(
    plan: Plan,
    graph: Graph,
    run: Callable[[bound.BoundQuery], pa.Table],
    check: Callable[[], None],
) -> GraphReads:
    """Returns what the plan needs; `run` answers the queries for the refs to look at.

    `check` raises when time is up. Raises QueryError with the place of the revision that is not known.
    """
    reads = GraphReads()
    for row_set in plan.row_sets:
        check()
        with _timed(row_set.name, reads.times), _placed(row_set.span):
            ids, unknown = graph.positions(row_set.kind, row_set.revision, row_set.repos)
        _warn(reads, unknown)
        reads.relations[row_set.name] = pa.table({"id": pa.array(ids, pa.uint64())})
        reads.counts[row_set.name] = len(ids)
    for members in plan.members.values():
        check()
        with _timed(members.name, reads.times):
            refs = list(zip(*(c.to_pylist() for c in run(members.refs).columns), strict=True))
        if members.pinned and not refs:
            _warn(reads, ("no ref meets the conditions: ref is as refs/heads/main, name as main",))
        reads.relations[members.name] = graph.members(refs, members.hashes)
        reads.counts[members.name] = len(refs)
    for function in plan.functions.values():
        check()
        name = function.name
        with _timed(name, reads.times):
            _warn(reads, _check_revisions(function, graph))
            if function.scan is None:
                reads.functions[name] = _function(function, graph)
            else:
                reads.relations[name] = _of_every_commit(function, graph)
                reads.counts[name] = reads.relations[name].num_rows
    return reads


@contextmanager
def _timed(name: str, times: dict[str, float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    times[name] = time.perf_counter() - begin


@contextmanager
def _placed(span: Span) -> Iterator[None]:
    try:
        yield
    except QueryError as e:
        e.span = e.span or span
        raise


def _warn(reads: GraphReads, warnings: Sequence[str]) -> None:
    reads.warnings.extend(w for w in warnings if w not in reads.warnings)


def _check_revisions(function: GraphFunction, graph: Graph) -> list[str]:
    """Returns warnings of revisions that not all repositories know; raises if none does."""
    call = function.call
    warnings: list[str] = []
    if isinstance(call.repo, bound.Constant) and not graph.has(str(call.repo.value)):
        raise QueryError(
            "unknown_repository",
            f'no repository "{call.repo.value}"',
            hint="SELECT repo FROM repos lists them",
            span=call.spans[-1],
        )
    for arg, span in zip(call.args, call.spans, strict=False):
        if isinstance(arg, bound.Constant) and isinstance(arg.value, str):
            with _placed(span):
                warnings += graph.known(arg.value, function.repos, one=call.repo is None)
    return warnings


def _function(function: GraphFunction, graph: Graph) -> Callable[..., pa.Array]:
    call = function.call
    by_row = call.repo is not None
    return graph.function(call.name, call.pattern, function.repos, by_row=by_row)


def _of_every_commit(function: GraphFunction, graph: Graph) -> pa.Table:
    call = function.call
    revision, name = "", call.name
    for i, arg in enumerate(call.args):
        if isinstance(arg, bound.Constant):
            revision, name = str(arg.value), ("descendants", "ancestors")[i]
    return graph.of_every_commit(name, revision, call.pattern, function.repos)
