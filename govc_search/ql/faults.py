"""Values that an expression cannot be computed from: what is written about them, and read again.

A statement runs as plain SQL first, which costs nothing. Where a value ends it, it is written
again with checks: each expression that may fail then stands in a lambda over its arguments, and
either is NULL or raises an error of our own, which says where it stands and what it was given.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Final

from govc_search import catalog
from govc_search.errors import QueryError
from govc_search.ql import bound

__all__ = [
    "ROWS",
    "VALUES",
    "ZERO",
    "checked",
    "in_range",
    "limited",
    "next_checks",
    "not_found",
    "once",
    "raising",
]

# What a statement can be checked for.
ZERO: Final = "zero"
VALUES: Final = "values"
ROWS: Final = "rows"

# Nobody's data can look like it.
_MARK: Final = f"gql_{secrets.token_hex(8)}"
_BY_ZERO: Final = f"{_MARK} {ZERO}"
_SAID: Final = re.compile(rf"Could not convert string '({_MARK} [^']*)' to BOOL")
_ZONE: Final = re.compile(r"Unknown TimeZone '(.*)'!")
# What is written twice is computed twice, and twice as long at every level of nesting.
_SHORT: Final = 200
_SHOWN: Final = 60

# Years 1 to 9999, and clocks that nanoseconds of 64 bits can tell.
_RANGES: Final = {
    "TIMESTAMP": "CASE WHEN {0} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999' THEN {0} END",
    "DATE": "CASE WHEN {0} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN {0} END",
    "INTERVAL": "CASE WHEN date_part('hour', {0}) BETWEEN -2500000 AND 2500000 THEN {0} END",
}


def once(sql: str, args: Sequence[str]) -> str:
    """Returns an expression over its arguments, none of which is long and written twice."""
    if all(len(a) <= _SHORT or sql.count(f"{{{i}}}") < 2 for i, a in enumerate(args)):
        return sql.format(*args)
    return _lambda(sql.format(*map(_given, range(len(args)))), dict(enumerate(args)))


def limited(expr: bound.Apply) -> str:
    """Returns the SQL of an expression, which fails where it would make too long a value."""
    if expr.fault is None or not expr.fault.size:
        return expr.sql
    kind = {"INTEGER": "BIGINT", "DOUBLE": "DOUBLE", "TIMESTAMP": "TIMESTAMP"}.get(
        expr.type.removesuffix("[]")
    )
    fails = f"CAST('too long' AS {kind})" if kind else "CAST(CAST('too long' AS BIGINT) AS VARCHAR)"
    if expr.type.endswith("[]"):
        fails = f"[{fails}]"
    return f"CASE WHEN {expr.fault.size} > {catalog.MOST_BYTES} THEN {fails} ELSE {expr.sql} END"


def in_range(kind: str, sql: str) -> str:
    """Returns an expression that is NULL where a date or time is outside years 1 to 9999."""
    range_ = _RANGES.get(kind)
    return sql if range_ is None else once(range_, [sql])


def checked(
    expr: bound.Apply, fault: bound.Fault, args: Sequence[str], number: int, checks: frozenset[str]
) -> str:
    """Returns the checked form of an expression, the `number`-th of its statement."""
    # Some functions take nothing but constants in some places.
    given = {
        i: sql
        for i, (a, sql) in enumerate(zip(expr.args, args, strict=True))
        if not isinstance(a, bound.Constant)
    }
    names = [_given(i) if i in given else sql for i, sql in enumerate(args)]
    body = limited(expr).format(*names)
    by_zero = f"{names[1]} = 0" if fault.kind == ZERO else ""
    if by_zero and ZERO in checks:
        body = f"CASE WHEN {by_zero} THEN NULL ELSE {body} END"
    # In a list NULL as a value is not the NULL of what cannot be computed.
    body = f"[{body}]"
    if VALUES in checks:
        body = f"TRY({body})"
        if fault.kind != "null":
            failed = raising(number, names)
            if by_zero and ZERO not in checks:
                failed = f"CASE WHEN {by_zero} THEN {raising(ZERO)} ELSE {failed} END"
            body = f"coalesce({body}, {failed})"
    return _lambda(f"{body}[1]", given)


def raising(what: int | str, names: Sequence[str] = ()) -> str:
    """Returns the SQL of a list that ends the statement and says which expression it was in.

    A cast does that, for `error` would make the expression one that differs from row to row, and
    such may not stand everywhere.
    """
    shown = "".join(f", coalesce('=' || hex(left(CAST({n} AS VARCHAR), 100)), '-')" for n in names)
    message = f"concat_ws(' ', '{_MARK}', '{what}'{shown})"
    return f"CASE WHEN CAST({message} AS BOOLEAN) THEN [NULL] END"


def _given(i: int) -> str:
    # Not `g.a0`, which HAVING takes for a column.
    return f"g['a{i}']"


def _lambda(body: str, given: dict[int, str]) -> str:
    packed = ", ".join(f"a{i} := {sql}" for i, sql in given.items())
    return f"list_transform([{f'struct_pack({packed})' if given else '0'}], lambda g: {body})[1]"


def next_checks(
    error: QueryError,
    query: bound.BoundQuery,
    sites: Sequence[bound.Apply | bound.Subquery],
    checks: frozenset[str],
) -> frozenset[str]:
    """Returns the checks to run a statement with that DuckDB has ended over a value.

    Raises QueryError with the place once that is known; `sites` and `checks` are those that the
    statement had.
    """
    found = _SAID.match(error.message)
    said = found[1] if found else error.message
    zone = _ZONE.match(said)
    if zone:
        raise _of(_zone_site(query, zone[1]), ()) from error
    mark, *words = said.split(" ")
    if mark == _MARK and words[0].isdigit():
        raise _of(sites[int(words[0])], words[1:]) from error
    check = (
        ZERO
        if said == _BY_ZERO or said.startswith("Division by zero")
        else ROWS
        if said.startswith("More than one row returned by a subquery")
        else VALUES
    )
    if check in checks:
        raise not_found() from error
    return checks | {check}


def not_found() -> QueryError:
    """Returns the error of a value that ends a statement, nobody knows where."""
    return QueryError(
        "evaluation_failed",
        "a value of the query cannot be computed",
        hint="leave parts of it out to find which",
    )


def _zone_site(query: bound.BoundQuery, zone: str) -> bound.Apply:
    """Returns the expression that names a time zone, a constant everywhere."""
    return next(
        node
        for node in bound.walk(query)
        if isinstance(node, bound.Apply)
        and node.fault is not None
        and node.fault.error is not None
        and node.fault.error.code == "unknown_time_zone"
        and node.args[1] == bound.constant(zone)
    )


def _of(site: bound.Apply | bound.Subquery, values: Sequence[str]) -> QueryError:
    assert site.fault is not None
    e = site.fault.error
    assert e is not None
    message = e.message
    if isinstance(site, bound.Apply) and values:
        kinds = [a.type for a in site.args]
        shown = [_shown(v, kind) for v, kind in zip(values, kinds, strict=True)]
        message = message.format(*shown)
    return QueryError(e.code, message, hint=e.hint, span=e.span, source=e.source)


def _shown(value: str, kind: str) -> str:
    if value == "-":
        return "NULL"
    text = bytes.fromhex(value[1:]).decode("utf-8", "replace")
    if len(text) > _SHOWN:
        text = text[: _SHOWN - 1] + "…"
    if kind != "TEXT":
        return text
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else repr(text)
