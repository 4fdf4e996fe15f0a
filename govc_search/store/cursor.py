"""Reading the table: one connection for each request, in read-only transactions."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from govc_search.errors import DeadlineError, QueryError, StoreError

__all__ = ["Cursor", "Stream", "reason"]


class Cursor:
    """Runs the statements of one request; `interrupt` may come from any thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        relations: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """Returns the whole result of a SELECT in its own read-only transaction.

        `parameters` are bound as `$name`, `relations` are tables under generated names. Raises
        DeadlineError `interrupted`, and QueryError `evaluation_failed` or `out_of_memory`.
        """
        named = relations or {}
        try:
            for name, rows in named.items():
                self._connection.register(name, rows)
            self._connection.execute("BEGIN TRANSACTION READ ONLY")
            try:
                result: Any = self._connection.sql(sql, params=dict(parameters or {}))
                table = result.to_arrow_table()
                # The relation holds its result open until it is let go.
                del result
            finally:
                self._connection.execute("ROLLBACK")
            return table
        except duckdb.Error as error:
            raise _reading_failed(error) from error
        finally:
            for name in named:
                self._connection.unregister(name)

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        relations: Mapping[str, pa.Table] | None = None,
        rows: int = 65_536,
    ) -> Stream:
        """Returns the result of a SELECT in batches of about `rows`, read as they are asked for.

        One stream is open at a time; it is closed before the cursor is used again.
        """
        named = tuple(relations or {})
        try:
            for name in named:
                self._connection.register(name, (relations or {})[name])
            self._connection.execute("BEGIN TRANSACTION READ ONLY")
            result: Any = self._connection.sql(sql, params=dict(parameters or {}))
            reader = result.to_arrow_reader(rows)
            del result
            return Stream(self._connection, reader, named)
        except duckdb.Error as error:
            _end(self._connection, named)
            raise _reading_failed(error) from error

    def interrupt(self) -> None:
        """Stops the statement that runs, which then raises DeadlineError."""
        self._connection.interrupt()

    def close(self) -> None:
        """Closes the cursor's connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Stream:
    """The batches of one result, to be iterated once and closed."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, reader: Any, relations: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._relations = relations
        self.schema: pa.Schema = reader.schema

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> pa.RecordBatch:
        if self._reader is None:
            raise StopIteration
        try:
            batch: pa.RecordBatch = self._reader.read_next_batch()
        except StopIteration:
            self.close()
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            self.close()
            raise _reading_failed(error) from error
        return batch

    def close(self) -> None:
        """Ends the result, read to its end or not."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
            _end(self._connection, self._relations)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _end(connection: duckdb.DuckDBPyConnection, relations: tuple[str, ...]) -> None:
    with contextlib.suppress(duckdb.TransactionException):
        connection.execute("ROLLBACK")
    for name in relations:
        connection.unregister(name)


def _reading_failed(error: Exception) -> Exception:
    text = reason(error)
    if isinstance(error, duckdb.InterruptException) or "INTERRUPT" in text:
        return DeadlineError("interrupted", "the query was interrupted")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError("out_of_memory", f"the query needs too much memory: {text}")
    if isinstance(error, duckdb.FatalException | duckdb.IOException):
        return StoreError("table_damaged", f"the table cannot be read: {text}")
    return QueryError("evaluation_failed", text)


def reason(error: Exception) -> str:
    """Returns what an error of the database says, in one line without its class."""
    line = str(error).strip().partition("\n")[0]
    return line.partition(": ")[2] or line
