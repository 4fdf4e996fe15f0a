"""Records turned into the rows of each physical table; pure functions over Arrow arrays."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from govc_search.records import CHANGE_BITS
from govc_search.store.patch_id import patch_ids

__all__ = [
    "RefRows",
    "commit_rows",
    "counts",
    "decode",
    "last_amendments",
    "ref_rows",
    "repository_row",
    "split_message",
    "timestamps",
    "transcoded",
]

UInts = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_SECONDS_MIN: Final = -62_135_596_800  # 0001-01-01
_SECONDS_MAX: Final = 253_402_300_799  # 9999-12-31
_PERSON: Final = r"(?s)^\s*(?P<name>[^<>]*?)\s*<\s*(?P<email>[^<>]*?)\s*>\s*(?:#.*)?$"
# Python names these codecs, git's iconv does not.
_NOT_ICONV: Final = frozenset(
    {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem"}
)


def decode(array: pa.Array) -> pa.Array:
    """Returns a binary array as text, invalid UTF-8 as U+FFFD, as Python's "replace" has it."""
    large = pa.types.is_large_binary(array.type)
    target = pa.large_string() if large else pa.string()
    pieces = list(_decoded(array, target))
    return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)


def _decoded(array: pa.Array, target: pa.DataType) -> list[pa.Array]:
    try:
        return [array.cast(target)]
    except pa.ArrowInvalid:
        pass
    # Bad rows are few: halving finds them without a look at every row.
    rows = len(array)
    if rows <= 8:
        texts = [None if v is None else v.decode("utf-8", "replace") for v in array.to_pylist()]
        return [pa.array(texts, target)]
    half = rows // 2
    return [*_decoded(array.slice(0, half), target), *_decoded(array.slice(half), target)]


def split_message(message: str) -> tuple[str, int]:
    """Returns a message's subject, git's %s, and where its body, git's %b, begins."""
    start = _skip_blank_lines(message, 0)
    end = message.find("\n\n", start)
    head = message[start:] if end < 0 else message[start:end]
    if "\n" not in head:
        # The usual message: one line, then an empty one.
        if end < 0:
            return head.rstrip(_SPACE), len(message)
        return head.rstrip(_SPACE), _skip_blank_lines(message, end + 2)
    lines = []
    at = start
    while at < len(message):
        end = message.find("\n", at)
        end = len(message) if end < 0 else end + 1
        line = message[at:end].rstrip(_SPACE)
        at = end
        if not line:
            break
        lines.append(line)
    return " ".join(lines), _skip_blank_lines(message, at)


_SPACE: Final = " \t\n\r"


def _skip_blank_lines(message: str, at: int) -> int:
    while at < len(message) and message[at] in _SPACE:
        end = message.find("\n", at)
        end = len(message) if end < 0 else end + 1
        if message[at:end].strip(_SPACE):
            break
        at = end
    return at


def last_amendments(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the amendments that count: the last one of each amended position."""
    amended = batch.column("amends").to_numpy()
    last = {int(position): i for i, position in enumerate(amended)}
    if len(last) == len(amended):
        return batch
    return batch.take(pa.array(sorted(last.values()), pa.int64()))


def commit_rows(batch: pa.RecordBatch, positions: UInts) -> dict[str, pa.Table]:
    """Returns the rows of commits, commit_parents, changes, hunks and trailers.

    `batch` holds commits or amendments; `positions[i]` is the position of row `i`.
    """
    batch = transcoded(batch)
    columns = {name: batch.column(name) for name in batch.schema.names}
    hashes, repos = columns["hash"], columns["repo"]
    read = columns["changes"]
    sizes = pc.fill_null(pc.list_value_length(read), 0).to_numpy().astype(np.int64)
    change = read.flatten()
    commits = _commits(columns, positions) | counts(batch)
    whole = pc.and_(commits["insertions"].is_valid(), columns["incomplete"].is_null())
    commits["patch_id"] = patch_ids(change, sizes, whole.to_numpy(zero_copy_only=False))
    of = np.repeat(np.arange(len(sizes)), sizes)
    ids = positions[of] << np.uint64(CHANGE_BITS) | _ordinals(sizes).astype(np.uint64)
    return {
        "commits": pa.table({name: commits[name] for name in _COMMITS}),
        "commit_parents": _parents(columns["parents"], positions, repos, hashes),
        "changes": _changes(change, of, ids, positions, repos, hashes),
        "hunks": _hunks(change.field("hunks"), ids),
        "trailers": _trailers(columns["trailers"], positions, repos, hashes),
    }


def counts(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Returns files_changed, insertions and deletions of each commit, null where not read."""
    read = batch.column("changes")
    counted = pc.equal(batch.column("depth"), "full").to_numpy(zero_copy_only=False)
    unread = read.is_null().to_numpy(zero_copy_only=False)
    sizes = pc.fill_null(pc.list_value_length(read), 0).to_numpy().astype(np.int64)
    change = read.flatten()
    found = {"files_changed": pa.array(sizes.astype(np.uint32), mask=unread)}
    # Binary files have no lines to count; where others have none, they were not read.
    missing = pc.and_not(change.field("insertions").is_null(), change.field("is_binary"))
    uncounted = unread | ~counted | (_sums(missing, sizes) > 0)
    for name in ("insertions", "deletions"):
        found[name] = pa.array(_sums(pc.fill_null(change.field(name), 0), sizes), mask=uncounted)
    return found


_COMMITS: Final = (
    *("position", "repo", "hash", "tree", "parents", "parent_count"),
    *("subject", "message", "body_start"),
    *("author", "author_email", "author_date", "author_tz"),
    *("committer", "committer_email", "committer_date", "committer_tz"),
    *("files_changed", "insertions", "deletions", "patch_id", "signature"),
    *("depth", "incomplete", "indexed_at"),
)


def _commits(columns: Mapping[str, pa.Array], positions: UInts) -> dict[str, pa.Array]:
    same = ("repo", "hash", "tree", "parents", "author_tz", "committer_tz", "signature", "depth")
    rows = {name: columns[name] for name in (*same, "incomplete")}
    messages = [
        m.partition("\0")[0] if "\0" in m else m for m in decode(columns["message"]).to_pylist()
    ]
    parts = [split_message(m) for m in messages]
    rows["position"] = pa.array(positions)
    rows["parent_count"] = pc.list_value_length(columns["parents"]).cast(pa.uint32())
    rows["message"] = pa.array(messages, pa.large_string())
    rows["subject"] = pa.array([p[0] for p in parts], pa.string())
    rows["body_start"] = pa.array([p[1] + 1 for p in parts], pa.uint32())
    for who in ("author", "committer"):
        rows[who] = decode(columns[who])
        rows[f"{who}_email"] = decode(columns[f"{who}_email"])
        rows[f"{who}_date"] = timestamps(columns[f"{who}_time"])
    rows["indexed_at"] = columns["indexed_at"].cast(pa.timestamp("us"))
    return rows


def _parents(parents: pa.Array, positions: UInts, repos: pa.Array, hashes: pa.Array) -> pa.Table:
    sizes = pc.list_value_length(parents).to_numpy().astype(np.int64)
    of = np.repeat(np.arange(len(sizes)), sizes)
    return pa.table(
        {
            "position": positions[of],
            "repo": repos.take(of),
            "hash": hashes.take(of),
            "parent": parents.flatten(),
            "ordinal": _ordinals(sizes).astype(np.uint32),
        }
    )


def _changes(
    change: pa.Array, of: Ints, ids: UInts, positions: UInts, repos: pa.Array, hashes: pa.Array
) -> pa.Table:
    same = ("similarity", "old_mode", "new_mode", "old_blob", "new_blob")
    return pa.table(
        {
            "change_id": ids,
            "position": positions[of],
            "repo": repos.take(of),
            "hash": hashes.take(of),
            "path": decode(change.field("path")),
            "old_path": decode(change.field("old_path")),
            "change_type": change.field("change_type"),
            **{name: change.field(name) for name in same},
            "insertions": change.field("insertions"),
            "deletions": change.field("deletions"),
            "is_binary": change.field("is_binary"),
        }
    )


def _hunks(lists: pa.Array, ids: UInts) -> pa.Table:
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    hunk = lists.flatten()
    same = ("old_start", "old_lines", "new_start", "new_lines")
    return pa.table(
        {
            "change_id": np.repeat(ids, sizes),
            "hunk": _ordinals(sizes).astype(np.uint32),
            **{name: hunk.field(name) for name in same},
            **{name: decode(hunk.field(name)) for name in ("heading", "removed", "added")},
        }
    )


def _trailers(lists: pa.Array, positions: UInts, repos: pa.Array, hashes: pa.Array) -> pa.Table:
    sizes = pc.list_value_length(lists).to_numpy().astype(np.int64)
    of = np.repeat(np.arange(len(sizes)), sizes)
    trailer = lists.flatten()
    value = decode(trailer.field("value"))
    person = pc.extract_regex(value, _PERSON)
    known = person.is_valid()
    nothing = pa.scalar(None, pa.string())
    return pa.table(
        {
            "position": positions[of],
            "repo": repos.take(of),
            "hash": hashes.take(of),
            "key": decode(trailer.field("key")),
            "value": value,
            "name": pc.if_else(known, person.field("name"), nothing),
            "email": pc.if_else(known, person.field("email"), nothing),
            "ordinal": _ordinals(sizes).astype(np.uint32),
        }
    )


@dataclass(frozen=True, slots=True)
class RefRows:
    """What ref updates do to the tables.

    `updates` and `refs` are rows to add; `closed` (repo, full_name, position) says where the
    open interval of a ref that was there before ends.
    """

    updates: pa.Table
    refs: pa.Table
    closed: pa.Table


def ref_rows(batch: pa.RecordBatch, first: int) -> RefRows:
    """Returns the rows of ref updates whose first one has position `first`."""
    positions = np.arange(first, first + batch.num_rows, dtype=np.uint64)
    repos, hashes = batch.column("repo"), batch.column("new_hash")
    names = decode(batch.column("ref"))
    same = ("peeled", "object_type", "forced")
    updates = pa.table(
        {
            "position": positions,
            "repo": repos,
            "ref": names,
            "old_hash": batch.column("old_hash"),
            "new_hash": hashes,
            **{name: batch.column(name) for name in same},
            "at": batch.column("at").cast(pa.timestamp("us")),
        }
    )
    # The raw names tell refs apart that look alike as text.
    ends: list[int | None] = [None] * batch.num_rows
    newest: dict[tuple[str, bytes], int] = {}
    closed: list[int] = []
    keys = zip(repos.to_pylist(), batch.column("ref").to_pylist(), strict=True)
    for i, key in enumerate(keys):
        if key in newest:
            ends[newest[key]] = first + i
        else:
            closed.append(i)
        newest[key] = i
    refs = pa.table(
        {
            "repo": repos,
            "full_name": names,
            "hash": hashes,
            "peeled": batch.column("peeled"),
            "object_type": batch.column("object_type"),
            "tagger": decode(batch.column("tagger")),
            "tagger_email": decode(batch.column("tagger_email")),
            "tagged_at": timestamps(batch.column("tagger_time")),
            "tagger_tz": batch.column("tagger_tz"),
            "message": decode(batch.column("message")),
            "from_position": positions,
            "to_position": pa.array(ends, pa.uint64()),
        }
    ).filter(hashes.is_valid())
    picked = pa.array(closed, pa.int64())
    ended = pa.table({"repo": repos, "full_name": names, "position": positions}).take(picked)
    return RefRows(updates, refs, ended)


def repository_row(batch: pa.RecordBatch, row: int, position: int) -> pa.Table:
    """Returns the state of a repository from `position` on, as one row of repositories."""
    one = batch.slice(row, 1)
    same = ("repo", "url", "object_format")
    return pa.table(
        {
            **{name: one.column(name) for name in same},
            "default_branch": decode(one.column("default_branch")),
            **{name: one.column(name) for name in ("head", "diffs", "merges", "refs")},
            "mailmap": decode(one.column("mailmap")),
            "complete": one.column("complete"),
            "indexed_at": one.column("at").cast(pa.timestamp("us")),
            "from_position": pa.array([position], pa.uint64()),
            "to_position": pa.array([None], pa.uint64()),
        }
    )


def _sums(values: pa.Array, sizes: Ints) -> UInts:
    """Returns the sum of each run of values, the runs one after another."""
    numbers = values.to_numpy(zero_copy_only=False).astype(np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(numbers, dtype=np.uint64)])
    ends = np.cumsum(sizes)
    found: UInts = sums[ends] - sums[ends - sizes]
    return found


def _ordinals(sizes: Ints) -> Ints:
    """Returns 0, 1, ... within each run, the runs one after another."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    ordinals: Ints = np.arange(total, dtype=np.int64) - np.repeat(ends - sizes, sizes)
    return ordinals


def timestamps(seconds: pa.Array) -> pa.Array:
    """Returns moments from seconds since 1970, null outside years 1 to 9999."""
    values = pc.fill_null(seconds, _SECONDS_MIN - 1).to_numpy()
    outside = (values < _SECONDS_MIN) | (values > _SECONDS_MAX)
    micros = np.where(outside, 0, values) * 1_000_000
    return pa.array(micros, mask=outside).cast(pa.timestamp("us"))


_ENCODED: Final = ("author", "author_email", "committer", "committer_email", "message")


def transcoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the batch with what is left in other encodings as UTF-8.

    Only a commit that names its encoding is looked at, and of it only text that is not UTF-8
    already, as what git printed is. Where the encoding is unknown or the text is not in it, the
    bytes stay, as they do in git.
    """
    encodings = batch.column("encoding")
    if encodings.null_count == len(encodings):
        return batch
    rows = {
        i: codec
        for i, name in enumerate(encodings.to_pylist())
        if name is not None and (codec := _codec(name)) is not None
    }
    if not rows:
        return batch
    for column in (*_ENCODED, "trailers"):
        values: list[Any] = batch.column(column).to_pylist()
        for i, name in rows.items():
            if column == "trailers":
                values[i] = [
                    {part: _recoded(text, name) for part, text in trailer.items()}
                    for trailer in values[i]
                ]
            else:
                values[i] = _recoded(values[i], name)
        at = batch.schema.get_field_index(column)
        field = batch.schema.field(column)
        batch = batch.set_column(at, field, pa.array(values, field.type))
    return batch


def _codec(encoding: str) -> str | None:
    try:
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        return None
    return None if name == "utf-8" or name in _NOT_ICONV else name


def _recoded(text: bytes, encoding: str) -> bytes:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return text
    try:
        return text.decode(encoding).encode("utf-8")
    except (LookupError, ValueError):
        return text
