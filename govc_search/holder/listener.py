"""The answering side: a holder of a data directory listens for others of the same user."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import govc_search
from govc_search.errors import DeadlineError, UsageError
from govc_search.holder import frames
from govc_search.holder.messages import (
    ADDRESS,
    METHODS,
    PROTOCOL,
    Answering,
    Tell,
    encode_answer,
    encode_batch,
    encode_begin,
    encode_end,
    encode_error,
    other_user,
)
from govc_search.scope import Scope
from govc_search.settings import SETTINGS, Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from govc_search.indexer.pipeline import Progress
    from govc_search.ql.result import Stream

__all__ = ["Listener"]

_SOCKET: Final = "server.sock"
_TEMPORARY: Final = "govc-search-holder-"
# Of a path, in bytes, that every platform takes: macOS has room for 103, Linux for 107.
_LONGEST_PATH: Final = 103
_LONGEST_REQUEST: Final = 16 << 20
# Seconds: for a request to come, for one under way to end when the holder leaves, between two
# steps of progress.
_PATIENCE: Final = 10.0
_GRACE: Final = 1.0
_STEP: Final = 0.05
_OPENING: Final = frozenset(s.name for s in SETTINGS if s.opening)


class Listener:
    """Answers other processes of the same user for one engine; a context manager.

    It listens from the moment it is made, for an engine may take long to open: until `serve` who
    asks waits and is told the progress. `settings` are those it is opened with, `warnings` says
    why it does not listen, if so.
    """

    def __init__(self, directory: Path, settings: Settings) -> None:
        self.settings = settings
        self.warnings: list[str] = []
        self.changed = threading.Condition()
        self.closed = False
        self.step: Progress | None = None
        self._engine: weakref.ref[Answering] | None = None
        self._conversations: set[_Conversation] = set()
        self._threads: list[threading.Thread] = []
        self.directory = Path(os.path.realpath(directory))
        self._socket: socket.socket | None = None
        self._path: Path | None = None
        self._wake: socket.socket | None = None
        try:
            self._remove_leavings()
            self._listen()
        except OSError as error:
            why = str(error.strerror or error).lower()
            self.warnings.append(f"while this holds {directory}, no other process can ask: {why}")
            self._forgo()
        _listeners.add(self)

    # Where it listens

    def _listen(self) -> None:
        path = self.directory / _SOCKET
        if len(os.fsencode(path)) > _LONGEST_PATH:
            path = Path(tempfile.mkdtemp(prefix=_TEMPORARY), _SOCKET)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        # Nobody can connect before the next but one line.
        path.chmod(0o600)
        self._socket.listen(128)
        partial = self.directory / f"{ADDRESS}.tmp"
        address = {
            "protocol": PROTOCOL,
            "release": govc_search.__version__,
            "pid": os.getpid(),
            # As a name within the directory it stays true where that is mounted elsewhere.
            "socket": _SOCKET if path.parent == self.directory else str(path),
        }
        partial.write_text(json.dumps(address) + "\n", "utf-8")
        partial.replace(self.directory / ADDRESS)
        # Closing one end wakes the thread that listens.
        self._wake, woken = socket.socketpair()
        self._start(self._accept, self._socket, woken)

    def _remove_leavings(self) -> None:
        """Removes what a killed holder left: the lock is ours, so nobody answers there."""
        (self.directory / _SOCKET).unlink(missing_ok=True)
        address = self.directory / ADDRESS
        try:
            left = Path(json.loads(address.read_bytes())["socket"])
        except (OSError, ValueError, KeyError, TypeError):
            left = Path()
        address.unlink(missing_ok=True)
        if left.parent.name.startswith(_TEMPORARY) and left.name == _SOCKET:
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(left.stat(follow_symlinks=False).st_mode):
                    left.unlink()
                    left.parent.rmdir()

    def _forgo(self) -> None:
        self._remove_address()
        if self._socket is not None:
            self._socket.close()

    def _remove_address(self) -> None:
        with contextlib.suppress(OSError):
            (self.directory / ADDRESS).unlink(missing_ok=True)
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                if self._path.parent != self.directory:
                    self._path.parent.rmdir()

    # What the engine says

    def opening(self, progress: Tell) -> Tell:
        """Returns a receiver of progress that also tells it to those who wait."""

        def tell(step: Progress) -> None:
            with self.changed:
                self.step = step
                self.changed.notify_all()
            if progress is not None:
                progress(step)

        return tell

    def serve(self, engine: Answering) -> None:
        """Answers from now on for `engine`, for as long as that lives or until `close`."""
        with self.changed:
            self._engine = weakref.ref(engine)
            self.changed.notify_all()
        # Also at the end of an interpreter that did not close it.
        weakref.finalize(engine, self.close)

    def next_step(self, seen: Progress | None) -> Progress | None:
        """Returns the step of the opening after the one seen, or None when there is no more."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.engine or self.step is not seen)
            return None if self.closed or self.engine is not None else self.step

    @property
    def engine(self) -> Answering | None:
        """Returns the engine, or None while it opens and once it is gone."""
        return self._engine() if self._engine is not None else None

    def close(self) -> None:
        """Ends listening, and the requests under way.

        Queries have a second to end by themselves. The rest is stopped as by Ctrl-C; whoever
        asked is told to take the directory over.
        """
        with self.changed:
            if self.closed:
                return
            self.closed = True
            self.changed.notify_all()
            for conversation in self._conversations:
                if not conversation.reads:
                    conversation.cut()
        if self._wake is not None:
            self._wake.close()
        self._remove_address()
        # An engine that was dropped may be collected on the thread of a conversation.
        own = threading.current_thread()
        with self.changed:
            self.changed.wait_for(lambda: all(c.thread is own for c in self._conversations), _GRACE)
            for conversation in self._conversations:
                conversation.cut()
        # A thread that outlives the engine would still know the libraries as they are unloaded.
        while own not in self._threads and any(t.is_alive() for t in self._threads):
            for thread in self._threads:
                thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forget(self) -> None:
        """Lets go of everything in a forked child: it is its parent that listens."""
        self.closed = True
        # A thread of the parent may have held the lock.
        self.changed = threading.Condition()
        for one in (self._wake, self._socket):
            if one is not None:
                one.close()
        for conversation in self._conversations:
            conversation.connection.close()
        self._conversations.clear()

    # The thread that listens

    def _accept(self, listening: socket.socket, woken: socket.socket) -> None:
        with listening, woken, selectors.DefaultSelector() as selector:
            selector.register(woken, selectors.EVENT_READ)
            selector.register(listening, selectors.EVENT_READ)
            while not any(key.fileobj is woken for key, _ in selector.select()):
                try:
                    connection, _ = listening.accept()
                except OSError:
                    # No more files may be open: those under way will close theirs.
                    time.sleep(_STEP)
                    continue
                self._start(_Conversation(self, connection).run)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="listener", daemon=True)
        thread.start()
        self._threads = [*(t for t in self._threads if t.is_alive()), thread]

    def begin(self, conversation: _Conversation) -> bool:
        """Notes a conversation, unless it comes too late."""
        with self.changed:
            if not self.closed:
                self._conversations.add(conversation)
            return not self.closed

    def end(self, conversation: _Conversation) -> None:
        """Notes its end."""
        with self.changed:
            self._conversations.discard(conversation)
            self.changed.notify_all()


class _Conversation:
    """One connection: a greeting, one request, its answer."""

    def __init__(self, listener: Listener, connection: socket.socket) -> None:
        self.connection = connection
        self.thread: threading.Thread | None = None
        self.reads = False
        self._listener = listener
        self._scope = Scope()
        self._working = False
        self._cut = False
        self._stoppable = True
        self._watching: threading.Thread | None = None
        self._told = 0.0
        self._phase = ""

    def run(self) -> None:
        """Holds the conversation; whatever goes wrong with it ends nothing else."""
        self.thread = threading.current_thread()
        with self.connection:
            if not self._listener.begin(self):
                return
            try:
                self._talk()
            except (OSError, EOFError):
                # Whoever asked is gone.
                pass
            finally:
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                if self._watching is not None:
                    self._watching.join()
                self._listener.end(self)

    def cut(self) -> None:
        """Ends it: the work is stopped, or else the line is cut."""
        self._cut = True
        self._scope.stop()
        if not self._working:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _talk(self) -> None:
        send = frames.send
        if not frames.same_user(self.connection, os.geteuid()):
            refused = other_user(self._listener.directory)
            send(self.connection, {"error": encode_error(refused)})
            return
        about = {"protocol": PROTOCOL, "release": govc_search.__version__, "pid": os.getpid()}
        send(self.connection, about)
        if not self._opened():
            send(self.connection, {"left": True})
            return
        send(self.connection, {"ready": True})
        self.connection.settimeout(_PATIENCE)
        try:
            request, _ = frames.receive(self.connection, _LONGEST_REQUEST)
            method, arguments = self._understood(request)
        except (frames.FrameError, UsageError, TypeError, OverflowError) as error:
            malformed = UsageError("malformed_request", f"the request cannot be read: {error}")
            send(self.connection, {"error": encode_error(malformed)})
            return
        self.connection.settimeout(None)
        with self._listener.changed:
            self._working = True
            # What is cut has not begun.
            late = self._listener.closed
        if late:
            send(self.connection, {"left": True})
            return
        self._watching = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watching.start()
        header, rows = self._worked(method, arguments)
        self._sends()
        for batch in _streams(rows):
            send(self.connection, {"rows": True}, batch)
        send(self.connection, header)

    def _sends(self) -> None:
        """Notes that work has given way to sending, which the end of the holder cuts."""
        with self._listener.changed:
            self._working = False
            if self._listener.closed:
                # Whoever asked may have been stopped; nobody waits for that for ever.
                self.connection.settimeout(_GRACE)

    def _opened(self) -> bool:
        """Waits for the engine, telling how it opens; returns whether there is one to ask."""
        step = None
        while step := self._listener.next_step(step):
            self._tell(step)
        return not self._listener.closed

    def _understood(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        method, arguments = request.get("ask"), request.get("arguments")
        settings = request.get("settings")
        if not (isinstance(method, str) and method in METHODS and isinstance(arguments, dict)):
            raise UsageError("malformed_request", "it asks for nothing that is answered")
        if not isinstance(settings, dict):
            raise UsageError("malformed_request", "it has no settings")
        self.reads = not METHODS[method]
        # A view that is made anew half would lack rows: only its holder's end stops that.
        self._stoppable = method != "rebuild"
        own = self._listener.settings
        self._scope.settings = Settings({**settings, **{name: own[name] for name in _OPENING}})
        return method, arguments

    def _worked(self, method: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Returns the last header of the answer, and the rows that come before it."""
        engine = self._listener.engine
        if engine is None:
            return {"left": True}, None
        if METHODS[method]:
            arguments = {**arguments, "progress": self._work}
        try:
            with self._scope.entered():
                value = getattr(engine, method)(**arguments)
                if method == "stream":
                    return {"answer": self._sent(value)}, None
            if self._cut and getattr(value, "interrupted", False):
                return {"left": True}, None
            answer, rows = encode_answer(value)
            return {"answer": answer}, rows
        except EOFError:
            # Whoever asked is gone.
            raise
        except BaseException as error:  # noqa: BLE001 - panics of the text index are no Exception
            stopped = isinstance(error, KeyboardInterrupt) or (
                isinstance(error, DeadlineError) and error.code == "interrupted"
            )
            # Where the interpreter ends, whatever is tried fails.
            if (self._cut and stopped) or not threading.main_thread().is_alive():
                return {"left": True}, None
            return {"interrupted": True} if stopped else {"error": encode_error(error)}, None

    def _sent(self, stream: Stream) -> dict[str, Any]:
        """Sends the rows of a stream, each batch when the one before has been taken."""
        with stream:
            self._sends()
            self._send({"begin": encode_begin(stream)})
            self._send({"rows": True}, encode_batch(None, stream.schema))
            for batch in stream:
                self._send({"rows": True}, encode_batch(batch, stream.schema))
        return encode_end(stream)

    def _send(self, header: dict[str, Any], body: Any = b"") -> None:
        try:
            frames.send(self.connection, header, body)
        except OSError as error:
            # No failure of what is asked.
            raise EOFError from error

    def _watch(self) -> None:
        # Nothing is said after a request: what comes is the end of who asked.
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        if self._stoppable:
            self._scope.stop()

    def _work(self, step: Progress) -> None:
        # The last step comes from where what was done is told; it is too late to stop then.
        if self._scope.stopped and step.phase != "done":
            raise KeyboardInterrupt
        with contextlib.suppress(OSError):
            self._tell(step)

    def _tell(self, step: Progress) -> None:
        now = time.monotonic()
        if step.phase == self._phase and step.done != step.total and now - self._told < _STEP:
            return
        self._phase, self._told = step.phase, now
        # Who does not listen, stopped perhaps, must not hold up the work.
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_WRITE)
            if selector.select(0):
                told = [step.phase, step.done, step.total, step.unit]
                frames.send(self.connection, {"progress": told})


def _streams(rows: pa.Table | None) -> Any:
    """Yields the rows as Arrow IPC streams, one a batch: no more is in memory twice at once."""
    if rows is None:
        return
    for batch in rows.to_batches() or [None]:
        yield encode_batch(batch, rows.schema)


_listeners: weakref.WeakSet[Listener] = weakref.WeakSet()


def _forget_all() -> None:
    for listener in list(_listeners):
        listener.forget()


os.register_at_fork(after_in_child=_forget_all)
