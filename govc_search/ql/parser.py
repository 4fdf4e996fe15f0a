"""GQL text to syntax tree."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import lark
from lark.tree import Meta

from govc_search.errors import QueryError, Span
from govc_search.grammar_files import read_grammar
from govc_search.ql import ast

__all__ = ["keywords", "on_one_line", "parse"]

# Long chains of one operator nest to the left, and the passes over the tree are recursive: what
# is deeper than this could outgrow the stack. Thirty-two nested sub-queries need 160 levels.
_CHAIN = 150
_DEPTH = 200


@cache
def _grammar() -> lark.Lark:
    return lark.Lark(
        read_grammar("gql.lark"),
        parser="lalr",
        lexer="contextual",
        propagate_positions=True,
        maybe_placeholders=False,
    )


@cache
def keywords() -> tuple[str, ...]:
    """Returns every keyword of the grammar, upper case, in alphabetical order."""
    return tuple(sorted(t.name for t in _grammar().terminals if t.name.isalpha() and _is_word(t)))


def _is_word(terminal: lark.lexer.TerminalDef) -> bool:
    return terminal.pattern.value == terminal.name.lower() + r"\b"


@lru_cache(maxsize=512)
def parse(text: str, *, max_bytes: int = 65_536, max_nesting: int = 32) -> ast.Statement:
    """Returns the statement that `text` is.

    Raises QueryError: query_too_long, query_too_deep, syntax_error.
    """
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise QueryError(
            "query_too_long",
            f"the query is longer than {max_bytes} bytes",
            hint="the setting query_bytes is the limit",
        )
    lone = _SURROGATE.search(text)
    if lone:
        raise QueryError(
            "invalid_text",
            f"half a character at place {lone.start() + 1}: text has to be valid Unicode",
        )
    _check_nesting(text, max_nesting)
    try:
        tree = _grammar().parse(text)
    except lark.exceptions.UnexpectedInput as e:
        raise _syntax_error(e, text) from None
    _check_depth(tree, text)
    try:
        statement = _Builder(text).transform(tree)
    except lark.exceptions.VisitError as e:
        if isinstance(e.orig_exc, QueryError):
            raise e.orig_exc from None
        raise
    assert isinstance(statement, ast.Query | ast.Explain | ast.Show | ast.Describe)
    return statement


_SURROGATE = re.compile("[\ud800-\udfff]")
_NESTING = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|[()\[\]]|\b(?i:case|end)\b", re.DOTALL
)
_BLANKS = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?:\s|--[^\n]*|/\*.*?\*/)+", re.DOTALL)


def on_one_line(source: str, span: Span) -> str:
    """Returns a part of a query as it was written, without line ends and comments."""
    return _BLANKS.sub(lambda m: m[1] or " ", source[span.start : span.end]).strip()


def _check_nesting(text: str, limit: int) -> None:
    """Refuses what would nest too deep for the recursive passes that follow the parser."""
    depth = 0
    for m in _NESTING.finditer(text):
        word = m.group().lower()
        if word in ("(", "[", "case"):
            depth += 1
        elif word in (")", "]", "end"):
            depth = max(0, depth - 1)
        if depth > limit:
            raise QueryError(
                "query_too_deep",
                f"the query nests deeper than {limit} levels",
                hint="the setting query_nesting is the limit",
                span=Span(m.start(), m.end()),
                source=text,
            )


def _check_depth(tree: lark.Tree[lark.Token], text: str) -> None:
    """Refuses chains without parentheses that nest too deep, such as `NOT NOT NOT a`."""
    level = [tree]
    for _ in range(_DEPTH):
        level = [c for t in level for c in t.children if isinstance(c, lark.Tree)]
        if not level:
            return
    raise QueryError(
        "query_too_deep",
        "too many operators, joins or set operations in a row",
        span=_span(level[0].meta),
        source=text,
    )


_SYMBOLS = {
    "LPAR": '"("', "RPAR": '")"', "COMMA": '","', "LSQB": '"["', "RSQB": '"]"', "DOT": '"."',
    "SEMICOLON": '";"', "NAME": "a name", "QUOTED": "a name", "STRING": "text in '...'",
    "INTEGER": "a number", "DECIMAL": "a number", "PARAMETER": "a $parameter",
    "COMPARE": "a comparison", "$END": "the end", "PLUS": '"+"', "MINUS": '"-"', "STAR": '"*"',
    "SLASH": '"/"', "PERCENT": '"%"', "__ANON_0": '"||"', "__ANON_1": '"::"', "QMARK": '"?"',
}  # fmt: skip


def _syntax_error(error: lark.exceptions.UnexpectedInput, text: str) -> QueryError:
    start = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    if isinstance(error, lark.exceptions.UnexpectedToken):
        token = error.token
        expected = set(error.accepts or error.expected)
        if token.type == "$END":
            start = end = len(text.rstrip())
            what = "the query ends too early"
        else:
            start = token.start_pos or 0
            end = start + len(token)
            what = f"unexpected {str(token)!r}" if len(token) < 40 else "unexpected text"
    else:
        assert isinstance(error, lark.exceptions.UnexpectedCharacters)
        expected, end = set(error.allowed or ()), start + 1
        rest = text[start:]
        if rest[:1] in ("'", '"'):
            what = f"the {'text' if rest[0] == chr(39) else 'name'} that begins here has no end"
            return QueryError(
                "syntax_error",
                what,
                hint=f"close it with {rest[0]}",
                span=Span(start, end),
                source=text,
            )
        what = f"unexpected character {rest[:1]!r}"
    words = sorted(e for e in expected if e in keywords())
    word = text[start:end]
    near = difflib.get_close_matches(word.upper(), words, 1, 0.7) if word else []
    if near:
        hint = f'did you mean "{near[0]}"?'
    else:
        # The word before may be the misspelt one: "SELECT a FORM t" fails at "t".
        before = re.search(r"(\w+)\s*$", text[:start])
        late = difflib.get_close_matches(before[1].upper(), keywords(), 1, 0.7) if before else []
        if before and late and late[0] != before[1].upper():
            return QueryError(
                "syntax_error",
                what,
                hint=f'did you mean "{late[0]}"?',
                span=Span(before.start(1), before.end(1)),
                source=text,
            )
        names = _expectations(expected)
        if len(names) > 6:
            names = [*names[:6], "the like"]
        parts = (", ".join(names[:-1]), *names[-1:]) if names else ("the end of the query",)
        hint = f"expected {' or '.join(p for p in parts if p)}"
    return QueryError("syntax_error", what, hint=hint, span=Span(start, end), source=text)


_BEGINS_VALUE = {
    "LPAR", "PLUS", "MINUS", "QMARK", "LSQB", "STRING", "INTEGER", "DECIMAL", "PARAMETER", "NAME",
    "QUOTED", "CASE", "CAST", "EXISTS", "EXTRACT", "NOT", "TRUE", "FALSE", "NULL", "LEFT", "RIGHT",
    "CONTAINS", "MATCH", "GLOB", "LIKE",
}  # fmt: skip
_FOLLOWS_VALUE = {
    "COMPARE", "PLUS", "MINUS", "STAR", "SLASH", "PERCENT", "LSQB", "__ANON_0", "__ANON_1", "AND",
    "OR", "NOT", "BETWEEN", "IN", "LIKE", "ILIKE", "GLOB", "MATCH", "CONTAINS", "IS", "AT",
}  # fmt: skip


def _expectations(expected: set[str]) -> list[str]:
    """Returns what could have come, as people call it."""
    names = []
    if expected >= {"STRING", "PARAMETER", "LPAR"}:
        names.append("an expression")
        expected = expected - _BEGINS_VALUE
    elif "COMPARE" in expected:
        names.append("an operator")
        expected = expected - _FOLLOWS_VALUE
    return names + sorted({_SYMBOLS.get(e, e) for e in expected} - {"the end"})


def _span(meta: Meta) -> Span:
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
    def build(self: Any, meta: Meta, children: list[Any]) -> _Clause:
        return _Clause((name, _nodes(children)))

    return build


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
        return ast.Explain(_nodes(c)[0], "ANALYZE" in _words(c), span=_span(meta))

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
        return ast.Show(what, span=_span(meta))

    def describe(self, meta: Meta, c: list[Any]) -> ast.Describe:
        name = _nodes(c)[0]
        return ast.Describe(name.value, span=name.span)

    # Queries

    def query(self, meta: Meta, c: list[Any]) -> ast.Query:
        parts: dict[str, Any] = {}
        body = None
        for child in _nodes(c):
            if isinstance(child, _Clause):
                if child[0] in parts:
                    raise QueryError(
                        "syntax_error",
                        f"{child[0].upper()} twice",
                        span=_span(meta),
                        source=self.text,
                    )
                parts[child[0]] = child[1]
            else:
                body = child
        recursive, ctes = parts.get("with", (False, ()))
        order = parts.get("order", [])
        return ast.Query(
            body,  # type: ignore[arg-type]
            ctes=tuple(ctes),
            recursive=recursive,
            order_by=tuple(order),
            order_all="order_all" in parts,
            limit=parts["limit"][0] if "limit" in parts else None,
            offset=parts["offset"][0] if "offset" in parts else None,
            span=_span(meta),
        )

    def with_(self, meta: Meta, c: list[Any]) -> _Clause:
        return _Clause(("with", ("RECURSIVE" in _words(c), _nodes(c))))

    def cte(self, meta: Meta, c: list[Any]) -> ast.Cte:
        name, *rest = _nodes(c)
        columns = tuple(rest[0]) if len(rest) == 2 else ()
        return ast.Cte(name.value, columns, rest[-1], span=name.span)

    def _set(self, op: str, meta: Meta, c: list[Any]) -> ast.SetOperation:
        left, right = _nodes(c)
        return ast.SetOperation(op, "ALL" in _words(c), left, right, span=_span(meta))

    def union(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("UNION", meta, c)

    def except_(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("EXCEPT", meta, c)

    def intersect(self, meta: Meta, c: list[Any]) -> ast.SetOperation:
        return self._set("INTERSECT", meta, c)

    def values(self, meta: Meta, c: list[Any]) -> ast.Values:
        return ast.Values(tuple(_nodes(c)), span=_span(meta))

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
            "distinct" in parts,
            span=_span(meta),
        )

    distinct = _clause("distinct")
    not_distinct = _clause("all")
    where = _clause("where")
    group_by = _clause("group")
    group_all = _clause("group_all")
    having = _clause("having")
    qualify = _clause("qualify")
    order_by = _clause("order")
    limit = _clause("limit")
    offset = _clause("offset")

    def order_all(self, meta: Meta, c: list[Any]) -> _Clause:
        return _Clause(("order_all", _nodes(c)))

    def select_item(self, meta: Meta, c: list[Any]) -> ast.SelectItem:
        expr, *alias = _nodes(c)
        return ast.SelectItem(expr, alias[0].value if alias else None, span=_span(meta))

    def star(self, meta: Meta, c: list[Any]) -> ast.Star:
        nodes = _nodes(c)
        return ast.Star(None, tuple(nodes[0]) if nodes else (), span=_span(meta))

    def table_star(self, meta: Meta, c: list[Any]) -> ast.Star:
        nodes = _nodes(c)
        return ast.Star(nodes[0].value, tuple(nodes[1]) if len(nodes) > 1 else (), span=_span(meta))

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
            span=_span(meta),
            source=self.text,
        )

    def from_parens(self, meta: Meta, c: list[Any]) -> Any:
        return _nodes(c)[0]

    def join_on(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, kind, right, on = _nodes(c)
        return ast.Join(kind, left, right, on, (), span=_span(meta))

    def join_using(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, kind, right, using = _nodes(c)
        return ast.Join(kind, left, right, None, tuple(using), span=_span(meta))

    def join_cross(self, meta: Meta, c: list[Any]) -> ast.Join:
        left, right = _nodes(c)
        return ast.Join("cross", left, right, None, (), span=_span(meta))

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

    def derived_table(self, meta: Meta, c: list[Any]) -> ast.DerivedTable:
        query, *rest = _nodes(c)
        return ast.DerivedTable(
            query,
            rest[0].value if rest else None,
            tuple(rest[1]) if len(rest) > 1 else (),
            "LATERAL" in _words(c),
            span=_span(meta),
        )

    def order_item(self, meta: Meta, c: list[Any]) -> ast.OrderItem:
        expr, *rest = c
        nulls = [r for r in rest if r in ("nulls_first", "nulls_last")]
        return ast.OrderItem(
            expr,
            "descending" in rest,
            (nulls[0] == "nulls_first") if nulls else None,
            span=_span(meta),
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
        return ast.Or(tuple(_nodes(c)), span=_span(meta))

    def and_(self, meta: Meta, c: list[Any]) -> ast.And:
        return ast.And(tuple(_nodes(c)), span=_span(meta))

    def not_(self, meta: Meta, c: list[Any]) -> ast.Not:
        return ast.Not(_nodes(c)[0], span=_span(meta))

    def compare(self, meta: Meta, c: list[Any]) -> ast.Binary:
        op = str(c[1])
        return ast.Binary("<>" if op == "!=" else op, c[0], c[2], span=_span(meta))

    def quantifier(self, meta: Meta, c: list[Any]) -> str:
        return "ALL" if c[0].type == "ALL" else "ANY"

    def quantified(self, meta: Meta, c: list[Any]) -> ast.Quantified:
        op = str(c[1])
        return ast.Quantified("<>" if op == "!=" else op, c[0], c[2], c[3], span=_span(meta))

    def between(self, meta: Meta, c: list[Any]) -> ast.Between:
        operand, low, high = _nodes(c)
        return ast.Between(operand, low, high, "NOT" in _words(c), span=_span(meta))

    def in_list(self, meta: Meta, c: list[Any]) -> ast.InList:
        operand, *items = _nodes(c)
        return ast.InList(operand, tuple(items), "NOT" in _words(c), span=_span(meta))

    def in_query(self, meta: Meta, c: list[Any]) -> ast.InQuery:
        operand, query = _nodes(c)
        return ast.InQuery(operand, query, "NOT" in _words(c), span=_span(meta))

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
            span=_span(meta),
        )

    def text_match(self, meta: Meta, c: list[Any]) -> ast.Expr:
        operand, pattern = _nodes(c)
        op = "MATCH" if "MATCH" in _words(c) else "CONTAINS"
        result = ast.Call(op, (operand, pattern), span=_span(meta))
        return ast.Not(result, span=_span(meta)) if "NOT" in _words(c) else result

    def is_null(self, meta: Meta, c: list[Any]) -> ast.IsNull:
        return ast.IsNull(_nodes(c)[0], "NOT" in _words(c), span=_span(meta))

    def is_truth(self, meta: Meta, c: list[Any]) -> ast.IsTruth:
        words = _words(c)
        return ast.IsTruth(_nodes(c)[0], "TRUE" in words, "NOT" in words, span=_span(meta))

    def is_distinct(self, meta: Meta, c: list[Any]) -> ast.IsDistinct:
        left, right = _nodes(c)
        return ast.IsDistinct(left, right, "NOT" in _words(c), span=_span(meta))

    def concat(self, meta: Meta, c: list[Any]) -> ast.Expr:
        operands = _nodes(c)
        return self._left_fold(meta, operands, ["||"] * (len(operands) - 1))

    def additive(self, meta: Meta, c: list[Any]) -> ast.Expr:
        return self._left_fold(meta, c[::2], [str(op) for op in c[1::2]])

    multiplicative = additive

    def _left_fold(self, meta: Meta, operands: list[Any], operators: list[str]) -> ast.Expr:
        if len(operators) > _CHAIN:
            raise self._chain("operators", meta)
        result = operands[0]
        for op, right in zip(operators, operands[1:], strict=True):
            result = ast.Binary(op, result, right, span=Span(result.span.start, right.span.end))
        return result  # type: ignore[no-any-return]

    def unary(self, meta: Meta, c: list[Any]) -> ast.Expr:
        return ast.Unary(str(c[0]), c[1], span=_span(meta))

    def cast(self, meta: Meta, c: list[Any]) -> ast.Cast:
        operand, type_ = _nodes(c)
        return ast.Cast(operand, type_, span=_span(meta))

    def index(self, meta: Meta, c: list[Any]) -> ast.Index:
        return ast.Index(c[0], c[1], span=_span(meta))

    def at_time_zone(self, meta: Meta, c: list[Any]) -> ast.Call:
        operand, zone = _nodes(c)
        return ast.Call("AT TIME ZONE", (operand, zone), span=_span(meta))

    def typed_literal(self, meta: Meta, c: list[Any]) -> ast.TypedLiteral:
        kind = str(c[0]).upper()
        if kind not in ("DATE", "TIMESTAMP", "INTERVAL"):
            raise QueryError(
                "syntax_error",
                f"unexpected text after {str(c[0])!r}",
                hint="DATE, TIMESTAMP and INTERVAL may stand before text",
                span=_span(meta),
                source=self.text,
            )
        return ast.TypedLiteral(kind, _unquote(c[1]), span=_span(meta))

    def parens(self, meta: Meta, c: list[Any]) -> Any:
        return c[0]

    def scalar(self, meta: Meta, c: list[Any]) -> ast.Scalar:
        return ast.Scalar(_nodes(c)[0], span=_span(meta))

    def exists(self, meta: Meta, c: list[Any]) -> ast.Exists:
        return ast.Exists(_nodes(c)[0], span=_span(meta))

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
            span=_span(meta),
        )

    def extract(self, meta: Meta, c: list[Any]) -> ast.Extract:
        part = next(t for t in c if isinstance(t, lark.Token) and t.type == "NAME")
        return ast.Extract(str(part).lower(), _nodes(c)[0], span=_span(meta))

    def list(self, meta: Meta, c: list[Any]) -> ast.ListLiteral:
        return ast.ListLiteral(tuple(c), span=_span(meta))

    def function(self, meta: Meta, c: list[Any]) -> str:
        return str(c[0])

    def count_star(self, meta: Meta, c: list[Any]) -> _Clause:
        return _Clause(("star", ()))

    def arguments(self, meta: Meta, c: list[Any]) -> _Clause:
        order: tuple[ast.OrderItem, ...] = ()
        args = []
        for child in _nodes(c):
            if isinstance(child, _Clause):
                order = tuple(child[1])
            else:
                args.append(child)
        return _Clause(("arguments", (tuple(args), "DISTINCT" in _words(c), order)))

    call_order = _clause("order")
    filter_ = _clause("filter")
    partition = _clause("partition")

    def over(self, meta: Meta, c: list[Any]) -> _Clause:
        parts = {x[0]: x[1] for x in _nodes(c)}
        window = ast.Window(
            tuple(parts.get("partition", ())),
            tuple(parts.get("order", ())),
            parts.get("frame"),
            span=_span(meta),
        )
        return _Clause(("over", window))

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
        args, distinct, order = parts.get("arguments", ((), False, ()))
        return ast.Call(
            name,
            args,
            distinct=distinct,
            star="star" in parts,
            order=order,
            where=parts["filter"][0] if "filter" in parts else None,
            over=parts.get("over"),
            span=_span(meta),
        )

    def column(self, meta: Meta, c: list[Any]) -> ast.Name:
        return ast.Name(tuple(n.value for n in c), span=_span(meta))

    def type(self, meta: Meta, c: list[Any]) -> str:
        lists = sum(1 for x in c if not isinstance(x, lark.Token))
        name, *sizes = [str(x) for x in c if isinstance(x, lark.Token)]
        return name.upper() + (f"({', '.join(sizes)})" if sizes else "") + "[]" * lists

    def brackets(self, meta: Meta, c: list[Any]) -> list[Any]:
        return []

    # Leaves

    def name_list(self, meta: Meta, c: list[Any]) -> tuple[str, ...]:
        return tuple(n.value for n in c)

    def name(self, meta: Meta, c: list[Any]) -> ast.Literal:
        token = c[0]
        value = str(token)[1:-1].replace('""', '"') if token.type == "QUOTED" else str(token)
        return ast.Literal(value, span=_span(meta))

    alias = name
    bare_alias = name

    def string(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(_unquote(c[0]), span=_span(meta))

    def integer(self, meta: Meta, c: list[Any]) -> ast.Literal:
        digits = str(c[0])
        if len(digits) > 38:
            raise QueryError(
                "invalid_number",
                "a number of more than 38 digits",
                span=_span(meta),
                source=self.text,
            )
        return ast.Literal(int(digits), span=_span(meta))

    def decimal(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(float(c[0]), span=_span(meta))

    def true(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(True, span=_span(meta))

    def false(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(False, span=_span(meta))

    def null(self, meta: Meta, c: list[Any]) -> ast.Literal:
        return ast.Literal(None, span=_span(meta))

    def parameter(self, meta: Meta, c: list[Any]) -> ast.Parameter:
        return ast.Parameter(str(c[0])[1:], span=_span(meta))

    def positional(self, meta: Meta, c: list[Any]) -> ast.Parameter:
        self.placeholders += 1
        return ast.Parameter(str(self.placeholders), span=_span(meta))


def _unquote(token: lark.Token) -> str:
    return str(token)[1:-1].replace("''", "'")
