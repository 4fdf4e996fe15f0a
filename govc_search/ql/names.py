"""What a name means: the column of a table in scope, or what SELECT calls so."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

from govc_search import catalog
from govc_search.errors import QueryError
from govc_search.ql import ast, bound

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope

__all__ = ["Called", "column", "find"]

MakeError = Callable[..., QueryError]
Called = Callable[[], bound.Expr]


def find(
    name: ast.Name, scope: Scope, error: MakeError, called: Called | None = None
) -> bound.Expr | None:
    """Returns what a name means, from the inside out, or None.

    It is a column of a table that has this name, else what SELECT calls so (`called`), else a
    column that has it as another name: nobody who names an expression has to know all of those.
    What a full join has merged is a column of two tables.
    """
    if len(name.parts) > 2:
        raise error("unknown_column", f'no column "{".".join(name.parts)}"', name.span)
    wanted = name.parts[-1].lower()
    table = name.parts[0].lower() if len(name.parts) == 2 else None
    inner: Scope | None = scope
    while inner is not None:
        found = [
            (r, c)
            for r in inner.relations
            if (table is None or r.alias.lower() == table)
            and (c := _column_of(r, wanted)) is not None
        ]
        own = [f for f in found if not _is_other_name(f[1], wanted)]
        if found and not own and called is not None:
            return called()
        found = own or found
        if table is None and len(found) > 1:
            found = [f for f in found if f[0].id not in inner.merged.get(wanted, ())] or found[:1]
            if len(found) == 1 and wanted in inner.coalesced:
                return inner.coalesced[wanted]
        if len(found) > 1:
            options = " or ".join(f'"{r.alias}.{wanted}"' for r, _ in found)
            raise error(
                "ambiguous_column",
                f'"{wanted}" is in several tables',
                name.span,
                f"write {options}",
            )
        if found:
            return found[0][1]
        inner = inner.parent
    return None if called is None else called()


def column(
    name: ast.Name, scope: Scope, error: MakeError, called: Called | None = None
) -> bound.Expr:
    """Returns what a name means, as `find` does, or raises unknown_column."""
    found = find(name, scope, error, called)
    if found is None:
        raise _unknown_column(name, scope, error)
    return found


def _unknown_column(name: ast.Name, scope: Scope, error: MakeError) -> QueryError:
    wanted = name.parts[-1]
    relations = scope.relations
    if len(name.parts) == 2:
        relations = [r for r in relations if r.alias.lower() == name.parts[0].lower()]
        if not relations:
            aliases = [r.alias for r in scope.relations]
            near = difflib.get_close_matches(name.parts[0], aliases, 1)
            return error(
                "unknown_table", f'no table "{name.parts[0]}" in FROM', name.span,
                f'did you mean "{near[0]}"?' if near else None,
            )  # fmt: skip
    known: list[str] = []
    for r in relations:
        if isinstance(r, bound.Scan):
            known += [n for c in r.table.columns for n in (c.name, *c.aliases)]
        else:
            known += r.names
    where = " or ".join(dict.fromkeys(
        r.table.name if isinstance(r, bound.Scan) else r.alias or "the sub-query" for r in relations
    ))  # fmt: skip
    near = difflib.get_close_matches(wanted.lower(), known, 1)
    owners = [t.name for t in catalog.TABLES if t.column(wanted)]
    hint = f'did you mean "{near[0]}"?' if near else None
    if owners:
        hint = f"it is in {', '.join(owners[:4])}"
    problem = error(
        "unknown_column",
        f'no column "{wanted}"' + (f" in {where}" if where else ""),
        name.span,
        hint,
    )
    if hint is None and (problem.source or "").startswith('"', name.span.start):
        problem.hint = f"text takes single quotes: '{wanted}'"
    return problem


def _column_of(
    relation: bound.Scan | bound.Derived, name: str
) -> bound.Column | bound.DerivedColumn | None:
    if isinstance(relation, bound.Scan):
        column = relation.table.column(name)
        return bound.Column(relation, column) if column else None
    for i, (n, t) in enumerate(zip(relation.names, relation.types, strict=True)):
        if n.lower() == name:
            return bound.DerivedColumn(relation.id, i, t)
    return None


def _is_other_name(column: bound.Column | bound.DerivedColumn, name: str) -> bool:
    return isinstance(column, bound.Column) and column.column.name != name
