"""The answer to a query: an Arrow table with what it was read at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from govc_search.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "ResultColumn"]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result: its name and GQL type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a query at one snapshot.

    `as_of` is the last position the query could see, `elapsed` the seconds it took inside the
    engine, `truncated` says that a limit cut the rows (the query's own LIMIT does not count).
    """

    columns: tuple[ResultColumn, ...]
    as_of: int
    elapsed: float
    warnings: tuple[str, ...] = ()
    truncated: bool = False
    _table: pa.Table = field(default_factory=lambda: pa.table({}), repr=False)
    _explain: Callable[[], str] = field(default=str, repr=False)

    def to_arrow(self) -> pa.Table:
        """Returns the rows as an Arrow table."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """Returns the rows as a pandas data frame; raises UsageError where pandas is missing."""
        if find_spec("pandas") is None:
            raise UsageError(
                "pandas_missing",
                "pandas is not installed",
                hint="pip install 'govc-search[pandas]', or use to_arrow()",
            )
        return self._table.to_pandas()

    def explain(self) -> str:
        """Returns the plan that was run, as EXPLAIN shows it."""
        return self._explain()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for batch in self._table.to_batches():
            columns = [c.to_pylist() for c in batch.columns]
            yield from zip(*columns, strict=True)
