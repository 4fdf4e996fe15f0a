"""The bound query: every name has a table, a column and a type, every predicate its subject.

Constants and parameters are values here; nothing that a user wrote stays as text to be put
into SQL. Nodes compare by what they are, so that an expression of SELECT and the same one in
GROUP BY are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass

from govc_search import catalog, textquery
from govc_search.errors import QueryError, Span

__all__ = [
    "CONTAINS",
    "LIKES",
    "MATCHES",
    "STARTS_WITH",
    "UNNEST",
    "Aggregate",
    "Apply",
    "Body",
    "BoundQuery",
    "BoundSelect",
    "BoundSet",
    "BoundValues",
    "Column",
    "Constant",
    "Cte",
    "Derived",
    "DerivedColumn",
    "Expr",
    "Fault",
    "GraphCall",
    "Highlight",
    "Join",
    "Junction",
    "LineMatch",
    "Negation",
    "OrderKey",
    "Output",
    "Predicate",
    "Relation",
    "RevisionMatch",
    "Scan",
    "Score",
    "Subquery",
    "TextMatch",
    "WindowCall",
    "constant",
    "has_aggregate", "has_window", "is_constant", "joint_type",
    "kept",
    "operands",
    "scans",
    "walk",
]  # fmt: skip

# The filters of one text that an index, a highlight or a scan of lines may know.
CONTAINS = "contains({0}, {1})"
MATCHES = "regexp_matches({0}, {1})"
STARTS_WITH = "starts_with({0}, {1})"
LIKES = tuple(
    f"({{0}} {word} {{1}}{escape})" for word in ("LIKE", "ILIKE") for escape in ("", " ESCAPE {2}")
)
# What makes rows of one.
UNNEST = "unnest({0})"


@dataclass(frozen=True, slots=True)
class Constant:
    """A value: None, bool, int, float, str, datetime or a tuple of these."""

    value: object
    type: str


def constant(value: str | float | bool | None) -> Constant:  # noqa: FBT001 - one of the values
    """Returns a constant with the type of the value."""
    kind = (
        "NULL" if value is None
        else "BOOLEAN" if isinstance(value, bool)
        else "INTEGER" if isinstance(value, int)
        else "DOUBLE" if isinstance(value, float)
        else "TEXT"
    )  # fmt: skip
    return Constant(value, kind)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table of the catalog."""

    scan: Scan
    column: catalog.Column

    @property
    def type(self) -> str:
        """Returns the GQL type of the column."""
        return self.column.type


@dataclass(frozen=True, slots=True)
class DerivedColumn:
    """The `index`-th column of a sub-query or common table expression in FROM."""

    relation: int
    index: int
    type: str


@dataclass(frozen=True, slots=True)
class Output:
    """The `index`-th column of the query's own result, as ORDER BY may name it."""

    index: int
    type: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of values that an expression cannot be computed from.

    `kind`: error, null (it is NULL then), or zero (a division: NULL by zero, else an error). In
    the message of `error` `{0}`, `{1}`, ... stand for the arguments. `size` is SQL of how many
    bytes there may be, of which too many are an error as well.
    """

    kind: str
    error: QueryError | None = None
    size: str = ""


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator or function: our SQL with `{0}`, `{1}`, ... for the arguments.

    Without `fault` it can be computed from any values of its types.
    """

    sql: str
    args: tuple[Expr, ...]
    type: str
    fault: Fault | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Junction:
    """AND or OR of two or more."""

    op: str
    operands: tuple[Expr, ...]
    type: str = "BOOLEAN"


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT."""

    operand: Expr
    type: str = "BOOLEAN"


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One key of an order; `nulls_first` None is DuckDB's default, last."""

    expr: Expr
    descending: bool
    nulls_first: bool | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate function call; `sql` as in Apply, `{0}` alone may be `*`."""

    sql: str
    args: tuple[Expr, ...]
    type: str
    distinct: bool
    order: tuple[OrderKey, ...]
    where: Expr | None


@dataclass(frozen=True, slots=True)
class WindowCall:
    """A function over a window; `frame` is (unit, start kind, start, end kind, end)."""

    function: Expr
    partition: tuple[Expr, ...]
    order: tuple[OrderKey, ...]
    frame: tuple[str, str, Expr | None, str | None, Expr | None] | None
    type: str


@dataclass(frozen=True, slots=True)
class Subquery:
    """A sub-query in an expression; `kind`: scalar, exists, in, or an operator with ANY / ALL."""

    kind: str
    query: BoundQuery
    operand: Expr | None
    type: str
    fault: Fault | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A word predicate.

    With `scan` its fields are those of the scan's text index and `subjects` the columns that
    hold them; without, `subjects` is the one text that is scanned.
    """

    scan: Scan | None
    node: textquery.Node
    subjects: tuple[tuple[str, Expr], ...]
    text: str
    type: str = "BOOLEAN"
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class LineMatch:
    """Some changed line matches: `sides` of added, removed; `mode`: contains, regex, pickaxe."""

    scan: Scan
    sides: tuple[str, ...]
    mode: str
    pattern: str
    text: str
    type: str = "BOOLEAN"


@dataclass(frozen=True, slots=True)
class TouchMatch:
    """Some changed path, old or new, matches the glob (here as a regular expression)."""

    scan: Scan
    pattern: str
    prefix: str
    text: str
    type: str = "BOOLEAN"


@dataclass(frozen=True, slots=True)
class RevisionMatch:
    """The row's commit or change is in a set of the commit graph.

    `kind`: range, reachable, ancestors, descendants, and history, where `revision` is a path.
    """

    scan: Scan
    kind: str
    revision: str
    text: str
    type: str = "BOOLEAN"
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class GraphCall:
    """A function of the commit graph: is_ancestor, merge_base, resolve or first_tag.

    `repo` is the repository to ask, None for all; `pattern` chooses tags. `spans` are the places
    of the arguments, then of the repository where it was named.
    """

    name: str
    args: tuple[Expr, ...]
    repo: Expr | None
    pattern: str
    text: str
    type: str
    spans: tuple[Span, ...] = field(compare=False)


Predicate = TextMatch | LineMatch | TouchMatch | RevisionMatch


@dataclass(frozen=True, slots=True)
class Score:
    """The relevance of a row by the text predicates on `scan`."""

    scan: Scan
    type: str = "DOUBLE"


@dataclass(frozen=True, slots=True)
class Highlight:
    """HIGHLIGHT or SNIPPET (`length` set), computed on the rows of the result.

    Of type TEXT it is the marked text, else places as offsets: of the matches, or of the passage.
    """

    column: Column
    open: str
    close: str
    length: int | None
    type: str = "TEXT"
    span: Span = field(default=Span(0, 0), compare=False)


Expr = (
    Constant | Column | DerivedColumn | Output | Apply | Junction | Negation | Aggregate
    | WindowCall | Subquery | TextMatch | LineMatch | TouchMatch | RevisionMatch | GraphCall | Score
    | Highlight
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scan:
    """One use of a catalog table in FROM; `revision` is that of a tree."""

    id: int
    alias: str
    table: catalog.Table
    revision: str | None = None
    span: Span = field(default=Span(0, 0), compare=False)

    def __hash__(self) -> int:
        return self.id


@dataclass(frozen=True, slots=True)
class Derived:
    """A sub-query in FROM, or one use of a common table expression (`cte` is its number)."""

    id: int
    alias: str
    query: BoundQuery | None
    cte: int | None
    names: tuple[str, ...]
    types: tuple[str, ...]
    lateral: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """A join; `on` is None for a cross join."""

    kind: str
    left: Relation
    right: Relation
    on: Expr | None


Relation = Scan | Derived | Join


@dataclass(frozen=True, slots=True)
class BoundSelect:
    """One SELECT; `where` is a tuple of conjuncts.

    `sets` are the grouping sets where rows are grouped in more than one way: places in `group_by`.
    """

    names: tuple[str, ...]
    exprs: tuple[Expr, ...]
    from_: Relation | None
    where: tuple[Expr, ...]
    group_by: tuple[Expr, ...]
    having: Expr | None
    qualify: Expr | None
    distinct: bool
    distinct_on: tuple[Expr, ...] = ()
    sets: tuple[tuple[int, ...], ...] = ()

    @property
    def types(self) -> tuple[str, ...]:
        """Returns the GQL type of each result column."""
        return tuple(e.type for e in self.exprs)

    @property
    def is_grouped(self) -> bool:
        """Returns whether a result row is made of several rows."""
        asked = (*self.exprs, *(e for e in (self.having, self.qualify) if e is not None))
        return bool(
            self.group_by or self.sets or self.having is not None or any(map(has_aggregate, asked))
        )


@dataclass(frozen=True, slots=True)
class BoundValues:
    """VALUES: rows of expressions."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Expr, ...], ...]


@dataclass(frozen=True, slots=True)
class BoundSet:
    """UNION, INTERSECT, EXCEPT, perhaps with ALL in `op`."""

    op: str
    left: Body
    right: Body
    names: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cte:
    """A common table expression; the second side of a `recursive` one reads the whole."""

    number: int
    query: BoundQuery
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class BoundQuery:
    """A whole query; `ctes` are in the order they were written."""

    body: Body
    ctes: tuple[Cte, ...]
    order_by: tuple[OrderKey, ...]
    limit: int | None
    offset: int

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the name of each result column."""
        return self.body.names

    @property
    def types(self) -> tuple[str, ...]:
        """Returns the GQL type of each result column."""
        return self.body.types


Body = BoundSelect | BoundValues | BoundSet | BoundQuery

_LEAVES = (
    str, int, float, bool, type(None), catalog.Column, catalog.Table, Scan, Fault, Span,
)  # fmt: skip


def walk(node: object, *, into_queries: bool = True) -> Iterator[object]:
    """Yields every node below and including `node`, parents first."""
    if isinstance(node, tuple):
        for item in node:
            yield from walk(item, into_queries=into_queries)
        return
    if isinstance(node, _LEAVES) and not isinstance(node, Scan):
        return
    yield node
    if isinstance(node, Constant | Scan | Column) or (
        not into_queries and isinstance(node, BoundQuery)
    ):
        return
    if not is_dataclass(node) or isinstance(node, type) or type(node).__module__ != __name__:
        return
    for f in fields(node):
        yield from walk(getattr(node, f.name), into_queries=into_queries)


def joint_type(types: Iterable[str]) -> str:
    """Returns the type of a column that takes values of these types, which go together."""
    kinds = set(types) - {"NULL"}
    wide = kinds & {"DOUBLE", "TIMESTAMP"} or kinds - {"ANY"} or kinds
    return min(wide, default="NULL")


def is_constant(expr: Expr) -> bool:
    """Returns whether an expression is the same for every row."""
    if isinstance(expr, Apply):
        return expr.sql != UNNEST and all(map(is_constant, expr.args))
    return isinstance(expr, Constant)


def scans(relation: Relation | None) -> Iterator[Scan]:
    """Yields the tables of a FROM, those of sub-queries left out."""
    match relation:
        case Scan():
            yield relation
        case Join():
            yield from scans(relation.left)
            yield from scans(relation.right)


def kept(relation: Relation | None, scan: Scan) -> bool:
    """Returns whether no join adds rows that have NULLs in place of the scan's."""
    match relation:
        case Scan():
            return relation == scan
        case Join():
            outer = {"left": (relation.left,), "right": (relation.right,), "full": ()}
            sides = outer.get(relation.kind, (relation.left, relation.right))
            return any(kept(side, scan) for side in sides)
        case _:
            return False


def has_aggregate(expr: Expr) -> bool:
    """Returns whether an expression aggregates the rows of its query (a window does not)."""
    if isinstance(expr, Aggregate):
        return True
    if isinstance(expr, WindowCall):
        # What stands in a window may aggregate before it: sum(count(*)) OVER ().
        inner = (*expr.partition, *(k.expr for k in expr.order))
        args = expr.function.args if isinstance(expr.function, Aggregate | Apply) else ()
        return any(map(has_aggregate, (*inner, *args)))
    return any(map(has_aggregate, operands(expr)))


def has_window(expr: Expr) -> bool:
    """Returns whether an expression looks at other rows through a window."""
    return isinstance(expr, WindowCall) or any(map(has_window, operands(expr)))


def operands(expr: Expr) -> Iterator[Expr]:
    """Yields the expressions right below one, those of sub-queries left out."""
    for f in fields(expr):
        value = getattr(expr, f.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Expr):
                yield child
            elif isinstance(child, OrderKey):
                yield child.expr
            elif isinstance(child, tuple) and len(child) == 2 and isinstance(child[1], Expr):
                yield child[1]
