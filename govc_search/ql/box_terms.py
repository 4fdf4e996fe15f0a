"""The words and qualifiers of the search box, each with its place in the text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from govc_search.errors import QueryError, Span

__all__ = ["QUALIFIERS", "Qualifier", "Term", "parse_box"]


@dataclass(frozen=True, slots=True)
class Term:
    """One word, phrase or `qualifier:value` of the box.

    `qualifier` is "" for plain words; `quoted` says that all of the value stood in quotes.
    """

    qualifier: str
    value: str
    quoted: bool = False
    negated: bool = False
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Qualifier:
    """One qualifier: an example of its use and one line of help."""

    name: str
    example: str
    help: str


QUALIFIERS: Final[tuple[Qualifier, ...]] = (
    Qualifier("author", "author:linus", "part of the author's name or e-mail, any case"),
    Qualifier("committer", "committer:junio", "part of the committer's name or e-mail, any case"),
    Qualifier("email", "email:kernel.org", "part of the author's e-mail, any case"),
    Qualifier("repo", "repo:git", "repository by name; * and ? are wildcards"),
    Qualifier(
        "path", "path:drivers/**", "a changed path, old or new: a glob, a file or a directory"
    ),
    Qualifier("ext", "ext:c", "a changed path ends in this extension"),
    Qualifier("lang", "lang:python", "a changed file is in this language, by its name"),
    Qualifier("hash", "hash:e83c5163", "commit hash or its beginning"),
    Qualifier("ref", "ref:v6.1", "reachable from a branch, tag or other revision"),
    Qualifier("range", "range:v6.0..v6.1", "in a revision range, as git has them"),
    Qualifier("after", "after:2024-01-01", "committed at or after a date, or after:2weeks"),
    Qualifier("before", "before:2024-06", "committed before a date"),
    Qualifier("added", "added:strbuf_addf", "some added line contains the text"),
    Qualifier("removed", "removed:strcpy", "some removed line contains the text"),
    Qualifier("changed", "changed:malloc", "some added or removed line contains the text"),
    Qualifier("message", "message:race", "the words, in order, in the message"),
    Qualifier("subject", "subject:race", "the words, in order, in the subject"),
    Qualifier(
        "is",
        "is:merge",
        "merge, revert (takes another commit back) or bot (a program is the author)",
    ),
    Qualifier("has", "has:trailer", "the message has trailers"),
    Qualifier("trailer", "trailer:Fixes=e83c51", "a trailer by key, and a part of its value"),
    Qualifier("sort", "sort:newest", "newest, oldest or relevance"),
)

_NAMES: Final = tuple(q.name for q in QUALIFIERS)

# What people type out of habit from git, GitHub and other boxes. Suggested, not taken.
_MEANT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "since": "after",
        "until": "before",
        "date": "after",
        "newer": "after",
        "older": "before",
        "file": "path",
        "filename": "path",
        "dir": "path",
        "extension": "ext",
        "language": "lang",
        "branch": "ref",
        "tag": "ref",
        "rev": "ref",
        "revision": "ref",
        "user": "author",
        "name": "author",
        "mail": "email",
        "sha": "hash",
        "commit": "hash",
        "id": "hash",
        "title": "subject",
        "body": "message",
        "msg": "message",
        "order": "sort",
        "repository": "repo",
        "grep": "message",
        "diff": "changed",
        "content": "changed",
        "merge": "is",
        "type": "is",
        "committer-date": "after",
        "author-date": "after",
    }
)

_QUALIFIER: Final = re.compile(r"([A-Za-z][A-Za-z_-]*):")
# "mm: fix a leak", "std::move", "https://...": words, not qualifiers.
_NO_QUALIFIER: Final = re.compile(r"\s|:|//|$")


def parse_box(text: str) -> tuple[Term, ...]:
    """Returns the terms of a box in the order written.

    Raises QueryError: unclosed_quote, unknown_qualifier, missing_value.
    """
    terms: list[Term] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return tuple(terms)
        start = at
        negated = (
            text[at] == "-"
            and at + 1 < len(text)
            and text[at + 1] != "-"
            and not text[at + 1].isspace()
        )
        at += negated
        name, at = _read_qualifier(text, at)
        value_at = at
        value, quoted, at = _read_value(text, at)
        if name and not value:
            raise QueryError(
                "missing_value",
                f'nothing after "{name}:"',
                hint=f"write it without a space, as in {_example(name)}",
                span=Span(start, at),
                source=text,
            )
        if value:
            terms.append(
                Term(name, value, quoted, negated, Span(start if not name else value_at, at))
            )


def _read_qualifier(text: str, at: int) -> tuple[str, int]:
    """Returns the qualifier that begins at `at` ("" for none) and where its value begins."""
    found = _QUALIFIER.match(text, at)
    if found is None:
        return "", at
    name = found[1].lower()
    if name in _NAMES:
        return name, found.end()
    if _NO_QUALIFIER.match(text, found.end()):
        return "", at
    near = _MEANT.get(name) or next(iter(difflib.get_close_matches(name, _NAMES, 1)), None)
    raise QueryError(
        "unknown_qualifier",
        f'no qualifier "{found[1]}"',
        hint=f'did you mean "{near}:"?' if near else "put quotes around it to search for the text",
        span=Span(found.start(1), found.end(1)),
        source=text,
    )


def _read_value(text: str, at: int) -> tuple[str, bool, int]:
    """Returns the value, whether all of it was quoted, and where it ends."""
    start = at
    out: list[str] = []
    quoted_end = -1
    while at < len(text) and not text[at].isspace():
        if text[at] != '"':
            out.append(text[at])
            at += 1
            continue
        opened = at
        at += 1
        while True:
            if at >= len(text):
                raise QueryError(
                    "unclosed_quote",
                    "the quote that begins here has no end",
                    hint='close it with "; inside quotes a quote is written twice',
                    span=Span(opened, opened + 1),
                    source=text,
                )
            if text.startswith('""', at) or text.startswith('\\"', at):
                out.append('"')
                at += 2
            elif text[at] == '"':
                break
            else:
                out.append(text[at])
                at += 1
        at += 1
        if opened == start:
            quoted_end = at
    return "".join(out), quoted_end == at, at


def _example(name: str) -> str:
    """Returns an example of the use of a qualifier."""
    return next(q.example for q in QUALIFIERS if q.name == name)
