"""Binding of function calls: arguments, aggregates and windows."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

from govc_search import catalog
from govc_search.errors import Span
from govc_search.ql import ast, bound
from govc_search.ql.predicates import PredicateBinder

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope
    from govc_search.ql.expressions import ExpressionBinder

__all__ = ["CallBinder"]

_NULLS = {
    "TEXT": "CAST(NULL AS VARCHAR)",
    "INTEGER": "CAST(NULL AS BIGINT)",
    "DOUBLE": "CAST(NULL AS DOUBLE)",
    "TIMESTAMP": "CAST(NULL AS TIMESTAMP)",
}


class CallBinder:
    """Binds calls for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder) -> None:
        self.x = expressions
        self.error = expressions.error
        self.predicates = PredicateBinder(expressions)

    def bind(self, call: ast.Call, scope: Scope, *, top: bool) -> bound.Expr:
        """Returns the bound call; `top` says that it is an item of SELECT itself."""
        if call.name == "AT TIME ZONE":
            operand, zone = (self.x.bind(a, scope) for a in call.args)
            self.x.want(operand, "TIMESTAMP", call.name, call.span)
            return bound.Apply("timezone({1}, timezone('UTC', {0}))", (operand, zone), "TIMESTAMP")
        function = catalog.function(call.name)
        if function is None:
            known = [n for f in catalog.FUNCTIONS for n in (f.name, *f.aliases)]
            near = difflib.get_close_matches(call.name.lower(), known, 1)
            raise self.error(
                "unknown_function", f'no function "{call.name}"',
                Span(call.span.start, call.span.start + len(call.name)),
                f'did you mean "{near[0]}"?' if near else "SHOW FUNCTIONS lists them",
            )  # fmt: skip
        if function.kind in ("text", "graph"):
            if call.over or call.where or call.distinct or call.order:
                raise self.error(
                    "syntax_error", f"{function.name} takes arguments alone", call.span
                )
            return self.predicates.call(function, call, scope, top=top)
        if call.star:
            if function.name != "count":
                raise self.error(
                    "syntax_error",
                    f"{function.name}(*) means nothing",
                    call.span,
                    "only count(*) does",
                )
            return self._aggregate(function, "count(*)", (), call, scope, "INTEGER")
        self._arity(function, len(call.args), call)
        args = [self._argument(function, i, a, scope) for i, a in enumerate(call.args)]
        returns = self._returns(function, args)
        if any(f in function.returns for f in "=") and function.name in (
            "coalesce",
            "greatest",
            "least",
            "ifnull",
            "nullif",
        ):
            args = self.x.same(args, call.span)
            returns = next((a.type for a in args if a.type != "NULL"), "NULL")
        holes = ", ".join(f"{{{i}}}" for i in range(len(args)))
        sql = function.sql or f"{function.name}({holes})"
        if function.kind == "aggregate":
            if function.name == "sum" and args[0].type == "INTEGER":
                sql = "CAST(sum({0}) AS BIGINT)"
            return self._aggregate(function, sql, tuple(args), call, scope, returns)
        if function.kind == "window":
            if call.over is None:
                raise self.error("syntax_error", f"{function.name} needs OVER (...)", call.span)
            self._check_place(function, call, scope)
            return self._window(bound.Apply(sql, tuple(args), returns), call, scope)
        if call.over or call.where or call.distinct or call.order:
            raise self.error("syntax_error", f"{function.name} is not an aggregate", call.span)
        return bound.Apply(sql, tuple(args), returns)

    def _arity(self, function: catalog.Function, count: int, call: ast.Call) -> None:
        low = len(function.args) - function.optional
        high = math.inf if function.variadic else len(function.args)
        if function.name == "count" and count == 0:
            return
        if not low <= count <= high:
            raise self.error(
                "argument_count",
                f"{function.name} does not take {count} arguments",
                call.span,
                function.signature,
            )

    def _argument(
        self, function: catalog.Function, i: int, arg: ast.Expr, scope: Scope
    ) -> bound.Expr:
        wanted = function.args[min(i, len(function.args) - 1)]
        if wanted == "PART":
            return bound.constant(
                self.x.part(self.x.text_constant(arg, scope, function.name), arg.span)
            )
        if wanted == "PATTERN":
            return bound.constant(
                self.x.regex(self.x.text_constant(arg, scope, function.name), arg.span)
            )
        if wanted == "INTERVAL":
            text = self.x.text_constant(arg, scope, function.name)
            self.x.interval(text, arg.span)
            return bound.constant(text.strip())
        value = self.x.bind(arg, scope)
        if wanted == "TIMESTAMP":
            value = self.x.as_time(value, arg.span) if isinstance(value, bound.Constant) else value
        self.x.want(value, wanted, function.name, arg.span)
        if wanted in _NULLS and isinstance(value, bound.Constant) and value.value is None:
            # NULL alone does not say which of several functions of a name is meant.
            return bound.Apply(_NULLS[wanted], (), wanted)
        if wanted == "INTEGER" and not isinstance(value, bound.Constant):
            return bound.Apply("CAST({0} AS BIGINT)", (value,), "INTEGER")
        if function.bounded and function.bounded[0] == i:
            limit = function.bounded[1]
            if not (
                isinstance(value, bound.Constant)
                and isinstance(value.value, int)
                and value.value <= limit
            ):
                raise self.error(
                    "argument_too_large",
                    f"{function.name} takes a number up to {limit} here",
                    arg.span,
                )
        return value

    def _returns(self, function: catalog.Function, args: list[bound.Expr]) -> str:
        if function.returns.startswith("="):
            return args[int(function.returns[1:])].type
        if function.name == "list":
            return f"{args[0].type}[]"
        if function.name == "unnest":
            return args[0].type.removesuffix("[]")
        return function.returns

    def _check_place(self, function: catalog.Function, call: ast.Call, scope: Scope) -> None:
        if scope.clause:
            hint = "use HAVING, or a sub-query" if call.over is None else "use QUALIFY"
            raise self.error(
                "aggregate_place",
                f"{function.name} cannot stand in {scope.clause}",
                call.span,
                hint if scope.clause == "WHERE" else "use a sub-query",
            )

    def _aggregate(
        self, function: catalog.Function, sql: str, args: tuple[bound.Expr, ...], call: ast.Call,
        scope: Scope, returns: str,
    ) -> bound.Expr:  # fmt: skip
        self._check_place(function, call, scope)
        if call.over is None and any(map(bound.has_aggregate, args)):
            raise self.error(
                "aggregate_place", "an aggregate inside an aggregate", call.span, "use a sub-query"
            )
        where = self.x.condition(call.where, scope, "FILTER") if call.where else None
        if call.over is None and any(map(bound.has_window, args)):
            raise self.error(
                "aggregate_place", "a window inside an aggregate", call.span, "use a sub-query"
            )
        result = bound.Aggregate(
            sql, args, returns, call.distinct, self._order(call.order, scope), where
        )
        return self._window(result, call, scope) if call.over else result

    def _window(self, function: bound.Expr, call: ast.Call, scope: Scope) -> bound.WindowCall:
        assert call.over is not None
        frame = None
        if call.over.frame:
            f = call.over.frame
            bounds = [
                (kind, self.x.bind(e, scope) if e is not None else None)
                for kind, e in (f.start, f.end or ("", None))
            ]
            frame = (f.unit, bounds[0][0], bounds[0][1], bounds[1][0] or None, bounds[1][1])
        result = bound.WindowCall(
            function,
            tuple(self.x.bind(p, scope) for p in call.over.partition),
            self._order(call.over.order, scope),
            frame,
            function.type,
        )
        if any(map(bound.has_window, bound.operands(result))):
            raise self.error(
                "aggregate_place", "a window inside a window", call.span, "use a sub-query"
            )
        return result

    def _order(self, order: tuple[ast.OrderItem, ...], scope: Scope) -> tuple[bound.OrderKey, ...]:
        return tuple(
            bound.OrderKey(self.x.bind(o.expr, scope), o.descending, o.nulls_first) for o in order
        )
