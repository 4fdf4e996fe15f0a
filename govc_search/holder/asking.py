"""The asking side: a data directory opened here where it is free, else asked of its holder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

import govc_search
from govc_search.errors import BusyError, StoreError
from govc_search.holder import frames
from govc_search.holder.messages import (
    ADDRESS,
    METHODS,
    PROTOCOL,
    Answering,
    Tell,
    decode_error,
    decode_report,
    decode_result,
    decode_step,
    other_user,
)
from govc_search.settings import SETTINGS, Settings
from govc_search.status import Status

if TYPE_CHECKING:
    import pyarrow as pa

    from govc_search.indexer.pipeline import IndexReport
    from govc_search.ql.result import Result, Stream

__all__ = ["SharedDirectory"]

T = TypeVar("T")

# Seconds: how long one holder may neither answer nor let the directory go, and between two tries.
_PATIENCE: Final = 5.0
_AGAIN: Final = 0.02
# Holders that may die of one request before it is given up.
_LOST: Final = 5


class _LeftError(Exception):
    """The holder let the directory go: it told so, or died."""

    def __init__(self, *, told: bool) -> None:
        super().__init__()
        self.told = told


class SharedDirectory:
    """A data directory, whoever holds it.

    Opened by `open_here` where it is free, else its holder is asked. Where a holder goes away,
    what it was asked is asked again of whoever holds the directory then. `overrides` are the
    settings to ask with, `opening` shows the progress of a holder that still opens, `warn` takes
    what the user should know. Raises BusyError where the holder does not answer for a few seconds
    (`data_directory_busy`), is of another release (`other_release`) or user (`other_user`).
    """

    def __init__(
        self,
        directory: Path,
        overrides: Mapping[str, int | float | str],
        open_here: Callable[[], Answering],
        opening: Callable[[], AbstractContextManager[Tell]],
        warn: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._settings = dict(Settings(overrides))
        self._fixed = [s.name for s in SETTINGS if s.opening and s.name in overrides]
        self._open_here = open_here
        self._opening = opening
        self._warn = warn
        self._engine: Answering | None = None
        self._connection: socket.socket | None = None
        self._reach()

    # What is asked

    def query(
        self,
        gql: str,
        params: Mapping[str, object] | Sequence[object] | None = None,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        indexes: bool = True,
        timeout: float | None = None,
    ) -> Result:
        """Returns the answer to one GQL statement; `params` are as the engine takes them."""
        arguments = {
            "gql": gql, "params": params, "limit": limit, "cursor": cursor,
            "indexes": indexes, "timeout": timeout,
        }  # fmt: skip
        return self._ask("query", arguments, decode_result)

    def stream(
        self,
        gql: str,
        params: Mapping[str, object] | Sequence[object] | None = None,
        *,
        indexes: bool = True,
        timeout: float | None = None,
    ) -> Stream:
        """Returns the rows of one GQL statement as they are made.

        A holder that leaves before the end of the rows ends them: StoreError `result_ended`.
        """
        arguments = {"gql": gql, "params": params, "indexes": indexes, "timeout": timeout}
        return self._until_answered(lambda: self._stream(arguments))

    def commit(self, revision: str, repo: str | None = None) -> list[dict[str, Any]]:
        """Returns the commits that a revision names."""
        arguments = {"revision": revision, "repo": repo}
        return self._ask("commit", arguments, lambda _, rows: rows.to_pylist())

    def status(self) -> Status:
        """Returns what the data directory holds."""

        def decode(_: Any, rows: pa.Table) -> Status:
            (told,) = rows.to_pylist()
            for repository in told["repositories"]:
                # As columns, all have the reasons of any.
                counts = (repository["incomplete"] or {}).items()
                repository["incomplete"] = {why: n for why, n in counts if n is not None}
            # Its holder may know the directory by another path.
            return Status(**{**told, "directory": str(self._directory)})

        return self._ask("status", {}, decode)

    def index(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        diffs: str | None = None,
        merges: str | None = None,
        refs: Sequence[str] | None = None,
        jobs: int | None = None,
        progress: Tell = None,
    ) -> IndexReport:
        """Indexes what is new in a repository; interrupted, it ends what it is at."""
        arguments = {
            # The holder stands elsewhere.
            "path": str(Path(path).expanduser().absolute()),
            "name": name, "diffs": diffs, "merges": merges, "refs": refs, "jobs": jobs,
        }  # fmt: skip
        return self._ask(
            "index", arguments, lambda told, _: decode_report(told), progress, finishes=True
        )

    def remove(self, repo: str) -> int:
        """Removes a repository and returns how many commits went."""
        return self._ask("remove", {"repo": repo}, lambda told, _: int(told))

    def verify(self, progress: Tell = None) -> list[str]:
        """Returns the differences between log, table and text index."""
        return self._ask("verify", {}, lambda told, _: list(told), progress)

    def rebuild(self, part: str | None = None, progress: Tell = None) -> None:
        """Makes a view anew; interrupted, the holder goes on with it."""
        return self._ask("rebuild", {"part": part}, lambda *_: None, progress)

    def close(self) -> None:
        """Lets go of the data directory, or of its holder."""
        self._hang_up()
        if self._engine is not None:
            self._engine.close()

    # How

    def _ask(
        self,
        method: str,
        arguments: Mapping[str, Any],
        decode: Callable[[Any, Any], T],
        progress: Tell = None,
        *,
        finishes: bool = False,
    ) -> T:
        def ask() -> T:
            if self._engine is not None:
                told = {"progress": progress} if METHODS[method] else {}
                mine: T = getattr(self._engine, method)(**arguments, **told)
                return mine
            request = self._request(method, arguments)
            return decode(*self._converse(request, progress, finishes=finishes))

        return self._until_answered(ask)

    def _until_answered(self, ask: Callable[[], T]) -> T:
        """Returns what is asked of whoever holds the directory, again where a holder left."""
        lost = 0
        while True:
            if self._engine is None and self._connection is None:
                self._reach()
                continue
            try:
                return ask()
            except _LeftError as left:
                lost += not left.told
                if lost > _LOST:
                    raise BusyError(
                        "data_directory_busy",
                        f"{self._directory} is held by processes that end without an answer",
                    ) from None

    def _request(self, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"ask": method, "arguments": arguments, "settings": self._settings}

    def _stream(self, arguments: Mapping[str, Any]) -> Stream:
        if self._engine is not None:
            return self._engine.stream(**arguments)
        connection = self._connection
        assert connection is not None
        # The connection is the stream's from now on; what is asked next has one of its own.
        self._connection = None
        try:
            stream = _begin(connection, self._request("stream", arguments))
        except BaseException:
            _close(connection)
            raise
        stream.on_close(lambda: _close(connection))
        return stream

    def _converse(
        self, request: Mapping[str, Any], progress: Tell, *, finishes: bool
    ) -> tuple[Any, pa.Table | None]:
        """Returns the answer to one request and its rows; raises what the holder raised.

        The main thread only waits: Ctrl-C strikes it between two frames, never within one.
        """
        connection = self._connection
        assert connection is not None
        outcome: SimpleQueue[tuple[dict[str, Any], pa.Table | None] | BaseException] = SimpleQueue()

        def listen() -> None:
            try:
                outcome.put(_exchange(connection, request, progress))
            except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
                outcome.put(error)

        thread = threading.Thread(target=listen, name="asking", daemon=True)
        thread.start()
        try:
            try:
                found = outcome.get()
            except KeyboardInterrupt:
                if not finishes:
                    raise
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                found = outcome.get()
        finally:
            self._hang_up()
            thread.join()
        if isinstance(found, BaseException):
            raise found
        header, rows = found
        _check(header)
        if "answer" not in header:
            raise _LeftError(told=True)
        return header["answer"], rows

    def _hang_up(self) -> None:
        if self._connection is not None:
            _close(self._connection)
            self._connection = None

    def _reach(self) -> None:
        """Opens the directory, or connects to the holder that has it open."""
        held, until = "", 0.0
        while True:
            try:
                self._connection = self._connect()
                if self._connection is not None:
                    return
            except _LeftError:
                held = ""
            try:
                self._engine = self._open_here()
                return
            except BusyError as error:
                # The message names the holder. Where the directory changes hands, among many
                # commands at once, each has its own time to answer.
                if error.message != held:
                    held, until = error.message, time.monotonic() + _PATIENCE
                elif time.monotonic() > until:
                    raise
            time.sleep(_AGAIN)

    def _connect(self) -> socket.socket | None:
        """Returns a connection to a holder that is ready, or None where none can be reached."""
        try:
            address = json.loads((self._directory / ADDRESS).read_bytes())["socket"]
            path = Path(os.path.realpath(self._directory), address)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_PATIENCE)
            try:
                connection.connect(str(path))
                about, _ = frames.receive(connection)
            except (OSError, EOFError, frames.FrameError):
                connection.close()
                return None
            self._check(connection, about)
            connection.settimeout(None)
            self._wait(connection)
        except BaseException:
            connection.close()
            raise
        for name in self._fixed:
            self._warn(
                f"the setting {name} has no effect: process {about['pid']} opened the directory"
                " with its own"
            )
        self._fixed.clear()
        return connection

    def _check(self, connection: socket.socket, about: Mapping[str, Any]) -> None:
        if "error" in about:
            raise decode_error(about["error"])
        if not frames.same_user(connection, os.geteuid()):
            raise other_user(self._directory)
        if (about.get("protocol"), about.get("release")) != (PROTOCOL, govc_search.__version__):
            raise BusyError(
                "other_release",
                f"{self._directory} is held by process {about.get('pid')}, which is govc-search"
                f" {about.get('release')}; this is {govc_search.__version__}",
                hint="end that process, or ask with its release",
            )

    def _wait(self, connection: socket.socket) -> None:
        """Waits until the holder has opened the directory."""
        with self._opening() as tell:
            try:
                while True:
                    header, _ = frames.receive(connection)
                    if "ready" in header:
                        return
                    if "progress" not in header:
                        raise _LeftError(told=True)
                    if tell is not None:
                        tell(decode_step(header["progress"]))
            except (OSError, EOFError):
                raise _LeftError(told=False) from None


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _check(header: Mapping[str, Any]) -> None:
    """Raises what the holder raised."""
    if "error" in header:
        raise decode_error(header["error"])
    if "interrupted" in header:
        raise KeyboardInterrupt


def _answered(connection: socket.socket) -> tuple[dict[str, Any], bytearray]:
    """Returns the next frame of an answer; raises what the holder raised."""
    try:
        header, body = frames.receive(connection)
    except (OSError, EOFError):
        raise _LeftError(told=False) from None
    _check(header)
    return header, body


def _begin(connection: socket.socket, request: Mapping[str, Any]) -> Stream:
    """Asks for a stream and returns it once its rows begin."""
    from govc_search.ql.result import ResultColumn, Stream

    started = time.perf_counter()
    with contextlib.suppress(OSError):
        # What was refused before all of it was sent has its answer all the same.
        frames.send(connection, request)
    begun, _ = _answered(connection)
    if "begin" not in begun:
        raise _LeftError(told=True)
    head = begun["begin"]
    end: dict[str, Any] = {}

    def read() -> pa.RecordBatch | None:
        try:
            header, body = _answered(connection)
        except _LeftError:
            header, body = {}, bytearray()
        if "rows" in header:
            return _rows(body).to_batches()[0]
        if "answer" not in header:
            raise StoreError(
                "result_ended",
                "the process that held the data directory left before all rows were read",
                hint="ask again",
            )
        end.update(header["answer"])
        return None

    found = Stream(
        tuple(ResultColumn(name, kind) for name, kind in head["columns"]),
        _rows(_answered(connection)[1]).schema,
        head["as_of"],
        read,
        explain=lambda: str(head["explain"]),
        warnings=lambda: tuple(end.get("warnings", ())),
    )
    found.elapsed = time.perf_counter() - started
    return found


def _rows(body: bytearray) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.py_buffer(body)).read_all()


def _exchange(
    connection: socket.socket, request: Mapping[str, Any], progress: Tell
) -> tuple[dict[str, Any], pa.Table | None]:
    """Returns the header that ends the answer, and its rows."""
    import pyarrow as pa

    tables = []
    with contextlib.suppress(OSError):
        # What was refused before all of it was sent has its answer all the same.
        frames.send(connection, request)
    while True:
        try:
            header, body = frames.receive(connection)
        except (OSError, EOFError):
            raise _LeftError(told=False) from None
        if "progress" in header:
            if progress is not None:
                progress(decode_step(header["progress"]))
        elif "rows" in header:
            tables.append(_rows(body))
        else:
            return header, pa.concat_tables(tables) if tables else None
