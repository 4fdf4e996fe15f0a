"""Runs the one statement of a plan over the table, and what was read for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from govc_search import catalog, scope, textquery
from govc_search.errors import DeadlineError, QueryError
from govc_search.ql import bound, faults
from govc_search.ql.compiler import ScannedText, Statement, compile_plan
from govc_search.ql.plan import Plan
from govc_search.ql.protocols import Batches
from govc_search.ql.run import Run

__all__ = ["Rows", "Shown", "read"]

T = TypeVar("T")

_BY_ZERO: Final = "division by zero: NULL in the rows where it happened"
# Rows of a batch: where all are kept, and where they go on at once.
_WHOLE: Final = 1 << 16
_STREAMED: Final = 2048
_runs: Final = itertools.count()


def read(plan: Plan, run: Run) -> pa.Table:
    """Returns all rows of a plan."""
    with closing(Rows(plan, run, whole=True)) as rows:
        return rows.table()


class Rows:
    """The rows of a plan, batch by batch; its statement runs until the end or `close`.

    Where a value ends the statement it is run again with checks, which find the place. Values
    that become NULL are known before the first row is seen.
    """

    def __init__(self, plan: Plan, run: Run, *, whole: bool) -> None:
        self._plan = plan
        self._run = run
        self._size = _WHOLE if whole else _STREAMED
        # So are those that functions of the graph read from the table, which may be replaced.
        self._aside = not whole and (
            any(f.scan is None for f in plan.functions.values())
            or any(map(_may_be_null, bound.walk(plan.query)))
        )
        self._checks: frozenset[str] = frozenset()
        self._sites: list[bound.Apply | bound.Subquery] = []
        self._seen = False
        self._batches: Batches | None = None
        self._statement = ExitStack()
        self._open = ExitStack()
        try:
            self._cursor = self._open.enter_context(closing(run.snapshot.table.cursor()))
            self._open.enter_context(scope.current().stopping(self._cursor.interrupt))
            self._open.enter_context(run.deadline.watched(self._cursor.interrupt))
            self._open.enter_context(self._statement)
            self.schema = self._asked(lambda batches: batches.schema)
        except BaseException:
            self._open.close()
            raise

    def next(self) -> pa.RecordBatch | None:
        """Returns the next rows, or None at the end; raises QueryError and DeadlineError."""
        batch = self._asked(lambda batches: batches.next())
        if batch is not None:
            self._seen = True
        elif faults.ZERO in self._checks:
            self._run.warnings.append(_BY_ZERO)
        return batch

    def table(self) -> pa.Table:
        """Returns the rest of the rows."""
        return pa.Table.from_batches(list(iter(self.next, None)), self.schema)

    def _asked(self, ask: Callable[[Batches], T]) -> T:
        while True:
            try:
                if self._batches is None:
                    self._batches = self._begin()
                    if self._seen:
                        # What was seen is not given twice: the rows are read for the fault.
                        while self._batches.next() is not None:
                            pass
                        raise faults.not_found()
                return ask(self._batches)
            except (DeadlineError, QueryError) as e:
                if self._run.deadline.is_over:
                    raise self._run.deadline.exceeded() from None
                if not isinstance(e, QueryError) or e.code != "evaluation_failed":
                    raise
                self._batches = None
                self._statement.close()
                self._checks = faults.next_checks(e, self._plan.query, self._sites, self._checks)

    def _begin(self) -> Batches:
        """Starts the statement, with the checks of by now."""
        statement = compile_plan(self._plan, self._run.snapshot.as_of, self._run.now, self._checks)
        self._sites = statement.sites
        sql = self._statement.enter_context(_registered(statement, self._run))
        for name in statement.singles:
            ids = self._run.relations[name].column("id").to_pylist()
            # No position is 0.
            statement.parameters[name] = ids[0] if ids else 0
        lookups = {name: catalog.LOOKUPS[name]() for name in statement.lookups}
        relations = {**self._run.relations, **lookups}
        batches = self._cursor.stream(
            sql, statement.parameters, relations, size=self._size, aside=self._aside
        )
        return self._statement.enter_context(closing(batches))

    def interrupt(self) -> None:
        """Stops the statement, from any thread."""
        self._cursor.interrupt()

    def close(self) -> None:
        """Ends the statement where it is."""
        self._open.close()


class Shown:
    """Rows that are there already, as a statement's would be."""

    def __init__(self, table: pa.Table) -> None:
        self.schema = table.schema
        self._batches = iter(table.to_batches())

    def next(self) -> pa.RecordBatch | None:
        """Returns the next rows, or None at the end."""
        return next(self._batches, None)

    def interrupt(self) -> None:
        """Stops nothing: nothing runs."""

    def close(self) -> None:
        """Ends nothing."""


def _may_be_null(node: object) -> bool:
    """Returns whether an expression is NULL where it cannot be computed from values of rows."""
    if not isinstance(node, bound.Apply) or node.fault is None or node.fault.kind == "error":
        return False
    return not bound.is_constant(node)


@contextmanager
def _registered(statement: Statement, run: Run) -> Iterator[str]:
    """Yields the SQL of a statement while the functions that it calls are there."""
    sql, registered, table = statement.sql, [], run.snapshot.table
    run_number = next(_runs)

    try:
        for f in statement.functions:
            # The name is the query's own: other queries run at the same time.
            own = f"{f.name}_{run_number}"
            sql = sql.replace(f"{f.name}(", f"{own}(")
            table.register_scalar(own, _scanner(f, run.deadline.check), ["VARCHAR[]"], "BOOLEAN")
            registered.append(own)
        for g in statement.graph_functions:
            own = f"{g.name}_{run_number}"
            sql = sql.replace(f"{g.name}(", f"{own}(")
            taken = ["VARCHAR"] * (len(g.call.args) + (g.call.repo is not None))
            called = _taking(run.functions[g.name], run.deadline.check, len(taken))
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
        flat, width = pc.list_flatten(documents), len(f.fields)
        columns = (flat.take(pa.array(np.arange(i, len(flat), width))) for i in range(width))
        texts = dict(zip(f.fields, columns, strict=True))
        return pa.array(textquery.matching(f.node, texts, check))

    return scan
