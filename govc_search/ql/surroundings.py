"""What names may mean at a place of a query that is being written.

Only parentheses, keywords and names are looked at, so the query need not be whole: tables count
that stand after the place, and so do those of the queries around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from govc_search import catalog
from govc_search.errors import QueryError
from govc_search.ql import ast
from govc_search.ql.binder import Binder
from govc_search.ql.parser import parse
from govc_search.ql.tokens import COMMENT, Token, tokens
from govc_search.settings import Settings

__all__ = ["Field", "Relation", "Surroundings", "around", "unquoted"]

_CLAUSES: Final = {
    "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "QUALIFY", "ORDER", "LIMIT", "OFFSET",
}  # fmt: skip
_SET_OPERATIONS: Final = {"UNION", "EXCEPT", "INTERSECT"}
_ENDS_ITEM: Final = {"NAME", "QUOTED", "STRING", "INTEGER", "DECIMAL", "END", "NULL", "PARAMETER"}
_NAMES: Final = {"NAME", "QUOTED"}


@dataclass(frozen=True, slots=True)
class Field:
    """A column that a name may mean."""

    name: str
    type: str
    help: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """A table of FROM by the name it has there; `table` is its name in the catalog, or None."""

    name: str
    table: str | None
    fields: tuple[Field, ...]


@dataclass(slots=True)
class Surroundings:
    """The tables in scope, the innermost first; tables of WITH; names that SELECT gives.

    `clause` is the keyword of the clause around the place, "" where there is none.
    """

    relations: list[Relation] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    clause: str = ""


def around(text: str, cursor: int) -> Surroundings:
    """Returns what a name at `cursor` may mean; `text` is one statement."""
    found = Surroundings()
    reader = _Reader(text, cursor)
    path = reader.path()
    for depth, block in enumerate(path):
        if not _is_query(block):
            continue
        below = path[depth + 1] if depth + 1 < len(path) else None
        reader.read(block, below, found)
    return found


def unquoted(name: str) -> str:
    """Returns what a name means, with or without its quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


@dataclass(slots=True)
class _Block:
    """What stands between two parentheses, or all of the text."""

    start: int
    end: int
    items: list[Token | _Block] = field(default_factory=list)


def _is_query(block: _Block) -> bool:
    first = next(iter(block.items), None)
    if isinstance(first, _Block):
        return _is_query(first)
    return first is not None and first.type in {"SELECT", "WITH", "VALUES", "EXPLAIN"}


class _Reader:
    """Reads one statement, from the outermost query inwards."""

    def __init__(self, text: str, cursor: int) -> None:
        self._text = text
        self._cursor = cursor
        # The text of each table of WITH that is in scope, by its name.
        self._with: dict[str, str] = {}
        self._opening = "WITH"

    def path(self) -> list[_Block]:
        """Returns the blocks around the cursor, the outermost first."""
        whole = _Block(0, len(self._text))
        open_ = [whole]
        found = tokens(self._text)
        unclosed = _unclosed(found)
        for token in found:
            while self._ends(token, open_[-1], unclosed):
                open_.pop().end = token.start
            if token.type == "LPAR":
                block = _Block(token.end, len(self._text))
                open_[-1].items.append(block)
                open_.append(block)
            elif token.type == "RPAR" and len(open_) > 1:
                open_.pop().end = token.start
            elif token.type not in {COMMENT, "RPAR", "SEMICOLON"}:
                open_[-1].items.append(token)
        path = [whole]
        while True:
            inner = [b for b in path[-1].items if isinstance(b, _Block) and self._holds(b)]
            if not inner:
                return path
            path.append(inner[0])

    def _ends(self, token: Token, block: _Block, unclosed: set[int]) -> bool:
        """Returns whether a clause ends a parenthesis that is still to be closed at the cursor."""
        return (
            token.type in _CLAUSES
            and block.start in unclosed
            and block.start <= self._cursor <= token.start
            and not _is_query(block)
            and bool(block.start)
        )

    def _holds(self, block: _Block) -> bool:
        return block.start <= self._cursor <= block.end

    def read(self, block: _Block, below: _Block | None, found: Surroundings) -> None:
        """Adds what a query holds for the place, which is in `below` or in no block of it."""
        items = self._read_with(block.items)
        found.named = list(self._with)
        select: list[Token | _Block] = []
        for item in items:
            if isinstance(item, Token) and item.type in _SET_OPERATIONS:
                if item.start >= self._cursor:
                    break
                select = []
            else:
                select.append(item)
        clauses = _clauses(select)
        before = [c for c, first, _ in clauses if first.start < self._cursor]
        found.clause = before[-1] if before else ""
        found.outputs = [
            name
            for clause, _, parts in clauses
            if clause == "SELECT" and found.clause in {"GROUP", "HAVING", "QUALIFY", "ORDER"}
            for name in self._outputs(parts)
        ]
        tables = [t for clause, _, parts in clauses if clause == "FROM" for t in self._from(parts)]
        # A table made by a query does not see those beside it, unless LATERAL says so.
        if not any(source is not None and source is below for _, source in tables):
            found.relations = [relation for relation, _ in tables] + found.relations

    # WITH

    def _read_with(self, items: Sequence[Token | _Block]) -> list[Token | _Block]:
        """Notes the tables of WITH that the place may name, and returns what follows them."""
        rest = list(items)
        while rest and _is(rest[0], "EXPLAIN", "ANALYZE"):
            rest.pop(0)
        if not (rest and _is(rest[0], "WITH")):
            return rest
        rest.pop(0)
        if rest and _is(rest[0], "RECURSIVE"):
            rest.pop(0)
            self._opening = "WITH RECURSIVE"
        while rest and _is(rest[0], *_NAMES):
            first, body = rest.pop(0), None
            while rest and (isinstance(rest[0], _Block) or _is(rest[0], "AS")):
                item = rest.pop(0)
                body = item if isinstance(item, _Block) else body
            if body is None or self._holds(body):
                # The place is in it, and what follows is not seen from there.
                return []
            assert isinstance(first, Token)
            name = unquoted(self._text[first.start : first.end])
            self._with[name] = self._text[first.start : body.end + 1]
            if rest and _is(rest[0], "COMMA"):
                rest.pop(0)
        return rest

    # FROM

    def _from(self, items: Sequence[Token | _Block]) -> Iterator[tuple[Relation, _Block | None]]:
        """Yields the tables of FROM, each with its query if that is one and sees no others."""
        expected, is_lateral, i = True, False, 0
        while i < len(items):
            item = items[i]
            i += 1
            if isinstance(item, Token):
                if item.type in {"JOIN", "COMMA"}:
                    expected, is_lateral = True, False
                elif item.type == "LATERAL":
                    is_lateral = True
                elif expected and item.type in _NAMES:
                    expected = False
                    name = unquoted(self._text[item.start : item.end])
                    if i < len(items) and isinstance(items[i], _Block):
                        i += 1
                    alias, i = self._alias(items, i)
                    yield self._named(name, alias or name), None
            elif expected:
                expected = False
                if _is_query(item):
                    alias, i = self._alias(items, i)
                    source = self._text[item.start : item.end]
                    fields = self._fields(f"({source}) AS x")
                    yield Relation(alias, None, fields), None if is_lateral else item
                else:
                    yield from self._from(item.items)

    def _alias(self, items: Sequence[Token | _Block], i: int) -> tuple[str, int]:
        if i < len(items) and _is(items[i], "AS"):
            i += 1
        if i < len(items) and _is(items[i], *_NAMES):
            item = items[i]
            assert isinstance(item, Token)
            return unquoted(self._text[item.start : item.end]), i + 1
        return "", i

    def _named(self, name: str, alias: str) -> Relation:
        for known in self._with:
            if known.lower() == name.lower():
                quoted = name.replace('"', '""')
                return Relation(alias, None, self._fields(f'"{quoted}"'))
        table = catalog.table(name)
        if table is None:
            return Relation(alias, None, ())
        fields = tuple(Field(c.name, c.type, c.help, c.aliases) for c in table.columns)
        return Relation(alias, table.name, fields)

    def _fields(self, source: str) -> tuple[Field, ...]:
        names = ", ".join(self._with.values())
        return _columns(f"{self._opening} {names} " * bool(names) + f"SELECT * FROM {source}")

    # SELECT

    def _outputs(self, items: Sequence[Token | _Block]) -> Iterator[str]:
        previous: Token | _Block | None = None
        for i, item in enumerate(items):
            if isinstance(item, Token) and item.type in _NAMES and previous is not None:
                is_last = i + 1 == len(items) or _is(items[i + 1], "COMMA")
                after_value = isinstance(previous, _Block) or previous.type in {"AS", *_ENDS_ITEM}
                if is_last and after_value:
                    yield unquoted(self._text[item.start : item.end])
            previous = item


def _unclosed(found: Sequence[Token]) -> set[int]:
    """Returns where the parentheses begin that have no end."""
    open_: list[int] = []
    for token in found:
        if token.type == "LPAR":
            open_.append(token.end)
        elif token.type == "RPAR" and open_:
            open_.pop()
    return set(open_)


def _is(item: Token | _Block, *types: str) -> bool:
    return isinstance(item, Token) and item.type in types


def _clauses(
    items: Sequence[Token | _Block],
) -> list[tuple[str, Token, list[Token | _Block]]]:
    """Returns the clauses of a SELECT: keyword, its token, and what follows it."""
    found: list[tuple[str, Token, list[Token | _Block]]] = []
    for i, item in enumerate(items):
        # IS DISTINCT FROM is no clause.
        is_operator = i > 1 and _is(items[i - 1], "DISTINCT") and _is(items[i - 2], "IS", "NOT")
        if isinstance(item, Token) and item.type in _CLAUSES and not is_operator:
            found.append((item.type, item, []))
        elif found:
            found[-1][2].append(item)
    return found


@lru_cache(maxsize=128)
def _columns(query: str) -> tuple[Field, ...]:
    """Returns the columns of a query, none where it is not whole."""
    try:
        statement = parse(query)
        assert isinstance(statement, ast.Query)
        bound = Binder(query, None, Settings()).query(statement, None)
    except (QueryError, RecursionError):
        return ()
    return tuple(Field(n, t, "") for n, t in zip(bound.names, bound.types, strict=True))
