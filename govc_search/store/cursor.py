"""Reading the table: one connection for each request, in read-only transactions."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final, Self

import duckdb
import pyarrow as pa

from govc_search.errors import DeadlineError, QueryError, StoreError

__all__ = ["Cursor", "reason"]

_AGAIN_SECONDS: Final = 0.01


class Cursor:
    """Runs the statements of one request; `interrupt` may come from any thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._stopped = self._closed = False
        self._stopping = threading.Condition()
        self._insisting: threading.Thread | None = None

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
        self._start()
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
                self._heed()
                self._connection.execute("ROLLBACK")
            return table
        except duckdb.Error as error:
            self._heed()
            raise _reading_failed(error) from error
        finally:
            for name in named:
                self._connection.unregister(name)

    def interrupt(self) -> None:
        """Stops the statement that runs, or else the next one, which then raises DeadlineError."""
        with self._stopping:
            if self._stopped or self._closed:
                return
            self._stopped = True
            self._insisting = threading.Thread(target=self._insist, name="interrupt", daemon=True)
            self._insisting.start()

    def _insist(self) -> None:
        # The database forgets an interrupt that comes between two steps of a statement.
        with self._stopping:
            while self._stopped:
                self._connection.interrupt()
                self._stopping.wait(_AGAIN_SECONDS)

    def _heed(self) -> bool:
        """Returns whether there was an interrupt, which has then had its effect."""
        with self._stopping:
            stopped, self._stopped = self._stopped, False
            self._stopping.notify_all()
        return stopped

    def _start(self) -> None:
        if self._heed():
            raise DeadlineError("interrupted", "the query was interrupted")

    def close(self) -> None:
        """Closes the cursor's connection."""
        with self._stopping:
            self._closed = True
        self._heed()
        if self._insisting is not None:
            # It knows the connection, which must be gone before the process ends.
            self._insisting.join()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reading_failed(error: Exception) -> Exception:
    text = reason(error)
    if isinstance(error, duckdb.InterruptException):
        return DeadlineError("interrupted", "the query was interrupted")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(
            "out_of_memory",
            "the query needs more memory than it may have",
            hint="narrow it, or raise the setting table_memory_bytes",
        )
    if isinstance(error, duckdb.FatalException | duckdb.IOException):
        return StoreError("table_damaged", f"the table cannot be read: {text}")
    return QueryError("evaluation_failed", text)


def reason(error: Exception) -> str:
    """Returns what an error of the database says, in one line without its class."""
    line = str(error).strip().partition("\n")[0]
    return line.partition(": ")[2] or line
