"""Runs a query: parse, bind, plan, read the indexes, run one statement, dress the rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Final

import pyarrow as pa

from govc_search import catalog
from govc_search.errors import QueryError, SourceError
from govc_search.ql import ast, bound
from govc_search.ql.binder import Binder
from govc_search.ql.coverage import uncovered, unknown_repositories
from govc_search.ql.describe import described, lines
from govc_search.ql.dress import dress, types
from govc_search.ql.explain import explain
from govc_search.ql.graph_reads import read_graph
from govc_search.ql.hunk_texts import read_texts
from govc_search.ql.page import dressed, positions_of
from govc_search.ql.page import page as show_page
from govc_search.ql.parser import parse
from govc_search.ql.plan import HunkTexts, Plan, TextScan, TopK, TreeScan
from govc_search.ql.planner import plan as make_plan
from govc_search.ql.result import Result, ResultColumn, Stream
from govc_search.ql.run import Deadline, Params, Run, Snapshot
from govc_search.ql.statement import Rows, Shown, read
from govc_search.ql.text_reads import corrected, hits_of, more_hits, search
from govc_search.ql.trees import TreeReading

__all__ = ["Snapshot", "answered", "begun", "parsed", "placed", "planned", "run", "stream"]

_NO_SCORES: Final = "indexes are off: SCORE is NULL, and orders nothing"
_CACHED_PLANS: Final = 256


def run(
    gql: str, params: Params, snapshot: Snapshot, started: float, timeout: float | None = None
) -> Result:
    """Returns the answer to one statement, asked when `time.perf_counter` stood at `started`.

    Raises QueryError, and DeadlineError `deadline_exceeded` after `timeout` seconds.
    """
    result = stream(gql, params, snapshot, started, timeout, whole=True).result()
    return replace(result, elapsed=time.perf_counter() - started)


def stream(
    gql: str,
    params: Params,
    snapshot: Snapshot,
    started: float,
    timeout: float | None = None,
    *,
    whole: bool = False,
) -> Stream:
    """Returns the rows of one statement as they are made; `whole` says that all are kept.

    Unless they are, the time between two batches is not the query's. Raises as `run` does, and
    so does the stream.
    """
    with placed(gql):
        found = _stream(gql, params, snapshot, started, timeout, whole=whole)
    # Sorted or counted rows are made before the first of them is read.
    found.elapsed = time.perf_counter() - started
    return found


@contextmanager
def placed(gql: str) -> Iterator[None]:
    """Gives errors from within the text that they speak of."""
    try:
        yield
    except RecursionError:
        # How much of the stack the caller has used up is not ours to know.
        raise QueryError("query_too_deep", "the query nests too deep for the stack") from None
    except (QueryError, SourceError) as e:
        # Index and graph know of the place that the plan gave them, not of the text.
        if e.span is not None and e.source is None:
            e.source = gql
        raise


def _stream(
    gql: str,
    params: Params,
    snapshot: Snapshot,
    started: float,
    timeout: float | None,
    *,
    whole: bool,
) -> Stream:
    own = begun(snapshot, started, timeout)
    statement = parsed(gql, snapshot)
    if isinstance(statement, ast.Show | ast.Describe):
        return described(statement, gql, snapshot.as_of)
    if not isinstance(statement, ast.Explain):
        plan, warnings = planned(gql, statement, params, own)
        return answered(plan, own, gql, warnings, whole=whole)
    plan, warnings = planned(gql, statement.query, params, own)
    if not statement.analyze:
        return lines(explain(plan), snapshot.as_of, warnings)
    with closing(_execute(plan, own, whole=True)) as rows:
        own.counts["result"] = sum(batch.num_rows for batch in iter(rows.next, None))
    own.times["result"] = time.perf_counter() - started
    return lines(explain(plan, own.counts, own.times), snapshot.as_of, warnings)


def begun(snapshot: Snapshot, started: float, timeout: float | None) -> Run:
    """Returns a run that has to end in time."""
    seconds = timeout if timeout is not None else float(snapshot.settings["deadline_seconds"])
    return Run(snapshot, Deadline(started, seconds))


def parsed(gql: str, snapshot: Snapshot) -> ast.Statement:
    """Returns the syntax tree of a statement."""
    size = snapshot.settings.size
    return parse(gql, max_bytes=size("query_bytes"), max_nesting=size("query_nesting"))


def answered(plan: Plan, own: Run, gql: str, warnings: tuple[str, ...], *, whole: bool) -> Stream:
    """Returns the rows of a plan as the user asked for them."""
    return _dressed(_execute(plan, own, whole=whole), plan, own, gql, warnings, whole=whole)


def _dressed(
    rows: Rows | Shown, plan: Plan, own: Run, gql: str, warnings: tuple[str, ...], *, whole: bool
) -> Stream:
    query, deadline = plan.query, own.deadline

    def read() -> pa.RecordBatch | None:
        with placed(gql):
            deadline.resume()
            deadline.check()
            batch = rows.next()
            shown = None if batch is None else dress(batch, query, deadline.check)
            if not whole:
                deadline.pause()
            return shown

    empty = pa.RecordBatch.from_pylist([], rows.schema)
    schema = dress(empty, query, deadline.check).schema
    columns = zip(query.names, types(schema, query), strict=True)
    found = Stream(
        tuple(ResultColumn(name, kind) for name, kind in columns),
        schema,
        own.snapshot.as_of,
        read,
        stop=rows.interrupt,
        explain=lambda: explain(plan),
        warnings=lambda: (*warnings, *dict.fromkeys(own.warnings)),
    )
    found.on_close(rows.close)
    if not whole:
        deadline.pause()
    return found


def planned(gql: str, query: ast.Query, params: Params, own: Run) -> tuple[Plan, tuple[str, ...]]:
    """Returns the plan with its warnings, from the cache where it was made before.

    A plan is good for one text, its parameters and one snapshot: its estimates are of that.
    """
    snapshot = own.snapshot
    pairs = params.items() if isinstance(params, Mapping) else enumerate(params or ())
    # Written out, because 1, 1.0 and TRUE are equal, and so are 0.0 and -0.0.
    values = tuple((name, type(v), repr(v)) for name, v in pairs)
    limits = tuple(snapshot.settings.values())
    key = (gql, values, limits, snapshot.as_of, snapshot.text is None)
    found = snapshot.plans.get(key)
    if found is not None:
        return found
    own.deadline.check()
    binder = Binder(gql, params, snapshot.settings)
    bound_query = binder.query(query, None)
    binder.check_parameters()
    own.deadline.check()
    plan = make_plan(bound_query, own.text, snapshot.as_of)
    warnings = [*binder.warnings, *unknown_repositories(bound_query, snapshot.graph.has)]
    warnings += [*uncovered(bound_query, snapshot.gaps), *plan.warnings]
    if own.text is None and any(isinstance(n, bound.Score) for n in bound.walk(bound_query)):
        warnings.append(_NO_SCORES)
    if binder.repository_warnings and _several_repositories(snapshot):
        warnings += dict.fromkeys(binder.repository_warnings)
    made = plan, tuple(warnings)
    if len(snapshot.plans) >= _CACHED_PLANS:
        snapshot.plans.clear()
    snapshot.plans[key] = made
    return made


def _several_repositories(snapshot: Snapshot) -> bool:
    asked = "SELECT count(*) > 1 FROM repos"
    return bool(next(iter(run(asked, None, snapshot, time.perf_counter())))[0])


def _execute(plan: Plan, own: Run, *, whole: bool) -> Rows | Shown:
    """Returns the rows of a plan: those that the text index shows, or those of its statement."""
    if plan.count is not None:
        return Shown(_count(plan.count, own))
    if plan.page is not None and plan.page.exact:
        return Shown(_page(plan, own))
    all_hits = _read_indexes(plan, own)
    if plan.texts:
        plan = replace(plan, texts=_texts(plan, own))
    if plan.top_k is not None and not plan.top_k.exact:
        return Shown(_widened(plan, plan.top_k, own, all_hits=all_hits))
    return Rows(plan, own, whole=whole)


def _count(scan: TextScan, own: Run) -> pa.Table:
    text = own.snapshot.text
    assert text is not None
    own.deadline.check()
    with own.timed(scan.name):
        number = text.count(scan.table, scan.node, own.snapshot.as_of, scan.within)
    own.counts[scan.name] = number
    own.warnings += corrected(scan, text)
    return pa.table({"c0": pa.array([number], pa.int64())})


def _widened(plan: Plan, top: TopK, own: Run, *, all_hits: bool) -> pa.Table:
    """Returns the first rows, of more and more hits until enough meet all conditions."""
    text = own.snapshot.text
    assert text is not None
    asked = plan if plan.page is None else replace(plan, query=positions_of(plan))
    while True:
        rows = read(asked, own)
        if all_hits or rows.num_rows >= (plan.query.limit or 0):
            break
        limit = more_hits(top, own.counts[top.scan.name], rows.num_rows)
        all_hits = _search(replace(top.scan, limit=limit), plan, own)
    return rows if plan.page is None else dressed(plan, text, rows, own.snapshot.as_of)


def _page(plan: Plan, own: Run) -> pa.Table:
    text = own.snapshot.text
    assert plan.page is not None
    assert text is not None
    scan = plan.page.scan
    with own.timed(scan.name):
        hits, _, _ = hits_of(scan, plan, text, own.snapshot.as_of, own.deadline.check)
    own.counts[scan.name] = len(hits.ids)
    own.warnings += corrected(scan, text)
    return show_page(plan, text, hits)


def _search(scan: TextScan, plan: Plan, own: Run) -> bool:
    """Reads the relation of a search, and returns whether it has all hits."""
    text = own.snapshot.text
    assert text is not None
    before = own.times.get(scan.name, 0.0)
    with own.timed(scan.name):
        found, whole = search(
            scan, plan, text, own.snapshot.as_of, own.relations, own.deadline.check
        )
    own.times[scan.name] += before
    own.relations[scan.name] = found
    own.counts[scan.name] = found.num_rows
    return whole


def _read_indexes(plan: Plan, own: Run) -> bool:
    """Asks text index, graph and trees for the relations that the statement needs.

    Returns whether these hold all hits of the search that ranks.
    """
    all_hits = True
    for scan in plan.text_scans:
        whole = _search(scan, plan, own)
        all_hits = all_hits and (whole or plan.top_k is None or scan != plan.top_k.scan)
        assert own.snapshot.text is not None
        own.warnings += corrected(scan, own.snapshot.text)
    graph = read_graph(
        plan,
        own.snapshot.graph,
        lambda query: read(Plan(query), replace(own, relations={}, functions={})),
        own.deadline.check,
    )
    own.relations |= graph.relations
    own.functions |= graph.functions
    own.counts |= graph.counts
    own.times |= graph.times
    own.warnings += graph.warnings
    for tree in plan.trees.values():
        with own.timed(tree.name):
            own.relations |= _tree(tree, plan, own)
        own.counts[tree.name] = own.relations[tree.name].num_rows
    return all_hits


def _texts(plan: Plan, own: Run) -> dict[bound.Scan, HunkTexts]:
    """Reads hunks of few changes, and returns those that the statement finds in relations."""
    text = own.snapshot.text
    made = {}
    for scan, texts in plan.texts.items():
        assert text is not None
        with own.timed(texts.name):
            found = read_texts(texts, text, own, read)
        if found is not None:
            own.relations[texts.name] = found
            own.counts[texts.name] = found.num_rows
            made[scan] = texts
    return made


def _tree(tree: TreeScan, plan: Plan, own: Run) -> dict[str, pa.Table]:
    """Returns the relations of a tree; conditions are asked as it is read."""

    def passing(conditions: tuple[bound.Expr, ...], rows: pa.Table) -> pa.ChunkedArray:
        row = bound.Column(tree.scan, catalog.ROW)
        select = bound.BoundSelect(("row",), (row,), tree.scan, conditions, (), None, None, False)
        asked = replace(plan, query=bound.BoundQuery(select, (), (), None, 0))
        known = replace(own, relations={**own.relations, tree.name: rows})
        return read(asked, known).column(0)

    most = own.snapshot.settings.size("content_bytes")
    reading = TreeReading(tree, own.snapshot.trees, passing, own.deadline.check, most)
    try:
        found = reading.relations()
    except (QueryError, SourceError) as e:
        e.span = e.span or tree.scan.span
        raise
    own.warnings += reading.warnings
    return found
