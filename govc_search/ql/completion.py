"""What may be written next: keywords of the grammar, names of the catalog, names of what is indexed.

The grammar says what a name would be at a place (a column, a table, a type); `surroundings` says
which there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from govc_search import catalog
from govc_search.ql.box_terms import QUALIFIERS
from govc_search.ql.parser import keywords
from govc_search.ql.surroundings import Field, Relation, Surroundings, around, unquoted
from govc_search.ql.tokens import COMMENT, OPEN, Place, Token, place, tokens

__all__ = ["Candidate", "Indexed", "complete", "complete_words"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text to put in place of `[start, cursor)`.

    `kind` is value, column, alias, table, keyword, function or type; `help` is one line or "".
    """

    text: str
    start: int
    kind: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Indexed:
    """Names of what is indexed: repositories, and refs as (name, full name, type)."""

    repos: tuple[str, ...] = ()
    refs: tuple[tuple[str, str, str], ...] = ()

    def named(self, *types: str) -> list[str]:
        """Returns the short names of the refs of these types, by default of all."""
        return list(dict.fromkeys(n for n, _, kind in self.refs if not types or kind in types))

    def revisions(self) -> list[str]:
        """Returns what a revision may be called, other than by hash."""
        return ["HEAD", *self.named()] if self.refs else []


_WORD: Final = re.compile(r"[^\W\d]\w*\Z")
_PLAIN: Final = re.compile(r"[^\W\d]\w*")
_TYPES: Final = ("TEXT", "INTEGER", "DOUBLE", "BOOLEAN", "TIMESTAMP", "DATE", "INTERVAL")
# What may stand before a text in quotes.
_PREFIXES: Final = ("DATE", "INTERVAL", "TIMESTAMP")
_SHOWN: Final = ("FUNCTIONS", "TABLES")
_PARTS: Final = (
    "year", "quarter", "month", "week", "day", "hour", "minute", "second", "dow", "isodow", "doy",
    "epoch",
)  # fmt: skip
# Functions whose text is a revision, and those whose text is a range of them.
_REVISIONS: Final = frozenset(
    {"reachable_from", "ancestor_of", "descendant_of", "is_ancestor", "merge_base", "resolve"}
)
_RANGES: Final = frozenset({"in_range"})
# As far as a range is written before the name that is being typed.
_RANGE_SO_FAR: Final = re.compile(r"(?:.*(?:\.\.\.?|\s))?\^?", re.DOTALL)


def complete(text: str, cursor: int, indexed: Indexed) -> list[Candidate]:
    """Returns what may stand at `cursor` and begins as what is typed there, the likeliest first.

    `text` is any number of statements, whole or not; it may go on behind the cursor.
    """
    all_ = tokens(text)
    begin = max((t.end for t in all_ if t.type == "SEMICOLON" and t.end <= cursor), default=0)
    end = min((t.start for t in all_ if t.type == "SEMICOLON" and t.start >= cursor), default=None)
    statement, at = text[begin:end], cursor - begin
    found = _Completion(statement, at, indexed).candidates()
    unique: dict[str, Candidate] = {}
    for c in found:
        unique.setdefault(c.text, Candidate(c.text, c.start + begin, c.kind, c.help))
    return list(unique.values())


class _Completion:
    """One question: a statement and a place in it."""

    def __init__(self, text: str, cursor: int, indexed: Indexed) -> None:
        self._text = text
        self._cursor = cursor
        self._indexed = indexed
        before = text[:cursor]
        self._tokens = [t for t in tokens(before) if t.type != COMMENT]
        word = _WORD.search(before)
        self._word = word[0] if word else ""
        self._start = cursor - len(self._word)

    def candidates(self) -> Iterator[Candidate]:
        """Yields what fits, in order."""
        last = self._tokens[-1] if self._tokens else None
        if last is not None and last.type == OPEN:
            if self._text[last.start] == "'":
                yield from self._in_text(last.start)
            return
        before = self._text[: self._start]
        here = place(before)
        if here is None or before.endswith("$"):
            return
        if self._word:
            self._tokens = [t for t in self._tokens if t.start < self._start]
        after_dot = bool(self._tokens) and self._tokens[-1].type == "DOT"
        meanings = here.meanings("NAME")
        if meanings:
            yield from self._names(here, meanings, after_dot=after_dot)
        elif self._opener() == "EXTRACT":
            yield from self._begun("keyword", [(p, "") for p in _PARTS])
        yield from self._keywords(here)
        if "function" in meanings and not after_dot:
            yield from self._functions()

    # Names

    def _names(self, here: Place, meanings: set[str], *, after_dot: bool) -> Iterator[Candidate]:
        scope = around(self._text, self._cursor)
        if "column" in meanings:
            if after_dot:
                yield from self._columns(_owners(scope, self._token(-2)))
                return
            for value, help_ in self._values(self._tokens, scope):
                if value.lower().startswith(self._word.lower()):
                    yield Candidate(_quoted(value), self._start, "value", help_)
            yield from self._begun("alias", [(n, "named in SELECT") for n in scope.outputs])
            yield from self._columns(scope.relations)
            yield from self._aliases(scope)
            if self._word and not scope.relations:
                # FROM comes later: any table's column may be meant.
                yield from self._columns(_all_tables())
            if "STRING" in _accepts(here.after("NAME")):
                yield from self._begun("type", [(t, f"{t} '...'") for t in _PREFIXES], upper=True)
        if "table_name" in meanings:
            yield from self._begun("table", [(n, "named in WITH") for n in scope.named])
        if meanings & {"table_name", "describe"}:
            tables = [(t.name, t.help) for t in catalog.TABLES]
            aliases = [(a, f"another name of {t.name}") for t in catalog.TABLES for a in t.aliases]
            yield from self._begun("table", tables + (aliases if self._word else []))
        if "name_list" in meanings:
            yield from self._listed(scope)
        if "type" in meanings:
            yield from self._begun("type", [(t, "") for t in _TYPES], upper=True)
        if "show" in meanings:
            yield from self._begun("keyword", [(w, "") for w in _SHOWN], upper=True)

    def _columns(self, relations: Iterable[Relation]) -> Iterator[Candidate]:
        fields = [(r, f) for r in relations for f in r.fields]
        named = [(f.name, f.help or f"{f.type}, of {r.name}") for r, f in fields]
        others = [(a, f"another name of {f.name}") for _, f in fields for a in f.aliases]
        yield from self._begun("column", named + (others if self._word else []))

    def _aliases(self, scope: Surroundings) -> Iterator[Candidate]:
        yield from self._begun(
            "table", [(r.name, f"{r.table or 'table'} in FROM") for r in scope.relations if r.name]
        )

    def _listed(self, scope: Surroundings) -> Iterator[Candidate]:
        match self._opener():
            case "USING":
                counts: dict[str, int] = {}
                for r in scope.relations:
                    for f in r.fields:
                        counts[f.name] = counts.get(f.name, 0) + 1
                yield from self._begun(
                    "column", [(n, "in both") for n, k in counts.items() if k > 1]
                )
            case "EXCLUDE":
                yield from self._columns(scope.relations)

    def _functions(self) -> Iterator[Candidate]:
        called = self._text.startswith("(", self._cursor)
        for f in catalog.FUNCTIONS:
            for name in (f.name, *(f.aliases if self._word else ())):
                if name.startswith(self._word.lower()):
                    shown = name.upper() if self._word.isupper() else name
                    call = "" if called else "(" if f.args else "()"
                    yield Candidate(
                        shown + call, self._start, "function", f"{f.signature}: {f.help}"
                    )

    def _begun(
        self, kind: str, names: Iterable[tuple[str, str]], *, upper: bool = False
    ) -> Iterator[Candidate]:
        for name, help_ in names:
            if name.lower().startswith(self._word.lower()):
                shown = _as_written(name) if not upper else self._in_case(name)
                if shown != self._word:
                    yield Candidate(shown, self._start, kind, help_)

    # Keywords

    def _keywords(self, here: Place) -> Iterator[Candidate]:
        for first in here.accepts():
            if first not in keywords() or not first.startswith(self._word.upper()):
                continue
            if here.meanings(first) == {"function"}:
                continue
            words = [first]
            then = here.after(first)
            while len(follow := _accepts(then)) == 1 and follow[0] in keywords():
                words.append(follow[0])
                then = then.after(follow[0]) if then is not None else None
            shown = self._in_case(" ".join(words))
            if shown != self._word:
                yield Candidate(shown, self._start, "keyword")

    def _in_case(self, word: str) -> str:
        """Returns a keyword in the case that is being typed, or else that of the last one."""
        typed = self._word
        if not typed:
            written = [t for t in self._tokens if t.kind == "keyword"]
            typed = self._text[written[-1].start : written[-1].end] if written else ""
        return word.lower() if typed.islower() else word

    # Values

    def _in_text(self, quote: int) -> Iterator[Candidate]:
        typed = self._text[quote + 1 : self._cursor].replace("''", "'")
        before = [t for t in self._tokens if t.start < quote]
        values = self._values(before, around(self._text, quote))
        start, closing = quote + 1, "" if self._text.startswith("'", self._cursor) else "'"
        call = _call(before)
        if call is not None and self._lower(call[0]) in _RANGES:
            so_far = _RANGE_SO_FAR.match(typed)
            assert so_far is not None
            start = self._cursor - len(typed) + so_far.end()
            typed, closing = typed[so_far.end() :], ""
        for value, help_ in values:
            if value.startswith(typed) and value != typed:
                yield Candidate(value.replace("'", "''") + closing, start, "value", help_)

    def _values(self, before: Sequence[Token], scope: Surroundings) -> list[tuple[str, str]]:
        """Returns the values that may stand behind these tokens, each with one line of help."""
        call = _call(before)
        if call is not None and before[-1].type in {"LPAR", "COMMA"}:
            name = self._lower(call[0])
            table = catalog.table(name)
            if name in _REVISIONS | _RANGES or (table is not None and table.tree):
                return [(r, "revision") for r in self._indexed.revisions()]
            function = catalog.function(name)
            if function is not None and call[1] < len(function.args):
                return [(p, "") for p in _PARTS if function.args[call[1]] == "PART"]
        compared = list(before)
        if len(compared) > 1 and compared[-1].type in {"LPAR", "COMMA"}:
            while compared and compared[-1].type in {"COMMA", "STRING"}:
                compared.pop()
            if [t.type for t in compared[-2:]] != ["IN", "LPAR"]:
                return []
            del compared[-2:]
        elif compared and compared[-1].type in {"COMPARE", "LIKE", "ILIKE"}:
            compared.pop()
        else:
            return []
        if compared and compared[-1].type == "NOT":
            compared.pop()
        return self._values_of(compared, scope)

    def _values_of(self, before: Sequence[Token], scope: Surroundings) -> list[tuple[str, str]]:
        """Returns the values of the column whose name ends these tokens."""
        if not before or before[-1].type not in {"NAME", "QUOTED"}:
            return []
        name = self._lower(before[-1])
        relations = scope.relations
        if len(before) > 2 and before[-2].type == "DOT":
            relations = _owners(scope, self._text[before[-3].start : before[-3].end])
        for relation in relations:
            for f in relation.fields:
                if name in (f.name, *f.aliases):
                    return self._stored(relation.table, f.name)
        return []

    def _stored(self, table: str | None, column: str) -> list[tuple[str, str]]:
        match table, column:
            case _, "repo":
                return [(r, "repository") for r in self._indexed.repos]
            case "refs" | "branches" | "tags", "name":
                kinds = {"branches": ("branch",), "tags": ("tag",)}.get(table, ())
                return [(n, "") for n in self._indexed.named(*kinds)]
            case "repos", "default_branch":
                return [(n, "") for n in self._indexed.named("branch")]
            case (_, "full_name") | ("ref_updates", "ref"):
                return [(full, "") for _, full, _ in self._indexed.refs]
        return []

    # Tokens

    def _token(self, i: int) -> str:
        if len(self._tokens) < abs(i):
            return ""
        token = self._tokens[i]
        return self._text[token.start : token.end]

    def _lower(self, token: Token) -> str:
        return unquoted(self._text[token.start : token.end]).lower()

    def _opener(self) -> str:
        """Returns the type of what stands before the parenthesis that is open here."""
        depth = 0
        for i in range(len(self._tokens) - 1, 0, -1):
            depth += {"RPAR": 1, "LPAR": -1}.get(self._tokens[i].type, 0)
            if depth < 0:
                return self._tokens[i - 1].type
        return ""


def _call(before: Sequence[Token]) -> tuple[Token, int] | None:
    """Returns what is called at the end of these tokens, and how many arguments stand before."""
    depth = commas = 0
    for i in range(len(before) - 1, 0, -1):
        depth += {"RPAR": 1, "LPAR": -1}.get(before[i].type, 0)
        if depth < 0:
            return before[i - 1], commas
        commas += depth == 0 and before[i].type == "COMMA"
    return None


def _accepts(there: Place | None) -> list[str]:
    return there.accepts() if there is not None else []


def _owners(scope: Surroundings, name: str) -> list[Relation]:
    """Returns the tables of that name, as FROM calls them; the innermost query's hides others."""
    wanted = unquoted(name).lower()
    return [r for r in scope.relations if r.name.lower() == wanted][:1]


@cache
def _all_tables() -> tuple[Relation, ...]:
    return tuple(
        Relation(
            t.name, t.name, tuple(Field(c.name, c.type, f"{t.name}: {c.help}") for c in t.columns)
        )
        for t in catalog.TABLES
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _as_written(name: str) -> str:
    """Returns a name in double quotes where it needs them."""
    plain = _PLAIN.fullmatch(name) is not None
    if plain and name.upper() in keywords():
        # Most keywords are names where no keyword can stand.
        plain = tokens(f"SELECT {name}")[-1].type == "NAME"
    return name if plain else '"' + name.replace('"', '""') + '"'


# The search box

_BOX_WORD: Final = re.compile(r"-?([a-z]*)(:?)\"?([^\s\"]*)\Z")
_BOX_VALUES: Final = {
    "is": ("merge", "revert", "bot"),
    "has": ("trailer",),
    "sort": ("newest", "oldest", "relevance"),
}


def complete_words(text: str, cursor: int, indexed: Indexed) -> list[Candidate]:
    """Returns what may stand at `cursor` in the search box."""
    found = _BOX_WORD.search(text[:cursor])
    assert found is not None
    name, colon, value = found.groups()
    if not colon:
        # With a value begun there is no qualifier to complete.
        start = found.start(1)
        return [
            Candidate(f"{q.name}:", start, "keyword", q.help)
            for q in QUALIFIERS
            if not value and q.name.startswith(name)
        ]
    values: Iterable[str] = _BOX_VALUES.get(name, ())
    start = found.start(3)
    match name:
        case "repo":
            values = indexed.repos
        case "ref":
            values = indexed.revisions()
        case "range":
            values = indexed.revisions()
            so_far = _RANGE_SO_FAR.match(value)
            assert so_far is not None
            start += so_far.end()
            value = value[so_far.end() :]
    return [Candidate(v, start, "value") for v in values if v.startswith(value) and v != value]
