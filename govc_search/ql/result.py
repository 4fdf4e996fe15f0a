"""The answer to a query: an Arrow table, or batches as they are made, with what it was read at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from govc_search.errors import GovcSearchError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "ResultColumn", "Stream"]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result: its name and GQL type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a query at one snapshot.

    `as_of` is the last position the query could see, `elapsed` the seconds it took inside the
    engine, `truncated` says that a limit cut the rows (the query's own LIMIT does not count), and
    `next_cursor` is then what the next page is asked with.
    """

    columns: tuple[ResultColumn, ...]
    as_of: int
    elapsed: float
    warnings: tuple[str, ...] = ()
    truncated: bool = False
    _table: pa.Table = field(default_factory=lambda: pa.table({}), repr=False)
    _explain: Callable[[], str] = field(default=str, repr=False)
    next_cursor: str | None = None

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

    @property
    def count(self) -> int:
        """Returns the number of rows."""
        return int(self._table.num_rows)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for batch in self._table.to_batches():
            columns = [c.to_pylist() for c in batch.columns]
            yield from zip(*columns, strict=True)


class Stream:
    """The rows of a query at one snapshot, as Arrow record batches while they are made.

    It is iterated once, by one thread at a time, and closed: it is a context manager. `columns`,
    `schema` and `as_of` are known from the start; `count` of rows, `elapsed` seconds inside the
    engine and `warnings` grow until the end. While it is open it holds its snapshot.
    """

    def __init__(
        self,
        columns: tuple[ResultColumn, ...],
        schema: pa.Schema,
        as_of: int,
        read: Callable[[], pa.RecordBatch | None],
        *,
        stop: Callable[[], None] = lambda: None,
        explain: Callable[[], str] = str,
        warnings: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self.columns = columns
        self.schema = schema
        self.as_of = as_of
        self.count = 0
        self.elapsed = 0.0
        self._read = read
        self._stop = stop
        self._explain = explain
        self._warnings = warnings
        self._reading = threading.Lock()
        self._ended: GovcSearchError | None = None
        self._done = False
        self._closing = ExitStack()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Returns what is to be said of the rows, all of it once they have ended."""
        return self._warnings()

    def explain(self) -> str:
        """Returns the plan that is run, as EXPLAIN shows it."""
        return self._explain()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pa.RecordBatch:
        with self._reading:
            begin = time.perf_counter()
            try:
                batch = None if self._done else self._read()
            except BaseException:
                self._finish()
                if self._ended is not None:
                    raise self._ended from None
                raise
            finally:
                self.elapsed += time.perf_counter() - begin
            if batch is None:
                self._finish()
                if self._ended is not None:
                    raise self._ended
                raise StopIteration
            self.count += batch.num_rows
            return batch

    def on_close(self, callback: Callable[[], None]) -> None:
        """Has `callback` called when it is closed or ends, the last one first."""
        self._closing.callback(callback)

    def end(self, error: GovcSearchError) -> None:
        """Ends it from any thread: what is read and reads from now on raises `error`."""
        self._ended = error
        self._stop()
        with self._reading:
            self._finish()

    def _finish(self) -> None:
        self._done = True
        self._closing.close()

    def close(self) -> None:
        """Ends the query where it is."""
        with self._reading:
            self._finish()

    def result(self) -> Result:
        """Returns the rest of the rows as a whole, and closes."""
        with self:
            table = pa.Table.from_batches(list(self), self.schema)
        return Result(
            self.columns, self.as_of, self.elapsed, self.warnings, False, table, self._explain
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._closing.close()
