"""What the text index can say of an ordinary condition: a query that every row it keeps must hit.

A condition on the text of a column keeps just rows whose words hold what its needle or pattern
requires. The index gives those rows, and the condition itself is asked of them alone.
"""

from __future__ import annotations

from govc_search import textquery
from govc_search.ql import bound, patterns

__all__ = ["required"]


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
