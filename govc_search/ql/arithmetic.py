"""Binding of arithmetic: numbers, dates and times, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from govc_search.errors import Span
from govc_search.ql import ast, bound

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope
    from govc_search.ql.expressions import ExpressionBinder

__all__ = ["NUMBERS", "TIMES", "ArithmeticBinder"]

NUMBERS: Final = {"INTEGER", "DOUBLE"}
TIMES: Final = {"TIMESTAMP", "DATE"}


class ArithmeticBinder:
    """Binds arithmetic for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder) -> None:
        self.x = expressions
        self.error = expressions.error

    def unary(self, expr: ast.Unary, scope: Scope) -> bound.Expr:
        """Returns a bound sign."""
        operand = self.x.bind(expr.operand, scope)
        if isinstance(operand, bound.Constant) and operand.type in NUMBERS:
            assert isinstance(operand.value, int | float)
            return bound.constant(-operand.value if expr.op == "-" else operand.value)
        if operand.type not in (*NUMBERS, "INTERVAL", "ANY", "NULL"):
            raise self.error(
                "type_mismatch", f"{expr.op} takes a number, not {operand.type}", expr.span
            )
        fault = (
            bound.Fault("null")
            if operand.type == "INTERVAL"
            else self.too_large(expr.span, f"{expr.op} {{0}}")
        )
        operand = self.signed(operand, expr.operand.span)
        sql = f"({expr.op} {{0}})"
        if operand.type == "INTEGER":
            # Of a constant DuckDB makes a wider one instead.
            sql = f"CAST({sql} AS BIGINT)"
        return bound.Apply(sql, (operand,), operand.type, fault)

    def binary(self, expr: ast.Binary, scope: Scope) -> bound.Expr:
        """Returns bound `+ - * / // %`."""
        op = expr.op
        left, right = self.x.bind(expr.left, scope), self.x.bind(expr.right, scope)
        kinds = {left.type, right.type} - {"NULL", "ANY"}
        if kinds & TIMES:
            return self._times(expr, left, right)
        if "INTERVAL" in kinds:
            return self._intervals(expr, left, right)
        if kinds - NUMBERS:
            raise self.error(
                "type_mismatch", f"{op} takes numbers, not {min(kinds - NUMBERS)}", expr.span
            )
        left, right = self.signed(left, expr.left.span), self.signed(right, expr.right.span)
        kind = "DOUBLE" if op == "/" or "DOUBLE" in kinds else "INTEGER"
        return bound.Apply(
            f"({{0}} {op} {{1}})", (left, right), kind, self.division(expr.span) if op in ("/", "//", "%")
            else self.too_large(expr.span, f"{{0}} {op} {{1}}") if kind == "INTEGER" else None,
        )  # fmt: skip

    def division(self, span: Span) -> bound.Fault:
        """Returns the fault of what divides its first argument by its second."""
        return bound.Fault(
            "zero", self.error("number_out_of_range", "{0} cannot be divided by {1}", span)
        )

    def too_large(self, span: Span, what: str) -> bound.Fault:
        """Returns the fault of whole numbers that 64 bits do not hold."""
        return bound.Fault(
            "error",
            self.error(
                "number_out_of_range",
                f"{what} is beyond the whole numbers of 64 bits",
                span,
                "::DOUBLE takes larger ones",
            ),
        )

    def signed(self, expr: bound.Expr, span: Span) -> bound.Expr:
        """Returns a whole number of 64 bits with a sign, which positions and literals have not."""
        if expr.type != "INTEGER":
            return expr
        if isinstance(expr, bound.Apply) and expr.sql.startswith(("({0} ", "CAST(")):
            return expr  # arithmetic over what has a sign by now
        fault = self.too_large(span, "{0}")
        return bound.Apply("CAST({0} AS BIGINT)", (expr,), "INTEGER", fault)

    def _times(self, expr: ast.Binary, left: bound.Expr, right: bound.Expr) -> bound.Expr:
        op = expr.op
        if op not in "+-":
            raise self.error("type_mismatch", f"{op} does not go with times", expr.span)
        if isinstance(right, bound.Constant) and right.type == "TEXT":
            right = self.x.interval(str(right.value), expr.right.span)
        if left.type == "TEXT":
            left = self.x.as_time(left, expr.left.span)
        # NULL alone does not say which of several operators is meant.
        left, right = (
            bound.Apply("CAST(NULL AS INTERVAL)", (), "INTERVAL") if e.type == "NULL" else e
            for e in (left, right)
        )
        sql, fault = f"({{0}} {op} {{1}})", bound.Fault("null")
        kinds = (left.type, right.type)
        if kinds[0] in TIMES and kinds[1] in TIMES and op == "-":
            days = kinds == ("DATE", "DATE")
            return bound.Apply(sql, (left, right), "INTEGER" if days else "INTERVAL")
        if kinds in (("DATE", "INTEGER"), ("INTEGER", "DATE")) and (
            op == "+" or kinds[0] == "DATE"
        ):
            cast = [f"CAST({{{i}}} AS INTEGER)" if k == "INTEGER" else f"{{{i}}}" for i, k in enumerate(kinds)]  # fmt: skip
            return bound.Apply(f"({cast[0]} {op} {cast[1]})", (left, right), "DATE", fault)
        time, other = kinds if kinds[0] in TIMES or op == "-" else kinds[::-1]
        if time not in TIMES or other not in ("INTERVAL", "ANY"):
            raise self.error(
                "type_mismatch",
                f"{op} of a time takes an interval",
                expr.span,
                "such as INTERVAL '1 day'",
            )
        return bound.Apply(sql, (left, right), "TIMESTAMP", fault)

    def _intervals(self, expr: ast.Binary, left: bound.Expr, right: bound.Expr) -> bound.Expr:
        op, kinds = expr.op, (left.type, right.type)
        number = NUMBERS | {"ANY", "NULL"}
        fits = (
            {*kinds} <= {"INTERVAL", "ANY", "NULL"}
            if op in "+-"
            else (op in "*/" and kinds[1] in number) or (op == "*" and kinds[0] in number)
        )
        if not fits:
            raise self.error(
                "type_mismatch", f"{op} does not go with {kinds[0]} and {kinds[1]}", expr.span
            )
        left, right = (
            bound.Apply(f"CAST(NULL AS {'INTERVAL' if op in '+-' else 'DOUBLE'})", (), "INTERVAL")
            if e.type == "NULL"
            else e
            for e in (left, right)
        )
        fault = self.division(expr.span) if op == "/" else bound.Fault("null")
        return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "INTERVAL", fault)
