"""What the frames between a holder and those who ask mean.

The holder greets with its protocol, release and process id, tells the progress of its opening,
and says `ready`. Then, for each connection, one request:

    {"ask": method, "arguments": {...}, "settings": {...}}

is answered by any number of {"progress": [phase, done, total, unit]}, then any number of {"rows"}
with an Arrow IPC stream as body, then one of {"answer": value}, {"error": {...}}, {"interrupted"}
or {"left"}: the holder lets the directory go, and whoever asked takes it over. Who asks closes
its sending half to interrupt. Before the rows of a stream comes {"begin": head}, and they come as
fast as they are taken.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from govc_search import errors
from govc_search.errors import BusyError, GovcSearchError, Span
from govc_search.status import Status

if TYPE_CHECKING:
    import pyarrow as pa

    from govc_search.indexer.pipeline import IndexReport, Progress
    from govc_search.ql.result import Result, Stream

__all__ = [
    "ADDRESS",
    "METHODS",
    "PROTOCOL",
    "Answering",
    "Tell",
    "decode_error",
    "decode_report",
    "decode_result",
    "decode_step",
    "encode_answer",
    "encode_batch",
    "encode_begin",
    "encode_end",
    "encode_error",
    "other_user",
]

# Both sides must have the same, besides being of the same release.
PROTOCOL: Final = 1
# The file of a data directory that says where its holder listens.
ADDRESS: Final = "server.json"
# What may be asked: whether it is work, which tells its progress, or reading.
METHODS: Final[Mapping[str, bool]] = {
    "query": False, "stream": False, "commit": False, "status": False, "index": True, "remove": False,
    "verify": True, "rebuild": True,
}  # fmt: skip

Tell = Callable[["Progress"], None] | None


class Answering(Protocol):
    """What the command line asks of an engine, in this process or in another."""

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
        """Returns the answer to one GQL statement."""
        ...

    def stream(
        self,
        gql: str,
        params: Mapping[str, object] | Sequence[object] | None = None,
        *,
        indexes: bool = True,
        timeout: float | None = None,
    ) -> Stream:
        """Returns the rows of one GQL statement as they are made."""
        ...

    def commit(self, revision: str, repo: str | None = None) -> list[dict[str, Any]]:
        """Returns the commits that a revision names."""
        ...

    def status(self) -> Status:
        """Returns what the data directory holds."""
        ...

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
        """Indexes what is new in a repository."""
        ...

    def remove(self, repo: str) -> int:
        """Removes a repository and returns how many commits went."""
        ...

    def verify(self, progress: Tell = None) -> list[str]:
        """Returns the differences between log, table and text index."""
        ...

    def rebuild(self, part: str | None = None, progress: Tell = None) -> None:
        """Makes a view anew from the log."""
        ...

    def close(self) -> None:
        """Lets go of the data directory, or of its holder."""
        ...


# Errors

_KINDS: Final = {
    c.kind: c
    for c in vars(errors).values()
    if isinstance(c, type) and issubclass(c, GovcSearchError)
}


def encode_error(error: BaseException) -> dict[str, Any]:
    """Returns what `decode_error` needs to raise the same."""
    if isinstance(error, GovcSearchError):
        return {
            "kind": error.kind,
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "span": error.span and [error.span.start, error.span.end],
            "source": error.source,
        }
    if isinstance(error, OSError) and error.strerror:
        # What a full disk says is told by its number and file.
        name = None if error.filename is None else str(error.filename)
        return {"system": [error.errno, error.strerror, name]}
    return {
        "fault": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def decode_error(told: Mapping[str, Any]) -> BaseException:
    """Returns the error that the holder raised, of the same class.

    What is no error of ours but a fault is an exception of that name, with the holder's traceback
    as a note.
    """
    if "system" in told:
        number, text, name = told["system"]
        return OSError(number, text, name) if name is not None else OSError(number, text)
    if "fault" in told:
        fault: BaseException = type(told["fault"], (Exception,), {})(told["message"])
        fault.add_note(f"in the process that holds the directory:\n{told['traceback']}")
        return fault
    return _KINDS.get(told["kind"], GovcSearchError)(
        told["code"],
        told["message"],
        hint=told["hint"],
        span=Span(*told["span"]) if told["span"] is not None else None,
        source=told["source"],
    )


def other_user(directory: Path) -> BusyError:
    """Returns the error of a holder that is not of the same user."""
    return BusyError(
        "other_user",
        f"{directory} is held by a process of another user",
        hint="only the user who opened the directory may ask",
    )


# Answers


def encode_answer(value: Any) -> tuple[Any, pa.Table | None]:
    """Returns an answer as a JSON value and rows; `decode_*` is the way back."""
    import pyarrow as pa

    from govc_search.indexer.pipeline import IndexReport
    from govc_search.ql.result import Result

    match value:
        case Result():
            head = {
                "columns": [[c.name, c.type] for c in value.columns],
                "as_of": value.as_of,
                "elapsed": value.elapsed,
                "warnings": value.warnings,
                "truncated": value.truncated,
                "explain": value.explain(),
                "next_cursor": value.next_cursor,
            }
            return head, value.to_arrow()
        case Status():
            return None, pa.Table.from_pylist([dataclasses.asdict(value)])
        case IndexReport():
            return dataclasses.asdict(value), None
        case [{}, *_]:
            return None, pa.Table.from_pylist(value)
        case _:
            return value, None


def decode_result(head: Mapping[str, Any], rows: pa.Table) -> Result:
    """Returns the result of a query."""
    from govc_search.ql.result import Result, ResultColumn

    plan = head["explain"]
    return Result(
        tuple(ResultColumn(name, kind) for name, kind in head["columns"]),
        head["as_of"],
        head["elapsed"],
        tuple(head["warnings"]),
        head["truncated"],
        rows,
        lambda: plan,
        head["next_cursor"],
    )


def encode_batch(batch: pa.RecordBatch | None, schema: pa.Schema) -> memoryview:
    """Returns some rows, or none, as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        if batch is not None:
            writer.write_batch(batch)
    return memoryview(sink.getvalue())


def encode_begin(stream: Stream) -> dict[str, Any]:
    """Returns what is known of a stream before its rows."""
    return {
        "columns": [[c.name, c.type] for c in stream.columns],
        "as_of": stream.as_of,
        "explain": stream.explain(),
    }


def encode_end(stream: Stream) -> dict[str, Any]:
    """Returns what is known of a stream after its rows."""
    return {"elapsed": stream.elapsed, "warnings": stream.warnings}


def decode_report(told: Mapping[str, Any]) -> IndexReport:
    """Returns what indexing did."""
    from govc_search.indexer.pipeline import IndexReport

    failures = [(hash_, reason) for hash_, reason in told["failures"]]
    return IndexReport(**{**told, "failures": failures})


def decode_step(told: Sequence[Any]) -> Progress:
    """Returns one step of progress."""
    from govc_search.indexer.pipeline import Progress

    return Progress(*told)
