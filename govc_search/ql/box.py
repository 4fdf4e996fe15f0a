"""The search box: `author:linus path:drivers/** "use after free"` to GQL.

Three steps: text to terms (`box_terms`), terms to conditions, conditions to one SELECT. Words of
the user reach the GQL only as parameters or as quoted literals.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from govc_search import filekinds
from govc_search.errors import QueryError, Span
from govc_search.ql.box_terms import QUALIFIERS, Qualifier, Term, parse_box

__all__ = ["QUALIFIERS", "Qualifier", "Term", "errors_in_box", "parse_box", "quote", "to_gql"]


def quote(value: str) -> str:
    """Returns a text as a GQL literal."""
    return "'" + value.replace("'", "''") + "'"


class _Values:
    """Where values go: into parameters named after their qualifier, or into the text."""

    def __init__(self, *, literals: bool) -> None:
        self.literals = literals
        self.params: dict[str, object] = {}

    def put(self, name: str, value: str) -> str:
        if self.literals:
            return quote(value)
        key, n = name, 1
        while key in self.params:
            n += 1
            key = f"{name}_{n}"
        self.params[key] = value
        return f"${key}"


@dataclass(frozen=True, slots=True)
class _Context:
    box: str
    values: _Values
    # The conditions written so far, each with the place that asked for it.
    places: list[tuple[str, Span]] = field(default_factory=list)

    def error(self, code: str, message: str, term: Term, hint: str | None = None) -> QueryError:
        return QueryError(code, message, hint=hint, span=term.span, source=self.box)

    def put(self, term: Term, value: str) -> str:
        return self.values.put(term.qualifier or "words", value)


# What a term becomes: conditions of which one has to hold.
_Condition = Callable[["_Context", Term], tuple[str, ...]]


def _part(context: _Context, term: Term, *columns: str) -> tuple[str, ...]:
    """Returns the conditions that a column contains the value, in any case."""
    pattern = context.put(term, f"%{_like(term.value)}%")
    return tuple(f"{column} ILIKE {pattern} ESCAPE '\\'" for column in columns)


def _like(value: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", value)


def _author(context: _Context, term: Term) -> tuple[str, ...]:
    return _part(context, term, "c.author_mapped", "c.author_email_mapped")


def _committer(context: _Context, term: Term) -> tuple[str, ...]:
    return _part(context, term, "c.committer_mapped", "c.committer_email_mapped")


def _email(context: _Context, term: Term) -> tuple[str, ...]:
    return _part(context, term, "c.author_email", "c.author_email_mapped")


def _repo(context: _Context, term: Term) -> tuple[str, ...]:
    if not re.search(r"[*?]", term.value):
        return (f"c.repo = {context.put(term, term.value)}",)
    # LIKE, not GLOB: the name of a repository may hold a "/", where a glob's * would stop.
    pattern = _like(term.value).replace("*", "%").replace("?", "_")
    return (f"c.repo LIKE {context.put(term, pattern)} ESCAPE '\\'",)


_GLOB: Final = re.compile(r"[*?\[{\\]")


def _path(context: _Context, term: Term) -> tuple[str, ...]:
    value = term.value.removeprefix("./").strip("/") + "/" * term.value.endswith("/")
    if not value.strip("/"):
        raise context.error("invalid_value", "a path is expected", term, "as in path:drivers/**")
    if _GLOB.search(value):
        globs = [value + "**" if value.endswith("/") else value]
    elif value.endswith("/"):
        globs = [value + "**"]
    elif "/" in value:
        globs = [value, value + "/**"]
    else:
        globs = ["**/" + value, f"**/{value}/**"]
    return tuple(f"TOUCHES(c, {context.put(term, glob)})" for glob in globs)


def _ext(context: _Context, term: Term) -> tuple[str, ...]:
    value = term.value.removeprefix("*").removeprefix(".")
    if not value or "/" in value:
        raise context.error("invalid_value", "an extension is expected", term, "as in ext:c")
    glob = "*." + re.sub(r"([*?\[\]{},\\])", r"\\\1", value)
    return (f"TOUCHES(c, {context.put(term, glob)})",)


def _lang(context: _Context, term: Term) -> tuple[str, ...]:
    language = filekinds.language_named(term.value)
    if language is None:
        near = difflib.get_close_matches(term.value.lower(), filekinds.language_names(), 1)
        raise context.error(
            "invalid_value",
            f'no language "{term.value}"',
            term,
            f'did you mean "{near[0]}"?' if near else "ext: asks for the extension",
        )
    return (_CHANGE.format(f" AND f.language = {context.put(term, language)}"),)


def _hash(context: _Context, term: Term) -> tuple[str, ...]:
    value = term.value.lower()
    if not re.fullmatch(r"[0-9a-f]{1,64}", value):
        raise context.error(
            "invalid_value", "a hash has the digits 0-9 and a-f", term, "ref: takes names"
        )
    if len(value) in (40, 64):
        return (f"c.hash = {context.put(term, value)}",)
    return (f"c.hash LIKE {context.put(term, value + '%')}",)


def _ref(context: _Context, term: Term) -> tuple[str, ...]:
    return (f"REACHABLE_FROM(c, {context.put(term, term.value)})",)


def _range(context: _Context, term: Term) -> tuple[str, ...]:
    return (f"IN_RANGE(c, {context.put(term, term.value)})",)


def _after(context: _Context, term: Term) -> tuple[str, ...]:
    return (f"c.committer_date >= {_moment(context, term)}",)


def _before(context: _Context, term: Term) -> tuple[str, ...]:
    return (f"c.committer_date < {_moment(context, term)}",)


_DATE: Final = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2}(?:[T ]\d{2}:\d{2}.*)?)?)?")
_AGO: Final = re.compile(
    r"(\d{1,6})[ .]*(second|minute|hour|day|week|month|year|h|d|w|y)s?(?:[ .]*ago)?", re.IGNORECASE
)
_UNITS: Final = MappingProxyType({"h": "hour", "d": "day", "w": "week", "y": "year"})


def _moment(context: _Context, term: Term) -> str:
    """Returns the GQL of an instant: an ISO date (its first instant), or a time ago."""
    value = term.value.strip()
    if value.lower() == "today":
        return "DATE_TRUNC('day', NOW())"
    if value.lower() == "yesterday":
        return "DATE_TRUNC('day', AGO('1 day'))"
    if ago := _AGO.fullmatch(value):
        unit = ago[2].lower()
        return f"AGO('{int(ago[1])} {_UNITS.get(unit, unit)}s')"
    if _DATE.fullmatch(value):
        whole = value + {4: "-01-01", 7: "-01"}.get(len(value), "")
        try:
            moment = datetime.fromisoformat(whole)
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            pass
        else:
            return f"TIMESTAMP '{moment.isoformat(' ')}'"
    raise context.error(
        "invalid_value",
        f'"{term.qualifier}:" takes a date',
        term,
        "as in 2024, 2024-06-30, 2024-06-30T12:00+02:00, 2weeks, yesterday",
    )


def _lines(function: str) -> _Condition:
    def condition(context: _Context, term: Term) -> tuple[str, ...]:
        return (f"{function}(c, {context.put(term, term.value)})",)

    return condition


def _words_in(column: str) -> _Condition:
    def condition(context: _Context, term: Term) -> tuple[str, ...]:
        if not any(ch.isalnum() for ch in term.value):
            # No word in it ("->"), so no index has it; the text itself does.
            return (f"CONTAINS({column}, {context.put(term, term.value)})",)
        phrase = '"' + term.value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return (f"MATCH({column}, {context.put(term, phrase)})",)

    return condition


_MARKS: Final = ("merge", "revert", "bot")


def _is(context: _Context, term: Term) -> tuple[str, ...]:
    value = term.value.lower()
    if value not in _MARKS:
        raise _unknown_value(context, term, _MARKS)
    return (f"c.is_{value}",)


def _has(context: _Context, term: Term) -> tuple[str, ...]:
    if term.value.lower() not in ("trailer", "trailers"):
        raise _unknown_value(context, term, ("trailer",))
    return (_TRAILER.format(""),)


# The two columns make the join: a hash may be in several repositories.
_CHANGE: Final = "EXISTS (SELECT 1 FROM changes f WHERE f.repo = c.repo AND f.hash = c.hash{})"
_TRAILER: Final = "EXISTS (SELECT 1 FROM trailers t WHERE t.repo = c.repo AND t.hash = c.hash{})"


def _trailer(context: _Context, term: Term) -> tuple[str, ...]:
    key, separator, value = term.value.partition("=")
    key = key.strip()
    if not key:
        raise context.error(
            "invalid_value", "the key of a trailer is expected", term, "as in trailer:Fixes=e83c51"
        )
    # The keys of trailers ignore case, as in git.
    more = f" AND t.key ILIKE {context.values.put('trailer_key', _like(key))} ESCAPE '\\'"
    if separator and value:
        pattern = context.values.put("trailer", f"%{_like(value)}%")
        more += f" AND t.value ILIKE {pattern} ESCAPE '\\'"
    return (_TRAILER.format(more),)


def _unknown_value(context: _Context, term: Term, values: tuple[str, ...]) -> QueryError:
    near = difflib.get_close_matches(term.value.lower(), values, 1)
    return context.error(
        "invalid_value",
        f'"{term.qualifier}:" does not take "{term.value}"',
        term,
        f'did you mean "{near[0]}"?' if near else "it takes " + " or ".join(values),
    )


_CONDITIONS: Final[Mapping[str, _Condition]] = MappingProxyType(
    {
        "author": _author,
        "committer": _committer,
        "email": _email,
        "repo": _repo,
        "path": _path,
        "ext": _ext,
        "lang": _lang,
        "hash": _hash,
        "ref": _ref,
        "range": _range,
        "after": _after,
        "before": _before,
        "added": _lines("ADDED"),
        "removed": _lines("REMOVED"),
        "changed": _lines("CHANGED"),
        "message": _words_in("c.message"),
        "subject": _words_in("c.subject"),
        "is": _is,
        "has": _has,
        "trailer": _trailer,
    }
)

# A commit has one of each, so two of them can only mean "either"; of all else a commit may
# satisfy several, so two mean "both".
_ONE_OF: Final = frozenset({"author", "committer", "email", "repo", "hash"})
# Terms that rank: words and phrases.
_RANKED: Final = frozenset({"", "message", "subject"})
_ORDERS: Final = ("relevance", "newest", "oldest")


def to_gql(
    text: str,
    limit: int = 10,
    *,
    literals: bool = False,
    marks: tuple[str, str] | None = None,
    plain: bool = False,
) -> tuple[str, dict[str, object]]:
    """Returns the GQL that a box means, and its parameters.

    Columns: repo, hash, short_hash, author_date, author, subject with its matches marked, score
    (NULL where nothing ranks). With `literals` the values stand in the text and there are no
    parameters. `marks` open and close a match, and add the column body, marked too; `plain`
    leaves the subject as it is.

    Raises QueryError with the place in the box: empty_search, unclosed_quote,
    unknown_qualifier, missing_value, invalid_value, duplicate_qualifier, nothing_to_rank.
    """
    terms = parse_box(text)
    if not terms:
        raise QueryError("empty_search", "nothing to search for", hint="as in author:linus race")
    context = _Context(text, _Values(literals=literals))
    order = _order(context, terms)
    where, ranked = _where(context, terms)
    if order is not None and order.value.lower() == "relevance" and not ranked:
        raise context.error(
            "nothing_to_rank", "there are no words to rank by", order, "sort:newest needs none"
        )
    how = order.value.lower() if order else "relevance" if ranked else "newest"
    columns = _columns(ranked=ranked, marked=ranked and not plain, marks=marks)
    lines = [f"SELECT {columns}", "FROM commits c"]
    if where:
        lines.append("WHERE " + "\n  AND ".join(where))
    lines.append(
        {
            "relevance": "ORDER BY SCORE() DESC, c.position DESC",
            "newest": "ORDER BY c.committer_date DESC NULLS LAST, c.position DESC",
            "oldest": "ORDER BY c.committer_date ASC NULLS LAST, c.position ASC",
        }[how]
    )
    lines.append(f"LIMIT {int(limit)}")
    return "\n".join(lines), context.values.params


@contextmanager
def errors_in_box(text: str, gql: str) -> Iterator[None]:
    """Gives the errors that the GQL of a box meets their place in the box."""
    try:
        yield
    except QueryError as e:
        if e.source != gql:
            raise
        context = _Context(text, _Values(literals=False))
        _where(context, parse_box(text))
        at = -1 if e.span is None else e.span.start
        span = next(
            (
                place
                for condition, place in context.places
                for found in re.finditer(re.escape(condition), gql)
                if found.start() <= at < found.end()
            ),
            None,
        )
        source = None if span is None else text
        raise QueryError(e.code, e.message, hint=e.hint, span=span, source=source) from e


def _columns(*, ranked: bool, marked: bool, marks: tuple[str, str] | None) -> str:
    extra = "".join(f", {quote(m)}" for m in marks or ())
    names = ("subject", "body") if marks else ("subject",)
    texts = (f"HIGHLIGHT(c.{n}{extra}) AS {n}" if marked else f"c.{n}" for n in names)
    score = "SCORE() AS score" if ranked else "CAST(NULL AS DOUBLE) AS score"
    columns = "c.repo, c.hash, c.short_hash, c.author_date, c.author"
    return f"{columns}, {', '.join(texts)}, {score}"


def _order(context: _Context, terms: tuple[Term, ...]) -> Term | None:
    orders = [t for t in terms if t.qualifier == "sort"]
    for term in orders:
        if term.negated:
            raise context.error("invalid_value", '"sort:" cannot be excluded', term)
        if term.value.lower() not in _ORDERS:
            raise _unknown_value(context, term, _ORDERS)
    if len(orders) > 1:
        raise context.error("duplicate_qualifier", '"sort:" stands twice', orders[1])
    return orders[0] if orders else None


def _where(context: _Context, terms: tuple[Term, ...]) -> tuple[list[str], bool]:
    """Returns the conditions, all of which hold, and whether any of them ranks."""
    where: list[str] = []
    words = [t for t in terms if not t.qualifier and not t.negated and not t.quoted]
    if words:
        where.append(f"SEARCH(c, {context.values.put('words', ' '.join(t.value for t in words))})")
        context.places.append((where[0], Span(words[0].span.start, words[-1].span.end)))
    groups: dict[str, list[str]] = {}
    for term in terms:
        if term.qualifier == "sort" or term in words:
            continue
        either = _CONDITIONS[term.qualifier or "message"](context, term)
        context.places.extend((condition, term.span) for condition in either)
        if term.negated:
            where.append(f"NOT {_any(either)}")
        elif term.qualifier in _ONE_OF:
            groups.setdefault(term.qualifier, []).extend(either)
        else:
            where.append(_any(either))
    where.extend(_any(group) for group in groups.values())
    ranked = any(not t.negated and _ranks(t) for t in terms)
    return where, ranked


def _any(conditions: Sequence[str]) -> str:
    joined = " OR ".join(conditions)
    return f"({joined})" if len(conditions) > 1 else joined


def _ranks(term: Term) -> bool:
    if not term.qualifier and not term.quoted:
        return True
    return term.qualifier in _RANKED and any(ch.isalnum() for ch in term.value)
