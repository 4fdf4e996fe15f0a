"""Binding of casts: which types there are, and what can be turned into what."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from govc_search.ql import ast, bound, times
from govc_search.ql.arithmetic import NUMBERS, TIMES

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope
    from govc_search.ql.expressions import ExpressionBinder

__all__ = ["CastBinder", "meant"]

_CASTS = {
    "TEXT": "VARCHAR", "VARCHAR": "VARCHAR", "STRING": "VARCHAR", "INTEGER": "BIGINT",
    "INT": "BIGINT", "BIGINT": "BIGINT", "SMALLINT": "BIGINT", "DOUBLE": "DOUBLE",
    "FLOAT": "DOUBLE", "REAL": "DOUBLE", "DECIMAL": "DOUBLE", "NUMERIC": "DOUBLE",
    "BOOLEAN": "BOOLEAN", "BOOL": "BOOLEAN", "TIMESTAMP": "TIMESTAMP", "DATETIME": "TIMESTAMP",
    "DATE": "DATE", "INTERVAL": "INTERVAL", "DOUBLE PRECISION": "DOUBLE", "CHARACTER VARYING": "VARCHAR",
    "TIMESTAMPTZ": "TIMESTAMP", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
}  # fmt: skip
# A year or month alone is its first instant. With a zone DuckDB turns what has an offset to UTC.
_WITH_OFFSET = "regexp_replace(regexp_replace(trim({0}), '^(\\d{{4}})$', '\\1-01'), '^(\\d{{4}}-\\d{{1,2}})$', '\\1-01')"
_NUMBER = re.compile(
    r"\s*[+-]?(?:\d{1,18}|(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d{1,2})?|\d+[eE][+-]?\d{1,2})\s*", re.ASCII
)
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}
_CAST_TYPES = {"VARCHAR": "TEXT", "BIGINT": "INTEGER"}


class CastBinder:
    """Binds casts for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder) -> None:
        self.x = expressions
        self.error = expressions.error

    def cast(self, expr: ast.Cast, scope: Scope) -> bound.Expr:
        """Returns a bound CAST, TRY_CAST or `::`."""
        base = expr.type.rstrip("[]")
        lists = "[]" * (expr.type.count("[]"))
        name = base.split("(")[0]
        target = _CASTS.get(name)
        if target is None:
            near = difflib.get_close_matches(name, _CASTS, 1)
            raise self.error(
                "unknown_type", f'no type "{expr.type}"', expr.span,
                f'did you mean "{near[0]}"?' if near else "TEXT, INTEGER, DOUBLE, BOOLEAN, TIMESTAMP, DATE, INTERVAL",
            )  # fmt: skip
        operand = self.x.bind(expr.operand, scope)
        kind = _CAST_TYPES.get(target, target) + lists
        if (
            kind in ("TIMESTAMP", "DATE", "INTERVAL")
            and isinstance(operand, bound.Constant)
            and operand.type == "TEXT"
        ):
            # Here, not in DuckDB: its casts of date-times drop the offset.
            text = str(operand.value)
            read = times.interval if kind == "INTERVAL" else times.timestamp
            if expr.attempt and read(text) is None:
                return bound.Apply(f"CAST(NULL AS {kind})", (), kind)
            if kind == "INTERVAL":
                return self.x.interval(text, expr.operand.span)
            operand = self.x.as_time(operand, expr.operand.span)
        if not _castable(operand.type, kind):
            raise self.error("type_mismatch", f"{operand.type} cannot be cast to {kind}", expr.span)
        fault = None
        if expr.attempt:
            fault = bound.Fault("null")
        elif not _always_castable(operand.type, kind):
            failed = self.error(
                "cast_failed",
                f"{{0}} cannot be cast to {kind}",
                expr.span,
                f"TRY_CAST(... AS {kind}) gives NULL for such values",
            )
            fault = bound.Fault("error", failed)
        word = "TRY_CAST" if expr.attempt else "CAST"
        if operand.type == "TEXT" and kind in ("TIMESTAMP", "DATE"):
            sql = f"CAST({word}({_WITH_OFFSET} AS TIMESTAMPTZ) AS {target})"
            return bound.Apply(sql, (operand,), kind, fault)
        return bound.Apply(f"{word}({{0}} AS {target}{lists})", (operand,), kind, fault)


def meant(item: bound.Expr, kinds: set[str]) -> bound.Expr:
    """Returns a text constant as the number or truth value that it is compared with, if it is one."""
    if not isinstance(item, bound.Constant):
        return item
    if "BOOLEAN" in kinds:
        known = _TRUTHS.get(str(item.value).lower()) if item.type in ("TEXT", "INTEGER") else None
        return item if known is None else bound.constant(known)
    if item.type == "TEXT" and _NUMBER.fullmatch(str(item.value)):
        text = str(item.value)
        return bound.constant(float(text) if set(text) & set(".eE") else int(text))
    return item


def _castable(source: str, target: str) -> bool:
    if source in ("ANY", "NULL", "TEXT", target) or target == "TEXT":
        return True
    if source.endswith("[]") or source == "LIST" or target.endswith("[]"):
        return source.endswith("[]") == target.endswith("[]") or source == "LIST"
    numbers = {*NUMBERS, "BOOLEAN"}
    return {source, target} <= numbers or {source, target} <= TIMES


def _always_castable(source: str, target: str) -> bool:
    """Returns whether every value can be cast."""
    return (
        target == "TEXT"
        or source == "NULL"
        # A whole number may have 128 bits before it is cast.
        or (target == source != "INTEGER")
        or (target in NUMBERS and source == "BOOLEAN")
        or (target in ("BOOLEAN", "DOUBLE") and source in NUMBERS)
    )
