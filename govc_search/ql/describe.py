"""Answers that no table is read for: plans, SHOW and DESCRIBE."""

from __future__ import annotations

import time

import pyarrow as pa

from govc_search import catalog
from govc_search.ql import ast
from govc_search.ql.binder import Binder
from govc_search.ql.result import Result, ResultColumn
from govc_search.settings import Settings

__all__ = ["describe", "lines"]


def lines(text: str, as_of: int, started: float, warnings: tuple[str, ...] = ()) -> Result:
    """Returns a text as a result, a row a line."""
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


def describe(statement: ast.Show | ast.Describe, gql: str, as_of: int, started: float) -> Result:
    """Returns the answer to SHOW or DESCRIBE."""
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
