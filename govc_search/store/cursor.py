"""Reading the table: one connection for each request, in read-only transactions."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, Self, TypeVar

import duckdb
import pyarrow as pa

from govc_search.errors import DeadlineError, QueryError, StoreError

__all__ = ["Cursor", "damaged", "is_damage", "reason"]

T = TypeVar("T")

_AGAIN_SECONDS: Final = 0.01


class _Beside:
    """A thread that does what the main thread waits for.

    Ctrl-C strikes the main thread alone, and not while the database has it. The thread is kept,
    since making one takes longer than a small statement.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, ask: Callable[[], T], stop: Callable[[], None]) -> T:
        """Returns what `ask` returns; on Ctrl-C `stop` is called, and what runs ends first."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="statements", daemon=True)
            self._thread.start()
            # A thread that outlives the interpreter keeps the database's library from ending.
            atexit.register(self._end, self._thread)
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                outcome.set_exception(error)

        try:
            self._calls.put(run)
            return outcome.result()
        except KeyboardInterrupt:
            stop()
            # What was handed over has ended when this is reached.
            ended = threading.Event()
            self._calls.put(ended.set)
            while not ended.is_set():
                with contextlib.suppress(KeyboardInterrupt):
                    ended.wait()
            raise

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call

    def _end(self, thread: threading.Thread) -> None:
        self._calls.put(None)
        thread.join(1)


_beside: Final = _Beside()


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
        relations: Mapping[str, Any] | None = None,
    ) -> pa.Table:
        """Returns the whole result of a SELECT in its own read-only transaction.

        `parameters` are bound as `$name`, `relations` are Arrow tables or streams under generated
        names. Ctrl-C stops it. Raises DeadlineError `interrupted`, and QueryError
        `evaluation_failed` or `out_of_memory`.
        """
        if threading.current_thread() is not threading.main_thread():
            return self._query(sql, parameters, relations)
        return _beside.call(lambda: self._query(sql, parameters, relations), self.interrupt)

    def _query(
        self,
        sql: str,
        parameters: Mapping[str, object] | None,
        relations: Mapping[str, pa.Table] | None,
    ) -> pa.Table:
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
    if is_damage(error):
        return damaged(error)
    return QueryError("evaluation_failed", text)


def is_damage(error: Exception) -> bool:
    """Returns whether the database says that its file is not what it wrote."""
    # A wrong checksum has no class of its own.
    return isinstance(
        error, duckdb.FatalException | duckdb.IOException | duckdb.SerializationException
    ) or str(error).startswith("Corrupt")


def damaged(error: Exception) -> StoreError:
    """Returns the error of a table whose file is damaged."""
    return StoreError(
        "table_damaged",
        f"the table cannot be read: {reason(error)}",
        hint="`govc-search rebuild table` makes it anew from the log",
    )


def reason(error: Exception) -> str:
    """Returns what an error of the database says, in one line without its class."""
    line = str(error).strip().partition("\n")[0]
    return line.partition(": ")[2] or line
