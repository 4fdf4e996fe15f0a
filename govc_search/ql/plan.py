"""The plan: for every predicate the way it is served, and what has to be read first."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from govc_search import textquery
from govc_search.errors import Span
from govc_search.facts import ANYTHING, Within
from govc_search.ql import bound

__all__ = [
    "Access", "Exactness", "GraphFunction", "HunkTexts", "LineFilter", "LineTest", "Members", "Plan", "RowSet",
    "TextScan", "TopK", "TreeScan",
]  # fmt: skip


class Exactness(Enum):
    """What an index can do for a predicate; INEXACT keeps its residual filter."""

    EXACT = "exact"
    INEXACT = "inexact"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class LineTest:
    """What a changed line must match: see `bound.LineMatch`."""

    sides: tuple[str, ...]
    mode: str
    pattern: str


@dataclass(frozen=True, slots=True)
class TextScan:
    """One search of the text index; its result is the relation `name` (id, score)."""

    name: str
    table: str
    node: textquery.Node
    estimate: int
    scored: bool = False
    limit: int | None = None
    # Hits are changes, kept only if a line of theirs matches.
    lines: LineTest | None = None
    # What else hits must meet, without a part in their scores.
    within: Within = ANYTHING
    # Hits belong to the commits that this search finds.
    among: TextScan | None = None
    # Hits are commits, and bring these of their columns: message, subject (only where scored).
    brings: tuple[str, ...] = ()

    @property
    def is_single(self) -> bool:
        """Returns whether there is one hit at most, which a statement can take as a parameter."""
        return self.estimate <= 1 and not self.brings and not self.scored and self.lines is None


@dataclass(frozen=True, slots=True)
class RowSet:
    """A set of positions from the commit graph; its result is the relation `name` (id).

    `repos` are those whose commits the query can show at all, None for any.
    """

    name: str
    kind: str
    revision: str
    repos: frozenset[str] | None = None
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class GraphFunction:
    """A function of the commit graph, `name` in the statement, with the repositories it can ask.

    With `scan` it is asked of that table's commits alone, and its values for all of them are the
    relation `name` (id, value).
    """

    name: str
    call: bound.GraphCall
    repos: frozenset[str] | None
    scan: bound.Scan | None = None


@dataclass(frozen=True, slots=True)
class Members:
    """What refs reach; the relation `name` (repo, ref, id) is made as it is read.

    `refs` asks for the refs (repo, full name) that conditions leave, `hashes` are the only
    commits that are looked for, None for all. Without `pinned` no condition is on refs.
    """

    name: str
    refs: bound.BoundQuery
    hashes: tuple[str, ...] | None
    pinned: bool


@dataclass(frozen=True, slots=True)
class TreeScan:
    """The files of a tree, read into the relation `name` up to a stage: tree, size or content.

    With `history` there is a relation `name_history` too. `filters` are conditions by the stage
    after which they are asked; only trees of `repos` are read, where there are any; `limit` says
    that so many of the first rows that pass are enough.
    """

    name: str
    scan: bound.Scan
    stage: str
    history: bool
    repos: frozenset[str] | None
    filters: tuple[tuple[str, tuple[bound.Expr, ...]], ...]
    limit: int | None


@dataclass(frozen=True, slots=True)
class Access:
    """How one predicate is served; `reason` says why an index was not used."""

    exactness: Exactness
    scan: TextScan | RowSet | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LineFilter:
    """A filter on lines that also holds for the hunk and change they stand in."""

    scan: bound.Scan
    mode: str
    pattern: str


@dataclass(frozen=True, slots=True)
class TopK:
    """The first rows by score: the index finds them, the table only dresses them.

    Unless `exact` some hits are no rows, and more of them are read until there are enough.
    """

    scan: TextScan
    rows: int
    exact: bool


@dataclass(frozen=True, slots=True)
class HunkTexts:
    """The hunks of changes that all of `hits` found, with their lines from beside the index.

    The relation `name` takes the place of the table, with its columns; `heading` says whether it
    has that one.
    """

    name: str
    hits: tuple[TextScan, ...]
    heading: bool


@dataclass(slots=True)
class Plan:
    """Everything that running a query needs beside its bound form."""

    query: bound.BoundQuery
    accesses: dict[bound.Predicate | LineFilter, Access] = field(default_factory=dict)
    scores: dict[bound.Scan, TextScan] = field(default_factory=dict)
    # Predicates that hold for every row of their scan, because its scores are joined to it.
    joined: dict[bound.Scan, frozenset[bound.Expr]] = field(default_factory=dict)
    line_filters: dict[bound.Scan, tuple[LineFilter, ...]] = field(default_factory=dict)
    # What the conditions on a scan's text leave of its rows, by the words they need.
    narrowed: dict[bound.Scan, Access] = field(default_factory=dict)
    # Scans of hunks and lines that read few changes.
    texts: dict[bound.Scan, HunkTexts] = field(default_factory=dict)
    trees: dict[bound.Scan, TreeScan] = field(default_factory=dict)
    functions: dict[bound.GraphCall, GraphFunction] = field(default_factory=dict)
    members: dict[bound.Scan, Members] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    top_k: TopK | None = None
    # Conditions of the outermost WHERE that the index has answered for all rows it finds.
    answered: frozenset[bound.Expr] = frozenset()
    # The search whose hits are just counted, where the query asks for nothing else.
    count: TextScan | None = None
    # Set where the text index alone can show the first rows, without the table.
    page: TopK | None = None

    @property
    def text_scans(self) -> tuple[TextScan, ...]:
        """Returns the searches of the text index, each once, those that others need first."""
        accesses = (*self.accesses.values(), *self.narrowed.values())
        scans = [a.scan for a in accesses if isinstance(a.scan, TextScan)]
        each = dict.fromkeys([*scans, *self.scores.values()])
        return tuple(sorted(each, key=lambda scan: scan.among is not None))

    @property
    def row_sets(self) -> tuple[RowSet, ...]:
        """Returns the sets from the commit graph, each once."""
        return tuple(
            dict.fromkeys(a.scan for a in self.accesses.values() if isinstance(a.scan, RowSet))
        )
