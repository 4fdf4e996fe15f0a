"""What the index of commits holds beside words: names as they are, and numbers.

A condition on them is answered by the index exactly, so a search can be narrowed by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from govc_search import textquery

__all__ = ["ANYTHING", "NUMBERS", "TERMS", "Fact", "OneOf", "Range", "Within", "names", "term"]

# Columns of commits held as whole texts (of changes too: the repository), and as numbers: those
# that are times in seconds since 1970. `position` is held by both indexes.
TERMS: Final = ("repo", "hash", "author", "author_email", "committer", "committer_email")
NUMBERS: Final = (
    *("author_date", "committer_date", "parent_count"),
    *("files_changed", "insertions", "deletions"),
)
# A term that is longer is not kept by the library.
_LONGEST: Final = 60_000


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column `field` is one of some texts."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The number `field` lies in a range whose ends belong to it; None is no end."""

    field: str
    low: int | None
    high: int | None


Fact = OneOf | Range


@dataclass(frozen=True, slots=True)
class Within:
    """What hits must meet too, without a part in their scores."""

    node: textquery.Node | None = None
    facts: tuple[Fact, ...] = ()


ANYTHING: Final = Within()


def names(fact: Fact) -> bool:
    """Returns whether a fact names its rows, so that the index is quick to count them."""
    return isinstance(fact, OneOf) or (fact.field == "position" and fact.low == fact.high)


def term(field: str, value: str) -> str | None:
    """Returns how the index holds a text of a column, None where it is too long for that."""
    found = f"{field}:{value}"
    return found if len(found.encode("utf-8", "surrogatepass")) <= _LONGEST else None
