"""Binding of function calls: arguments, aggregates and windows."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from govc_search import catalog
from govc_search.errors import Span
from govc_search.ql import ast, bound, dialects, patterns, times
from govc_search.ql.arithmetic import TIMES
from govc_search.ql.predicates import PredicateBinder
from govc_search.ql.windows import WindowBinder

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


# Which arguments make one value, or are compared.
_ANY_NUMBER = range(1_000)
_ALIKE = {
    "coalesce": _ANY_NUMBER, "greatest": _ANY_NUMBER, "least": _ANY_NUMBER, "ifnull": _ANY_NUMBER,
    "nullif": _ANY_NUMBER, "if": (1, 2), "lag": (0, 2), "lead": (0, 2), "list_concat": (0, 1),
    "list_intersect": (0, 1), "list_has_any": (0, 1), "list_has_all": (0, 1),
}  # fmt: skip
# Constants: their type, the lowest and the highest.
_CONSTANTS = {
    "SHARE": ("DOUBLE", 0, 1), "GROUP": ("INTEGER", 0, 9), "COUNT": ("INTEGER", 1, 100_000),
    "WIDTH": ("INTEGER", 1, 1_000),
}  # fmt: skip


class CallBinder:
    """Binds calls for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder) -> None:
        self.x = expressions
        self.error = expressions.error
        self.predicates = PredicateBinder(expressions)
        self.windows = WindowBinder(expressions)
        # How many calls of unnest were bound so far.
        self.rows_made = 0

    def bind(self, call: ast.Call, scope: Scope, *, top: bool) -> bound.Expr:
        """Returns the bound call; `top` says that it is an item of SELECT itself."""
        if call.name == "AT TIME ZONE":
            return self._at_time_zone(call, scope)
        function = catalog.function(call.name)
        if function is None:
            known = [n for f in catalog.FUNCTIONS for n in (f.name, *f.aliases)]
            near = difflib.get_close_matches(call.name.lower(), known, 1)
            other = dialects.FUNCTIONS.get(call.name.lower())
            raise self.error(
                "unknown_function", f'no function "{call.name}"',
                Span(call.span.start, call.span.start + len(call.name)),
                f"write {other}" if other else f'did you mean "{near[0]}"?' if near else "SHOW FUNCTIONS lists them",
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
        rows = self.rows_made
        args = [self._argument(function, i, a, scope) for i, a in enumerate(call.args)]
        if self.rows_made > rows and (function.kind != "scalar" or function.name == "unnest"):
            raise self.error(
                "unnest_place", f"unnest makes rows, and {function.name} takes one value of each",
                call.span, "use unnest in a sub-query",
            )  # fmt: skip
        self.rows_made += function.name == "unnest"
        if function.name == "regexp_replace":
            self._check_replacement(args, call.args[2].span)
        args = self._alike(function, args, call.span)
        returns = self._returns(function, args)
        holes = ", ".join(f"{{{i}}}" for i in range(len(args)))
        sql = function.sql.replace("{all}", holes) or f"{function.name}({holes})"
        if function.kind == "aggregate":
            return self._aggregate(function, sql, tuple(args), call, scope, returns)
        if function.kind == "window":
            if call.over is None:
                raise self.error("syntax_error", f"{function.name} needs OVER (...)", call.span)
            if call.where or call.distinct:
                raise self.error("syntax_error", f"{function.name} is not an aggregate", call.span)
            self._check_place(function, call, scope)
            return self.windows.call(bound.Apply(sql, tuple(args), returns), call, scope)
        return self._scalar(function, sql, args, returns, call)

    def _scalar(
        self,
        function: catalog.Function,
        sql: str,
        args: list[bound.Expr],
        returns: str,
        call: ast.Call,
    ) -> bound.Expr:
        if call.over or call.where or call.distinct or call.order:
            raise self.error("syntax_error", f"{function.name} is not an aggregate", call.span)
        if function.name in ("generate_series", "range"):
            return self._series(function, args, call)
        if function.name == "mod":
            args = [
                self.x.arithmetic.signed(a, e.span) for a, e in zip(args, call.args, strict=True)
            ]
            returns = "DOUBLE" if "DOUBLE" in {a.type for a in args} else "INTEGER"
        result = bound.Apply(sql, tuple(args), returns, self._fault(function, args, call.span))
        if function.name == "list_sum" and returns == "INTEGER":
            return self._in_64_bits(result, call.span)
        return result

    def _at_time_zone(self, call: ast.Call, scope: Scope) -> bound.Expr:
        operand = self.x.bind(call.args[0], scope)
        self.x.want(operand, "TIMESTAMP", call.name, call.args[0].span)
        zone = self.x.text_constant(call.args[1], scope, call.name)
        unknown = self.error(
            "unknown_time_zone",
            f"no time zone {zone!r}",
            call.args[1].span,
            "as in 'Europe/Berlin' or 'UTC'",
        )
        fault = bound.Fault("null", unknown)
        sql = "timezone({1}, timezone('UTC', CAST({0} AS TIMESTAMP)))"
        return bound.Apply(sql, (operand, bound.constant(zone)), "TIMESTAMP", fault)

    def _in_64_bits(self, total: bound.Expr, span: Span) -> bound.Expr:
        """Returns a sum, which DuckDB adds up in 128 bits, as a number like all others."""
        fault = self.x.arithmetic.too_large(span, "the sum {0}")
        return bound.Apply("CAST({0} AS BIGINT)", (total,), "INTEGER", fault)

    def _series(
        self, function: catalog.Function, args: list[bound.Expr], call: ast.Call
    ) -> bound.Expr:
        """Returns a list of numbers, or of times."""
        start, end, *step = args if len(args) > 1 else (bound.constant(0), *args)
        times_ = bool({start.type, end.type} & TIMES)
        if times_:
            start, end = (
                self.x.as_time(e, a.span) for e, a in zip((start, end), call.args, strict=False)
            )
        wanted = "INTERVAL" if times_ else "INTEGER"
        if len(step) < times_ or any(s.type != wanted for s in step):
            raise self.error(
                "type_mismatch", f"{function.name} of {'times' if times_ else 'numbers'} goes on by an {wanted}",
                call.span, "such as INTERVAL '1 day'" if times_ else None,
            )  # fmt: skip
        if len({start.type, end.type} - TIMES - {"NULL", "ANY"}) > (not times_):
            raise self.error(
                "type_mismatch",
                f"{function.name} goes from one kind of value to the same",
                call.span,
            )
        if step and _is_nothing(step[0]):
            raise self.error(
                "invalid_argument", f"{function.name} goes nowhere by nothing", call.args[2].span
            )
        kind, cast = ("TIMESTAMP", "TIMESTAMP") if times_ else ("INTEGER", "BIGINT")
        holes = [f"CAST({{{i}}} AS {cast})" for i in (0, 1)] + ["{2}" for _ in step]
        length = (
            "(epoch({1}) - epoch({0})) / nullif(epoch({2}), 0)" if times_
            else "(CAST({1} AS DOUBLE) - {0})" + (" / nullif({2}, 0)" if step else "")
        )  # fmt: skip
        # One list for all rows may be as long as those of a thousand rows together.
        width = 8 if any(not bound.is_constant(e) for e in (start, end, *step)) else 0.1
        size = f"{width} * {length}"
        long = f"it has up to {int(catalog.MOST_BYTES / width):,} items" + (
            ", and a million where it is the same for all rows" if width == 8 else ""
        )
        # What is too long is not made either where DuckDB computes constants beforehand.
        holes[1] = f"CASE WHEN {size} <= {catalog.MOST_BYTES} THEN {holes[1]} END"
        fault = self._fault(replace(function, size=size), [start, end, *step], call.span, long)
        sql = f"{function.name}({', '.join(holes)})"
        return bound.Apply(sql, (start, end, *step), f"{kind}[]", fault)

    def _fault(
        self,
        function: catalog.Function,
        args: list[bound.Expr],
        span: Span,
        long: str | None = None,
    ) -> bound.Fault | None:
        if function.name == "date_trunc" and args[0] != bound.constant("decade"):
            return None  # all others begin in the year of the time
        if function.fault == "zero":
            return self.x.arithmetic.division(span)
        if not args or function.returns == "BOOLEAN":
            return None
        # A pattern is bound as something else than was written.
        told = [i for i, kind in enumerate(function.args[: len(args)]) if kind != "PATTERN"]
        shown = ", ".join(f"{{{i}}}" for i in [*told, *range(len(function.args), len(args))])
        if function.size and long is None:
            long = (
                f"no more than {catalog.MOST_BYTES:,} bytes are made for one row"
                if function.returns not in ("INTEGER", "DOUBLE")
                else "no more than a million pairs of letters are compared for one row"
            )
        refused = self.error("invalid_argument", f"{function.name} cannot take {shown}", span, long)
        rest = "".join(
            f", {{{i}}}" for i in range(len(function.args) - function.optional, len(args))
        )
        return bound.Fault(function.fault, refused, function.size.replace("{rest}", rest))

    def _arity(self, function: catalog.Function, count: int, call: ast.Call) -> None:
        low = len(function.args) - function.optional
        high = math.inf if function.variadic else len(function.args)
        if call.named:
            raise self.error(
                "unknown_argument",
                f'{function.name} has no argument called "{call.named[0].name}"',
                call.named[0].span,
                function.signature,
            )
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
        if wanted == "STEP":
            return self._step(function, arg, scope)
        if wanted == "INTERVAL":
            text = self._interval_text(function, arg, scope)
            self._check_interval(function, text, arg.span)
            return bound.constant(text.strip())
        if wanted in ("FORMAT", "SEPARATOR", "FLAGS"):
            return self._text(function, wanted, arg, scope)
        if wanted in _CONSTANTS:
            return self._number(function, arg, scope, *_CONSTANTS[wanted])
        value = self.x.bind(arg, scope)
        if "TIMESTAMP" in wanted:
            value = self.x.as_time(value, arg.span) if isinstance(value, bound.Constant) else value
        if wanted == "DIGITS":
            self.x.want(value, "INTEGER", function.name, arg.span)
            refused = self.error(
                "invalid_argument", f"{function.name} cannot take {{0}} digits", arg.span
            )
            fault = bound.Fault("error", refused)
            return bound.Apply("CAST({0} AS INTEGER)", (value,), "INTEGER", fault)
        if function.name == "sum" and value.type == "BOOLEAN":
            value = bound.Apply("CAST({0} AS BIGINT)", (value,), "INTEGER")
        self.x.want(value, wanted, function.name, arg.span)
        if function.bounded and function.bounded[0] == i:
            limit = function.bounded[1]
            if not (
                isinstance(value, bound.Constant)
                and isinstance(value.value, int)
                and -limit <= value.value <= limit
            ):
                raise self.error(
                    "argument_too_large",
                    f"{function.name} takes a number up to {limit} here",
                    arg.span,
                )
            return value
        if wanted in _NULLS and isinstance(value, bound.Constant) and value.value is None:
            # NULL alone does not say which of several functions of a name is meant.
            return bound.Apply(_NULLS[wanted], (), wanted)
        return self._whole(function, value, arg.span) if wanted == "INTEGER" else value

    def _text(
        self, function: catalog.Function, wanted: str, arg: ast.Expr, scope: Scope
    ) -> bound.Expr:
        """Returns a constant text that says how something is written."""
        text = self.x.text_constant(arg, scope, function.name)
        wrong = times.wrong_directive(text) if wanted == "FORMAT" else None
        if wrong is not None:
            raise self.error(
                "invalid_argument", f"{function.name} has no directive {wrong!r}", arg.span,
                "as in '%Y-%m-%d %H:%M:%S'; %% is a per cent sign",
            )  # fmt: skip
        if wanted == "FLAGS" and set(text) - set("gi"):
            raise self.error(
                "invalid_argument", f"{function.name} has no option {text!r}", arg.span,
                "'g' replaces every match, 'i' ignores case",
            )  # fmt: skip
        return bound.constant(text)

    def _interval_text(self, function: catalog.Function, arg: ast.Expr, scope: Scope) -> str:
        """Returns the text of an interval, whether INTERVAL stands before it or not."""
        if isinstance(arg, ast.TypedLiteral) and arg.type == "INTERVAL":
            return arg.text
        return self.x.text_constant(arg, scope, function.name)

    def _step(self, function: catalog.Function, arg: ast.Expr, scope: Scope) -> bound.Expr:
        """Returns what a series goes on by: a whole number, or an interval."""
        if isinstance(arg, ast.TypedLiteral):
            value = self.x.bind(arg, scope)
            self.x.want(value, "INTERVAL", function.name, arg.span)
            return value
        value = self.x.bind(arg, scope)
        if isinstance(value, bound.Constant) and isinstance(value.value, str):
            return self.x.interval(value.value, arg.span)
        self.x.want(value, "INTEGER", function.name, arg.span)
        return self._whole(function, value, arg.span)

    def _check_interval(self, function: catalog.Function, text: str, span: Span) -> None:
        if function.name == "ago":
            # No year from 1 to 9999 is further away from any now.
            self.x.check_interval(text, span, years=8_000 if text.strip()[:1] == "-" else 2_100)
            return
        found = self.x.check_interval(text, span)
        if not found.is_positive:
            raise self.error(
                "invalid_interval", f"{function.name} takes an interval above zero", span
            )
        if found.months and (found.days or found.seconds):
            raise self.error(
                "invalid_interval", f"{function.name} takes months or days, not both", span,
                "write '2 months' or '60 days'",
            )  # fmt: skip

    def _check_replacement(self, args: list[bound.Expr], span: Span) -> None:
        pattern, replacement = args[1:3]
        if not isinstance(pattern, bound.Constant) or not isinstance(replacement, bound.Constant):
            return
        count = patterns.groups(str(pattern.value))
        for named in re.findall(r"\\(.?)", str(replacement.value), re.DOTALL):
            if named != "\\" and not (
                named.isdecimal() and named.isascii() and int(named) <= count
            ):
                raise self.error(
                    "invalid_argument",
                    f"the replacement has '\\{named}', which stands for nothing in the pattern",
                    span,
                    r"\1 is the first group, \0 the whole match, \\ a backslash",
                )

    def _whole(self, function: catalog.Function, value: bound.Expr, span: Span) -> bound.Expr:
        if not isinstance(value, bound.Constant):
            value = bound.Apply(
                "CAST({0} AS BIGINT)", (value,), "INTEGER", self.x.arithmetic.too_large(span, "{0}")
            )
            if function.name == "ntile":
                value = bound.Apply("CASE WHEN {0} > 0 THEN {0} END", (value,), "INTEGER")
        elif isinstance(value.value, int) and not -(1 << 63) <= value.value < 1 << 63:
            raise self.error(
                "argument_too_large", f"{function.name} takes numbers of 64 bits", span
            )
        elif isinstance(value.value, int) and function.name == "ntile" and value.value < 1:
            raise self.error("invalid_argument", "ntile takes a number of buckets from 1", span)
        return value

    def _number(
        self,
        function: catalog.Function,
        arg: ast.Expr,
        scope: Scope,
        kind: str,
        low: int,
        high: int,
    ) -> bound.Expr:
        """Returns a constant number from `low` to `high`."""
        value = self.x.bind(arg, scope)
        number = value.value if isinstance(value, bound.Constant) else None
        if value.type not in ("INTEGER", kind) or not isinstance(number, int | float) or not low <= number <= high:  # fmt: skip
            whole = " whole" if kind == "INTEGER" else ""
            raise self.error(
                "invalid_argument",
                f"{function.name} takes a{whole} number from {low} to {high} here",
                arg.span,
            )
        return value

    def _alike(
        self, function: catalog.Function, args: list[bound.Expr], span: Span
    ) -> list[bound.Expr]:
        """Returns the arguments, those that are compared or become one column of one type."""
        if function.args[:2] == ("LIST", "ANY"):
            item = bound.DerivedColumn(0, 0, args[0].type.removesuffix("[]"))
            return [args[0], *self.x.same([args[1], item], span)[:1]]
        places = _ALIKE.get(function.name, ())
        if not places:
            return args
        alike = self.x.same([a for i, a in enumerate(args) if i in places], span)
        kind = next((a.type for a in alike if a.type in _NULLS), None)
        # NULL alone has no type that the others could be turned into.
        alike = [
            bound.Apply(_NULLS[kind], (), kind) if kind and a.type == "NULL" else a for a in alike
        ]
        rest = iter(alike)
        return [next(rest) if i in places else a for i, a in enumerate(args)]

    def _returns(self, function: catalog.Function, args: list[bound.Expr]) -> str:
        if function.returns == catalog.LISTED or (
            function.kind == "aggregate"
            and function.args[-1] == "COUNT"
            and len(args) == len(function.args)
        ):
            return f"{args[0].type}[]"
        if function.returns == catalog.ITEM:
            kind = args[0].type
            return "ANY" if kind == "LIST" else kind.removesuffix("[]")
        if function.returns.startswith("="):
            places = _ALIKE.get(function.name, (int(function.returns[1:]),))
            return bound.joint_type(a.type for i, a in enumerate(args) if i in places)
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
        order = self.windows.order(call.order, scope)
        if call.distinct and any(k.expr not in args for k in order):
            raise self.error(
                "order_not_selected",
                "with DISTINCT, ORDER BY can only name what is aggregated",
                call.span,
            )
        result: bound.Expr = bound.Aggregate(sql, args, returns, call.distinct, order, where)
        if call.over:
            result = self.windows.call(result, call, scope)
        if function.name == "sum" and returns == "INTEGER":
            return self._in_64_bits(result, call.span)
        return result


def _is_nothing(step: bound.Expr) -> bool:
    """Returns whether a step is a constant of no length."""
    if isinstance(step, bound.Apply) and step.type == "INTERVAL" and step.args:
        text = step.args[0]
        found = times.interval(str(text.value)) if isinstance(text, bound.Constant) else None
        return found is not None and not any(found)
    return step == bound.constant(0)
