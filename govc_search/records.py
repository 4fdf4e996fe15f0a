"""What the log holds: one Arrow schema for each kind of record.

A record is one row. Text that git does not guarantee to be UTF-8 (names, messages, paths,
lines) is `binary` here, as git gave it: names and messages with another declared encoding as
git turns them into UTF-8, with `encoding` beside them, all else byte for byte. Views make text of it. Hashes are lower-case
hexadecimal. Times are seconds since 1970 with the zone's offset in minutes beside them, both
null where the raw text (`*_date_raw`) is not a date at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

__all__ = [
    "AMENDMENT",
    "CHANGE",
    "COMMIT",
    "HUNK",
    "KINDS",
    "MAX_CHANGES",
    "REF_UPDATE",
    "REPOSITORY",
    "Kind",
    "change_id",
]

# A change is named by its commit's position and its ordinal in the commit, in one number, so
# that the text index, the table and the log agree on it without a look-up.
CHANGE_BITS: Final = 20
MAX_CHANGES: Final = 1 << CHANGE_BITS


def change_id(position: int, ordinal: int) -> int:
    """Returns the id of the `ordinal`-th change (from 0) of the commit at `position`."""
    return position << CHANGE_BITS | ordinal


# One run of removed lines followed by added lines, without context: where git's hunk holds
# several such runs with context between them, each is a hunk of its own. `*_start` are 1-based
# numbers of the first removed / added line (where there is none: of the line before the place).
# `removed`, `added`: the lines without sign and line end, joined by "\n"; null means no line,
# an empty value means one empty line.
HUNK: Final = pa.struct(
    [
        pa.field("old_start", pa.uint32(), nullable=False),
        pa.field("old_lines", pa.uint32(), nullable=False),
        pa.field("new_start", pa.uint32(), nullable=False),
        pa.field("new_lines", pa.uint32(), nullable=False),
        pa.field("heading", pa.binary(), nullable=False),
        pa.field("removed", pa.large_binary()),
        pa.field("added", pa.large_binary()),
    ]
)

# `insertions`, `deletions` and `hunks` are null where lines were not read (depth `paths`,
# binary files, submodules' contents aside); `old_*` are null on additions, `new_*` on deletions.
CHANGE: Final = pa.struct(
    [
        pa.field("path", pa.binary(), nullable=False),
        pa.field("old_path", pa.binary()),
        pa.field("change_type", pa.string(), nullable=False),
        pa.field("similarity", pa.uint8()),
        pa.field("old_mode", pa.string()),
        pa.field("new_mode", pa.string()),
        pa.field("old_blob", pa.string()),
        pa.field("new_blob", pa.string()),
        pa.field("insertions", pa.uint32()),
        pa.field("deletions", pa.uint32()),
        pa.field("is_binary", pa.bool_(), nullable=False),
        pa.field("hunks", pa.large_list(HUNK)),
    ]
)

TRAILER: Final = pa.struct(
    [pa.field("key", pa.binary(), nullable=False), pa.field("value", pa.binary(), nullable=False)]
)


def _person(who: str) -> list[pa.Field]:
    return [
        pa.field(who, pa.binary(), nullable=False),
        pa.field(f"{who}_email", pa.binary(), nullable=False),
        pa.field(f"{who}_time", pa.int64()),
        pa.field(f"{who}_tz", pa.int32()),
        pa.field(f"{who}_date_raw", pa.binary()),
    ]


# `changes` is null where none were read (depth `none`, merges without a diff, boundary commits
# of shallow clones) and empty where there are none. `depth`: none, paths or full, as read.
# `incomplete`: why something is missing, else null. `indexed_at`: microseconds since 1970, UTC.
_COMMIT_FIELDS = [
    pa.field("repo", pa.string(), nullable=False),
    pa.field("hash", pa.string(), nullable=False),
    pa.field("tree", pa.string()),
    pa.field("parents", pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False),
    *_person("author"),
    *_person("committer"),
    pa.field("message", pa.binary(), nullable=False),
    pa.field("encoding", pa.string()),
    pa.field("signature", pa.string()),
    pa.field("trailers", pa.list_(TRAILER), nullable=False),
    pa.field("depth", pa.string(), nullable=False),
    pa.field("incomplete", pa.string()),
    pa.field("changes", pa.large_list(CHANGE)),
    pa.field("indexed_at", pa.int64(), nullable=False),
]

COMMIT: Final = pa.schema(_COMMIT_FIELDS)

# A commit sent again that brings more: takes the place of the record at `amends`.
AMENDMENT: Final = pa.schema([pa.field("amends", pa.uint64(), nullable=False), *_COMMIT_FIELDS])

# `old_hash` null: the ref is new; `new_hash` null: it is gone. `peeled`: the commit an annotated
# tag leads to (else equal to new_hash). `object_type`: commit, tag, tree or blob.
REF_UPDATE: Final = pa.schema(
    [
        pa.field("repo", pa.string(), nullable=False),
        pa.field("ref", pa.binary(), nullable=False),
        pa.field("old_hash", pa.string()),
        pa.field("new_hash", pa.string()),
        pa.field("peeled", pa.string()),
        pa.field("object_type", pa.string()),
        pa.field("forced", pa.bool_(), nullable=False),
        pa.field("tagger", pa.binary()),
        pa.field("tagger_email", pa.binary()),
        pa.field("tagger_time", pa.int64()),
        pa.field("tagger_tz", pa.int32()),
        pa.field("message", pa.binary()),
        pa.field("at", pa.int64(), nullable=False),
    ]
)

# `event`: added, changed or removed; each record is the whole state. `default_branch` is the
# full name of the branch that HEAD names (null: detached), `head` the commit (null: unborn).
# `complete`: the refs recorded before this record were all indexed, so reading may go on from
# them.
REPOSITORY: Final = pa.schema(
    [
        pa.field("repo", pa.string(), nullable=False),
        pa.field("event", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("object_format", pa.string(), nullable=False),
        pa.field("default_branch", pa.binary()),
        pa.field("head", pa.string()),
        pa.field("diffs", pa.string(), nullable=False),
        pa.field("merges", pa.string(), nullable=False),
        pa.field("refs", pa.list_(pa.string()), nullable=False),
        pa.field("mailmap", pa.binary()),
        pa.field("complete", pa.bool_(), nullable=False),
        pa.field("at", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record: the number in the log frame (never reused), its name and schema."""

    number: int
    name: str
    schema: pa.Schema


KINDS: Final[tuple[Kind, ...]] = (
    Kind(1, "commit", COMMIT),
    Kind(2, "amendment", AMENDMENT),
    Kind(3, "ref_update", REF_UPDATE),
    Kind(4, "repository", REPOSITORY),
)
