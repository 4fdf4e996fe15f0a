"""Binding of expressions: operators, functions, types; text and graph predicates are next door."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, ClassVar

from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound, names, patterns, times
from govc_search.ql.calls import CallBinder

if TYPE_CHECKING:
    from govc_search.ql.binder import Binder, Scope

__all__ = ["ExpressionBinder"]

_NUMBERS = {"INTEGER", "DOUBLE"}
_TIMES = {"TIMESTAMP", "DATE"}
_CASTS = {
    "TEXT": "VARCHAR", "VARCHAR": "VARCHAR", "STRING": "VARCHAR", "INTEGER": "BIGINT",
    "INT": "BIGINT", "BIGINT": "BIGINT", "SMALLINT": "BIGINT", "DOUBLE": "DOUBLE",
    "FLOAT": "DOUBLE", "REAL": "DOUBLE", "DECIMAL": "DOUBLE", "NUMERIC": "DOUBLE",
    "BOOLEAN": "BOOLEAN", "BOOL": "BOOLEAN", "TIMESTAMP": "TIMESTAMP", "DATETIME": "TIMESTAMP",
    "DATE": "DATE", "INTERVAL": "INTERVAL",
}  # fmt: skip
_CAST_TYPES = {"VARCHAR": "TEXT", "BIGINT": "INTEGER"}
_PARTS = {
    "year", "quarter", "month", "week", "day", "hour", "minute", "second", "dow", "isodow", "doy",
    "epoch", "decade", "century", "isoyear", "millisecond", "microsecond",
}  # fmt: skip


class ExpressionBinder:
    """Binds expressions for one `Binder`."""

    def __init__(self, binder: Binder) -> None:
        self.binder = binder
        self.error = binder.error
        self.calls = CallBinder(self)

    def condition(self, expr: ast.Expr, scope: Scope, clause: str) -> bound.Expr:
        """Returns a bound expression that must be boolean."""
        result = self.bind(expr, scope)
        if result.type not in ("BOOLEAN", "NULL", "ANY"):
            raise self.error(
                "type_mismatch", f"{clause} takes a condition, not {result.type}", expr.span,
                "compare it with something",
            )  # fmt: skip
        return result

    def bind(self, expr: ast.Expr, scope: Scope, *, top: bool = False) -> bound.Expr:
        """Returns the bound expression; `top` says that it is an item of SELECT itself."""
        match expr:
            case ast.Literal():
                return bound.constant(expr.value)
            case ast.Name():
                return names.column(expr, scope, self.error)
            case ast.Call():
                return self.calls.bind(expr, scope, top=top)
            case ast.Star():
                raise self.error("syntax_error", "* stands alone, or in count(*)", expr.span)
        return self._binders[type(expr)](self, expr, scope)

    # Logic

    def _junction(self, expr: ast.And | ast.Or, scope: Scope) -> bound.Expr:
        op = "AND" if isinstance(expr, ast.And) else "OR"
        parts: list[bound.Expr] = []
        for operand in expr.operands:
            part = self.condition(operand, scope, op)
            if isinstance(part, bound.Junction) and part.op == op:
                parts += part.operands
            else:
                parts.append(part)
        return bound.Junction(op, tuple(parts))

    def _not(self, expr: ast.Not, scope: Scope) -> bound.Expr:
        return bound.Negation(self.condition(expr.operand, scope, "NOT"))

    def _between(self, expr: ast.Between, scope: Scope) -> bound.Expr:
        parts = [self.bind(e, scope) for e in (expr.operand, expr.low, expr.high)]
        word = "NOT BETWEEN" if expr.negated else "BETWEEN"
        items = tuple(self.same(parts, expr.span))
        return bound.Apply(f"({{0}} {word} {{1}} AND {{2}})", items, "BOOLEAN")

    def _in_list(self, expr: ast.InList, scope: Scope) -> bound.Expr:
        parts = [self.bind(e, scope) for e in (expr.operand, *expr.items)]
        items = tuple(self.same(parts, expr.span))
        word = "NOT IN" if expr.negated else "IN"
        return bound.Apply(f"({{0}} {word} ({_holes(1, len(items))}))", items, "BOOLEAN")

    def _is_null(self, expr: ast.IsNull, scope: Scope) -> bound.Expr:
        sql = "({0} IS NOT NULL)" if expr.negated else "({0} IS NULL)"
        return bound.Apply(sql, (self.bind(expr.operand, scope),), "BOOLEAN")

    def _is_truth(self, expr: ast.IsTruth, scope: Scope) -> bound.Expr:
        word = ("NOT " if expr.negated else "") + ("TRUE" if expr.value else "FALSE")
        operand = self.condition(expr.operand, scope, "IS")
        return bound.Apply(f"({{0}} IS {word})", (operand,), "BOOLEAN")

    def _is_distinct(self, expr: ast.IsDistinct, scope: Scope) -> bound.Expr:
        pair = self.same([self.bind(e, scope) for e in (expr.left, expr.right)], expr.span)
        word = "IS NOT DISTINCT FROM" if expr.negated else "IS DISTINCT FROM"
        return bound.Apply(f"({{0}} {word} {{1}})", tuple(pair), "BOOLEAN")

    # Sub-queries

    def _in_query(self, expr: ast.InQuery, scope: Scope) -> bound.Expr:
        inner = self._single(expr.query, scope, expr.span)
        operand = self._beside(expr.operand, inner, scope, expr.span)
        result = bound.Subquery("in", inner, operand, "BOOLEAN")
        return bound.Negation(result) if expr.negated else result

    def _quantified(self, expr: ast.Quantified, scope: Scope) -> bound.Expr:
        inner = self._single(expr.query, scope, expr.span)
        if "~" in expr.op:
            raise self.error(
                "type_mismatch", f"{expr.op} does not go with {expr.quantifier}", expr.span
            )
        operand = self._beside(expr.operand, inner, scope, expr.span)
        return bound.Subquery(f"{expr.op} {expr.quantifier}", inner, operand, "BOOLEAN")

    def _exists(self, expr: ast.Exists, scope: Scope) -> bound.Expr:
        return bound.Subquery("exists", self.binder.query(expr.query, scope), None, "BOOLEAN")

    def _scalar(self, expr: ast.Scalar, scope: Scope) -> bound.Expr:
        inner = self._single(expr.query, scope, expr.span)
        return bound.Subquery("scalar", inner, None, inner.types[0])

    def _beside(
        self, operand: ast.Expr, inner: bound.BoundQuery, scope: Scope, span: Span
    ) -> bound.Expr:
        """Returns the operand of a comparison with the rows of a sub-query."""
        column = bound.DerivedColumn(0, 0, inner.types[0])
        return self.same([self.bind(operand, scope), column], span)[0]

    # Lists

    def _index(self, expr: ast.Index, scope: Scope) -> bound.Expr:
        operand = self.bind(expr.operand, scope)
        if operand.type not in ("ANY", "LIST") and not operand.type.endswith("[]"):
            raise self.error("type_mismatch", f"[ ] takes a list, not {operand.type}", expr.span)
        index = self.bind(expr.index, scope)
        self.want(index, "INTEGER", "[ ]", expr.index.span)
        kind = "ANY" if operand.type == "LIST" else operand.type.removesuffix("[]")
        return bound.Apply("({0})[{1}]", (operand, index), kind)

    def _list(self, expr: ast.ListLiteral, scope: Scope) -> bound.Expr:
        items = self.same([self.bind(e, scope) for e in expr.items], expr.span)
        kind = items[0].type if items else "ANY"
        return bound.Apply(f"[{_holes(0, len(items))}]", tuple(items), f"{kind}[]")

    # Values

    def _typed_literal(self, expr: ast.TypedLiteral, scope: Scope) -> bound.Expr:
        if expr.type == "INTERVAL":
            return self.interval(expr.text, expr.span)
        value = times.timestamp(expr.text)
        if value is None:
            raise self._invalid_time(expr.text, expr.span)
        if expr.type == "DATE":
            return bound.Apply("CAST({0} AS DATE)", (bound.Constant(value, "TIMESTAMP"),), "DATE")
        return bound.Constant(value, "TIMESTAMP")

    def interval(self, text: str, span: Span) -> bound.Expr:
        """Returns the interval that text is; raises invalid_interval."""
        if not times.is_interval(text):
            raise self.error(
                "invalid_interval",
                f"{text!r} is not an interval",
                span,
                "write '2 weeks' or '1 year 6 months'",
            )
        return bound.Apply(
            "CAST({0} AS INTERVAL)", (bound.Constant(text.strip(), "TEXT"),), "INTERVAL"
        )

    def _invalid_time(self, text: str, span: Span) -> QueryError:
        return self.error(
            "invalid_date",
            f"{text!r} is not a date",
            span,
            "write '2024-06-01' or '2024-06-01T12:00:00+02:00'",
        )

    def _parameter(self, expr: ast.Parameter, scope: Scope) -> bound.Expr:
        if expr.name not in self.binder.params:
            shown = "?" if expr.name.isdigit() else f"${expr.name}"
            raise self.error(
                "missing_parameter",
                f"no value for the parameter {shown}",
                expr.span,
                "pass one with -p name=value or params=",
            )
        self.binder.used_params.add(expr.name)
        value = self.binder.params[expr.name]
        if isinstance(value, datetime):
            naive = times.timestamp(value.isoformat())
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
        if value is None or isinstance(value, bool | int | float | str):
            return bound.constant(value)
        raise self.error(
            "invalid_parameter", f"a parameter cannot be {type(value).__name__}", expr.span,
            "text, numbers, booleans, dates and None can",
        )  # fmt: skip

    def text_constant(self, expr: ast.Expr, scope: Scope, what: str) -> str:
        """Returns the text of a constant or parameter, such as a pattern."""
        value = self.bind(expr, scope)
        if not isinstance(value, bound.Constant) or not isinstance(value.value, str):
            raise self.error(
                "pattern_not_constant", f"{what} takes text or a parameter here", expr.span,
            )  # fmt: skip
        self.check_pattern(value, expr.span)
        return value.value

    def check_pattern(self, value: bound.Expr, span: Span) -> None:
        """Raises pattern_too_long for a constant that no pattern may be."""
        limit = self.binder.settings.size("pattern_length")
        text = value.value if isinstance(value, bound.Constant) else None
        if isinstance(text, str) and len(text) > limit:
            raise self.error(
                "pattern_too_long", f"a pattern of more than {limit} characters", span,
                "the setting pattern_length is the limit",
            )  # fmt: skip

    # Operators

    def _unary(self, expr: ast.Unary, scope: Scope) -> bound.Expr:
        operand = self.bind(expr.operand, scope)
        if isinstance(operand, bound.Constant) and operand.type in _NUMBERS:
            assert isinstance(operand.value, int | float)
            return bound.constant(-operand.value if expr.op == "-" else operand.value)
        if operand.type not in (*_NUMBERS, "INTERVAL", "ANY", "NULL"):
            raise self.error(
                "type_mismatch", f"{expr.op} takes a number, not {operand.type}", expr.span
            )
        return bound.Apply(f"({expr.op} {{0}})", (_signed(operand),), operand.type)

    def _binary(self, expr: ast.Binary, scope: Scope) -> bound.Expr:
        op = expr.op
        if "~" in op:
            return self._regex(expr, scope)
        left, right = self.bind(expr.left, scope), self.bind(expr.right, scope)
        if op in ("=", "<>", "<", "<=", ">", ">="):
            left, right = self.same([left, right], expr.span)
            return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "BOOLEAN")
        if op == "||":
            kind = left.type if left.type.endswith("[]") else "TEXT"
            return bound.Apply("({0} || {1})", (left, right), kind)
        kinds = {left.type, right.type} - {"NULL", "ANY"}
        if kinds & _TIMES:
            if op not in "+-":
                raise self.error("type_mismatch", f"{op} does not go with times", expr.span)
            if right.type == "TEXT" and isinstance(right, bound.Constant):
                right = self.interval(str(right.value), expr.right.span)
            if left.type == "TEXT":
                left = self.as_time(left, expr.left.span)
            days = {"INTEGER"} if kinds == {"DATE", "INTEGER"} else set()
            if {left.type, right.type} - {*_TIMES, "INTERVAL", "NULL", "ANY"} - days:
                raise self.error(
                    "type_mismatch",
                    f"{op} of a time takes an interval",
                    expr.span,
                    "such as INTERVAL '1 day'",
                )
            if left.type in _TIMES and right.type in _TIMES:
                return bound.Apply(
                    "({0} - {1})", (left, right), "INTERVAL" if "TIMESTAMP" in kinds else "INTEGER"
                )
            return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "TIMESTAMP")
        if kinds - _NUMBERS - {"INTERVAL"}:
            wrong = min(kinds - _NUMBERS)
            raise self.error("type_mismatch", f"{op} takes numbers, not {wrong}", expr.span)
        if kinds == {"INTERVAL"}:
            return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "INTERVAL")
        left, right = _signed(left), _signed(right)
        if op in "/%":
            # Division by zero is NULL, for whole numbers and others alike.
            kind = "DOUBLE" if op == "/" or "DOUBLE" in kinds else "INTEGER"
            return bound.Apply(f"({{0}} {op} nullif({{1}}, 0))", (left, right), kind)
        return bound.Apply(
            f"({{0}} {op} {{1}})", (left, right), "DOUBLE" if "DOUBLE" in kinds else "INTEGER"
        )

    def same(self, items: list[bound.Expr], span: Span) -> list[bound.Expr]:
        """Returns the operands of a comparison, text constants turned into what they stand beside."""
        kinds = {i.type for i in items} - {"NULL", "ANY"}
        if kinds & _TIMES and "TEXT" in kinds:
            items = [self.as_time(i, span) for i in items]
            kinds = {i.type for i in items} - {"NULL", "ANY"}
        if "INTERVAL" in kinds and "TEXT" in kinds:
            items = [
                self.interval(str(i.value), span)
                if isinstance(i, bound.Constant) and i.type == "TEXT"
                else i
                for i in items
            ]
            kinds = {i.type for i in items} - {"NULL", "ANY"}
        families = {
            "number"
            if k in _NUMBERS
            else "time"
            if k in _TIMES
            else "list"
            if k.endswith("[]") or k == "LIST"
            else k
            for k in kinds
        }
        if len(families) > 1:
            a, b = sorted(kinds)[:2] if len(kinds) == 2 else sorted(families)[:2]
            raise self.error(
                "type_mismatch", f"cannot compare {a} with {b}", span, "cast one of them with ::"
            )
        return items

    def as_time(self, item: bound.Expr, span: Span) -> bound.Expr:
        """Returns a text constant as a time, anything else as it is; raises invalid_date."""
        if item.type != "TEXT":
            return item
        if not isinstance(item, bound.Constant):
            raise self.error(
                "type_mismatch",
                "cannot compare TEXT with TIMESTAMP",
                span,
                "cast it with ::TIMESTAMP",
            )
        value = times.timestamp(str(item.value))
        if value is None:
            raise self._invalid_time(str(item.value), span)
        return bound.Constant(value, "TIMESTAMP")

    def _regex(self, expr: ast.Binary, scope: Scope) -> bound.Expr:
        subject = self.bind(expr.left, scope)
        self.want(subject, "TEXT", expr.op, expr.left.span)
        text = self.text_constant(expr.right, scope, expr.op)
        pattern = self.regex(text, expr.right.span, ignore_case="*" in expr.op)
        result: bound.Expr = bound.Apply(
            bound.MATCHES, (subject, bound.constant(pattern)), "BOOLEAN"
        )
        return bound.Negation(result) if expr.op.startswith("!") else result

    def regex(
        self, text: str, span: Span, *, ignore_case: bool = False, by_line: bool = False
    ) -> str:
        """Returns the RE2 pattern of a GQL regular expression; see `patterns.regex`."""
        try:
            return patterns.regex(text, ignore_case=ignore_case, by_line=by_line)
        except patterns.InvalidPatternError as e:
            raise self.error(
                "invalid_pattern", f"not a regular expression: {e}", span, "the syntax is RE2's"
            ) from None

    def glob(self, text: str, span: Span) -> str:
        """Returns the RE2 pattern of a glob."""
        try:
            return patterns.glob(text)
        except patterns.InvalidPatternError as e:
            raise self.error("invalid_pattern", f"not a glob: {e}", span) from None

    def _like(self, expr: ast.Like, scope: Scope) -> bound.Expr:
        subject = self.bind(expr.operand, scope)
        self.want(subject, "TEXT", expr.op, expr.operand.span)
        if expr.op == "GLOB":
            if expr.escape is not None:
                raise self.error("syntax_error", "GLOB has no ESCAPE", expr.escape.span)
            text = self.text_constant(expr.pattern, scope, "GLOB")
            pattern = bound.Constant(self.glob(text, expr.pattern.span), "TEXT")
            result: bound.Expr = bound.Apply(bound.MATCHES, (subject, pattern), "BOOLEAN")
            prefix = patterns.glob_prefix(text)
            if prefix:
                # The prefix costs a comparison where the pattern costs an automaton.
                starts = bound.Apply(
                    bound.STARTS_WITH, (subject, bound.constant(prefix)), "BOOLEAN"
                )
                result = bound.Junction("AND", (starts, result))
            return bound.Negation(result) if expr.negated else result
        value = self.bind(expr.pattern, scope)
        self.want(value, "TEXT", expr.op, expr.pattern.span)
        self.check_pattern(value, expr.pattern.span)
        if (
            isinstance(value, bound.Constant)
            and "*" in str(value.value)
            and "%" not in str(value.value)
        ):
            self.binder.warnings.append(
                f"* is not a wildcard in {expr.op}: {str(value.value)!r} matches itself alone; did you mean GLOB?"
            )
        word = f"NOT {expr.op}" if expr.negated else expr.op
        if expr.escape is None:
            return bound.Apply(f"({{0}} {word} {{1}})", (subject, value), "BOOLEAN")
        escape = self.text_constant(expr.escape, scope, "ESCAPE")
        if len(escape) != 1:
            raise self.error("invalid_pattern", "ESCAPE takes one character", expr.escape.span)
        return bound.Apply(
            f"({{0}} {word} {{1}} ESCAPE {{2}})",
            (subject, value, bound.constant(escape)),
            "BOOLEAN",
        )

    def _case(self, expr: ast.Case, scope: Scope) -> bound.Expr:
        results: list[bound.Expr] = []
        sql = ["CASE"]
        args: list[bound.Expr] = []

        def hole(x: bound.Expr) -> str:
            args.append(x)
            return f"{{{len(args) - 1}}}"

        for condition, result in expr.branches:
            if expr.operand is None:
                test = self.condition(condition, scope, "WHEN")
            else:
                pair = self.same(
                    [self.bind(expr.operand, scope), self.bind(condition, scope)], condition.span
                )
                test = bound.Apply("({0} = {1})", tuple(pair), "BOOLEAN")
            value = self.bind(result, scope)
            results.append(value)
            sql.append(f"WHEN {hole(test)} THEN {hole(value)}")
        if expr.otherwise is not None:
            value = self.bind(expr.otherwise, scope)
            results.append(value)
            sql.append(f"ELSE {hole(value)}")
        self.same(results, expr.span)
        kinds = [r.type for r in results if r.type != "NULL"]
        kind = "DOUBLE" if "DOUBLE" in kinds else (kinds[0] if kinds else "NULL")
        return bound.Apply("(" + " ".join(sql) + " END)", tuple(args), kind)

    def _cast(self, expr: ast.Cast, scope: Scope) -> bound.Expr:
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
        operand = self.bind(expr.operand, scope)
        if (
            target in ("TIMESTAMP", "DATE")
            and isinstance(operand, bound.Constant)
            and operand.type == "TEXT"
        ):
            # Here, not in DuckDB: its casts of date-times drop the offset.
            operand = self.as_time(operand, expr.operand.span)
        kind = _CAST_TYPES.get(target, target) + lists
        if not _castable(operand.type, kind):
            raise self.error("type_mismatch", f"{operand.type} cannot be cast to {kind}", expr.span)
        return bound.Apply(f"CAST({{0}} AS {target}{lists})", (operand,), kind)

    def part(self, text: str, span: Span) -> str:
        """Returns the part of a time that text names; raises unknown_part."""
        part = text.lower()
        if part not in _PARTS:
            near = difflib.get_close_matches(part, _PARTS, 1)
            raise self.error(
                "unknown_part", f"no part {text!r} of a time", span,
                f"did you mean '{near[0]}'?" if near else "year, quarter, month, week, day, hour, ...",
            )  # fmt: skip
        return part

    def _extract(self, expr: ast.Extract, scope: Scope) -> bound.Expr:
        part = self.part(expr.part, expr.span)
        operand = self.bind(expr.operand, scope)
        self.want(operand, "TIMESTAMP", "EXTRACT", expr.operand.span)
        return bound.Apply("date_part({0}, {1})", (bound.constant(part), operand), "INTEGER")

    # Functions

    def want(self, expr: bound.Expr, wanted: str, name: str, span: Span) -> None:
        """Raises type_mismatch unless `expr` can stand where `wanted` is expected."""
        actual = expr.type
        ok = actual in ("NULL", "ANY", wanted) or wanted == "ANY"
        ok = (
            ok
            or (wanted == "DOUBLE" and actual in _NUMBERS)
            or (wanted == "TIMESTAMP" and actual in _TIMES)
        )
        ok = ok or (wanted == "LIST" and actual.endswith("[]"))
        if not ok:
            raise self.error(
                "type_mismatch", f"{name} takes {wanted}, not {actual}", span, "cast it with ::"
            )

    def _single(self, query: ast.Query, scope: Scope, span: Span) -> bound.BoundQuery:
        inner = self.binder.query(query, scope)
        if len(inner.names) != 1:
            raise self.error(
                "column_count",
                f"the sub-query gives {len(inner.names)} columns, one is needed",
                span,
            )
        return inner

    _binders: ClassVar[dict[type[ast.Node], Callable[..., bound.Expr]]] = {
        ast.TypedLiteral: _typed_literal,
        ast.Parameter: _parameter,
        ast.And: _junction,
        ast.Or: _junction,
        ast.Not: _not,
        ast.Unary: _unary,
        ast.Binary: _binary,
        ast.Between: _between,
        ast.InList: _in_list,
        ast.InQuery: _in_query,
        ast.Quantified: _quantified,
        ast.Exists: _exists,
        ast.Scalar: _scalar,
        ast.Like: _like,
        ast.IsNull: _is_null,
        ast.IsTruth: _is_truth,
        ast.IsDistinct: _is_distinct,
        ast.Case: _case,
        ast.Cast: _cast,
        ast.Extract: _extract,
        ast.Index: _index,
        ast.ListLiteral: _list,
    }


def _castable(source: str, target: str) -> bool:
    if source in ("ANY", "NULL", "TEXT", target) or target == "TEXT":
        return True
    if source.endswith("[]") or source == "LIST" or target.endswith("[]"):
        return source.endswith("[]") == target.endswith("[]") or source == "LIST"
    numbers = {*_NUMBERS, "BOOLEAN"}
    return {source, target} <= numbers or {source, target} <= _TIMES


def _signed(expr: bound.Expr) -> bound.Expr:
    """Returns a whole number of 64 bits with a sign, which positions and literals alone have not."""
    if expr.type != "INTEGER":
        return expr
    if isinstance(expr, bound.Apply) and expr.sql.startswith(("({0} ", "CAST(")):
        return expr  # arithmetic over what has a sign by now
    return bound.Apply("CAST({0} AS BIGINT)", (expr,), "INTEGER")


def _holes(first: int, end: int) -> str:
    return ", ".join(f"{{{i}}}" for i in range(first, end))
