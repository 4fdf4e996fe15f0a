"""What the text index can say of an ordinary condition: a query that every row it keeps must hit.

A condition on the text of a column keeps just rows whose words hold what its needle or pattern
requires. The index gives those rows, and the condition itself is asked of them alone. A condition
on what the index holds beside words it answers exactly.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from govc_search import textquery
from govc_search.facts import NUMBERS, TERMS, Fact, OneOf, Range, term
from govc_search.ql import bound, patterns

__all__ = ["held", "required"]


def required(expr: bound.Expr, scan: bound.Scan) -> textquery.Node | None:
    """Returns a text query that holds of every row of `scan` where `expr` is true, or None.

    Its hits may be more than those rows. Its fields are those of the scan's text index.
    """
    match expr:
        case bound.Junction("AND", operands):
            known = [n for n in (required(o, scan) for o in operands) if n is not None]
            return _joined(textquery.And, known)
        case bound.Junction("OR", operands):
            each = [required(o, scan) for o in operands]
            known = [n for n in each if n is not None]
            return _joined(textquery.Or, known) if len(known) == len(each) else None
        case bound.Apply(sql, (bound.Column() as column, bound.Constant(str() as text), *more)):
            if column.scan != scan or not column.column.held:
                return None
            fields = column.column.held
            if sql == bound.MATCHES:
                return textquery.Regex(fields, text)
            if sql in (bound.CONTAINS, bound.STARTS_WITH):
                return textquery.Substring(fields, text)
            if sql in bound.LIKES:
                escape = more[0].value if more and isinstance(more[0], bound.Constant) else ""
                pieces = patterns.like_pieces(text, str(escape))
                return _joined(textquery.And, [textquery.Substring(fields, p) for p in pieces])
    return None


def _joined(
    kind: type[textquery.And | textquery.Or], nodes: list[textquery.Node]
) -> textquery.Node | None:
    distinct = tuple(dict.fromkeys(nodes))
    if not distinct:
        return None
    return distinct[0] if len(distinct) == 1 else kind(distinct)


_COMPARED = {f"({{0}} {op} {{1}})": op for op in ("=", "<", "<=", ">", ">=")}
_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
# Numbers beyond these are no column's.
_MOST = 1 << 62
_SINCE = datetime(1970, 1, 1)


def held(expr: bound.Expr, scan: bound.Scan) -> Fact | None:
    """Returns the fact of the text index that holds of just the rows where `expr` is true, or None."""
    if scan.table.name not in ("commits", "changes"):
        return None
    match expr:
        case bound.Column():
            return _marked(expr, scan, absent=False)
        case bound.Negation(bound.Column() as column):
            return _marked(column, scan, absent=True)
        case bound.Apply("({0} BETWEEN {1} AND {2})", (bound.Column() as column, low, high)):
            ends = _compared(column, ">=", low, scan), _compared(column, "<=", high, scan)
            if isinstance(ends[0], Range) and isinstance(ends[1], Range):
                return Range(ends[0].field, ends[0].low, ends[1].high)
        case bound.Apply(sql, (bound.Column() as column, *values)) if sql.startswith("({0} IN ("):
            each = [_compared(column, "=", value, scan) for value in values]
            texts = [e.values[0] for e in each if isinstance(e, OneOf)]
            # Without any it is a relation that stands in the list.
            if texts and len(texts) == len(each):
                return OneOf(column.column.name, tuple(dict.fromkeys(texts)))
        case bound.Apply(sql, (bound.Column() as column, value)) if sql in _COMPARED:
            return _compared(column, _COMPARED[sql], value, scan)
        case bound.Apply(sql, (value, bound.Column() as column)) if sql in _COMPARED:
            return _compared(column, _TURNED[_COMPARED[sql]], value, scan)
    return None


def _marked(column: bound.Column, scan: bound.Scan, *, absent: bool) -> Fact | None:
    if column.scan != scan or scan.table.name != "commits":
        return None
    if column.column.name == "is_merge":
        return Range("parent_count", None, 1) if absent else Range("parent_count", 2, None)
    if column.column.name == "is_root":
        return Range("parent_count", 1, None) if absent else Range("parent_count", 0, 0)
    return None


def _compared(column: bound.Column, op: str, value: bound.Expr, scan: bound.Scan) -> Fact | None:
    name = column.column.name
    known = ("repo", "position", *(TERMS + NUMBERS if scan.table.name == "commits" else ()))
    if column.scan != scan or name not in known or not isinstance(value, bound.Constant):
        return None
    match value.value:
        case str() as text if name in TERMS and op == "=" and term(name, text) is not None:
            return OneOf(name, (text,))
        case bool():
            return None
        case int() as number if name not in TERMS and abs(number) < _MOST:
            low = high = number
        case datetime() as moment if name.endswith("_date") and moment.tzinfo is None:
            # Commits know whole seconds.
            low, rest = divmod(moment - _SINCE, timedelta(seconds=1))
            high = low
            low += bool(rest)
            if rest:
                # Above it begins the next second, below it ends this one.
                op = {"<": "<=", ">": ">="}.get(op, op)
        case _:
            return None
    match op:
        case "=":
            return Range(name, low, high)
        case "<":
            return Range(name, None, high - 1)
        case "<=":
            return Range(name, None, high)
        case ">":
            return Range(name, low + 1, None)
    return Range(name, low, None)
