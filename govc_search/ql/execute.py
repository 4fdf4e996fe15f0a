"""Runs a query: parse, bind, plan, read the indexes, run one statement, dress the rows."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from govc_search import catalog, highlight, scope, textquery
from govc_search.errors import DeadlineError, QueryError, SourceError
from govc_search.gaps import Gaps
from govc_search.ql import ast, bound, faults, patterns
from govc_search.ql.binder import Binder
from govc_search.ql.compiler import ScannedText, Statement, compile_plan
from govc_search.ql.coverage import uncovered, unknown_repositories
from govc_search.ql.explain import explain
from govc_search.ql.graph_reads import read_graph
from govc_search.ql.page import page as show_page
from govc_search.ql.parser import parse
from govc_search.ql.plan import Plan, TextScan, TreeScan
from govc_search.ql.planner import plan as make_plan
from govc_search.ql.protocols import Graph, Hits, Table, Text, Trees
from govc_search.ql.result import Result, ResultColumn
from govc_search.ql.trees import TreeReading
from govc_search.settings import Settings

__all__ = ["Snapshot", "run"]

_CACHED_PLANS = 256
_BY_ZERO = "division by zero: NULL in the rows where it happened"
_SHOWN_WORDS = 3
_runs = itertools.count()

Params = Mapping[str, object] | Sequence[object] | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one query sees: the views at `as_of`; `text` is None with indexes off."""

    table: Table
    text: Text | None
    graph: Graph
    trees: Trees
    as_of: int
    settings: Settings
    # Plans made for this and earlier snapshots, shared by all queries of an engine.
    plans: dict[Hashable, tuple[Plan, tuple[str, ...]]]
    # What of each repository is not indexed, counted when it is asked for.
    gaps: Callable[[], Sequence[Gaps]]


def run(
    gql: str, params: Params, snapshot: Snapshot, started: float, timeout: float | None = None
) -> Result:
    """Returns the answer to one statement, asked when `time.perf_counter` stood at `started`.

    Raises QueryError, and DeadlineError `deadline_exceeded` after `timeout` seconds.
    """
    try:
        return _run(gql, params, snapshot, started, timeout)
    except RecursionError:
        # How much of the stack the caller has used up is not ours to know.
        raise QueryError("query_too_deep", "the query nests too deep for the stack") from None
    except (QueryError, SourceError) as e:
        # Index and graph know of the place that the plan gave them, not of the text.
        if e.span is not None and e.source is None:
            e.source = gql
        raise


def _run(
    gql: str, params: Params, snapshot: Snapshot, started: float, timeout: float | None
) -> Result:
    settings = snapshot.settings
    statement = parse(
        gql, max_bytes=settings.size("query_bytes"), max_nesting=settings.size("query_nesting")
    )
    if isinstance(statement, ast.Show | ast.Describe):
        return _describe(statement, gql, snapshot.as_of, started)
    explained = statement if isinstance(statement, ast.Explain) else None
    query = statement.query if isinstance(statement, ast.Explain) else statement
    now = datetime.now(UTC).replace(tzinfo=None)
    plan, bind_warnings = _plan(gql, query, params, snapshot)
    bound_query = plan.query
    if explained and not explained.analyze:
        return _lines(explain(plan), snapshot.as_of, started, bind_warnings)
    limit = timeout if timeout is not None else float(settings["deadline_seconds"])
    rows, warnings, counts, times = _execute(plan, snapshot, now, started + limit, limit)
    if explained:
        counts["result"] = rows.num_rows
        times["result"] = time.perf_counter() - started
        return _lines(explain(plan, counts, times), snapshot.as_of, started, bind_warnings)
    rows = _dress(rows, bound_query)
    return Result(
        tuple(
            ResultColumn(n, t)
            for n, t in zip(bound_query.names, _types(rows, bound_query), strict=True)
        ),
        snapshot.as_of,
        time.perf_counter() - started,
        (*bind_warnings, *warnings),
        False,
        rows,
        lambda: explain(plan),
    )


def _plan(
    gql: str, query: ast.Query, params: Params, snapshot: Snapshot
) -> tuple[Plan, tuple[str, ...]]:
    """Returns the plan with its warnings, from the cache where it was made before.

    A plan is good for one text, its parameters and one snapshot: its estimates are of that.
    """
    pairs = params.items() if isinstance(params, Mapping) else enumerate(params or ())
    # Written out, because 1, 1.0 and TRUE are equal, and so are 0.0 and -0.0.
    values = tuple((name, type(v), repr(v)) for name, v in pairs)
    limits = tuple(snapshot.settings.values())
    key = (gql, values, limits, snapshot.as_of, snapshot.text is None)
    found = snapshot.plans.get(key)
    if found is not None:
        return found
    binder = Binder(gql, params, snapshot.settings)
    bound_query = binder.query(query, None)
    binder.check_parameters()
    plan = make_plan(bound_query, snapshot.text, snapshot.as_of)
    warnings = [*binder.warnings, *unknown_repositories(bound_query, snapshot.graph.has)]
    warnings += [*uncovered(bound_query, snapshot.gaps), *plan.warnings]
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


def _execute(
    plan: Plan, snapshot: Snapshot, now: datetime, until: float, limit: float
) -> tuple[pa.Table, list[str], dict[str, int], dict[str, float]]:
    relations: dict[str, Any] = {}
    warnings: list[str] = []
    counts: dict[str, int] = {}
    times: dict[str, float] = {}
    asked = scope.current()
    if plan.page is not None:
        assert snapshot.text is not None
        begin = time.perf_counter()
        hits = _hits(plan.page.scan, plan, snapshot)
        counts[plan.page.scan.name] = len(hits.ids)
        times[plan.page.scan.name] = time.perf_counter() - begin
        warnings += _corrected(plan.page.scan, snapshot.text)
        return show_page(plan, snapshot.text, hits), warnings, counts, times
    for scan in plan.text_scans:
        begin = time.perf_counter()
        relations[scan.name] = _search(scan, plan, snapshot, lambda: _in_time(until, limit, asked))
        counts[scan.name] = relations[scan.name].num_rows
        times[scan.name] = time.perf_counter() - begin
        assert snapshot.text is not None
        warnings += _corrected(scan, snapshot.text)

    def run_alone(query: bound.BoundQuery) -> pa.Table:
        return _read(Plan(query), snapshot, now, {}, {}, until, limit)[0]

    graph = read_graph(plan, snapshot.graph, run_alone)
    relations |= graph.relations
    counts |= graph.counts
    times |= graph.times
    warnings += graph.warnings
    functions = graph.functions
    for tree in plan.trees.values():
        begin = time.perf_counter()
        found, told = _tree(tree, plan, snapshot, now, relations, functions, until, limit)
        relations |= found
        warnings += told
        counts[tree.name] = found[tree.name].num_rows
        times[tree.name] = time.perf_counter() - begin
    rows, checks = _read(plan, snapshot, now, relations, functions, until, limit)
    if faults.ZERO in checks:
        warnings.append(_BY_ZERO)
    names = list(plan.query.names)
    return rows.rename_columns(names), list(dict.fromkeys(warnings)), counts, times


def _tree(
    tree: TreeScan,
    plan: Plan,
    snapshot: Snapshot,
    now: datetime,
    relations: Mapping[str, Any],
    functions: Mapping[str, Callable[..., pa.Array]],
    until: float,
    limit: float,
) -> tuple[dict[str, pa.Table], list[str]]:
    """Returns the relations of a tree with warnings; conditions are asked as it is read."""
    warnings: list[str] = []

    def passing(conditions: tuple[bound.Expr, ...], rows: pa.Table) -> pa.ChunkedArray:
        row = bound.Column(tree.scan, catalog.ROW)
        select = bound.BoundSelect(("row",), (row,), tree.scan, conditions, (), None, None, False)
        asked = replace(plan, query=bound.BoundQuery(select, (), (), None, 0))
        known = {**relations, tree.name: rows}
        found, checks = _read(asked, snapshot, now, known, functions, until, limit)
        if faults.ZERO in checks:
            warnings.append(_BY_ZERO)
        return found.column(0)

    most = snapshot.settings.size("content_bytes")
    asker = scope.current()
    reading = TreeReading(
        tree, snapshot.trees, passing, lambda: _in_time(until, limit, asker), most
    )
    try:
        return reading.relations(), [*reading.warnings, *warnings]
    except (QueryError, SourceError) as e:
        e.span = e.span or tree.scan.span
        raise


def _read(
    plan: Plan,
    snapshot: Snapshot,
    now: datetime,
    relations: Mapping[str, Any],
    functions: Mapping[str, Callable[..., pa.Array]],
    until: float,
    limit: float,
) -> tuple[pa.Table, frozenset[str]]:
    """Runs the statement of a plan, again with checks where a value ended it."""
    cursor = snapshot.table.cursor()
    late = threading.Event()

    def stop() -> None:
        late.set()
        cursor.interrupt()

    remaining = until - time.perf_counter()
    if remaining <= 0:
        raise _too_late(limit)
    timer = threading.Timer(remaining, stop)
    timer.daemon = True
    timer.start()
    checks: frozenset[str] = frozenset()
    try:
        while True:
            statement = compile_plan(plan, snapshot.as_of, now, checks)
            try:
                lookups = {name: catalog.LOOKUPS[name]() for name in statement.lookups}
                with (
                    _registered(statement, functions, snapshot.table, until, late) as sql,
                    scope.current().stopping(cursor.interrupt),
                ):
                    return cursor.query(sql, statement.parameters, {**relations, **lookups}), checks
            except QueryError as e:
                if e.code != "evaluation_failed" or late.is_set():
                    raise
                checks = faults.next_checks(e, plan.query, statement.sites, checks)
    except (DeadlineError, QueryError):
        if late.is_set():
            raise _too_late(limit) from None
        raise
    finally:
        timer.cancel()
        # A thread that ends after the interpreter keeps the database's library from ending.
        timer.join()
        cursor.close()


@contextmanager
def _registered(
    statement: Statement,
    functions: Mapping[str, Callable[..., pa.Array]],
    table: Table,
    until: float,
    late: threading.Event,
) -> Iterator[str]:
    """Yields the SQL of a statement while the functions that it calls are there."""
    sql, registered = statement.sql, []
    run_number = next(_runs)
    try:
        for f in statement.functions:
            # The name is the query's own: other queries run at the same time.
            own = f"{f.name}_{run_number}"
            sql = sql.replace(f"{f.name}(", f"{own}(")
            table.register_scalar(own, _scanner(f, until, late), ["VARCHAR[]"], "BOOLEAN")
            registered.append(own)
        for g in statement.graph_functions:
            own = f"{g.name}_{run_number}"
            sql = sql.replace(f"{g.name}(", f"{own}(")
            taken = ["VARCHAR"] * (len(g.call.args) + (g.call.repo is not None))
            called = _taking(functions[g.name], lambda: _still(until, late), len(taken))
            table.register_scalar(own, called, taken, "VARCHAR")
            registered.append(own)
        yield sql
    finally:
        for own in registered:
            table.unregister_scalar(own)


def _corrected(scan: TextScan, text: Text) -> Iterator[str]:
    """Yields what was looked for in place of words that occur nowhere."""
    for word, found in text.corrections(scan.table, scan.node).items():
        if found:
            shown = ", ".join(f'"{w}"' for w in found[:_SHOWN_WORDS])
            more = ", ..." if len(found) > _SHOWN_WORDS else ""
            yield f'"{word}" occurs nowhere: looked for {shown}{more}'


def _taking(
    function: Callable[..., pa.Array], check: Callable[[], None], count: int
) -> Callable[..., pa.Array]:
    """Returns a function that takes so many arguments: DuckDB looks at how many."""
    match count:
        case 1:
            return lambda a: function(check, a)
        case 2:
            return lambda a, b: function(check, a, b)
    return lambda a, b, c: function(check, a, b, c)


def _too_late(limit: float) -> DeadlineError:
    return DeadlineError(
        "deadline_exceeded",
        f"the query did not finish within {limit:g} seconds",
        hint="narrow it, or raise the setting deadline_seconds",
    )


def _in_time(until: float, limit: float, asked: scope.Scope) -> None:
    asked.check()
    if time.perf_counter() > until:
        raise _too_late(limit)


def _hits(scan: TextScan, plan: Plan, snapshot: Snapshot) -> Hits:
    assert snapshot.text is not None
    if scan.limit is None:
        return snapshot.text.search(
            scan.table, scan.node, limit=None, as_of=snapshot.as_of, scored=scan.scored
        )
    # Rows that tie with the last one may come first by the other keys of the order.
    limit = scan.limit
    while True:
        hits = snapshot.text.search(
            scan.table, scan.node, limit=limit + 1, as_of=snapshot.as_of, scored=True
        )
        scores = hits.scores
        assert scores is not None
        if len(scores) <= limit or scan.limit == 0 or scores[-1] < scores[scan.limit - 1]:
            return hits
        if len(plan.query.order_by) == 1:
            return hits
        limit *= 4


def _search(scan: TextScan, plan: Plan, snapshot: Snapshot, check: Callable[[], None]) -> pa.Table:
    assert snapshot.text is not None
    hits = _hits(scan, plan, snapshot)
    ids = hits.ids
    if scan.lines is not None:
        test = scan.lines
        ids = snapshot.text.with_lines(ids, test.sides, test.mode, test.pattern, check)
    columns = {"id": pa.array(ids, pa.uint64())}
    if "message" in scan.brings:
        columns["message"] = snapshot.text.messages(ids)
    if "subject" in scan.brings:
        pages = snapshot.text.pages(ids.tolist(), hits.addresses)
        columns["subject"] = pa.array([page.subject for page in pages], pa.string())
    if scan.scored and hits.scores is not None:
        columns["score"] = pa.array(hits.scores, pa.float32())
    return pa.table(columns)


def _scanner(f: ScannedText, until: float, late: threading.Event) -> Callable[..., pa.Array]:
    """Returns the reference evaluation of a text query, over an array of lists: a text a field."""

    def scan(documents: pa.Array) -> pa.Array:
        _still(until, late)
        out = np.zeros(len(documents), dtype=bool)
        flat, width = pc.list_flatten(documents), len(f.fields)
        columns = (flat.take(pa.array(np.arange(i, len(flat), width))) for i in range(width))
        mask = textquery.possible(f.node, dict(zip(f.fields, columns, strict=True)))
        places = np.arange(len(out)) if mask is None else np.flatnonzero(mask)
        for i, texts in enumerate(documents.take(pa.array(places)).to_pylist()):
            if i % 256 == 0:
                _still(until, late)
            out[places[i]] = textquery.matches(f.node, dict(zip(f.fields, texts, strict=True)))
        return pa.array(out)

    return scan


def _still(until: float, late: threading.Event) -> None:
    if late.is_set() or time.perf_counter() > until:
        late.set()
        raise DeadlineError("interrupted", "the query was interrupted")


def _types(rows: pa.Table, query: bound.BoundQuery) -> tuple[str, ...]:
    # A column of nothing but NULL has no type of its own there.
    return tuple(
        bound_type
        if pa.types.is_null(f.type) and bound_type not in ("NULL", "ANY")
        else _type(f.type)
        for f, bound_type in zip(rows.schema, query.types, strict=True)
    )


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _type(kind.value_type) + "[]"
    if pa.types.is_map(kind):
        return "MAP"
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_integer(kind):
        return "INTEGER"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "DOUBLE"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_interval(kind) or pa.types.is_duration(kind):
        return "INTERVAL"
    return "TEXT"


# Highlights


def _dress(rows: pa.Table, query: bound.BoundQuery) -> pa.Table:
    """Computes HIGHLIGHT and SNIPPET on the rows of the result."""
    body = query.body
    if not isinstance(body, bound.BoundSelect):
        return rows
    for i, expr in enumerate(body.exprs):
        if isinstance(expr, bound.Highlight):
            asked = (*body.where, *_on(body.from_))
            found = [q for e in asked for q in _marked(e, expr.column)]
            texts = [
                None if t is None else _mark(t, expr, found) for t in rows.column(i).to_pylist()
            ]
            rows = rows.set_column(i, rows.field(i).name, pa.array(texts, _MARKED[expr.type]))
    return rows


_MARKED = {
    "TEXT": pa.string(), "INTEGER[]": pa.list_(pa.int64()),
    "INTEGER[][]": pa.list_(pa.list_(pa.int64())),
}  # fmt: skip


def _on(relation: bound.Relation | None) -> Iterator[bound.Expr]:
    """Yields the conditions of the joins in FROM."""
    if isinstance(relation, bound.Join):
        yield from _on(relation.left)
        yield from _on(relation.right)
        if relation.on is not None:
            yield relation.on


def _marked(expr: bound.Expr, column: bound.Column) -> Iterator[tuple[str, textquery.Node]]:
    """Yields what a condition looks for in a column, as queries of a field each."""
    match expr:
        case bound.Junction():
            for operand in expr.operands:
                yield from _marked(operand, column)
        case bound.TextMatch():
            for name, subject in expr.subjects:
                same = expr.scan == column.scan and name in column.column.words
                if subject == column or same:
                    yield name, expr.node
        case bound.LineMatch() if expr.scan == column.scan:
            if set(expr.sides) & set(column.column.lines):
                yield "text", _needle(expr.pattern, regex=expr.mode == "regex")
        case bound.Apply(sql, (subject, bound.Constant(str() as pattern))) if subject == column:
            if sql == bound.CONTAINS:
                yield "text", _needle(pattern, regex=False)
            elif sql == bound.MATCHES and patterns.is_by_line(pattern):
                yield "text", _needle(pattern, regex=True)
            elif sql in bound.LIKES:
                flags = "(?im)" if "ILIKE" in sql else "(?m)"
                for piece in patterns.like_pieces(pattern):
                    yield "text", _needle(flags + re.escape(piece), regex=True)


def _needle(pattern: str, *, regex: bool) -> textquery.Node:
    if regex:
        return textquery.Regex(("text",), pattern)
    return textquery.Substring(("text",), pattern)


def _mark(
    text: str, expr: bound.Highlight, found: Sequence[tuple[str, textquery.Node]]
) -> str | list[int] | list[list[int]]:
    spans: list[tuple[int, int]] = []
    for start, end in sorted({s for name, q in found for s in textquery.spans(q, name, text)}):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    if expr.type == "INTEGER[]" and expr.length is not None:
        return [*highlight.passage(text, spans, expr.length)]
    if expr.type == "INTEGER[][]":
        return [[start, end] for start, end in spans]
    if expr.length is not None:
        return highlight.snippet(text, spans, expr.length, expr.open, expr.close)
    return highlight.highlight(text, spans, expr.open, expr.close)


# Statements about the catalog


def _lines(text: str, as_of: int, started: float, warnings: tuple[str, ...] = ()) -> Result:
    table = pa.table({"plan": pa.array(text.split("\n"), pa.string())})
    return Result(
        (ResultColumn("plan", "TEXT"),),
        as_of,
        time.perf_counter() - started,
        warnings,
        False,
        table,
        lambda: text,
    )


def _describe(statement: ast.Show | ast.Describe, gql: str, as_of: int, started: float) -> Result:
    rows: list[tuple[str | None, ...]]
    if isinstance(statement, ast.Describe):
        table = catalog.table(statement.table)
        if table is None:
            raise Binder(gql, None, Settings()).unknown_table(statement.table, statement.span)
        names: tuple[str, ...] = ("column", "type", "aliases", "help")
        rows = [(c.name, c.type, ", ".join(c.aliases) or None, c.help) for c in table.columns]
    elif statement.what == "tables":
        names = ("table", "aliases", "help")
        rows = [(t.name, ", ".join(t.aliases) or None, t.help) for t in catalog.TABLES]
    else:
        names = ("function", "kind", "signature", "help")
        rows = [(f.name, f.kind, f.signature, f.help) for f in catalog.FUNCTIONS]
    table_ = pa.table({n: pa.array([r[i] for r in rows], pa.string()) for i, n in enumerate(names)})
    return Result(
        tuple(ResultColumn(n, "TEXT") for n in names),
        as_of,
        time.perf_counter() - started,
        (),
        False,
        table_,
    )
