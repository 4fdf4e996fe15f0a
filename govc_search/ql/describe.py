"""Answers that no table is read for: plans, SHOW and DESCRIBE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from govc_search import catalog
from govc_search.ql import ast
from govc_search.ql.binder import Binder
from govc_search.ql.result import ResultColumn, Stream
from govc_search.settings import Settings

__all__ = ["described", "lines"]


def lines(text: str, as_of: int, warnings: tuple[str, ...] = ()) -> Stream:
    """Returns a text as a result, a row a line."""
    return _stream({"plan": text.split("\n")}, as_of, warnings, lambda: text)


def described(statement: ast.Show | ast.Describe, gql: str, as_of: int) -> Stream:
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
    return _stream({n: [r[i] for r in rows] for i, n in enumerate(names)}, as_of)


def _stream(
    columns: Mapping[str, Sequence[str | None]],
    as_of: int,
    warnings: tuple[str, ...] = (),
    explain: Callable[[], str] = str,
) -> Stream:
    texts = [pa.array(values, pa.string()) for values in columns.values()]
    batch = pa.RecordBatch.from_arrays(texts, names=list(columns))
    ready = iter([batch])
    return Stream(
        tuple(ResultColumn(name, "TEXT") for name in columns),
        batch.schema,
        as_of,
        lambda: next(ready, None),
        explain=explain,
        warnings=lambda: warnings,
    )
