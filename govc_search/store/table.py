"""The columnar view of the log, in DuckDB: one transaction holds rows and checkpoint."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import duckdb
import numpy as np
import pyarrow as pa
from duckdb.func import PythonUDFType

from govc_search.errors import BusyError, StoreError
from govc_search.records import CHANGE_BITS
from govc_search.store.cursor import Cursor, damaged, is_damage, reason
from govc_search.store.frame import Entry
from govc_search.store.mailmap import Mailmap
from govc_search.store.manifest import FORMATS
from govc_search.store.rows import commit_rows, last_amendments, ref_rows, repository_row

__all__ = ["TABLES", "Cursor", "Table"]

# It computes what a column is made of above a join, once for each of the joined rows: the extension
# of a path for each line of a change.
_DISABLED_OPTIMIZERS: Final = "projection_pullup"

_LONG: Final = " USING COMPRESSION zstd"
_PERSON: Final = (
    "{0} VARCHAR NOT NULL, {0}_email VARCHAR NOT NULL, {0}_date TIMESTAMP, {0}_tz INTEGER"
)

# Hashes and long text do not repeat, so the default encodings spend bytes on them. A body is the
# end of its message, from the `body_start`-th character on: stored once, and computed. Parents are
# counted beside, for their hashes are slow to read and most questions ask only for merges.
TABLES: Final[Mapping[str, str]] = {
    "commits": f"""position UBIGINT NOT NULL, repo VARCHAR NOT NULL,
        hash VARCHAR NOT NULL, tree VARCHAR, parents VARCHAR[] NOT NULL,
        parent_count UINTEGER NOT NULL,
        subject VARCHAR NOT NULL, message VARCHAR NOT NULL{_LONG},
        body_start UINTEGER NOT NULL,
        body VARCHAR GENERATED ALWAYS AS (substr(message, body_start)), {_PERSON.format("author")},
        {_PERSON.format("committer")}, files_changed UINTEGER, insertions UBIGINT,
        deletions UBIGINT, patch_id VARCHAR, signature VARCHAR, depth VARCHAR NOT NULL,
        incomplete VARCHAR, indexed_at TIMESTAMP NOT NULL""",
    "commit_parents": """position UBIGINT NOT NULL, repo VARCHAR NOT NULL,
        hash VARCHAR NOT NULL, parent VARCHAR NOT NULL,
        ordinal UINTEGER NOT NULL""",
    "changes": """change_id UBIGINT NOT NULL, position UBIGINT NOT NULL, repo VARCHAR NOT NULL,
        hash VARCHAR NOT NULL, path VARCHAR NOT NULL, old_path VARCHAR,
        change_type VARCHAR NOT NULL, similarity UTINYINT, old_mode VARCHAR, new_mode VARCHAR,
        old_blob VARCHAR, new_blob VARCHAR, insertions UINTEGER,
        deletions UINTEGER, is_binary BOOLEAN NOT NULL""",
    "hunks": f"""change_id UBIGINT NOT NULL, hunk UINTEGER NOT NULL, old_start UINTEGER NOT NULL,
        old_lines UINTEGER NOT NULL, new_start UINTEGER NOT NULL, new_lines UINTEGER NOT NULL,
        heading VARCHAR NOT NULL{_LONG}, removed VARCHAR{_LONG}, added VARCHAR{_LONG}""",
    "trailers": """position UBIGINT NOT NULL, repo VARCHAR NOT NULL,
        hash VARCHAR NOT NULL, key VARCHAR NOT NULL, value VARCHAR NOT NULL,
        name VARCHAR, email VARCHAR, ordinal UINTEGER NOT NULL""",
    "refs": """repo VARCHAR NOT NULL, full_name VARCHAR NOT NULL, hash VARCHAR NOT NULL,
        peeled VARCHAR, object_type VARCHAR, tagger VARCHAR, tagger_email VARCHAR,
        tagged_at TIMESTAMP, tagger_tz INTEGER, message VARCHAR,
        from_position UBIGINT NOT NULL, to_position UBIGINT""",
    "ref_updates": """position UBIGINT NOT NULL, repo VARCHAR NOT NULL, ref VARCHAR NOT NULL,
        old_hash VARCHAR, new_hash VARCHAR, peeled VARCHAR, object_type VARCHAR,
        forced BOOLEAN NOT NULL, "at" TIMESTAMP NOT NULL""",
    "repositories": """repo VARCHAR NOT NULL, url VARCHAR NOT NULL,
        object_format VARCHAR NOT NULL, default_branch VARCHAR, head VARCHAR,
        diffs VARCHAR NOT NULL, merges VARCHAR NOT NULL, refs VARCHAR[] NOT NULL,
        mailmap VARCHAR, complete BOOLEAN NOT NULL, indexed_at TIMESTAMP NOT NULL,
        from_position UBIGINT NOT NULL, to_position UBIGINT""",
    "identities": """repo VARCHAR NOT NULL, name VARCHAR NOT NULL, email VARCHAR NOT NULL,
        mapped_name VARCHAR NOT NULL, mapped_email VARCHAR NOT NULL,
        author_id VARCHAR NOT NULL""",
}
_FORMAT: Final = FORMATS["table"]
_FILE: Final = "table.duckdb"
_SPILL: Final = "spill"
# What differs between two runs that hold the same history.
_OF_THE_RUN: Final = frozenset(
    {"position", "change_id", "indexed_at", "at", "from_position", "to_position"}
)
# Named by position: a repository's rows are in these tables, hunks aside.
_OF_COMMITS: Final = ("commits", "commit_parents", "changes", "trailers")


class Table:
    """The columnar view in one directory: written by one thread at a time, read by many.

    `rewrites` grows whenever committed rows were replaced or removed, so that what was derived
    from them can be built anew; `warnings` tells what opening had to do.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        spill: tuple[Path, int],
        warnings: list[str],
    ) -> None:
        self._writer = connection
        self._spill = spill
        self._functions = connection.cursor()
        # Serializes the writer's connection; readers have their own.
        self._lock = threading.RLock()
        self._open = False
        self._rewrote = False
        self._people: dict[str, set[tuple[str, str]]] | None = None
        self._mailmaps: dict[str, Mailmap] = {}
        self.rewrites = 0
        self.warnings = warnings
        self._checkpoint = self._stored_checkpoint()
        self._applied = self._checkpoint

    @classmethod
    def open(
        cls,
        path: Path | str,
        memory_limit: int = 512 << 20,
        threads: int | None = None,
        spill_limit: int = 1 << 40,
    ) -> Table:
        """Returns the table in directory `path`, empty (checkpoint 0) if it is not there.

        A file that does not open is set aside and StoreError `table_damaged` raised: opening
        again gives an empty table to build from the log. `memory_limit` is in bytes, as
        is `spill_limit`, of what statements write to the directory `spill` in it meanwhile.
        """
        path = Path(path)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path / _FILE
        warnings: list[str] = []
        connection, version = _connect(file)
        if version is not None and version < _FORMAT:
            connection.close()
            _remove(file)
            warnings.append(f"removed a table of the earlier format {version}")
            connection, version = _connect(file)
        if version is not None and version > _FORMAT:
            connection.close()
            raise StoreError(
                "format_too_new",
                f"{path} holds a table in format {version}, this release reads up to {_FORMAT}",
                hint="a later release wrote it: use that one, or remove the table",
            )
        try:
            spill = path / _SPILL
            # What a killed process left of it.
            shutil.rmtree(spill, ignore_errors=True)
            _configure(connection, spill, memory_limit, spill_limit, threads)
            if version is None:
                _create(connection)
            return cls(connection, (spill, spill_limit), warnings)
        except BaseException:
            connection.close()
            raise

    @property
    def checkpoint(self) -> int:
        """Returns the last position whose rows are durable here."""
        return self._checkpoint

    def apply(self, from_: int, entries: Sequence[Entry]) -> None:
        """Adds the rows of entries that follow position `from_`; durable with `commit`.

        Raises StoreError `view_out_of_step` unless they continue what was applied so far, and
        `table_write_failed`; after any error the caller rolls back.
        """
        with self._lock:
            if from_ != self._applied:
                raise StoreError(
                    "view_out_of_step",
                    f"the table is at position {self._applied}, not at {from_}",
                )
            position = from_
            for entry in entries:
                if entry.first != position + 1:
                    raise StoreError(
                        "view_out_of_step",
                        f"position {entry.first} does not follow position {position}",
                    )
                position = entry.last
            with _writing():
                self._begin()
                for entry in entries:
                    self._add(entry)
            self._applied = position

    def commit(self) -> int:
        """Makes what was applied durable, with its checkpoint, and returns the checkpoint."""
        with self._lock:
            if self._open:
                with _writing():
                    self._writer.execute("UPDATE view SET checkpoint = $1", [self._applied])
                    self._writer.execute("COMMIT")
                self._open = False
                self._checkpoint = self._applied
                if self._rewrote:
                    self.rewrites += 1
                    self._rewrote = False
            return self._checkpoint

    def rollback(self) -> None:
        """Forgets what was applied since the last commit."""
        with self._lock:
            if self._open:
                self._open = False
                # A failed COMMIT has already ended the transaction.
                with contextlib.suppress(duckdb.TransactionException):
                    self._writer.execute("ROLLBACK")
            self._checkpoint = self._applied = self._stored_checkpoint()
            self._rewrote = False
            self._people = None
            self._mailmaps.clear()

    def digest(self, *, content: bool = False) -> dict[str, tuple[int, str]]:
        """Returns table -> (rows, checksum that does not depend on their order).

        With `content` the checksum leaves out positions and the times of indexing, so that two
        runs over the same history agree.
        """
        out = {}
        cursor = self.cursor()
        try:
            for name in TABLES:
                described = cursor.query(
                    "SELECT column_name FROM duckdb_columns() WHERE table_name = $t"
                    " AND NOT internal ORDER BY column_index",
                    {"t": name},
                )
                columns = [
                    f't."{c}"'
                    for c in described.column(0).to_pylist()
                    if not (content and c in _OF_THE_RUN)
                ]
                source = f"{name} t"
                if content and name == "hunks":
                    source += " JOIN changes c USING (change_id)"
                    columns += ["c.repo", "c.hash", "c.path"]
                if content and name in ("refs", "repositories"):
                    columns.append("t.to_position IS NULL")
                # Two halves keep the sums clear of overflow and of rows that cancel out.
                row = cursor.query(
                    "SELECT count(*), coalesce(sum(h & 4294967295), 0)::VARCHAR,"
                    " coalesce(sum(h >> 32), 0)::VARCHAR"
                    f" FROM (SELECT hash({', '.join(columns)}) AS h FROM {source})"
                ).to_pylist()[0]
                count, low, high = row.values()
                out[name] = (count, f"{int(high):x}.{int(low):x}")
        finally:
            cursor.close()
        return out

    def cursor(self) -> Cursor:
        """Returns a reader with a connection of its own, for one request at a time."""
        return Cursor(self._writer.cursor(), self._spill)

    def register_scalar(
        self,
        name: str,
        function: Callable[..., pa.Array | pa.ChunkedArray],
        arguments: Sequence[str],
        returns: str,
    ) -> None:
        """Makes a function over Arrow arrays callable as `name` in the SQL of every cursor.

        It is given one array for each argument and is not asked about rows with a NULL, which
        stay NULL. `arguments` and `returns` are DuckDB types. A name that is taken is replaced.
        """
        with self._lock:
            self.unregister_scalar(name)
            self._functions.create_function(
                name, function, list(arguments), returns, type=PythonUDFType.ARROW
            )

    def unregister_scalar(self, name: str) -> None:
        """Forgets a function; one that is not there is no error."""
        with self._lock, contextlib.suppress(duckdb.InvalidInputException):
            self._functions.remove_function(name)

    def close(self) -> None:
        """Closes the table; what was not committed is forgotten."""
        with self._lock:
            if self._open:
                self.rollback()
            self._functions.close()
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stored_checkpoint(self) -> int:
        ((checkpoint,),) = self._writer.execute("SELECT checkpoint FROM view").fetchall()
        return int(checkpoint)

    def _begin(self) -> None:
        if not self._open:
            self._writer.execute("BEGIN TRANSACTION")
            self._open = True

    def _with(self, rows: pa.Table, sql: str, parameters: Sequence[object] = ()) -> None:
        """Runs a statement that reads `rows` under the name `given`."""
        self._writer.register("given", rows)
        try:
            self._writer.execute(sql, list(parameters))
        finally:
            self._writer.unregister("given")

    def _insert(self, table: str, rows: pa.Table) -> None:
        if rows.num_rows:
            names = ", ".join(f'"{name}"' for name in rows.column_names)
            self._with(rows, f"INSERT INTO {table} ({names}) SELECT {names} FROM given")

    def _add(self, entry: Entry) -> None:
        match entry.kind.name:
            case "commit":
                self._add_commits(entry)
            case "amendment":
                self._add_amendments(entry)
            case "ref_update":
                self._add_ref_updates(entry)
            case "repository":
                self._add_repositories(entry)

    def _add_commits(self, entry: Entry) -> None:
        positions = np.arange(entry.first, entry.last + 1, dtype=np.uint64)
        rows = commit_rows(entry.batch, positions)
        for table, of_table in rows.items():
            self._insert(table, of_table)
        self._meet(rows["commits"])

    def _add_amendments(self, entry: Entry) -> None:
        batch = last_amendments(entry.batch)
        positions = batch.column("amends").to_numpy()
        rows = commit_rows(batch, positions)
        commits = rows["commits"]
        self._writer.register("amended", commits.select(["position"]))
        try:
            # A commit arrived when it first came; what amends it does not make it newer.
            arrived = self._writer.sql(
                "SELECT c.position, c.indexed_at FROM commits c JOIN amended USING (position)"
            ).to_arrow_table()
        finally:
            self._writer.unregister("amended")
        if arrived.num_rows < batch.num_rows:
            # Their repository was removed meanwhile.
            there = np.isin(positions, arrived.column("position").to_numpy())
            if not arrived.num_rows:
                return
            batch = batch.filter(pa.array(there))
            positions = positions[there]
            rows = commit_rows(batch, positions)
            commits = rows["commits"]
        order = np.argsort(arrived.column("position").to_numpy())
        place = np.searchsorted(arrived.column("position").to_numpy()[order], positions)
        times = arrived.column("indexed_at").combine_chunks().take(pa.array(order[place]))
        at = commits.schema.get_field_index("indexed_at")
        rows["commits"] = commits.set_column(at, "indexed_at", times)
        self._delete_commits(rows["commits"].select(["position"]))
        for table, of_table in rows.items():
            self._insert(table, of_table)
        self._meet(rows["commits"])

    def _add_ref_updates(self, entry: Entry) -> None:
        rows = ref_rows(entry.batch, entry.first)
        self._with(
            rows.closed,
            "UPDATE refs SET to_position = given.position FROM given WHERE refs.repo = given.repo"
            " AND refs.full_name = given.full_name AND refs.to_position IS NULL",
        )
        self._insert("refs", rows.refs)
        self._insert("ref_updates", rows.updates)

    def _add_repositories(self, entry: Entry) -> None:
        for i, event in enumerate(entry.batch.column("event").to_pylist()):
            row = repository_row(entry.batch, i, entry.first + i)
            repo = row.column("repo")[0].as_py()
            self._writer.execute(
                "UPDATE repositories SET to_position = $1 WHERE repo = $2 AND to_position IS NULL",
                [entry.first + i, repo],
            )
            if event == "removed":
                self._remove_repository(repo)
                continue
            self._insert("repositories", row)
            self._map_again(repo, (row.column("mailmap")[0].as_py() or "").encode())

    def _remove_repository(self, repo: str) -> None:
        gone = self._writer.sql(
            "SELECT position FROM commits WHERE repo = $r", params={"r": repo}
        ).to_arrow_table()
        self._delete_commits(gone)
        for table in ("refs", "ref_updates", "identities"):
            self._writer.execute(f"DELETE FROM {table} WHERE repo = $1", [repo])
        if self._people is not None:
            self._people.pop(repo, None)
        self._mailmaps.pop(repo, None)
        self._rewrote = True

    def _delete_commits(self, positions: pa.Table) -> None:
        if not positions.num_rows:
            return
        self._rewrote = True
        for table in _OF_COMMITS:
            self._with(positions, f"DELETE FROM {table} WHERE position IN (FROM given)")
        values = positions.column("position").to_numpy()
        self._with(
            positions,
            f"DELETE FROM hunks WHERE change_id >> {CHANGE_BITS} IN (FROM given)"
            " AND change_id BETWEEN $1 AND $2",
            [int(values.min()) << CHANGE_BITS, (int(values.max()) + 1 << CHANGE_BITS) - 1],
        )

    def _meet(self, commits: pa.Table) -> None:
        """Adds the people of these commits that are not known yet to identities."""
        if self._people is None:
            self._people = {}
            rows = self._writer.execute("SELECT repo, name, email FROM identities").fetchall()
            for repo, name, email in rows:
                self._people.setdefault(repo, set()).add((name, email))
        found: dict[str, set[tuple[str, str]]] = {}
        for who in ("author", "committer"):
            columns = (commits.column(n).to_pylist() for n in ("repo", who, f"{who}_email"))
            for repo, name, email in set(zip(*columns, strict=True)):
                found.setdefault(repo, set()).add((name, email))
        for repo, people in found.items():
            known = self._people.setdefault(repo, set())
            fresh = people - known
            if not fresh:
                continue
            known |= fresh
            if repo not in self._mailmaps:
                found_mailmap = self._writer.execute(
                    "SELECT mailmap FROM repositories WHERE repo = $1 AND to_position IS NULL"
                    " AND mailmap IS NOT NULL",
                    [repo],
                ).fetchall()
                text = found_mailmap[0][0] if found_mailmap else ""
                self._mailmaps[repo] = Mailmap(text.encode())
            self._insert("identities", _identities(repo, fresh, self._mailmaps[repo]))

    def _map_again(self, repo: str, mailmap: bytes) -> None:
        rows = self._writer.execute(
            "SELECT name, email FROM identities WHERE repo = $1", [repo]
        ).fetchall()
        self._mailmaps[repo] = Mailmap(mailmap)
        if rows:
            self._writer.execute("DELETE FROM identities WHERE repo = $1", [repo])
            self._insert("identities", _identities(repo, set(rows), self._mailmaps[repo]))


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        if is_damage(error):
            raise damaged(error) from error
        raise StoreError(
            "table_write_failed",
            f"the table cannot be written: {reason(error)}",
            hint="make room and run again: the log has all that was acknowledged",
        ) from error


def _identities(repo: str, people: set[tuple[str, str]], mailmap: Mailmap) -> pa.Table:
    rows = []
    for name, email in sorted(people):
        to_name, to_email = mailmap.lookup(name.encode(), email.encode())
        key = (to_email.decode() or to_name.decode()).lower()
        digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()[:16]
        rows.append((repo, name, email, to_name.decode(), to_email.decode(), digest))
    names = ("repo", "name", "email", "mapped_name", "mapped_email", "author_id")
    columns = zip(*rows, strict=True)
    return pa.table({n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)})


def _configure(
    connection: duckdb.DuckDBPyConnection,
    spill: Path,
    memory_limit: int,
    spill_limit: int,
    threads: int | None,
) -> None:
    # The checkpoint is fetched through the connection itself, never through `path`, hence no
    # access to files beyond the database and its spill directory is left open.
    settings: list[tuple[str, object]] = [
        ("memory_limit", f"{memory_limit}B"),
        ("temp_directory", str(spill)),
        ("max_temp_directory_size", f"{spill_limit}B"),
        ("preserve_insertion_order", True),
        ("checkpoint_threshold", "64MB"),
        ("autoinstall_known_extensions", False),
        ("autoload_known_extensions", False),
        ("python_enable_replacements", False),
        ("enable_external_access", False),
        # Texts without an offset are UTC, wherever the process runs.
        ("TimeZone", "UTC"),
        ("disabled_optimizers", _DISABLED_OPTIMIZERS),
        # Division by zero ends a statement, for numbers of every kind.
        ("ieee_floating_point_ops", False),
    ]
    if threads is not None:
        settings.insert(0, ("threads", threads))
    for name, value in settings:
        # For the cursors too, not for this connection alone.
        connection.execute(f"SET GLOBAL {name} = $1", [value])
    connection.execute("SET lock_configuration = true")


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("BEGIN TRANSACTION")
    for name, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
    connection.execute("CREATE TABLE view (checkpoint UBIGINT NOT NULL, format INTEGER NOT NULL)")
    connection.execute("INSERT INTO view VALUES (0, $1)", [_FORMAT])
    connection.execute("COMMIT")


def _connect(file: Path) -> tuple[duckdb.DuckDBPyConnection, int | None]:
    """Returns a connection and the table's format, None where there is no table yet."""
    try:
        connection = duckdb.connect(str(file), config={"storage_compatibility_version": "latest"})
        try:
            there = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'view'")
            if not there.fetchall():
                return connection, None
            ((version,),) = connection.execute("SELECT format FROM view").fetchall()
            return connection, int(version)
        except BaseException:
            connection.close()
            raise
    except (duckdb.Error, ValueError) as error:
        text = reason(error)
        if isinstance(error, duckdb.IOException) and "lock on file" in text:
            raise BusyError(
                "data_directory_busy", f"another process holds {file}: {text}"
            ) from None
        if isinstance(error, duckdb.OutOfMemoryException) or not os.access(file, os.R_OK | os.W_OK):
            raise StoreError("table_unusable", f"{file} cannot be opened: {text}") from error
        aside = _set_aside(file)
        raise StoreError(
            "table_damaged",
            f"{file} does not open: {text}",
            hint=f"it is set aside as {aside.name}; the log holds all that was in it",
        ) from error


def _remove(file: Path) -> None:
    for path in (file, file.with_name(file.name + ".wal")):
        path.unlink(missing_ok=True)


def _set_aside(file: Path) -> Path:
    n = 1
    while (aside := file.with_name(f"{file.name}.damaged-{n}")).exists():
        n += 1
    wal = file.with_name(file.name + ".wal")
    if file.exists():
        file.rename(aside)
    if wal.exists():
        wal.rename(aside.with_name(aside.name + ".wal"))
    return aside
