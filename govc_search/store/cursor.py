"""Reading the table: one connection for each request, in read-only transactions."""

from __future__ import annotations

import atexit
import contextlib
import errno
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Self, TypeVar

import duckdb
import pyarrow as pa

from govc_search.errors import DeadlineError, GovcSearchError, QueryError, StoreError

__all__ = ["Batches", "Cursor", "damaged", "is_damage", "reason"]

T = TypeVar("T")

_AGAIN_SECONDS: Final = 0.01
# Rows of a batch where all are kept anyway.
_WHOLE_ROWS: Final = 1 << 16


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


class Batches:
    """The rows of one statement, as they are made; its transaction lasts until the end."""

    def __init__(self, cursor: Cursor, source: Any, end: Callable[[], None]) -> None:
        self._cursor = cursor
        self._source = source
        self._end = end
        self.schema: pa.Schema = source.schema
        # Two are read at once, so that a small result needs no second call.
        self._ready = [b for b in (self._read(), self._read()) if b is not None]

    def next(self) -> pa.RecordBatch | None:
        """Returns the next rows, or None at the end; raises as `Cursor.query` does."""
        if self._ready:
            return self._ready.pop(0)
        return self._cursor.call(self._read)

    def _read(self) -> pa.RecordBatch | None:
        if self._source is None:
            return None
        try:
            self._cursor.begin()
            batch: pa.RecordBatch = self._source.read_next_batch()
        except StopIteration:
            self.close()
            return None
        except BaseException as error:  # noqa: BLE001 - what is raised tells what it was
            self.close()
            raise _told(error) from None
        return batch

    def close(self) -> None:
        """Ends the statement where it is."""
        if self._source is not None:
            # The source holds the result open until it is let go.
            self._source = None
            self._end()


class Cursor:
    """Runs the statements of one request, one at a time; `interrupt` may come from any thread.

    What a statement writes aside goes to the directory of `spill`, at most that many bytes.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, spill: tuple[Path, int]) -> None:
        self._connection = connection
        self._spill = spill
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
        rows = self.stream(sql, parameters, relations, size=_WHOLE_ROWS)
        batches = []
        while (batch := rows.next()) is not None:
            batches.append(batch)
        return pa.Table.from_batches(batches, rows.schema)

    def stream(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        relations: Mapping[str, Any] | None = None,
        *,
        size: int,
        aside: bool = False,
    ) -> Batches:
        """Returns the rows of a SELECT as they are made, about `size` at a time.

        With `aside` the statement is run to its end first, its rows written to a file without a
        name. Until the rows end or are closed, nothing else may be asked. Raises as `query` does.
        """
        return self.call(lambda: self._stream(sql, parameters, relations, size, aside=aside))

    def call(self, ask: Callable[[], T]) -> T:
        """Returns what `ask` returns; Ctrl-C interrupts it."""
        if threading.current_thread() is not threading.main_thread():
            return ask()
        return _beside.call(ask, self.interrupt)

    def _stream(
        self,
        sql: str,
        parameters: Mapping[str, object] | None,
        relations: Mapping[str, Any] | None,
        size: int,
        *,
        aside: bool,
    ) -> Batches:
        named = relations or {}
        self.begin()
        ends = contextlib.ExitStack()
        try:
            for name, rows in named.items():
                self._connection.register(name, rows)
                ends.callback(self._connection.unregister, name)
            self._connection.execute("BEGIN TRANSACTION READ ONLY")
            ends.callback(self._roll_back)
            result: Any = self._connection.sql(sql, params=dict(parameters or {}))
            reader = result.to_arrow_reader(size)
            del result
            if aside:
                reader = self._written(reader, ends)
            return Batches(self, reader, ends.close)
        except BaseException as error:  # noqa: BLE001 - what is raised tells what it was
            ends.close()
            raise _told(error) from None

    def _roll_back(self) -> None:
        self._heed()
        with contextlib.suppress(duckdb.Error):
            # An error that ended the database has been raised.
            self._connection.execute("ROLLBACK")

    def _written(
        self, reader: pa.RecordBatchReader, ends: contextlib.ExitStack
    ) -> pa.RecordBatchReader:
        """Returns the rows of a reader from a file that they are all written to."""
        directory, most = self._spill
        directory.mkdir(exist_ok=True)
        file = ends.enter_context(tempfile.TemporaryFile(dir=directory))  # noqa: SIM115 - read until then
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(file, reader.schema, options=options) as writer:
            for batch in reader:
                self.begin()
                writer.write_batch(batch)
                if file.tell() > most:
                    raise _no_room()
        file.seek(0)
        return pa.ipc.open_stream(file)

    def begin(self) -> None:
        """Raises DeadlineError `interrupted` where that came before the step that begins now."""
        if self._heed():
            raise DeadlineError("interrupted", "the query was interrupted")

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


def _no_room() -> QueryError:
    return QueryError(
        "out_of_memory",
        "the query needs more room on disk than it may have",
        hint="narrow it, or raise the setting spill_bytes",
    )


def _told(error: BaseException) -> BaseException:
    # Between batches the database's errors come through Arrow, which knows but their text.
    if isinstance(error, GovcSearchError) or not isinstance(
        error, duckdb.Error | OSError | pa.ArrowException
    ):
        return error
    kind = str(error).partition(": ")[0]
    if isinstance(error, duckdb.InterruptException) or kind == "INTERRUPT Error":
        return DeadlineError("interrupted", "the query was interrupted")
    if isinstance(error, duckdb.OutOfMemoryException) or kind == "Out of Memory Error":
        if "max_temp_directory_size" in str(error):
            return _no_room()
        return QueryError(
            "out_of_memory",
            "the query needs more memory than it may have",
            hint="narrow it, or raise the setting table_memory_bytes",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return error
    if is_damage(error):
        return damaged(error)
    return QueryError("evaluation_failed", reason(error))


def is_damage(error: BaseException) -> bool:
    """Returns whether the database says that its file is not what it wrote."""
    # A wrong checksum has no class of its own.
    return isinstance(
        error, duckdb.FatalException | duckdb.IOException | duckdb.SerializationException
    ) or str(error).startswith(("Corrupt", "FATAL Error", "IO Error", "Serialization Error"))


def damaged(error: BaseException) -> StoreError:
    """Returns the error of a table whose file is damaged."""
    return StoreError(
        "table_damaged",
        f"the table cannot be read: {reason(error)}",
        hint="`govc-search rebuild table` makes it anew from the log",
    )


def reason(error: BaseException) -> str:
    """Returns what an error of the database says, in one line without its class."""
    line = str(error).strip().partition("\n")[0]
    return line.partition(": ")[2] or line
