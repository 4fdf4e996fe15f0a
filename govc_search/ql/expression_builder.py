"""The part of the parse tree that is expressions; a method for each rule or alias of the grammar."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lark
from lark.tree import Meta

from govc_search.errors import QueryError, Span
from govc_search.ql import ast
from govc_search.ql.dialects import ALIASES

__all__ = ["CHAIN", "Clause", "ExpressionBuilder", "clause", "nodes_of", "span_of", "words_of"]

# Long chains of one operator nest to the left, and the passes over the tree are recursive: what
# is deeper than this could outgrow the stack.
CHAIN = 100


def span_of(meta: Meta) -> Span:
    """Returns where a node of the parse tree stands in the text."""
    return Span(0, 0) if meta.empty else Span(meta.start_pos, meta.end_pos)


def words_of(children: list[Any]) -> set[str]:
    """Returns the keywords among the children, which the grammar keeps as tokens."""
    return {c.type for c in children if isinstance(c, lark.Token)}


def nodes_of(children: list[Any]) -> list[Any]:
    """Returns what the rules below have built."""
    return [c for c in children if not isinstance(c, lark.Token)]


class Clause(tuple[str, Any]):
    """A named part of a SELECT or query, gathered by the rule above it."""

    __slots__ = ()


def clause(name: str) -> Callable[..., Any]:
    """Returns the method of a rule that gathers a part of that name."""

    def gather(_self: Any, _meta: Meta, children: list[Any]) -> Clause:
        return Clause((name, nodes_of(children)))

    return gather


@lark.v_args(meta=True)
class ExpressionBuilder(lark.Transformer[lark.Token, Any]):
    """Builds expressions, names and literals bottom-up."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.placeholders = 0

    def _chain(self, what: str, meta: Meta) -> QueryError:
        return QueryError(
            "query_too_deep",
            f"more than {CHAIN} {what} in a row",
            span=span_of(meta),
            source=self.text,
        )

    # Expressions

    def or_(self, meta: Meta, c: list[Any]) -> ast.Or:
        return ast.Or(tuple(nodes_of(c)), span=span_of(meta))

    def and_(self, meta: Meta, c: list[Any]) -> ast.And:
        return ast.And(tuple(nodes_of(c)), span=span_of(meta))

    def not_(self, meta: Meta, c: list[Any]) -> ast.Not:
        return ast.Not(nodes_of(c)[0], span=span_of(meta))

    def compare(self, meta: Meta, c: list[Any]) -> ast.Binary:
        op = str(c[1])
        return ast.Binary("<>" if op == "!=" else op, c[0], c[2], span=span_of(meta))

    def quantifier(self, meta: Meta, c: list[Any]) -> str:
        return "ALL" if c[0].type == "ALL" else "ANY"

    def quantified(self, meta: Meta, c: list[Any]) -> ast.Quantified:
        op = str(c[1])
        return ast.Quantified("<>" if op == "!=" else op, c[0], c[2], c[3], span=span_of(meta))

    def between(self, meta: Meta, c: list[Any]) -> ast.Between:
        operand, low, high = nodes_of(c)
        return ast.Between(operand, low, high, "NOT" in words_of(c), span=span_of(meta))

    def in_list(self, meta: Meta, c: list[Any]) -> ast.InList:
        operand, *items = nodes_of(c)
        return ast.InList(operand, tuple(items), "NOT" in words_of(c), span=span_of(meta))

    def in_value(self, meta: Meta, c: list[Any]) -> ast.InValue:
        operand, value = nodes_of(c)
        return ast.InValue(operand, value, "NOT" in words_of(c), span=span_of(meta))

    def in_query(self, meta: Meta, c: list[Any]) -> ast.InQuery:
        operand, query = nodes_of(c)
        return ast.InQuery(operand, query, "NOT" in words_of(c), span=span_of(meta))

    def like_op(self, meta: Meta, c: list[Any]) -> str:
        return str(c[0].type)

    def like(self, meta: Meta, c: list[Any]) -> ast.Like:
        operand, op, pattern, *escape = nodes_of(c)
        return ast.Like(
            op,
            operand,
            pattern,
            escape[0] if escape else None,
            "NOT" in words_of(c),
            span=span_of(meta),
        )

    def text_match(self, meta: Meta, c: list[Any]) -> ast.Expr:
        operand, pattern = nodes_of(c)
        op = "MATCH" if "MATCH" in words_of(c) else "CONTAINS"
        result = ast.Call(op, (operand, pattern), span=span_of(meta))
        return ast.Not(result, span=span_of(meta)) if "NOT" in words_of(c) else result

    def is_null(self, meta: Meta, c: list[Any]) -> ast.IsNull:
        return ast.IsNull(nodes_of(c)[0], "NOT" in words_of(c), span=span_of(meta))

    def is_truth(self, meta: Meta, c: list[Any]) -> ast.IsTruth:
        words = words_of(c)
        return ast.IsTruth(nodes_of(c)[0], "TRUE" in words, "NOT" in words, span=span_of(meta))

    def is_distinct(self, meta: Meta, c: list[Any]) -> ast.IsDistinct:
        left, right = nodes_of(c)
        return ast.IsDistinct(left, right, "NOT" in words_of(c), span=span_of(meta))

    def concat(self, meta: Meta, c: list[Any]) -> ast.Expr:
        operands = nodes_of(c)
        return self._left_fold(meta, operands, ["||"] * (len(operands) - 1))

    def additive(self, meta: Meta, c: list[Any]) -> ast.Expr:
        return self._left_fold(meta, c[::2], [str(op) for op in c[1::2]])

    multiplicative = additive

    def _left_fold(self, meta: Meta, operands: list[Any], operators: list[str]) -> ast.Expr:
        if len(operators) > CHAIN:
            raise self._chain("operators", meta)
        result: ast.Expr = operands[0]
        for op, right in zip(operators, operands[1:], strict=True):
            result = ast.Binary(op, result, right, span=Span(result.span.start, right.span.end))
        return result

    def unary(self, meta: Meta, c: list[Any]) -> ast.Expr:
        return ast.Unary(str(c[0]), c[1], span=span_of(meta))

    def cast(self, meta: Meta, c: list[Any]) -> ast.Cast:
        operand, type_ = nodes_of(c)
        return ast.Cast(operand, type_, "TRY_CAST" in words_of(c), span=span_of(meta))

    def index(self, meta: Meta, c: list[Any]) -> ast.Index:
        return ast.Index(c[0], c[1], span=span_of(meta))

    from_index = clause("from")
    to_index = clause("to")

    def slice(self, meta: Meta, c: list[Any]) -> ast.Slice:
        operand, *ends = c
        parts = {x[0]: x[1][0] for x in ends}
        return ast.Slice(operand, parts.get("from"), parts.get("to"), span=span_of(meta))

    def at_time_zone(self, meta: Meta, c: list[Any]) -> ast.Call:
        operand, zone = nodes_of(c)
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
        return ast.Scalar(nodes_of(c)[0], span=span_of(meta))

    def exists(self, meta: Meta, c: list[Any]) -> ast.Exists:
        return ast.Exists(nodes_of(c)[0], span=span_of(meta))

    def when(self, meta: Meta, c: list[Any]) -> Clause:
        condition, result = nodes_of(c)
        return Clause(("when", (condition, result)))

    def else_(self, meta: Meta, c: list[Any]) -> Clause:
        return Clause(("else", nodes_of(c)[0]))

    def case(self, meta: Meta, c: list[Any]) -> ast.Case:
        nodes = nodes_of(c)
        clauses = [n for n in nodes if isinstance(n, Clause)]
        operand = nodes[0] if not isinstance(nodes[0], Clause) else None
        otherwise = [n[1] for n in clauses if n[0] == "else"]
        return ast.Case(
            operand,
            tuple(n[1] for n in clauses if n[0] == "when"),
            otherwise[0] if otherwise else None,
            span=span_of(meta),
        )

    def extract(self, meta: Meta, c: list[Any]) -> ast.Extract:
        part = next(t for t in c if isinstance(t, lark.Token) and t.type == "NAME")
        return ast.Extract(str(part).lower(), nodes_of(c)[0], span=span_of(meta))

    def list_literal(self, meta: Meta, c: list[Any]) -> ast.ListLiteral:
        return ast.ListLiteral(tuple(nodes_of(c)), span=span_of(meta))

    def function(self, meta: Meta, c: list[Any]) -> str:
        return str(c[0])

    def count_star(self, meta: Meta, c: list[Any]) -> Clause:
        return Clause(("star", ()))

    def arguments(self, meta: Meta, c: list[Any]) -> Clause:
        order: tuple[ast.OrderItem, ...] = ()
        args: list[ast.Expr] = []
        named: list[ast.NamedArgument] = []
        for child in nodes_of(c):
            if isinstance(child, Clause):
                order = tuple(child[1])
            elif isinstance(child, ast.NamedArgument):
                named.append(child)
            else:
                args.append(child)
        words = "DISTINCT" in words_of(c)
        return Clause(("arguments", (tuple(args), tuple(named), words, order)))

    def named_argument(self, meta: Meta, c: list[Any]) -> ast.NamedArgument:
        return ast.NamedArgument(str(c[0]).lower(), c[-1], span=span_of(meta))

    call_order = clause("order")
    filter_ = clause("filter")
    partition = clause("partition")

    def over(self, meta: Meta, c: list[Any]) -> Clause:
        return Clause(("over", nodes_of(c)[0]))

    def over_name(self, meta: Meta, c: list[Any]) -> Clause:
        name = nodes_of(c)[0]
        return Clause(("over", ast.Window(name=name.value, whole=True, span=name.span)))

    def window(self, meta: Meta, c: list[Any]) -> ast.Window:
        base = [x for x in c if isinstance(x, ast.Literal)]
        parts = {x[0]: x[1] for x in c if isinstance(x, Clause)}
        return ast.Window(
            tuple(parts.get("partition", ())),
            tuple(parts.get("order", ())),
            parts.get("frame"),
            str(base[0].value) if base else None,
            span=base[0].span if base else span_of(meta),
        )

    def frame(self, meta: Meta, c: list[Any]) -> Clause:
        start, *end = nodes_of(c)
        return Clause(("frame", ast.Frame(str(c[0].type), start, end[0] if end else None)))

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
        name, *rest = nodes_of(c)
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
