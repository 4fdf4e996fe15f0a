"""The syntax tree: what was written, before any name has a meaning."""

from __future__ import annotations

from dataclasses import dataclass, field

from govc_search.errors import Span

__all__ = [
    "And",
    "Between",
    "Binary",
    "Call",
    "Case",
    "Cast",
    "Cte",
    "DerivedTable",
    "Describe",
    "Exists",
    "Explain",
    "Expr",
    "Extract",
    "Frame",
    "FromItem",
    "GroupItem",
    "GroupingSets",
    "InList",
    "InQuery",
    "InValue",
    "Index",
    "IsDistinct",
    "IsNull",
    "IsTruth",
    "Join",
    "Like",
    "ListLiteral",
    "Literal",
    "Name",
    "NamedArgument",
    "Node",
    "Not",
    "Or",
    "OrderItem",
    "Parameter",
    "Quantified",
    "Query",
    "Scalar",
    "Select",
    "SelectItem",
    "SetOperation",
    "Show",
    "Slice",
    "Star",
    "Statement",
    "TableFunction",
    "TableName",
    "TypedLiteral",
    "Unary",
    "Values",
    "Window",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the tree; where it stood in the text is not part of what it is."""

    span: Span = field(default=Span(0, 0), compare=False, repr=False)


# Expressions


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """Text, a number, TRUE, FALSE or NULL."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class TypedLiteral(Node):
    """`DATE '...'`, `TIMESTAMP '...'`, `INTERVAL '...'`."""

    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """`$name`, or `?` whose name is its ordinal from 1."""

    name: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A column, perhaps qualified: (`c`, `hash`) or (`hash`,)."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Star(Node):
    """`*`, `t.*`, `* EXCLUDE (...)`."""

    table: str | None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x` or `+x`."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic, `||`, comparison, `~` and its like, infix MATCH and CONTAINS."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class And(Node):
    """All of the operands."""

    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or(Node):
    """Any of the operands."""

    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The opposite."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Between(Node):
    """`x BETWEEN low AND high`."""

    operand: Expr
    low: Expr
    high: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class InList(Node):
    """`x IN (a, b)`."""

    operand: Expr
    items: tuple[Expr, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class InValue(Node):
    """`operand [NOT] IN $list`, or a column or literal that is a list."""

    operand: Expr
    value: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class InQuery(Node):
    """`x IN (SELECT ...)`."""

    operand: Expr
    query: Query
    negated: bool


@dataclass(frozen=True, slots=True)
class Quantified(Node):
    """`x op ANY (SELECT ...)` or `x op ALL (SELECT ...)`."""

    op: str
    operand: Expr
    quantifier: str
    query: Query


@dataclass(frozen=True, slots=True)
class Exists(Node):
    """`EXISTS (SELECT ...)`."""

    query: Query


@dataclass(frozen=True, slots=True)
class Scalar(Node):
    """`(SELECT ...)` used as a value."""

    query: Query


@dataclass(frozen=True, slots=True)
class Like(Node):
    """`x LIKE p [ESCAPE e]`, ILIKE, GLOB."""

    op: str
    operand: Expr
    pattern: Expr
    escape: Expr | None
    negated: bool


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    """`x IS [NOT] NULL`."""

    operand: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class IsTruth(Node):
    """`x IS [NOT] TRUE` or FALSE."""

    operand: Expr
    value: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class IsDistinct(Node):
    """`x IS [NOT] DISTINCT FROM y`."""

    left: Expr
    right: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class Case(Node):
    """`CASE [x] WHEN a THEN b ... [ELSE c] END`."""

    operand: Expr | None
    branches: tuple[tuple[Expr, Expr], ...]
    otherwise: Expr | None


@dataclass(frozen=True, slots=True)
class Cast(Node):
    """`CAST(x AS type)` or `x::type`; `type` as written, upper case, `[]` for lists.

    `attempt` is TRY_CAST: NULL where the value cannot be cast.
    """

    operand: Expr
    type: str
    attempt: bool


@dataclass(frozen=True, slots=True)
class Extract(Node):
    """`EXTRACT(part FROM x)`."""

    part: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`list[i]`."""

    operand: Expr
    index: Expr


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`list[i:j]`, each end of which may be left out."""

    operand: Expr
    start: Expr | None
    end: Expr | None


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class OrderItem(Node):
    """One key of ORDER BY."""

    expr: Expr
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class Frame(Node):
    """A window frame; a bound is (kind, offset): unbounded, current or offset, with its side."""

    unit: str
    start: tuple[str, Expr | None]
    end: tuple[str, Expr | None] | None


@dataclass(frozen=True, slots=True)
class Window(Node):
    """What stands in OVER (...), perhaps building on a window of the WINDOW clause.

    `whole` says that only a name was written: OVER w, not OVER (w).
    """

    partition: tuple[Expr, ...] = ()
    order: tuple[OrderItem, ...] = ()
    frame: Frame | None = None
    name: str | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class NamedArgument(Node):
    """An argument given by name: `repo => 'linux'`."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function call; `star` for count(*), `named` are arguments given by name."""

    name: str
    args: tuple[Expr, ...]
    named: tuple[NamedArgument, ...] = ()
    distinct: bool = False
    star: bool = False
    order: tuple[OrderItem, ...] = ()
    where: Expr | None = None
    over: Window | None = None


Expr = (
    Literal | TypedLiteral | Parameter | Name | Star | Unary | Binary | And | Or | Not | Between
    | InList | InValue | InQuery | Quantified | Exists | Scalar | Like | IsNull | IsTruth | IsDistinct
    | Case | Cast | Extract | Index | Slice | ListLiteral | Call
)  # fmt: skip


# Queries


@dataclass(frozen=True, slots=True)
class TableName(Node):
    """A table of the catalog or a common table expression."""

    name: str
    alias: str | None


@dataclass(frozen=True, slots=True)
class TableFunction(Node):
    """A table that depends on arguments: `files('v1.0')`."""

    name: str
    args: tuple[Expr, ...]
    alias: str | None


@dataclass(frozen=True, slots=True)
class DerivedTable(Node):
    """`(SELECT ...) AS t(a, b)`."""

    query: Query
    alias: str | None
    columns: tuple[str, ...] = ()
    lateral: bool = False


@dataclass(frozen=True, slots=True)
class Join(Node):
    """`left JOIN right ON ...` or `USING (...)`; kind: inner, left, right, full, cross, semi, anti."""

    kind: str
    left: FromItem
    right: FromItem
    on: Expr | None
    using: tuple[str, ...]


FromItem = TableName | TableFunction | DerivedTable | Join


@dataclass(frozen=True, slots=True)
class SelectItem(Node):
    """One item of the SELECT list."""

    expr: Expr
    alias: str | None


@dataclass(frozen=True, slots=True)
class GroupingSets(Node):
    """ROLLUP, CUBE or GROUPING SETS (`kind`: rollup, cube, sets); a tuple is several keys."""

    kind: str
    items: tuple[GroupItem, ...]


GroupItem = Expr | GroupingSets | tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Select(Node):
    """One SELECT without its ORDER BY and LIMIT, which belong to the query around it.

    `distinct_on` are the keys of DISTINCT ON (...), `windows` those of the WINDOW clause.
    """

    items: tuple[SelectItem, ...]
    from_: FromItem | None
    where: Expr | None
    group_by: tuple[GroupItem, ...]
    group_all: bool
    having: Expr | None
    qualify: Expr | None
    distinct: bool
    distinct_on: tuple[Expr, ...] = ()
    windows: tuple[tuple[str, Window], ...] = ()


@dataclass(frozen=True, slots=True)
class Values(Node):
    """`VALUES (...), (...)`."""

    rows: tuple[tuple[Expr, ...], ...]


@dataclass(frozen=True, slots=True)
class SetOperation(Node):
    """UNION, INTERSECT or EXCEPT, perhaps ALL."""

    op: str
    all: bool
    left: Body
    right: Body


@dataclass(frozen=True, slots=True)
class Cte(Node):
    """One `name AS (query)` of WITH."""

    name: str
    columns: tuple[str, ...]
    query: Query


@dataclass(frozen=True, slots=True)
class Query(Node):
    """WITH, a body, ORDER BY, LIMIT, OFFSET; `order_all` is the one item of ORDER BY ALL."""

    body: Body
    ctes: tuple[Cte, ...] = ()
    recursive: bool = False
    order_by: tuple[OrderItem, ...] = ()
    order_all: OrderItem | None = None
    limit: Expr | None = None
    offset: Expr | None = None


Body = Select | Values | SetOperation | Query


# Statements


@dataclass(frozen=True, slots=True)
class Explain(Node):
    """`EXPLAIN [ANALYZE] query`."""

    query: Query
    analyze: bool


@dataclass(frozen=True, slots=True)
class Show(Node):
    """`SHOW TABLES` or `SHOW FUNCTIONS`."""

    what: str


@dataclass(frozen=True, slots=True)
class Describe(Node):
    """`DESCRIBE table`."""

    table: str


Statement = Query | Explain | Show | Describe
