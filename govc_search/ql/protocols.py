"""What the query layer needs of the stores, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search import textquery
from govc_search.facts import ANYTHING, Fact, Within

__all__ = ["Batches", "Cursor", "Graph", "Hits", "Served", "Table", "Text", "Tree", "Trees"]

Ids = npt.NDArray[np.uint64]


class Served(Protocol):
    """How the text index can serve a text query: EXACT, INEXACT (a superset) or UNSUPPORTED."""

    @property
    def exactness(self) -> Any:
        """Returns a member of an enumeration with these three names."""

    @property
    def estimate(self) -> int:
        """Returns at most about how many hits there are."""


class Hits(Protocol):
    """Keys, and scores where they were asked for."""

    @property
    def ids(self) -> Ids:
        """Returns positions of commits, or ids of changes."""

    @property
    def scores(self) -> npt.NDArray[np.float32] | None:
        """Returns the relevance of each, higher is better, or None."""

    @property
    def addresses(self) -> Sequence[Any]:
        """Returns where the index keeps each: what `Text.pages` takes."""


class Text(Protocol):
    """The text index at one moment; `table` is commits or changes."""

    def serve(self, table: str, node: textquery.Node) -> Served:
        """Returns how the index serves a query; raises QueryError where it widens too far."""

    def count(self, table: str, node: textquery.Node, as_of: int, within: Within = ANYTHING) -> int:
        """Returns the number of hits at positions up to `as_of`."""

    def estimate(self, table: str, fact: Fact) -> int:
        """Returns of how many documents a fact holds, those after the snapshot among them."""

    def documents(self, table: str) -> int:
        """Returns how many commits or changes there are."""

    def search(
        self,
        table: str,
        node: textquery.Node,
        *,
        limit: int | None,
        as_of: int,
        scored: bool,
        within: Within = ANYTHING,
        positions: Ids | None = None,
    ) -> Hits:
        """Returns the hits, all or the first `limit`: by falling score then key, or by key.

        They are those `within` something, and of these commits alone where there are `positions`.
        """

    def corrections(self, table: str, node: textquery.Node) -> Mapping[str, Sequence[str]]:
        """Returns, for each fuzzy word that occurs nowhere, the words found in its place."""

    def pages(self, ids: Sequence[int], addresses: Sequence[Any]) -> Sequence[Any]:
        """Returns what is stored of these commits; `addresses` are those that came with them."""

    def messages(self, ids: Ids) -> pa.Array:
        """Returns the messages of commits."""

    def line_bytes(self, ids: Ids) -> int:
        """Returns about how many bytes the changed lines of changes have."""

    def hunk_texts(
        self,
        ids: Ids,
        old_lines: npt.NDArray[np.int64],
        new_lines: npt.NDArray[np.int64],
        check: Callable[[], None] | None = None,
    ) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Returns the removed and the added lines of all hunks of some changes, in order.

        `ids` are their changes, the others their numbers of lines; null is no line. `check`
        raises when time is up.
        """

    def with_lines(
        self,
        ids: Ids,
        sides: Sequence[str],
        mode: str,
        pattern: str,
        check: Callable[[], None] | None = None,
    ) -> Ids:
        """Returns which changes have a line that matches; `check` raises when time is up."""


class Graph(Protocol):
    """The commit graph at one moment."""

    def positions(
        self, kind: str, revision: str, repos: frozenset[str] | None
    ) -> tuple[Ids, tuple[str, ...]]:
        """Returns the positions in a range (kind `range`) or reachable, with warnings.

        Of kind `history` they are ids of changes. Only `repos` are asked, or all where that is
        None.
        """

    def has(self, repo: str) -> bool:
        """Returns whether a repository is indexed."""

    def known(
        self, revision: str, repos: frozenset[str] | None, *, one: bool = False
    ) -> tuple[str, ...]:
        """Returns warnings of repositories that do not know a revision; raises if none does.

        With `one` it also raises where it names several commits.
        """

    def function(
        self, name: str, pattern: str, repos: frozenset[str] | None, *, by_row: bool
    ) -> Callable[..., pa.Array]:
        """Returns what computes a function over arrays of texts, '' for NULL.

        It takes what raises when time is up, the repositories if `by_row`, and the arguments.
        """

    def of_every_commit(
        self, name: str, revision: str, pattern: str, repos: frozenset[str] | None
    ) -> pa.Table:
        """Returns (id, value) of all commits: first_tag, ancestors or descendants of a revision."""

    def members(self, refs: Sequence[tuple[str, str]], hashes: Sequence[str] | None) -> object:
        """Returns a relation (repo, ref, id) of the commits that refs reach, or these of them."""


class Tree(Protocol):
    """The files of one repository at one commit; SourceError where they cannot be read."""

    @property
    def repo(self) -> str:
        """Returns the name of the repository."""

    def files(self) -> pa.Table:
        """Returns `path`, `mode` and `blob` of every file."""

    def history(self) -> pa.Table:
        """Returns `id` (position) and `ordinal` of the commits before it, the newest first."""

    def sizes(self, blobs: Sequence[str]) -> Sequence[int | None]:
        """Returns the size of each in bytes, None where it is missing."""

    def contents(self, blobs: Sequence[str], sizes: Sequence[int], most: int) -> Iterator[pa.Table]:
        """Yields `blob`, `content` and `is_binary` of all, in order, some at a time.

        `content` is NULL where a file is binary or has more than `most` bytes; both are where it
        is missing.
        """

    def close(self) -> None:
        """Ends what is being read."""


class Trees(Protocol):
    """The trees of all repositories at one moment."""

    def repos(self) -> Sequence[str]:
        """Returns the names of the repositories."""

    def open(
        self, revision: str, repos: Sequence[str], check: Callable[[], None]
    ) -> tuple[Sequence[Tree], Sequence[str]]:
        """Returns the trees of these repositories at a revision, with warnings; to be closed.

        `check` raises when time is up. Raises QueryError `unknown_revision` where none knows it.
        """


class Batches(Protocol):
    """The rows of one statement, as they are made."""

    @property
    def schema(self) -> pa.Schema:
        """Returns names and types of the columns."""

    def next(self) -> pa.RecordBatch | None:
        """Returns the next rows, or None at the end; raises QueryError and DeadlineError."""

    def close(self) -> None:
        """Ends the statement where it is."""


class Cursor(Protocol):
    """Runs the statements of one query."""

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        relations: Mapping[str, Any] | None = None,
        *,
        size: int,
        aside: bool = False,
    ) -> Batches:
        """Returns the rows of a SELECT, about `size` at a time; raises QueryError and DeadlineError.

        `relations` are Arrow tables, or what else gives an Arrow stream each time it is read.
        With `aside` no row is to be seen before all of them could be computed.
        """

    def interrupt(self) -> None:
        """Stops the statement that runs; may come from any thread."""

    def close(self) -> None:
        """Lets the connection go."""


class Table(Protocol):
    """The columnar table."""

    def cursor(self) -> Cursor:
        """Returns a connection of its own for one query."""

    def register_scalar(
        self,
        name: str,
        function: Callable[..., pa.Array],
        arguments: Sequence[str],
        returns: str,
    ) -> None:
        """Makes a function over Arrow arrays known to all connections."""

    def unregister_scalar(self, name: str) -> None:
        """Takes it away."""
