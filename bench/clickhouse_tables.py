"""The tables of ClickHouse's `git-import` tool, filled with what an index holds.

The rows are read by GQL into Parquet files, so that both sides hold the same ones: every commit
that is no merge, its files, its lines. What the tool leaves out (other root commits, diffs that
come twice, very large ones, lines that begin as a patch's header does) is there; what it has from
its rough blame (`prev_commit_hash`, `prev_author`, `prev_time`) stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from govc_search.engine import Engine

__all__ = ["DATABASE", "fill", "stored_bytes"]

DATABASE: Final = "git"
# As long as one slice, the Arrow tables of lines stay small.
_POSITIONS: Final = 8_000
_DEADLINE: Final = 3600.0

_COMMITS: Final = """SELECT position, hash, author_mapped AS author, committer_date AS time,
    subject AS message FROM commits
    WHERE NOT is_merge AND position > $low AND position <= $high ORDER BY position"""
_CHANGES: Final = """SELECT change_id, position, change_type, path, coalesce(old_path, '') AS old_path,
    coalesce(extension, '') AS file_extension FROM changes
    WHERE position > $low AND position <= $high ORDER BY change_id"""
_HUNKS: Final = """SELECT change_id, hunk, old_start, old_lines, new_start, new_lines, heading
    FROM hunks WHERE position > $low AND position <= $high ORDER BY change_id, hunk"""
_LINES: Final = """SELECT change_id, hunk, sign, old_line, new_line, text FROM lines
    WHERE position > $low AND position <= $high
    ORDER BY change_id, hunk, sign, old_line, new_line"""
_EXPORTED: Final = {"commits": _COMMITS, "changes": _CHANGES, "hunks": _HUNKS, "lines": _LINES}

_STATISTICS: Final = (
    *("files_added", "files_deleted", "files_renamed", "files_modified"),
    *("lines_added", "lines_deleted", "hunks_added", "hunks_removed", "hunks_changed"),
)
_OF_A_FILE: Final = _STATISTICS[4:]
_KINDS: Final = {"A": "Add", "D": "Delete", "M": "Modify", "R": "Rename", "C": "Copy", "T": "Type"}


def _texts(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


_KIND: Final = f"Enum({_texts(_KINDS.values())})"


def _counts(names: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{name} UInt32" for name in names)


_COMMIT_COLUMNS: Final = f"""commit_hash String, author LowCardinality(String), time DateTime,
    commit_message String, {_counts(_STATISTICS, "commit_")}"""

# Names, types and order are those that the tool prints for its tables.
_TABLES: Final = {
    "commits": f"""hash String, author LowCardinality(String), time DateTime, message String,
        {_counts(_STATISTICS)}""",
    "file_changes": f"""change_type {_KIND}, path LowCardinality(String),
        old_path LowCardinality(String), file_extension LowCardinality(String),
        {_counts(_OF_A_FILE)}, {_COMMIT_COLUMNS}""",
    "line_changes": f"""sign Int8, line_number_old UInt32, line_number_new UInt32, hunk_num UInt32,
        hunk_start_line_number_old UInt32, hunk_start_line_number_new UInt32,
        hunk_lines_added UInt32, hunk_lines_deleted UInt32, hunk_context LowCardinality(String),
        line LowCardinality(String), indent UInt8,
        line_type Enum('Empty' = 0, 'Comment' = 1, 'Punct' = 2, 'Code' = 3),
        prev_commit_hash String, prev_author LowCardinality(String), prev_time DateTime,
        file_change_type {_KIND}, path LowCardinality(String), old_path LowCardinality(String),
        file_extension LowCardinality(String), {_counts(_OF_A_FILE, "file_")}, {_COMMIT_COLUMNS}""",
}

_HUNK_COUNTS: Final = """toUInt32(sum(new_lines)) AS lines_added,
    toUInt32(sum(old_lines)) AS lines_deleted,
    toUInt32(countIf(old_lines = 0)) AS hunks_added,
    toUInt32(countIf(new_lines = 0)) AS hunks_removed,
    toUInt32(countIf(old_lines > 0 AND new_lines > 0)) AS hunks_changed"""
_KIND_OF_LETTER: Final = (
    f"transform(change_type, [{_texts(_KINDS)}], [{_texts(_KINDS.values())}], '')"
)
# Files and commits with their statistics, from which the three tables are made.
_FILES: Final = f"""CREATE TABLE files ENGINE = Memory AS
    SELECT c.change_id AS change_id, c.position AS position, {_KIND_OF_LETTER} AS kind,
        c.path AS path, c.old_path AS old_path, c.file_extension AS file_extension,
        {", ".join(f"h.{name} AS {name}" for name in _OF_A_FILE)}
    FROM changes c LEFT JOIN (SELECT change_id, {_HUNK_COUNTS} FROM hunks GROUP BY change_id) h
    ON h.change_id = c.change_id"""
_TOTALS: Final = f"""CREATE TABLE totals ENGINE = Memory AS
    SELECT c.position AS position, c.hash AS hash, c.author AS author, toDateTime(c.time) AS time,
        c.message AS message, {", ".join(f"f.{name} AS {name}" for name in _STATISTICS)}
    FROM commits c LEFT JOIN (SELECT position, toUInt32(countIf(kind = 'Add')) AS files_added,
            toUInt32(countIf(kind = 'Delete')) AS files_deleted,
            toUInt32(countIf(kind = 'Rename')) AS files_renamed,
            toUInt32(countIf(kind = 'Modify')) AS files_modified,
            {", ".join(f"toUInt32(sum({name})) AS {name}" for name in _OF_A_FILE)}
        FROM files GROUP BY position) f ON f.position = c.position"""
_OF_THE_COMMIT: Final = ", ".join(
    f"t.{name}" for name in ("hash", "author", "time", "message", *_STATISTICS)
)
_OF_THE_FILE: Final = ", ".join(
    f"f.{name}" for name in ("kind", "path", "old_path", "file_extension", *_OF_A_FILE)
)
# Blanks in front are counted and left out; a tab counts four.
_BARE: Final = "replaceRegexpOne(l.text, '^[ \\\\t]+', '')"
_BLANKS: Final = "substring(l.text, 1, length(l.text) - length(bare))"
_TYPE: Final = """multiIf(bare = '', 'Empty', match(bare, '^(//|/[*]|[*] |# )'), 'Comment',
    match(bare, '[0-9A-Za-z]'), 'Code', 'Punct')"""
_INSERTS: Final = {
    "commits": f"SELECT {_OF_THE_COMMIT} FROM totals t",
    "file_changes": f"SELECT {_OF_THE_FILE}, {_OF_THE_COMMIT} FROM files f JOIN totals t ON t.position = f.position",
    "line_changes": f"""WITH {_BARE} AS bare
        SELECT l.sign, ifNull(l.old_line, h.old_start + h.old_lines),
            ifNull(l.new_line, h.new_start), h.hunk + 1, h.old_start, h.new_start,
            h.new_lines, h.old_lines, h.heading, bare,
            least(255, length(bare) = length(l.text) ? 0 :
                length({_BLANKS}) + 3 * countSubstrings({_BLANKS}, '\\t')),
            {_TYPE}, '', '', toDateTime(0), {_OF_THE_FILE}, {_OF_THE_COMMIT}
        FROM lines l JOIN hunks h ON h.change_id = l.change_id AND h.hunk = l.hunk
        JOIN files f ON f.change_id = l.change_id JOIN totals t ON t.position = f.position""",
}


def fill(session: Any, engine: Engine, scratch: Path, tell: Callable[[str], None]) -> None:
    """Makes and fills the three tables in a chdb session, which then uses their database.

    The Parquet files under `scratch` are removed again.
    """
    session.query(f"CREATE DATABASE {DATABASE}")
    for name, columns in _TABLES.items():
        session.query(
            f"CREATE TABLE {DATABASE}.{name} ({columns}) ENGINE = MergeTree ORDER BY time"
        )
    session.query("CREATE DATABASE exported")
    session.query("USE exported")
    ((last,),) = engine.query("SELECT max(position) FROM commits")
    for name, gql in _EXPORTED.items():
        tell(f"export of {name}")
        for low in range(0, last or 0, _POSITIONS):
            rows = engine.query(
                gql, {"low": low, "high": low + _POSITIONS}, timeout=_DEADLINE
            ).to_arrow()
            pq.write_table(rows, scratch / f"{name}-{low:09}.parquet", compression="zstd")
        session.query(
            f"CREATE VIEW {name} AS SELECT * FROM file('{scratch}/{name}-*.parquet', Parquet)"
        )
    session.query(_FILES)
    session.query(_TOTALS)
    for name, select in _INSERTS.items():
        tell(f"insert into {name}")
        session.query(f"INSERT INTO {DATABASE}.{name} {select}")
        session.query(f"OPTIMIZE TABLE {DATABASE}.{name} FINAL")
    session.query("DROP DATABASE exported")
    session.query(f"USE {DATABASE}")
    for file in scratch.glob("*.parquet"):
        file.unlink()


def stored_bytes(session: Any) -> int:
    """Returns the bytes that the three tables take on disk."""
    told = session.query(
        f"SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND database = '{DATABASE}'",
        "ArrowTable",
    )
    return int(told.column("n")[0].as_py() or 0)
