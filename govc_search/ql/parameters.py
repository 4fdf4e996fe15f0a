"""Binding of parameters: the values that a query is asked with."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from govc_search.ql import ast, bound, times

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope
    from govc_search.ql.expressions import ExpressionBinder

__all__ = ["ParameterBinder"]


class ParameterBinder:
    """Binds parameters for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder) -> None:
        self.x = expressions
        self.error = expressions.error

    def bind(self, expr: ast.Parameter, scope: Scope) -> bound.Expr:
        """Returns the value of a parameter."""
        if expr.name not in self.x.binder.params:
            shown = "?" if expr.name.isdigit() else f"${expr.name}"
            raise self.error(
                "missing_parameter",
                f"no value for the parameter {shown}",
                expr.span,
                "-p name=value, in the shell \\set name value, in Python params=",
            )
        self.x.binder.used_params.add(expr.name)
        value = self.x.binder.params[expr.name]
        if isinstance(value, list | tuple | set | frozenset):
            items = self.x.same(
                [self._given(v, expr) for v in value], expr.span, "a list of {} and {}"
            )
            kind = bound.joint_type(i.type for i in items)
            values = tuple(i.value for i in items if isinstance(i, bound.Constant))
            return bound.Constant(values, f"{kind}[]")
        return self._given(value, expr)

    def _given(self, value: object, expr: ast.Parameter) -> bound.Constant:
        """Returns the value of a parameter, or an item of it."""
        if isinstance(value, datetime):
            naive = times.timestamp(value.isoformat())
            if naive is None:
                raise self.x.invalid_time(value.isoformat(), expr.span)
            return bound.Constant(naive, "TIMESTAMP")
        if isinstance(value, date):
            return bound.Constant(datetime(value.year, value.month, value.day), "TIMESTAMP")
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            raise self.error(
                "invalid_text",
                f"the parameter ${expr.name} holds half a character",
                expr.span,
                "text has to be valid Unicode",
            )
        if isinstance(value, int) and not -(1 << 127) < value < 1 << 127:
            raise self.error(
                "invalid_parameter", "a parameter of more than 38 digits", expr.span
            )  # fmt: skip
        if value is None or isinstance(value, bool | int | float | str):
            return bound.constant(value)
        raise self.error(
            "invalid_parameter", f"a parameter cannot be {type(value).__name__}", expr.span,
            "text, numbers, booleans, dates, None and lists of these can",
        )  # fmt: skip
