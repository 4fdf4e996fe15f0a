"""Runs the one statement of a plan over the table, and what was read for it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from govc_search import catalog, scope, textquery
from govc_search.errors import DeadlineError, QueryError
from govc_search.ql import faults
from govc_search.ql.compiler import ScannedText, Statement, compile_plan
from govc_search.ql.plan import Plan
from govc_search.ql.run import Run

__all__ = ["read"]

_BY_ZERO: Final = "division by zero: NULL in the rows where it happened"
_runs: Final = itertools.count()


def read(plan: Plan, run: Run) -> pa.Table:
    """Returns the rows of a plan; its statement is run again with checks where a value ended it."""
    cursor = run.snapshot.table.cursor()
    late = threading.Event()

    def stop() -> None:
        late.set()
        cursor.interrupt()

    run.deadline.check()
    timer = threading.Timer(run.deadline.remaining, stop)
    timer.daemon = True
    timer.start()
    checks: frozenset[str] = frozenset()
    try:
        while True:
            statement = compile_plan(plan, run.snapshot.as_of, run.now, checks)
            try:
                lookups = {name: catalog.LOOKUPS[name]() for name in statement.lookups}
                with (
                    _registered(statement, run, late) as sql,
                    scope.current().stopping(cursor.interrupt),
                ):
                    rows = cursor.query(sql, statement.parameters, {**run.relations, **lookups})
            except QueryError as e:
                if e.code != "evaluation_failed" or late.is_set():
                    raise
                checks = faults.next_checks(e, plan.query, statement.sites, checks)
            else:
                if faults.ZERO in checks:
                    run.warnings.append(_BY_ZERO)
                return rows
    except (DeadlineError, QueryError):
        if late.is_set():
            raise run.deadline.exceeded() from None
        raise
    finally:
        timer.cancel()
        # A thread that ends after the interpreter keeps the database's library from ending.
        timer.join()
        cursor.close()


@contextmanager
def _registered(statement: Statement, run: Run, late: threading.Event) -> Iterator[str]:
    """Yields the SQL of a statement while the functions that it calls are there."""
    sql, registered, table = statement.sql, [], run.snapshot.table
    run_number = next(_runs)

    def check() -> None:
        if late.is_set() or run.deadline.remaining <= 0:
            late.set()
            raise DeadlineError("interrupted", "the query was interrupted")

    try:
        for f in statement.functions:
            # The name is the query's own: other queries run at the same time.
            own = f"{f.name}_{run_number}"
            sql = sql.replace(f"{f.name}(", f"{own}(")
            table.register_scalar(own, _scanner(f, check), ["VARCHAR[]"], "BOOLEAN")
            registered.append(own)
        for g in statement.graph_functions:
            own = f"{g.name}_{run_number}"
            sql = sql.replace(f"{g.name}(", f"{own}(")
            taken = ["VARCHAR"] * (len(g.call.args) + (g.call.repo is not None))
            called = _taking(run.functions[g.name], check, len(taken))
            table.register_scalar(own, called, taken, "VARCHAR")
            registered.append(own)
        yield sql
    finally:
        for own in registered:
            table.unregister_scalar(own)


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


def _scanner(f: ScannedText, check: Callable[[], None]) -> Callable[..., pa.Array]:
    """Returns the reference evaluation of a text query, over an array of lists: a text a field."""

    def scan(documents: pa.Array) -> pa.Array:
        check()
        out = np.zeros(len(documents), dtype=bool)
        flat, width = pc.list_flatten(documents), len(f.fields)
        columns = (flat.take(pa.array(np.arange(i, len(flat), width))) for i in range(width))
        mask = textquery.possible(f.node, dict(zip(f.fields, columns, strict=True)))
        places = np.arange(len(out)) if mask is None else np.flatnonzero(mask)
        for i, texts in enumerate(documents.take(pa.array(places)).to_pylist()):
            if i % 256 == 0:
                check()
            out[places[i]] = textquery.matches(f.node, dict(zip(f.fields, texts, strict=True)))
        return pa.array(out)

    return scan
