"""Binding of expressions: operators, functions, types; text and graph predicates are next door."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound, casts, mistakes, names, patterns, times
from govc_search.ql.arithmetic import NUMBERS, TIMES, ArithmeticBinder
from govc_search.ql.calls import CallBinder
from govc_search.ql.casts import CastBinder
from govc_search.ql.parameters import ParameterBinder

if TYPE_CHECKING:
    from govc_search.ql.binder import Binder, Scope

__all__ = ["ExpressionBinder"]

# WHERE is bound in parts, and counted as a whole.
_CLAUSES = {"ON", "HAVING", "QUALIFY", "FILTER", "WHEN"}
# What SQL writes without parentheses.
_MOMENTS = {"current_date", "current_timestamp", "localtimestamp"}
# As many values of a list are compared one by one.
_FEW = 100
_RELATIVE = re.compile(
    r"\b(?:ago|now|today|yesterday|last|days?|weeks?|months?|years?)\b", re.IGNORECASE
)
_PARTS = {
    "year", "quarter", "month", "week", "day", "hour", "minute", "second", "dow", "isodow", "doy",
    "epoch", "decade", "century", "isoyear", "millisecond", "microsecond",
}  # fmt: skip


# What DuckDB hands over of an interval's hours and less is nanoseconds in 64 bits.
_LONGEST_CLOCK = 2_500_000 * 3_600


class ExpressionBinder:
    """Binds expressions for one `Binder`."""

    def __init__(self, binder: Binder) -> None:
        self.binder = binder
        self.error = binder.error
        self.arithmetic = ArithmeticBinder(self)
        self.casts = CastBinder(self)
        self.calls = CallBinder(self)
        self.parameters = ParameterBinder(self)

    def condition(self, expr: ast.Expr, scope: Scope, clause: str) -> bound.Expr:
        """Returns a bound expression that must be boolean."""
        rows = self.calls.rows_made
        result = self.bind(expr, scope)
        if self.calls.rows_made > rows:
            raise self.error(
                "unnest_place", f"unnest makes rows, and {clause} is asked of each row", expr.span,
                "use it in SELECT, and this around it",
            )  # fmt: skip
        if result.type not in ("BOOLEAN", "NULL", "ANY"):
            raise self.error(
                "type_mismatch", f"{clause} takes a condition, not {result.type}", expr.span,
                "compare it with something",
            )  # fmt: skip
        if clause in _CLAUSES:
            self.binder.check_leaves(result, expr.span)
        return result

    def bind(self, expr: ast.Expr, scope: Scope, *, top: bool = False) -> bound.Expr:
        """Returns the bound expression; `top` says that it is an item of SELECT itself."""
        match expr:
            case ast.Literal():
                return bound.constant(expr.value)
            case ast.Name():
                if expr.parts[-1].lower() in _MOMENTS and len(expr.parts) == 1:
                    found = names.find(expr, scope, self.error)
                    return found or self.calls.bind(
                        ast.Call(*expr.parts, (), span=expr.span), scope, top=False
                    )
                return names.column(expr, scope, self.error, self._called(expr, scope))
            case ast.Call():
                return self.calls.bind(expr, scope, top=top)
            case ast.Star():
                raise self.error("syntax_error", "* stands alone, or in count(*)", expr.span)
        return self._binders[type(expr)](self, expr, scope)

    def _called(self, name: ast.Name, scope: Scope) -> names.Called | None:
        """Returns what binds the item that SELECT calls so, or None if there is none."""
        key = name.parts[0].lower() if len(name.parts) == 1 else ""
        if key in scope.aliases:
            return lambda: scope.aliases[key]
        if scope.clause != "WHERE" or key not in scope.written:
            return None

        def bind() -> bound.Expr:
            # An item that has its own name in it means a column by that.
            written, scope.written = scope.written, {}
            found = self.bind(written[key], scope)
            scope.written = written
            return found

        return bind

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
        given = (expr.operand, expr.low, expr.high)
        parts = [self.bind(e, scope) for e in given]
        word = "NOT BETWEEN" if expr.negated else "BETWEEN"
        items = tuple(self.same(parts, expr.span, at=[e.span for e in given]))
        return bound.Apply(f"({{0}} {word} {{1}} AND {{2}})", items, "BOOLEAN")

    def _in_list(self, expr: ast.InList, scope: Scope) -> bound.Expr:
        operand, *items = (self.bind(e, scope) for e in (expr.operand, *expr.items))
        at = [expr.operand.span, *(e.span for e in expr.items)]
        return self._one_of(operand, items, expr, at)

    def _one_of(
        self,
        operand: bound.Expr,
        items: list[bound.Expr],
        expr: ast.InList | ast.InValue,
        at: Sequence[Span] = (),
    ) -> bound.Expr:
        parts = tuple(self.same([operand, *items], expr.span, at=at))
        self.binder.warnings += mistakes.of_comparison([*parts])
        word = "NOT IN" if expr.negated else "IN"
        return bound.Apply(f"({{0}} {word} ({_holes(1, len(parts))}))", parts, "BOOLEAN")

    def _in_value(self, expr: ast.InValue, scope: Scope) -> bound.Expr:
        if isinstance(expr.value, ast.ListLiteral) and expr.value.items:
            in_list = ast.InList(expr.operand, expr.value.items, expr.negated, span=expr.span)
            return self._in_list(in_list, scope)
        value = self.bind(expr.value, scope)
        self.want(value, "LIST", "IN", expr.value.span)
        operand, kind = self.bind(expr.operand, scope), value.type.removesuffix("[]")
        sql = "list_contains({1}, {0})"
        if isinstance(value, bound.Constant) and isinstance(value.value, tuple):
            if not value.value:
                return bound.constant(expr.negated)
            if len(value.value) <= _FEW:
                items: list[bound.Expr] = [
                    bound.Constant(v, "NULL" if v is None else kind) for v in value.value
                ]
                return self._one_of(operand, items, expr)
            # One by one they would be looked through for every row.
            sql = "({0} IN (SELECT unnest({1})))"
        operand = self.same([operand, bound.DerivedColumn(0, 0, kind)], expr.span)[0]
        result = bound.Apply(sql, (operand, value), "BOOLEAN")
        return bound.Negation(result) if expr.negated else result

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
        more = self.error(
            "too_many_rows",
            "the sub-query gives more than one row, and one value is needed",
            expr.span,
            "add LIMIT 1, or use IN or an aggregate",
        )
        return bound.Subquery("scalar", inner, None, inner.types[0], bound.Fault("error", more))

    def _beside(
        self, operand: ast.Expr, inner: bound.BoundQuery, scope: Scope, span: Span
    ) -> bound.Expr:
        """Returns the operand of a comparison with the rows of a sub-query."""
        column = bound.DerivedColumn(0, 0, inner.types[0])
        return self.same([self.bind(operand, scope), column], span)[0]

    # Lists

    def _index(self, expr: ast.Index, scope: Scope) -> bound.Expr:
        operand = self.bind(expr.operand, scope)
        if operand.type == "MAP":
            return bound.Apply("({0})[{1}]", (operand, self.bind(expr.index, scope)), "ANY")
        if operand.type not in ("ANY", "LIST", "TEXT") and not operand.type.endswith("[]"):
            raise self.error("type_mismatch", f"[ ] takes a list, not {operand.type}", expr.span)
        index = self._place(expr.index, scope)
        kind = "ANY" if operand.type == "LIST" else operand.type.removesuffix("[]")
        return bound.Apply("({0})[{1}]", (operand, index), kind)

    def _slice(self, expr: ast.Slice, scope: Scope) -> bound.Expr:
        operand = self.bind(expr.operand, scope)
        if operand.type != "TEXT":
            self.want(operand, "LIST", "[ : ]", expr.operand.span)
        # An end that is left out is the end of the list; NULL would make all of it NULL.
        ends = [self._place(e, scope) if e else None for e in (expr.start, expr.end)]
        holes = [f"{{{1 + i - (ends[0] is None)}}}" if e else "" for i, e in enumerate(ends)]
        args = (operand, *(e for e in ends if e is not None))
        return bound.Apply(f"({{0}})[{holes[0]}:{holes[1]}]", args, operand.type)

    def _place(self, expr: ast.Expr, scope: Scope) -> bound.Expr:
        """Returns a place in a list or text, which counts from 1, or from -1 backwards."""
        index = self.bind(expr, scope)
        self.want(index, "INTEGER", "[ ]", expr.span)
        if not isinstance(index, bound.Constant):
            return self.arithmetic.signed(index, expr.span)
        if isinstance(index.value, int) and abs(index.value) >= 1 << 63:
            raise self.error("argument_too_large", "[ ] takes numbers of 64 bits", expr.span)
        return index

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
            raise self.invalid_time(expr.text, expr.span)
        if expr.type == "DATE":
            return bound.Apply("CAST({0} AS DATE)", (bound.Constant(value, "TIMESTAMP"),), "DATE")
        return bound.Constant(value, "TIMESTAMP")

    def interval(self, text: str, span: Span) -> bound.Expr:
        """Returns the interval that text is; raises invalid_interval."""
        self.check_interval(text, span)
        return bound.Apply(
            "CAST({0} AS INTERVAL)", (bound.Constant(text.strip(), "TEXT"),), "INTERVAL"
        )

    def check_interval(self, text: str, span: Span, years: int = 10_000) -> times.Interval:
        """Returns the parts of an interval; raises invalid_interval, also beyond some years."""
        found = times.interval(text)
        if found is None:
            raise self.error(
                "invalid_interval",
                f"{text!r} is not an interval",
                span,
                "write '2 weeks' or '1 year 6 months'",
            )
        if found.years > years or abs(found.seconds) > _LONGEST_CLOCK:
            limit = years if found.years > years else int(_LONGEST_CLOCK / (365.25 * 86_400))
            raise self.error(
                "invalid_interval",
                f"{text!r} is too long: at most {limit} years can be told"
                + (" in hours or less" if found.years <= years else ""),
                span,
                "times are of the years 1 to 9999",
            )
        return found

    def invalid_time(self, text: str, span: Span) -> QueryError:
        """Returns the error of a text that is no date."""
        return self.error(
            "invalid_date",
            f"{text!r} is not a date",
            span,
            "AGO('2 weeks') and NOW() are relative to now"
            if _RELATIVE.search(text)
            else "write '2024-06-01' or '2024-06-01T12:00:00+02:00'",
        )

    def _parameter(self, expr: ast.Parameter, scope: Scope) -> bound.Expr:
        return self.parameters.bind(expr, scope)

    def text_constant(self, expr: ast.Expr, scope: Scope, what: str) -> str:
        """Returns the text of a constant or parameter, such as a pattern."""
        value = self.bind(expr, scope)
        if not isinstance(value, bound.Constant):
            raise self.error(
                "pattern_not_constant", f"{what} takes text or a parameter here", expr.span,
            )  # fmt: skip
        if not isinstance(value.value, str):
            raise self.error(
                "type_mismatch", f"{what} takes text here, not {value.type}", expr.span
            )
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
        return self.arithmetic.unary(expr, scope)

    def _binary(self, expr: ast.Binary, scope: Scope) -> bound.Expr:
        op = expr.op
        if "~" in op:
            return self._regex(expr, scope)
        if op not in ("=", "<>", "<", "<=", ">", ">=", "||"):
            return self.arithmetic.binary(expr, scope)
        left, right = self.bind(expr.left, scope), self.bind(expr.right, scope)
        if op != "||":
            left, right = self.same([left, right], expr.span, at=[expr.left.span, expr.right.span])
            if op == "=":
                self.binder.warnings += mistakes.of_comparison([left, right])
            return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "BOOLEAN")
        if _is_list(left.type) or _is_list(right.type):
            self.same([left, right], expr.span)
        kind = next((e.type for e in (left, right) if _is_list(e.type)), "TEXT")
        return bound.Apply("({0} || {1})", (left, right), kind)

    def same(
        self,
        items: list[bound.Expr],
        span: Span,
        wrong: str = "cannot compare {} with {}",
        at: Sequence[Span] = (),
    ) -> list[bound.Expr]:
        """Returns the operands of a comparison, text constants turned into what they stand beside.

        Raises type_mismatch, which says what is `wrong` with two types; `at` are their places.
        """
        kinds = {i.type for i in items} - {"NULL", "ANY"}
        if (kinds & NUMBERS or "BOOLEAN" in kinds) and len(kinds) > 1:
            items = [casts.meant(i, kinds) for i in items]
            kinds = {i.type for i in items} - {"NULL", "ANY"}
        if kinds & TIMES and "TEXT" in kinds:
            items = [self.as_time(i, at[n] if at else span) for n, i in enumerate(items)]
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
            "number" if k in NUMBERS else "time" if k in TIMES else "list" if _is_list(k) else k
            for k in kinds
        }
        if len(families) > 1:
            a, b = sorted(kinds)[:2] if len(kinds) == 2 else sorted(families)[:2]
            raise self.error("type_mismatch", wrong.format(a, b), span, "cast one of them with ::")
        if families == {"list"}:
            inner = {k.removesuffix("[]") for k in kinds} - {"LIST"}
            self.same([bound.DerivedColumn(0, 0, k) for k in sorted(inner)], span, wrong)
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
            raise self.invalid_time(str(item.value), span)
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
        if isinstance(value, bound.Constant):
            self.binder.warnings += mistakes.of_pattern(expr.op, value.value)
        word = f"NOT {expr.op}" if expr.negated else expr.op
        if expr.escape is None:
            return bound.Apply(f"({{0}} {word} {{1}})", (subject, value), "BOOLEAN")
        escape = self.text_constant(expr.escape, scope, "ESCAPE")
        if len(escape) != 1:
            raise self.error("invalid_pattern", "ESCAPE takes one character", expr.escape.span)
        text = self.text_constant(expr.pattern, scope, f"{expr.op} with ESCAPE")
        if text.replace(escape * 2, "").endswith(escape):
            raise self.error(
                "invalid_pattern", "nothing follows the escape character at the end", expr.pattern.span
            )  # fmt: skip
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
        return self.casts.cast(expr, scope)

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
        kind = "DOUBLE" if part == "epoch" else "INTEGER"
        return bound.Apply("date_part({0}, {1})", (bound.constant(part), operand), kind)

    # Functions

    def want(self, expr: bound.Expr, wanted: str, name: str, span: Span) -> None:
        """Raises type_mismatch unless `expr` can stand where `wanted` is expected."""
        actual = expr.type
        ok = actual in ("NULL", "ANY", wanted) or wanted == "ANY"
        ok = (
            ok
            or (wanted == "DOUBLE" and actual in NUMBERS)
            or (wanted == "TIMESTAMP" and actual in TIMES)
        )
        ok = ok or actual in wanted.split("|")
        match wanted:
            case "SOME":
                # What has no type, or none that a file of columns could hold as a key.
                ok = actual not in ("NULL", "INTERVAL")
            case "NUMBERS":
                ok = ok or actual in ("LIST", "INTEGER[]", "DOUBLE[]")
            case "LISTS":
                ok = ok or actual.endswith("[][]")
            case _:
                ok = ok or ("LIST" in wanted and actual.endswith("[]"))
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
        ast.InValue: _in_value,
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
        ast.Slice: _slice,
        ast.ListLiteral: _list,
    }


def _is_list(kind: str) -> bool:
    return kind == "LIST" or kind.endswith("[]")


def _holes(first: int, end: int) -> str:
    return ", ".join(f"{{{i}}}" for i in range(first, end))
