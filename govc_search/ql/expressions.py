"""Binding of expressions: operators, functions, types; text and graph predicates are next door."""

from __future__ import annotations

import difflib
import math
from datetime import date, datetime
from typing import TYPE_CHECKING

from govc_search import catalog
from govc_search.errors import QueryError, Span
from govc_search.ql import ast, bound, patterns, times
from govc_search.ql.predicates import PredicateBinder

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
        self.predicates = PredicateBinder(self)

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
                return constant(expr.value)
            case ast.TypedLiteral():
                return self._typed_literal(expr)
            case ast.Parameter():
                return self._parameter(expr)
            case ast.Name():
                return self.column(expr, scope)
            case ast.And() | ast.Or():
                op = "AND" if isinstance(expr, ast.And) else "OR"
                parts: list[bound.Expr] = []
                for operand in expr.operands:
                    part = self.condition(operand, scope, op)
                    if isinstance(part, bound.Junction) and part.op == op:
                        parts += part.operands
                    else:
                        parts.append(part)
                return bound.Junction(op, tuple(parts))
            case ast.Not():
                return bound.Negation(self.condition(expr.operand, scope, "NOT"))
            case ast.Unary():
                return self._unary(expr, scope)
            case ast.Binary():
                return self._binary(expr, scope)
            case ast.Between():
                x, low, high = self._same(
                    [self.bind(e, scope) for e in (expr.operand, expr.low, expr.high)], expr.span
                )
                sql = (
                    "({0} NOT BETWEEN {1} AND {2})" if expr.negated else "({0} BETWEEN {1} AND {2})"
                )
                return bound.Apply(sql, (x, low, high), "BOOLEAN")
            case ast.InList():
                items = self._same(
                    [self.bind(e, scope) for e in (expr.operand, *expr.items)], expr.span
                )
                holes = ", ".join(f"{{{i}}}" for i in range(1, len(items)))
                word = "NOT IN" if expr.negated else "IN"
                return bound.Apply(f"({{0}} {word} ({holes}))", tuple(items), "BOOLEAN")
            case ast.InQuery():
                inner = self._single(expr.query, scope, expr.span)
                operand = self.bind(expr.operand, scope)
                result = bound.Subquery("in", inner, operand, "BOOLEAN")
                return bound.Negation(result) if expr.negated else result
            case ast.Quantified():
                inner = self._single(expr.query, scope, expr.span)
                if "~" in expr.op:
                    raise self.error(
                        "type_mismatch", f"{expr.op} does not go with {expr.quantifier}", expr.span
                    )
                operand = self.bind(expr.operand, scope)
                return bound.Subquery(f"{expr.op} {expr.quantifier}", inner, operand, "BOOLEAN")
            case ast.Exists():
                return bound.Subquery(
                    "exists", self.binder.query(expr.query, scope), None, "BOOLEAN"
                )
            case ast.Scalar():
                inner = self._single(expr.query, scope, expr.span)
                return bound.Subquery("scalar", inner, None, inner.types[0])
            case ast.Like():
                return self._like(expr, scope)
            case ast.IsNull():
                sql = "({0} IS NOT NULL)" if expr.negated else "({0} IS NULL)"
                return bound.Apply(sql, (self.bind(expr.operand, scope),), "BOOLEAN")
            case ast.IsTruth():
                word = ("NOT " if expr.negated else "") + ("TRUE" if expr.value else "FALSE")
                operand = self.condition(expr.operand, scope, "IS")
                return bound.Apply(f"({{0}} IS {word})", (operand,), "BOOLEAN")
            case ast.IsDistinct():
                pair = self._same([self.bind(e, scope) for e in (expr.left, expr.right)], expr.span)
                word = "IS NOT DISTINCT FROM" if expr.negated else "IS DISTINCT FROM"
                return bound.Apply(f"({{0}} {word} {{1}})", tuple(pair), "BOOLEAN")
            case ast.Case():
                return self._case(expr, scope)
            case ast.Cast():
                return self._cast(expr, scope)
            case ast.Extract():
                return self._extract(expr, scope)
            case ast.Index():
                operand = self.bind(expr.operand, scope)
                if operand.type != "ANY" and not operand.type.endswith("[]"):
                    raise self.error(
                        "type_mismatch", f"[ ] takes a list, not {operand.type}", expr.span
                    )
                index = self.bind(expr.index, scope)
                return bound.Apply("({0})[{1}]", (operand, index), operand.type.removesuffix("[]"))
            case ast.ListLiteral():
                items = self._same([self.bind(e, scope) for e in expr.items], expr.span)
                holes = ", ".join(f"{{{i}}}" for i in range(len(items)))
                kind = items[0].type if items else "ANY"
                return bound.Apply(f"[{holes}]", tuple(items), f"{kind}[]")
            case ast.Call():
                return self._call(expr, scope, top=top)
            case ast.Star():
                raise self.error("syntax_error", "* stands alone, or in count(*)", expr.span)

    # Names

    def find(self, name: ast.Name, scope: Scope) -> bound.Column | bound.DerivedColumn | None:
        """Returns the column of a table that a name means, from the inside out, or None."""
        if len(name.parts) > 2:
            raise self.error("unknown_column", f'no column "{".".join(name.parts)}"', name.span)
        column = name.parts[-1].lower()
        table = name.parts[0].lower() if len(name.parts) == 2 else None
        inner: Scope | None = scope
        while inner is not None:
            found = [
                (r, c)
                for r in inner.relations
                if (table is None or r.alias.lower() == table)
                and (c := _column_of(r, column)) is not None
            ]
            if table is None and len(found) > 1:
                found = [f for f in found if f[0].id not in inner.merged.get(column, ())] or found[
                    :1
                ]
            if len(found) > 1:
                options = " or ".join(f'"{r.alias}.{column}"' for r, _ in found)
                raise self.error(
                    "ambiguous_column",
                    f'"{column}" is in several tables',
                    name.span,
                    f"write {options}",
                )
            if found:
                return found[0][1]
            inner = inner.parent
        return None

    def column(self, name: ast.Name, scope: Scope) -> bound.Expr:
        """Returns the column that a name means, or else what SELECT calls so."""
        found = self.find(name, scope)
        if found is None and len(name.parts) == 1:
            found = scope.aliases.get(name.parts[0].lower())
        if found is None:
            raise self._unknown_column(name, scope)
        return found

    def _unknown_column(self, name: ast.Name, scope: Scope) -> QueryError:
        column = name.parts[-1]
        relations = scope.relations
        if len(name.parts) == 2:
            relations = [r for r in relations if r.alias.lower() == name.parts[0].lower()]
            if not relations:
                aliases = [r.alias for r in scope.relations]
                near = difflib.get_close_matches(name.parts[0], aliases, 1)
                return self.error(
                    "unknown_table", f'no table "{name.parts[0]}" in FROM', name.span,
                    f'did you mean "{near[0]}"?' if near else None,
                )  # fmt: skip
        known: list[str] = []
        for r in relations:
            if isinstance(r, bound.Scan):
                known += [n for c in r.table.columns for n in (c.name, *c.aliases)]
            else:
                known += r.names
        where = " or ".join(dict.fromkeys(
            r.table.name if isinstance(r, bound.Scan) else r.alias or "the sub-query" for r in relations
        ))  # fmt: skip
        near = difflib.get_close_matches(column.lower(), known, 1)
        owners = [t.name for t in catalog.TABLES if t.column(column)]
        hint = f'did you mean "{near[0]}"?' if near else None
        if owners:
            hint = f"it is in {', '.join(owners[:4])}"
        return self.error(
            "unknown_column",
            f'no column "{column}"' + (f" in {where}" if where else ""),
            name.span,
            hint,
        )

    # Values

    def _typed_literal(self, expr: ast.TypedLiteral) -> bound.Expr:
        if expr.type == "INTERVAL":
            return self._interval(expr.text, expr.span)
        value = times.timestamp(expr.text)
        if value is None:
            raise self._invalid_time(expr.text, expr.span)
        if expr.type == "DATE":
            return bound.Apply("CAST({0} AS DATE)", (bound.Constant(value, "TIMESTAMP"),), "DATE")
        return bound.Constant(value, "TIMESTAMP")

    def _interval(self, text: str, span: Span) -> bound.Expr:
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

    def _parameter(self, expr: ast.Parameter) -> bound.Expr:
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
            return bound.Constant(datetime(value.year, value.month, value.day), "TIMESTAMP")  # noqa: DTZ001
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            raise self.error(
                "invalid_text",
                f"the parameter ${expr.name} holds half a character",
                expr.span,
                "text has to be valid Unicode",
            )
        if value is None or isinstance(value, bool | int | float | str):
            return constant(value)
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
            return constant(-operand.value if expr.op == "-" else operand.value)
        if operand.type not in (*_NUMBERS, "INTERVAL", "ANY", "NULL"):
            raise self.error(
                "type_mismatch", f"{expr.op} takes a number, not {operand.type}", expr.span
            )
        return bound.Apply(f"({expr.op} {{0}})", (operand,), operand.type)

    def _binary(self, expr: ast.Binary, scope: Scope) -> bound.Expr:
        op = expr.op
        if "~" in op:
            return self._regex(expr, scope)
        left, right = self.bind(expr.left, scope), self.bind(expr.right, scope)
        if op in ("=", "<>", "<", "<=", ">", ">="):
            left, right = self._same([left, right], expr.span)
            return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "BOOLEAN")
        if op == "||":
            kind = left.type if left.type.endswith("[]") else "TEXT"
            return bound.Apply("({0} || {1})", (left, right), kind)
        kinds = {left.type, right.type} - {"NULL", "ANY"}
        if kinds & _TIMES:
            if op not in "+-":
                raise self.error("type_mismatch", f"{op} does not go with times", expr.span)
            if right.type == "TEXT" and isinstance(right, bound.Constant):
                right = self._interval(str(right.value), expr.right.span)
            if left.type in _TIMES and right.type in _TIMES:
                return bound.Apply(
                    "({0} - {1})", (left, right), "INTERVAL" if "TIMESTAMP" in kinds else "INTEGER"
                )
            return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "TIMESTAMP")
        if kinds - _NUMBERS - {"INTERVAL"}:
            wrong = sorted(kinds - _NUMBERS)[0]
            raise self.error("type_mismatch", f"{op} takes numbers, not {wrong}", expr.span)
        if kinds == {"INTERVAL"}:
            return bound.Apply(f"({{0}} {op} {{1}})", (left, right), "INTERVAL")
        if op in "/%":
            # Division by zero is NULL, for whole numbers and others alike.
            kind = "DOUBLE" if op == "/" or "DOUBLE" in kinds else "INTEGER"
            return bound.Apply(f"({{0}} {op} nullif({{1}}, 0))", (left, right), kind)
        return bound.Apply(
            f"({{0}} {op} {{1}})", (left, right), "DOUBLE" if "DOUBLE" in kinds else "INTEGER"
        )

    def _same(self, items: list[bound.Expr], span: Span) -> list[bound.Expr]:
        """Returns the operands of a comparison, text constants turned into what they stand beside."""
        kinds = {i.type for i in items} - {"NULL", "ANY"}
        if kinds & _TIMES and "TEXT" in kinds:
            items = [self._as_time(i, span) for i in items]
            kinds = {i.type for i in items} - {"NULL", "ANY"}
        if "INTERVAL" in kinds and "TEXT" in kinds:
            items = [
                self._interval(str(i.value), span)
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

    def _as_time(self, item: bound.Expr, span: Span) -> bound.Expr:
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
        result = self.predicates.text_filter(subject, "regex", pattern)
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
                    "starts_with({0}, {1})", (subject, constant(prefix)), "BOOLEAN"
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
            f"({{0}} {word} {{1}} ESCAPE {{2}})", (subject, value, constant(escape)), "BOOLEAN"
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
                pair = self._same(
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
        self._same(results, expr.span)
        kinds = [r.type for r in results if r.type != "NULL"]
        kind = "DOUBLE" if "DOUBLE" in kinds else (kinds[0] if kinds else "NULL")
        return bound.Apply("(" + " ".join(sql) + " END)", tuple(args), kind)

    def _cast(self, expr: ast.Cast, scope: Scope) -> bound.Expr:
        base = expr.type.removesuffix("[]")
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
            operand = self._as_time(operand, expr.operand.span)
        return bound.Apply(
            f"CAST({{0}} AS {target}{lists})", (operand,), _CAST_TYPES.get(target, target) + lists
        )

    def _part(self, text: str, span: Span) -> str:
        part = text.lower()
        if part not in _PARTS:
            near = difflib.get_close_matches(part, _PARTS, 1)
            raise self.error(
                "unknown_part", f"no part {text!r} of a time", span,
                f"did you mean '{near[0]}'?" if near else "year, quarter, month, week, day, hour, ...",
            )  # fmt: skip
        return part

    def _extract(self, expr: ast.Extract, scope: Scope) -> bound.Expr:
        part = self._part(expr.part, expr.span)
        operand = self.bind(expr.operand, scope)
        self.want(operand, "TIMESTAMP", "EXTRACT", expr.operand.span)
        return bound.Apply("date_part({0}, {1})", (constant(part), operand), "INTEGER")

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

    def _call(self, call: ast.Call, scope: Scope, *, top: bool) -> bound.Expr:
        if call.name == "AT TIME ZONE":
            operand, zone = (self.bind(a, scope) for a in call.args)
            self.want(operand, "TIMESTAMP", call.name, call.span)
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
            args = self._same(args, call.span)
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
            return constant(self._part(self.text_constant(arg, scope, function.name), arg.span))
        if wanted == "PATTERN":
            return constant(self.regex(self.text_constant(arg, scope, function.name), arg.span))
        if wanted == "INTERVAL":
            text = self.text_constant(arg, scope, function.name)
            self._interval(text, arg.span)
            return constant(text.strip())
        value = self.bind(arg, scope)
        if wanted == "TIMESTAMP":
            value = self._as_time(value, arg.span) if isinstance(value, bound.Constant) else value
        self.want(value, wanted, function.name, arg.span)
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

    def _aggregate(
        self, function: catalog.Function, sql: str, args: tuple[bound.Expr, ...], call: ast.Call,
        scope: Scope, returns: str,
    ) -> bound.Expr:  # fmt: skip
        if not scope.aggregates_allowed and call.over is None:
            raise self.error(
                "aggregate_place",
                f"{function.name} cannot stand in WHERE",
                call.span,
                "use HAVING, or a sub-query",
            )
        if call.over is None and any(map(bound.has_aggregate, args)):
            raise self.error(
                "aggregate_place", "an aggregate inside an aggregate", call.span, "use a sub-query"
            )
        where = self.condition(call.where, scope, "FILTER") if call.where else None
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
                (kind, self.bind(e, scope) if e is not None else None)
                for kind, e in (f.start, f.end or ("", None))
            ]
            frame = (f.unit, bounds[0][0], bounds[0][1], bounds[1][0] or None, bounds[1][1])
        return bound.WindowCall(
            function,
            tuple(self.bind(p, scope) for p in call.over.partition),
            self._order(call.over.order, scope),
            frame,
            function.type,
        )

    def _order(self, order: tuple[ast.OrderItem, ...], scope: Scope) -> tuple[bound.OrderKey, ...]:
        return tuple(
            bound.OrderKey(self.bind(o.expr, scope), o.descending, o.nulls_first) for o in order
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


def constant(value: str | int | float | bool | None) -> bound.Constant:
    """Returns a constant with the type of the value."""
    kind = (
        "NULL" if value is None
        else "BOOLEAN" if isinstance(value, bool)
        else "INTEGER" if isinstance(value, int)
        else "DOUBLE" if isinstance(value, float)
        else "TEXT"
    )  # fmt: skip
    return bound.Constant(value, kind)


def _column_of(
    relation: bound.Scan | bound.Derived, name: str
) -> bound.Column | bound.DerivedColumn | None:
    if isinstance(relation, bound.Scan):
        column = relation.table.column(name)
        return bound.Column(relation, column) if column else None
    for i, (n, t) in enumerate(zip(relation.names, relation.types, strict=True)):
        if n.lower() == name:
            return bound.DerivedColumn(relation.id, i, t)
    return None
