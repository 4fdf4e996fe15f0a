"""Lark's parse tree to our syntax tree; a method for each rule or alias of the grammar."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lark
from lark.tree import Meta

from govc_search.errors import QueryError, Span
from govc_search.ql import ast
from govc_search.ql.dialects import ALIASES

__all__ = ["build", "span_of"]

# Long chains of one operator nest to the left, and the passes over the tree are recursive: what
# is deeper than this could outgrow the stack.
_CHAIN = 100
# What makes a list, and so a table of one column.
_OF_LISTS = frozenset({"unnest", "generate_series", "range"})


def build(tree: lark.Tree[lark.Token], text: str) -> ast.Statement:
    """Returns the syntax tree of a parse tree of `text`; raises QueryError."""
    try:
        statement = _Builder(text).transform(tree)
    except lark.exceptions.VisitError as e:
        if isinstance(e.orig_exc, QueryError):
            raise e.orig_exc from None
        raise
    assert isinstance(statement, ast.Statement)
    return statement


def span_of(meta: Meta) -> Span:
    """Returns where a node of the parse tree stands in the text."""
    return Span(0, 0) if meta.empty else Span(meta.start_pos, meta.end_pos)


def _words(children: list[Any]) -> set[str]:
    """Returns the keywords among the children, which the grammar keeps as tokens."""
    return {c.type for c in children if isinstance(c, lark.Token)}


def _nodes(children: list[Any]) -> list[Any]:
    return [c for c in children if not isinstance(c, lark.Token)]


class _Clause(tuple[str, Any]):
    """A named part of a SELECT or query, gathered by the rule above it."""

    __slots__ = ()


def _clause(name: str) -> Callable[..., Any]:
    def gather(_self: Any, _meta: Meta, children: list[Any]) -> _Clause:
        return _Clause((name, _nodes(children)))

    return gather


@lark.v_args(meta=True)
class _Builder(lark.Transformer[lark.Token, Any]):
    """Builds the tree bottom-up; a method per rule or alias of the grammar."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.placeholders = 0

    # Statements

    def start(self, meta: Meta, c: list[Any]) -> Any:
        return _nodes(c)[0]

    def explain(self, meta: Meta, c: list[Any]) -> ast.Explain:
        return ast.Explain(_nodes(c)[0], "ANALYZE" in _words(c), span=span_of(meta))

    def show(self, meta: Meta, c: list[Any]) -> ast.Show:
        what = str(c[-1]).lower()
        if what not in ("tables", "functions"):
            raise QueryError(
                "syntax_error",
                f"cannot show {what!r}",
                hint="expected TABLES or FUNCTIONS",
                span=Span(c[-1].start_pos, c[-1].end_pos),
                source=self.text,
            )
        return ast.Show(what, span=span_of(meta))

    def describe(self, meta: Meta, c: list[Any]) -> ast.Describe:
        name = _nodes(c)[0]
        return ast.Describe(name.value, span=name.span)

    # Queries

    def query(self, meta: Meta, c: list[Any]) -> ast.Query:
        parts: dict[str, Any] = {}
        body: Any = None
        for child in _nodes(c):
            if isinstance(child, _Clause):
                if child[0] in parts:
                    raise QueryError(
                        "syntax_error",
                        f"{child[0].upper()} twice",
                        span=span_of(meta),
                        source=self.text,
                    )
                parts[child[0]] = child[1]
            else:
                body = child
        recursive, ctes = parts.get("with", (False, ()))
        order = parts.get("order", [])
        return ast.Query(
            body,
            ctes=tuple(ctes),
            recursive=recursive,
            order_by=tuple(order),
            order_all=parts["order_all"][0] if "order_all" in parts else None,
            limit=parts["limit"][0] if "limit" in parts else None,
            offset=parts["offset"][0] if "offset" in parts else None,
            span=span_of(meta),
        )

    def with_(self, meta: Meta, c: list[Any]) -> _Clause:
        return _Clause(("with", ("RECURSIVE" in _words(c), _nodes(c))))

    def cte(self, meta: Meta, c: list[Any]) -> ast.Cte:
        name, *rest = _nodes(c)
        columns = tuple(rest[0]) if len(rest) == 2 else ()
        return ast.Cte(name.value, columns, rest[-1], span=name.span)

    def _set(self, op: str, meta: Meta, c: list[Any]) -> ast.SetOperation:
        left, right = _nodes(c)
        return ast.SetOperation(op, "ALL" in _words(c), left, right, span=span_of(meta))

    def union(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("UNION", meta, c)

    def except_(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("EXCEPT", meta, c)

    def intersect(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("INTERSECT", meta, c)

    def values(self, meta: Meta, c: list[Any]) -> ast.Values:
        return ast.Values(tuple(_nodes(c)), span=span_of(meta))

    def row(self, meta: Meta, c: list[Any]) -> tuple[ast.Expr, ...]:
        return tuple(_nodes(c))

    def select(self, meta: Meta, c: list[Any]) -> ast.Select:
        items = tuple(x for x in c if isinstance(x, ast.SelectItem))
        parts = {x[0]: x[1] for x in c if isinstance(x, _Clause)}

        def one(name: str) -> Any:
            return parts[name][0] if name in parts else None

        return ast.Select(
            items,
            one("from"),
            one("where"),
            tuple(parts.get("group", ())),
            "group_all" in parts,
            one("having"),
            one("qualify"),
            "distinct" in parts or "distinct_on" in parts,
            tuple(parts.get("distinct_on", ())),
            tuple(parts.get("windows", ())),
            span=span_of(meta),
        )

    distinct = _clause("distinct")
    distinct_on = _clause("distinct_on")
    not_distinct = _clause("all")
    where = _clause("where")
    group_by = _clause("group")
    group_all = _clause("group_all")
    having = _clause("having")
    windows = _clause("windows")
    qualify = _clause("qualify")
    order_by = _clause("order")
    limit = _clause("limit")
    offset = _clause("offset")

    def _sets(self, kind: str, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return ast.GroupingSets(kind, tuple(_nodes(c)), span=span_of(meta))

    def rollup(self, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return self._sets("rollup", meta, c)

    def cube(self, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return self._sets("cube", meta, c)

    def grouping_sets(self, meta: Meta, c: list[Any]) -> ast.GroupingSets:
        return self._sets("sets", meta, c)

    def keys(self, meta: Meta, c: list[Any]) -> tuple[ast.Expr, ...]:
        return tuple(c)

    def named_window(self, meta: Meta, c: list[Any]) -> tuple[str, ast.Window]:
        name, window = _nodes(c)
        return (name.value, window)

    def order_all(self, meta: Meta, c: list[Any]) -> _Clause:
        item = self.order_item(meta, [ast.Star(None, span=span_of(meta)), *_nodes(c)])
        return _Clause(("order_all", [item]))

    def select_item(self, meta: Meta, c: list[Any]) -> ast.SelectItem:
        expr, *alias = _nodes(c)
        return ast.SelectItem(expr, alias[0].value if alias else None, span=span_of(meta))

    def star(self, meta: Meta, c: list[Any]) -> ast.Star:
        nodes = _nodes(c)
        return ast.Star(None, tuple(nodes[0]) if nodes else (), span=span_of(meta))

    def table_star(self, meta: Meta, c: list[Any]) -> ast.Star:
        nodes = _nodes(c)
        return ast.Star(
            nodes[0].value, tuple(nodes[1]) if len(nodes) > 1 else (), span=span_of(meta)
        )

    def exclude(self, meta: Meta, c: list[Any]) -> tuple[str, ...]:
        return tuple(_nodes(c)[0])

    def from_(self, meta: Meta, c: list[Any]) -> _Clause:
        items = _nodes(c)
        if len(items) > _CHAIN:
            raise self._chain("tables", meta)
        result = items[0]
        for item in items[1:]:
            result = ast.Join("cross", result, item, None, (), span=item.span)
        return _Clause(("from", [result]))

    def _chain(self, what: str, meta: Meta) -> QueryError:
        return QueryError(
            "query_too_deep",
            f"more than {_CHAIN} {what} in a row",
            span=span_of(meta),
            source=self.text,
        )

    def from_parens(self, meta: Meta, c: list[Any]) -> Any:
        return _nodes(c)[0]

    def join_on(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, kind, right, on = _nodes(c)
        return ast.Join(kind, left, right, on, (), span=span_of(meta))

    def join_using(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, kind, right, using = _nodes(c)
        return ast.Join(kind, left, right, None, tuple(using), span=span_of(meta))

    def join_cross(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, right = _nodes(c)
        return ast.Join("cross", left, right, None, (), span=span_of(meta))

    def inner(self, meta: Meta, c: list[Any]) -> str:
        return "inner"

    def left(self, meta: Meta, c: list[Any]) -> str:
        return "left"

    def right(self, meta: Meta, c: list[Any]) -> str:
        return "right"

    def full(self, meta: Meta, c: list[Any]) -> str:
        return "full"

    def semi(self, meta: Meta, c: list[Any]) -> str:
        return "semi"

    def anti(self, meta: Meta, c: list[Any]) -> str:
        return "anti"

    def table_name(self, meta: Meta, c: list[Any]) -> ast.TableName:
        name, *alias = _nodes(c)
        return ast.TableName(name.value, alias[0].value if alias else None, span=name.span)

    table_arguments = _clause("arguments")

    def table_function(self, meta: Meta, c: list[Any]) -> ast.TableFunction | ast.DerivedTable:
        name, arguments, *rest = _nodes(c)
        alias = rest[0].value if rest else None
        if name.value.lower() in _OF_LISTS:
            return self._of_list(name, tuple(arguments[1]), alias, *rest[1:], span=span_of(meta))
        if "LATERAL" in _words(c) or len(rest) > 1:
            raise QueryError(
                "syntax_error", f"{name.value} takes neither LATERAL nor names of columns",
                span=span_of(meta), source=self.text,
            )  # fmt: skip
        return ast.TableFunction(name.value, tuple(arguments[1]), alias, span=span_of(meta))

    def _of_list(
        self,
        name: ast.Literal,
        args: tuple[ast.Expr, ...],
        alias: str | None,
        columns: tuple[str, ...] = (),
        *,
        span: Span,
    ) -> ast.DerivedTable:
        """Returns the rows of a list: LATERAL (SELECT unnest(...) AS alias)."""
        rows = ast.Call(str(name.value), args, span=span)
        if rows.name.lower() != "unnest":
            rows = ast.Call("unnest", (rows,), span=span)
        called = alias or str(name.value)
        item = ast.SelectItem(rows, called, span=span)
        select = ast.Select((item,), None, None, (), False, None, None, False, span=span)
        return ast.DerivedTable(
            ast.Query(select, span=span), called, columns, lateral=True, span=span
        )

    def derived_table(self, meta: Meta, c: list[Any]) -> ast.DerivedTable:
        query, *rest = _nodes(c)
        return ast.DerivedTable(
            query,
            rest[0].value if rest else None,
            tuple(rest[1]) if len(rest) > 1 else (),
            "LATERAL" in _words(c),
            span=span_of(meta),
        )

    def order_item(self, meta: Meta, c: list[Any]) -> ast.OrderItem:
        expr, *rest = c
        nulls = [r for r in rest if r in ("nulls_first", "nulls_last")]
        return ast.OrderItem(
            expr,
            "descending" in rest,
            (nulls[0] == "nulls_first") if nulls else None,
            span=span_of(meta),
        )

    def ascending(self, meta: Meta, c: list[Any]) -> str:
        return "ascending"

    def descending(self, meta: Meta, c: list[Any]) -> str:
        return "descending"

    def nulls_first(self, meta: Meta, c: list[Any]) -> str:
        return "nulls_first"

    def nulls_last(self, meta: Meta, c: list[Any]) -> str:
        return "nulls_last"

    # Expressions

    def or_(self, meta: Meta, c: list[Any]) -> ast.Or:
        return ast.Or(tuple(_nodes(c)), span=span_of(meta))

    def and_(self, meta: Meta, c: list[Any]) -> ast.And:
        return ast.And(tuple(_nodes(c)), span=span_of(meta))

    def not_(self, meta: Meta, c: list[Any]) -> ast.Not:
        return ast.Not(_nodes(c)[0], span=span_of(meta))

    def compare(self, meta: Meta, c: list[Any]) -> ast.Binary:
        op = str(c[1])
        return ast.Binary("<>" if op == "!=" else op, c[0], c[2], span=span_of(meta))

    def quantifier(self, meta: Meta, c: list[Any]) -> str:
        return "ALL" if c[0].type == "ALL" else "ANY"

    def quantified(self, meta: Meta, c: list[Any]) -> ast.Quantified:
        op = str(c[1])
        return ast.Quantified("<>" if op == "!=" else op, c[0], c[2], c[3], span=span_of(meta))

    def between(self, meta: Meta, c: list[Any]) -> ast.Between:
        operand, low, high = _nodes(c)
        return ast.Between(operand, low, high, "NOT" in _words(c), span=span_of(meta))

    def in_list(self, meta: Meta, c: list[Any]) -> ast.InList:
        operand, *items = _nodes(c)
        return ast.InList(operand, tuple(items), "NOT" in _words(c), span=span_of(meta))

    def in_value(self, meta: Meta, c: list[Any]) -> ast.InValue:
        operand, value = _nodes(c)
        return ast.InValue(operand, value, "NOT" in _words(c), span=span_of(meta))

    def in_query(self, meta: Meta, c: list[Any]) -> ast.InQuery:
        operand, query = _nodes(c)
        return ast.InQuery(operand, query, "NOT" in _words(c), span=span_of(meta))

    def like_op(self, meta: Meta, c: list[Any]) -> str:
        return str(c[0].type)

    def like(self, meta: Meta, c: list[Any]) -> ast.Like:
        operand, op, pattern, *escape = _nodes(c)
        return ast.Like(
            op,
            operand,
            pattern,
            escape[0] if escape else None,
            "NOT" in _words(c),
            span=span_of(meta),
        )

    def text_match(self, meta: Meta, c: list[Any]) -> ast.Expr:
        operand, pattern = _nodes(c)
        op = "MATCH" if "MATCH" in _words(c) else "CONTAINS"
        result = ast.Call(op, (operand, pattern), span=span_of(meta))
        return ast.Not(result, span=span_of(meta)) if "NOT" in _words(c) else result

    def is_null(self, meta: Meta, c: list[Any]) -> ast.IsNull:
        return ast.IsNull(_nodes(c)[0], "NOT" in _words(c), span=span_of(meta))

    def is_truth(self, meta: Meta, c: list[Any]) -> ast.IsTruth:
        words = _words(c)
        return ast.IsTruth(_nodes(c)[0], "TRUE" in words, "NOT" in words, span=span_of(meta))

    def is_distinct(self, meta: Meta, c: list[Any]) -> ast.IsDistinct:
        left, right = _nodes(c)
        return ast.IsDistinct(left, right, "NOT" in _words(c), span=span_of(meta))

    def concat(self, meta: Meta, c: list[Any]) -> ast.Expr:
        operands = _nodes(c)
        return self._left_fold(meta, operands, ["||"] * (len(operands) - 1))

    def additive(self, meta: Meta, c: list[Any]) -> ast.Expr:
        return self._left_fold(meta, c[::2], [str(op) for op in c[1::2]])

    multiplicative = additive

    def _left_fold(self, meta: Meta, operands: list[Any], operators: list[str]) -> ast.Expr:
        if len(operators) > _CHAIN:
            raise self._chain("operators", meta)
        result: ast.Expr = operands[0]
        for op, right in zip(operators, operands[1:], strict=True):
            result = ast.Binary(op, result, right, span=Span(result.span.start, right.span.end))
        return result

    def unary(self, meta: Meta, c: list[Any]) -> ast.Expr:
        return ast.Unary(str(c[0]), c[1], span=span_of(meta))

    def cast(self, meta: Meta, c: list[Any]) -> ast.Cast:
        operand, type_ = _nodes(c)
        return ast.Cast(operand, type_, "TRY_CAST" in _words(c), span=span_of(meta))

    def index(self, meta: Meta, c: list[Any]) -> ast.Index:
        return ast.Index(c[0], c[1], span=span_of(meta))

    from_index = _clause("from")
    to_index = _clause("to")

    def slice(self, meta: Meta, c: list[Any]) -> ast.Slice:
        operand, *ends = c
        parts = {x[0]: x[1][0] for x in ends}
        return ast.Slice(operand, parts.get("from"), parts.get("to"), span=span_of(meta))

    def at_time_zone(self, meta: Meta, c: list[Any]) -> ast.Call:
        operand, zone = _nodes(c)
        return ast.Call("AT TIME ZONE", (operand, zone), span=span_of(meta))

    def typed_literal(self, meta: Meta, c: list[Any]) -> ast.TypedLiteral:
        kind = str(c[0]).upper()
        if kind not in ("DATE", "TIMESTAMP"):
            raise QueryError(
                "syntax_error",
                f"unexpected text after {str(c[0])!r}",
                hint="DATE, TIMESTAMP and INTERVAL may stand before text",
                span=span_of(meta),
                source=self.text,
            )
        return ast.TypedLiteral(kind, _unquote(c[1]), span=span_of(meta))

    def interval(self, meta: Meta, c: list[Any]) -> ast.TypedLiteral:
        number = _unquote(c[1]) if c[1].type == "STRING" else str(c[1])
        return ast.TypedLiteral(
            "INTERVAL", " ".join([number, *map(str, c[2:])]), span=span_of(meta)
        )

    def intervals(self, meta: Meta, c: list[Any]) -> ast.Binary:
        unit = ast.TypedLiteral("INTERVAL", f"1 {c[2]}", span=span_of(meta))
        return ast.Binary("*", c[1], unit, span=span_of(meta))

    def parens(self, meta: Meta, c: list[Any]) -> Any:
        return c[0]

    def scalar(self, meta: Meta, c: list[Any]) -> ast.Scalar:
        return ast.Scalar(_nodes(c)[0], span=span_of(meta))

    def exists(self, meta: Meta, c: list[Any]) -> ast.Exists:
        return ast.Exists(_nodes(c)[0], span=span_of(meta))

    def when(self, meta: Meta, c: list[Any]) -> _Clause:
        condition, result = _nodes(c)
        return _Clause(("when", (condition, result)))

    def else_(self, meta: Meta, c: list[Any]) -> _Clause:
        return _Clause(("else", _nodes(c)[0]))

    def case(self, meta: Meta, c: list[Any]) -> ast.Case:
        nodes = _nodes(c)
        clauses = [n for n in nodes if isinstance(n, _Clause)]
        operand = nodes[0] if not isinstance(nodes[0], _Clause) else None
        otherwise = [n[1] for n in clauses if n[0] == "else"]
        return ast.Case(
            operand,
            tuple(n[1] for n in clauses if n[0] == "when"),
            otherwise[0] if otherwise else None,
            span=span_of(meta),
        )

    def extract(self, meta: Meta, c: list[Any]) -> ast.Extract:
        part = next(t for t in c if isinstance(t, lark.Token) and t.type == "NAME")
        return ast.Extract(str(part).lower(), _nodes(c)[0], span=span_of(meta))

    def list_literal(self, meta: Meta, c: list[Any]) -> ast.ListLiteral:
        return ast.ListLiteral(tuple(_nodes(c)), span=span_of(meta))

    def function(self, meta: Meta, c: list[Any]) -> str:
        return str(c[0])

    def count_star(self, meta: Meta, c: list[Any]) -> _Clause:
        return _Clause(("star", ()))

    def arguments(self, meta: Meta, c: list[Any]) -> _Clause:
        order: tuple[ast.OrderItem, ...] = ()
        args: list[ast.Expr] = []
        named: list[ast.NamedArgument] = []
        for child in _nodes(c):
            if isinstance(child, _Clause):
                order = tuple(child[1])
            elif isinstance(child, ast.NamedArgument):
                named.append(child)
            else:
                args.append(child)
        words = "DISTINCT" in _words(c)
        return _Clause(("arguments", (tuple(args), tuple(named), words, order)))

    def named_argument(self, meta: Meta, c: list[Any]) -> ast.NamedArgument:
        return ast.NamedArgument(str(c[0]).lower(), c[-1], span=span_of(meta))

    call_order = _clause("order")
    filter_ = _clause("filter")
    partition = _clause("partition")

    def over(self, meta: Meta, c: list[Any]) -> _Clause:
        return _Clause(("over", _nodes(c)[0]))

    def over_name(self, meta: Meta, c: list[Any]) -> _Clause:
        name = _nodes(c)[0]
        return _Clause(("over", ast.Window(name=name.value, whole=True, span=name.span)))

    def window(self, meta: Meta, c: list[Any]) -> ast.Window:
        base = [x for x in c if isinstance(x, ast.Literal)]
        parts = {x[0]: x[1] for x in c if isinstance(x, _Clause)}
        return ast.Window(
            tuple(parts.get("partition", ())),
            tuple(parts.get("order", ())),
            parts.get("frame"),
            str(base[0].value) if base else None,
            span=base[0].span if base else span_of(meta),
        )

    def frame(self, meta: Meta, c: list[Any]) -> _Clause:
        start, *end = _nodes(c)
        return _Clause(("frame", ast.Frame(str(c[0].type), start, end[0] if end else None)))

    def unbounded_preceding(self, meta: Meta, c: list[Any]) -> tuple[str, None]:
        return ("UNBOUNDED PRECEDING", None)

    def unbounded_following(self, meta: Meta, c: list[Any]) -> tuple[str, None]:
        return ("UNBOUNDED FOLLOWING", None)

    def current_row(self, meta: Meta, c: list[Any]) -> tuple[str, None]:
        return ("CURRENT ROW", None)

    def preceding(self, meta: Meta, c: list[Any]) -> tuple[str, ast.Expr]:
        return ("PRECEDING", c[0])

    def following(self, meta: Meta, c: list[Any]) -> tuple[str, ast.Expr]:
        return ("FOLLOWING", c[0])

    def call(self, meta: Meta, c: list[Any]) -> ast.Call:
        name, *rest = _nodes(c)
        parts = {x[0]: x[1] for x in rest}
        args, named, distinct, order = parts.get("arguments", ((), (), False, ()))
        return ast.Call(
            name,
            args,
            named,
            distinct=distinct,
            star="star" in parts,
            order=order,
            where=parts["filter"][0] if "filter" in parts else None,
            over=parts.get("over"),
            span=span_of(meta),
        )

    def column(self, meta: Meta, c: list[Any]) -> ast.Name:
        return ast.Name(tuple(n.value for n in c), span=span_of(meta))

    def type(self, meta: Meta, c: list[Any]) -> str:
        lists = sum(1 for x in c if not isinstance(x, lark.Token))
        name, *sizes = [str(x) for x in c if isinstance(x, lark.Token)]
        return (
            " ".join(name.upper().split())
            + (f"({', '.join(sizes)})" if sizes else "")
            + "[]" * lists
        )

    def brackets(self, meta: Meta, c: list[Any]) -> list[Any]:
        return []

    # Leaves

    def name_list(self, meta: Meta, c: list[Any]) -> tuple[str, ...]:
        return tuple(n.value for n in c)

    def name(self, meta: Meta, c: list[Any]) -> ast.Literal:
        token = c[0]
        value = str(token)[1:-1].replace('""', '"') if token.type == "QUOTED" else str(token)
        return ast.Literal(value, span=span_of(meta))

    alias = name
    base = name

    def bare_alias(self, meta: Meta, c: list[Any]) -> Any:
        word = str(c[0]).lower()
        if word in ALIASES:
            # Taken as a name, the rest would be another query than was meant.
            raise QueryError(
                "syntax_error",
                f"there is no {word.upper()} in GQL",
                hint=f"{ALIASES[word]}; if it is a name, write AS {word}",
                span=span_of(meta),
                source=self.text,
            )
        return self.name(meta, c)

    def string(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(_unquote(c[0]), span=span_of(meta))

    def integer(self, meta: Meta, c: list[Any]) -> ast.Literal:
        digits = str(c[0]).replace("_", "")
        base = 16 if digits[:2] in ("0x", "0X") else 10
        # Longer digits are not even turned into a number.
        if len(digits) > 38 or int(digits, base) >= 1 << 127:
            raise self._too_large(meta)
        return ast.Literal(int(digits, base), span=span_of(meta))

    def decimal(self, meta: Meta, c: list[Any]) -> ast.Literal:
        value = float(c[0])
        if math.isinf(value):
            raise self._too_large(meta)
        return ast.Literal(value, span=span_of(meta))

    def _too_large(self, meta: Meta) -> QueryError:
        return QueryError(
            "invalid_number",
            "a number that is too large",
            hint="whole numbers have 38 digits at most, others go up to 1.8e308",
            span=span_of(meta),
            source=self.text,
        )

    def true(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(True, span=span_of(meta))

    def false(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(False, span=span_of(meta))

    def null(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(None, span=span_of(meta))

    def parameter(self, meta: Meta, c: list[Any]) -> ast.Parameter:
        return ast.Parameter(str(c[0])[1:], span=span_of(meta))

    def positional(self, meta: Meta, c: list[Any]) -> ast.Parameter:
        self.placeholders += 1
        return ast.Parameter(str(self.placeholders), span=span_of(meta))


def _unquote(token: lark.Token) -> str:
    return str(token)[1:-1].replace("''", "'")
