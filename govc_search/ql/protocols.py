"""What the query layer needs of the stores, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search import textquery

__all__ = ["Cursor", "Graph", "Hits", "Served", "Table", "Text"]

Ids = npt.NDArray[np.uint64]


class Served(Protocol):
    """How the text index can serve a text query: EXACT, INEXACT (a superset) or UNSUPPORTED."""

    @property
    def exactness(self) -> Any: ...

    @property
    def estimate(self) -> int: ...


class Hits(Protocol):
    """Keys, and scores where they were asked for."""

    @property
    def ids(self) -> Ids: ...

    @property
    def scores(self) -> npt.NDArray[np.float32] | None: ...

    @property
    def addresses(self) -> Sequence[Any]: ...


class Text(Protocol):
    """The text index at one moment; `table` is commits or changes."""

    def serve(self, table: str, node: textquery.Node) -> Served: ...

    def count(self, table: str, node: textquery.Node, as_of: int) -> int: ...

    def documents(self, table: str) -> int: ...

    def search(
        self, table: str, node: textquery.Node, *, limit: int | None, as_of: int, scored: bool
    ) -> Hits: ...

    def pages(self, ids: Sequence[int], addresses: Sequence[Any]) -> Sequence[Any]:
        """Returns what is stored of these commits; `addresses` are those that came with them."""

    def with_lines(
        self,
        ids: Ids,
        sides: Sequence[str],
        mode: str,
        pattern: str,
        check: Callable[[], None] | None = None,
    ) -> Ids: ...


class Graph(Protocol):
    """The commit graph at one moment."""

    def positions(self, kind: str, revision: str) -> tuple[Ids, tuple[str, ...]]:
        """Returns the positions in a range (kind `range`) or reachable, with warnings."""


class Cursor(Protocol):
    """Runs the statements of one query."""

    def query(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        relations: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table: ...

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class Table(Protocol):
    """The columnar table."""

    def cursor(self) -> Cursor: ...

    def register_scalar(
        self,
        name: str,
        function: Callable[..., pa.Array],
        arguments: Sequence[str],
        returns: str,
    ) -> None: ...

    def unregister_scalar(self, name: str) -> None: ...
