"""The engine: one data directory, opened; the only place where all parts are put together."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from govc_search import scope
from govc_search.errors import BusyError, StoreError, UsageError
from govc_search.holder.listener import Listener
from govc_search.indexer.follower import Follower
from govc_search.indexer.intake import Intake, PushReport
from govc_search.indexer.pipeline import (
    DEPTHS,
    IndexOptions,
    IndexReport,
    Progress,
    index_repository,
    remove_repository,
)
from govc_search.indexer.pushed_refs import put_refs
from govc_search.indexer.text import TextIndex
from govc_search.indexer.views import catch_up
from govc_search.ql.box import errors_in_box, to_gql
from govc_search.ql.completion import Candidate, Indexed, complete, complete_words
from govc_search.ql.cursors import decode, digest, encode
from govc_search.ql.execute import Snapshot, run, stream
from govc_search.ql.pages import page
from govc_search.ql.pinned_results import PinnedResults
from govc_search.ql.result import Result, Stream
from govc_search.ql.tokens import Token, cut, tokens
from govc_search.readers import Readers
from govc_search.repositories import Repositories
from govc_search.settings import Settings
from govc_search.status import Status
from govc_search.store.commit_rows import commit_with_changes
from govc_search.store.coverage import Coverage
from govc_search.store.graph import Graphs
from govc_search.store.known import Known
from govc_search.store.log import Log
from govc_search.store.manifest import FORMATS, DataDirectory
from govc_search.store.table import Table

__all__ = [
    "Candidate",
    "Engine",
    "IndexReport",
    "Indexed",
    "Progress",
    "PushReport",
    "Status",
    "Token",
    "complete",
    "complete_words",
    "cut",
    "errors_in_box",
    "open_engine",
    "to_gql",
    "tokens",
]

# The views, by the names of their directories.
PARTS = ("table", "text")
# Where repositories are read through while queries run.
_TREES = "trees"
_LONGEST = 366 * 86_400.0
_WAIT_SECONDS = 0.1

_MOST_ROWS = 1 << 62

Tell = Callable[[Progress], None] | None


def open_engine(
    directory: str | Path = ".govc-search",
    *,
    settings: Mapping[str, int | float | str] | None = None,
    create: bool = True,
    accept_loss: bool = False,
    mend: bool = False,
    progress: Tell = None,
) -> Engine:
    """Returns the engine of a data directory, which is made where there is none.

    Views that lag behind the log (after a crash, or because one was damaged) catch up first.
    Raises BusyError while another process holds the directory, StoreError where it is damaged;
    with `accept_loss` views that hold more than the log does are made anew from what it holds,
    with `mend` so is a lost or damaged manifest, which begins a new epoch of positions.
    """
    return Engine(
        Path(directory),
        Settings(settings),
        create=create,
        accept_loss=accept_loss,
        mend=mend,
        progress=progress,
    )


class Engine:
    """One opened data directory: index repositories into it, ask it questions.

    Many threads may query at once; one indexes at a time. A context manager.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        *,
        create: bool = True,
        accept_loss: bool = False,
        mend: bool = False,
        progress: Tell = None,
    ) -> None:
        self._settings = settings
        self._accept_loss = accept_loss
        self.warnings: list[str] = []
        self._plans: dict[Hashable, Any] = {}
        self._writing = threading.Lock()
        self._readers = Readers()
        self._coverage = Coverage()
        self._pinned = PinnedResults(settings)
        self._resources = ExitStack()
        try:
            self._home = self._resources.enter_context(
                DataDirectory.open(directory, create=create, mend=mend)
            )
            self.warnings += self._home.warnings
            self.directory = self._home.path
            self._listener = self._resources.enter_context(Listener(self.directory, settings))
            self.warnings += self._listener.warnings
            self._log = self._resources.enter_context(
                Log.open(self._home.log, settings.size("segment_bytes"))
            )
            self.warnings += self._log.warnings
            for left in (self._scratch, self.directory / _TREES):
                shutil.rmtree(left, ignore_errors=True)
            self._open_views()
            self._follower = Follower(self._log, lambda: self._views, self._readers.replacing)
            self._resources.callback(self._follower.close)
            self._intake = Intake(
                self._log,
                lambda: Known(self._table),
                lambda: self._table.checkpoint,
                self._catch_up,
            )
            self._catch_up(self._listener.opening(progress))
            self._listener.serve(self)
        except BaseException:
            self._resources.close()
            raise

    @property
    def settings(self) -> Settings:
        """Returns the settings that the caller's request runs under."""
        return scope.current().settings or self._settings

    def _open_views(self) -> None:
        for part in PARTS:
            self._open_view(part)
            # The one there is by then: a rebuilt view is another object.
            self._resources.callback(self._close_view, part)
        # A view is only ever fed what the log holds durably: where it is ahead, acknowledged
        # records are gone from the log, and the view may be all that is left of them.
        for part in PARTS:
            if (held := self._view(part).checkpoint) > self._log.last:
                if not self._accept_loss:
                    raise StoreError(
                        "log_incomplete",
                        f"the log in {self.directory} ends at position {self._log.last}, and the"
                        f" {part} holds records up to {held}: the log lost some",
                        hint="restore log/ from a copy, or `govc-search rebuild --accept-loss`"
                        " to go on with what the log still holds",
                    )
                self.warnings.append(f"the {part} was ahead of the log and is made anew from it")
                self._view(part).close()
                self._remove(self._home.view(part))
                self._open_view(part)

    def _catch_up(self, progress: Tell = None) -> None:
        self._follower.reach(self._log.last, scope.current().check, _telling(progress))
        # Else the first query would wait for merges, or list the dictionary.
        self._text.settle()

    # Writing

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
        """Indexes what is new in a git repository and returns what was done.

        `diffs`: none, paths or full (the default); `merges`: none or first-parent; `refs`:
        patterns as of `git for-each-ref`, or HEAD; by default every ref. Raises SourceError.
        """
        _one_of("diffs", diffs, DEPTHS)
        _one_of("merges", merges, ("none", "first-parent"))
        for pattern in refs or ():
            # What the command line is given may be no text, and then could not be kept.
            if not _is_text(pattern):
                raise UsageError("invalid_argument", f"{pattern!r} is not valid Unicode")
        if jobs is not None and jobs < 1:
            raise UsageError("invalid_argument", "jobs must be above zero")
        options = IndexOptions(name, diffs, merges, tuple(refs) if refs is not None else None, jobs)
        started = time.perf_counter()
        with self._at_work():
            try:
                # A run that was interrupted twice may have left this to do.
                self._catch_up()
                with self._follower.bulk():
                    report = index_repository(
                        path, options, self._log, Known(self._table), self.settings, self._scratch,
                        self._intake.claim, self._follower.near, progress,
                    )  # fmt: skip
            finally:
                shutil.rmtree(self._scratch, ignore_errors=True)
                self._catch_up()
        report.elapsed = time.perf_counter() - started
        return report

    def push(
        self, commits: Sequence[object], *, atomic: bool = False, wait: bool = True
    ) -> PushReport:
        """Takes commits from any version-control system and returns what became of each.

        A commit is a mapping: see `indexer.pushed`. It is durable when this returns, and with
        `wait` seen by every query from then on. With `atomic` none is taken where one is refused.
        Many threads may push at once. Raises UsageError `repository_busy`.
        """
        self._readers.check()
        report = self._intake.push(commits, self.settings, atomic=atomic)
        if wait:
            self._follower.reach(report.last_position, scope.current().check)
        else:
            self._follower.go_on()
        return report

    def put_refs(self, repo: str, refs: Mapping[str, str], *, head: str | None = None) -> int:
        """Has a pushed repository have just these refs, full names to hashes of its commits.

        `head` is the full name of its default branch. Returns how many refs changed. Raises
        UsageError: see `indexer.pushed_refs`.
        """
        with self._at_work(), self._intake.claim(repo):
            self._catch_up()
            graph = self._graphs.at(self.as_of)
            changed = put_refs(
                repo, refs, head, self._log, Known(self._table),
                lambda a, b: graph.is_ancestor(repo, a, b),
            )  # fmt: skip
            self._catch_up()
        return changed

    def remove(self, repo: str) -> int:
        """Removes a repository from all answers and returns how many commits it had.

        The log keeps what it holds. Indexed again, its commits come again, at new positions.
        Raises UsageError `unknown_repository`.
        """
        with self._at_work():
            with self._intake.claim(repo):
                count = remove_repository(repo, self._log, Known(self._table))
            self._catch_up()
        return count

    @property
    def _views(self) -> tuple[Table, TextIndex]:
        return self._table, self._text

    def rebuild(self, part: str | None = None, progress: Tell = None) -> None:
        """Makes a view anew from the log: `table`, `text`, or both."""
        _one_of("part", part, PARTS)
        with self._at_work():
            # A view is not given up for a log that cannot replace it.
            damage = self._log.verify().damage
            if damage:
                raise StoreError(
                    "log_damaged",
                    f"nothing is rebuilt, since the log is damaged: {damage[0]}",
                    hint="restore log/ from a copy, or index again into an empty directory",
                )
            with self._follower.paused():
                for name in (part,) if part else PARTS:
                    self._rebuild(name, progress)

    def _rebuild(self, part: str, progress: Tell) -> None:
        # Made beside the one that goes on answering; nobody writes to the log meanwhile.
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        made = self._opened(part, self._scratch / part)
        try:
            catch_up(self._log, [made], progress=_telling(progress))
        finally:
            made.close()
        with self._readers.swapping():
            self._view(part).close()
            # Where this is cut short there is no view, and it is made from the log.
            self._home.view(part).rename(self._scratch / "before")
            (self._scratch / part).rename(self._home.view(part))
            self._open_view(part)
        shutil.rmtree(self._scratch)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        asked = scope.current()
        # Whoever waits for another's work may leave.
        while not self._writing.acquire(timeout=_WAIT_SECONDS):
            asked.check()
        try:
            self._readers.check()
            yield
        finally:
            self._writing.release()

    def _view(self, part: str) -> Table | TextIndex:
        return self._table if part == "table" else self._text

    def _open_view(self, part: str) -> None:
        held = self._home.formats[part]
        if held < FORMATS[part]:
            self.warnings.append(
                f"the {part} is in the earlier format {held} and is made anew from the log"
            )
            self._remove(self._home.view(part))
            self._home.record(part, FORMATS[part])
        try:
            view = self._opened(part, self._home.view(part))
        except StoreError as error:
            if error.code != f"{part}_damaged":
                raise
            self.warnings.append(f"{error.message}; the {part} is made anew from the log")
            # A table that does not open has been set aside.
            if part == "text":
                self._remove(self._home.view(part))
            view = self._opened(part, self._home.view(part))
        if isinstance(view, Table):
            self._table, self._graphs = view, Graphs(view)
        else:
            self._text = view

    def _opened(self, part: str, path: Path) -> Table | TextIndex:
        if part == "table":
            size = self.settings.size
            return Table.open(path, size("table_memory_bytes"), 2, size("spill_bytes"))
        return TextIndex.open(path, self.settings.size("text_heap_bytes"))

    @property
    def _scratch(self) -> Path:
        return self.directory / "scratch"

    def _remove(self, view: Path) -> None:
        # By one step that either happens or does not: half a view could pass for a whole one.
        shutil.rmtree(self._scratch, ignore_errors=True)
        view.rename(self._scratch)
        shutil.rmtree(self._scratch)

    # Reading

    @property
    def as_of(self) -> int:
        """Returns the last position that a query sees."""
        return min(self._table.checkpoint, self._text.checkpoint)

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
        """Returns the answer to one GQL statement.

        `params` are bound to `$name` or, as a sequence, to `?`. With `limit` it is a page of so
        many rows, whose `next_cursor` is the `cursor` of the next page. With `indexes` off every
        text predicate is scanned; the rows are the same. `timeout` in seconds overrides the
        setting deadline_seconds. Raises QueryError (`invalid_cursor` and `cursor_expired` among
        them) and DeadlineError.
        """
        _check_timeout(timeout)
        started = time.perf_counter()

        def ask() -> Result:
            snapshot = self._snapshot(indexes=indexes)
            if limit is None:
                return run(gql, params, snapshot, started, timeout)
            statement = digest(gql, params, self._home.epoch)
            place = None if cursor is None else decode(cursor, statement)
            result, after = page(
                gql, params, snapshot, started, timeout,
                limit=limit, place=place, pinned=self._pinned,
            )  # fmt: skip
            return replace(
                result,
                elapsed=time.perf_counter() - started,
                truncated=after is not None,
                next_cursor=None if after is None else encode(after, statement),
            )

        if limit is None and cursor is not None:
            raise UsageError("invalid_argument", "a cursor takes a limit, the rows of a page")
        _check_limit(limit)
        result = self._readers.read(ask)
        self._check_readable(result.as_of)
        return result

    def _check_readable(self, as_of: int) -> None:
        """Raises BusyError where an answer is over nothing, for nothing can be read yet."""
        if not as_of and self._log.last:
            raise BusyError(
                "nothing_indexed_yet",
                "the first index is under way, and nothing of it can be read yet",
                hint="ask again in a few seconds",
            )

    def stream(
        self,
        gql: str,
        params: Mapping[str, object] | Sequence[object] | None = None,
        *,
        indexes: bool = True,
        timeout: float | None = None,
    ) -> Stream:
        """Returns the rows of one GQL statement as they are made, never all in memory.

        They are of the moment of the call, whatever is indexed meanwhile. `timeout` and the
        setting deadline_seconds count the time of the engine, not that of who reads. Raises as
        `query` does, and so does reading; `rebuild` and `close` end it: StoreError `result_ended`.
        """
        _check_timeout(timeout)
        started = time.perf_counter()
        rows = self._readers.stream(
            lambda: stream(gql, params, self._snapshot(indexes=indexes), started, timeout)
        )
        try:
            self._check_readable(rows.as_of)
        except BusyError:
            rows.close()
            raise
        return rows

    def _repositories(self, as_of: int) -> Repositories:
        return Repositories(self._graphs, self._table, as_of, self.directory / _TREES)

    def _snapshot(self, *, indexes: bool) -> Snapshot:
        as_of = self.as_of
        expansions = self.settings.size("expansions")
        repositories = self._repositories(as_of)
        return Snapshot(
            self._table,
            self._text.snapshot(as_of, expansions) if indexes else None,
            repositories,
            repositories,
            as_of,
            self.settings,
            self._plans,
            lambda: self._coverage.at(self._table, as_of),
        )

    def search(self, words: str, *, limit: int = 10) -> Result:
        """Returns what the search box finds: words and qualifiers, best first."""
        gql, params = to_gql(words, limit)
        with errors_in_box(words, gql):
            return self.query(gql, params)

    def commit(self, revision: str, repo: str | None = None) -> list[dict[str, Any]]:
        """Returns the commits that a revision names, one for each repository that knows it.

        A commit is its row of `commits` with a list of `changes`, and these with their `hunks`.
        Raises QueryError `unknown_revision`.
        """
        return self._readers.read(lambda: self._commit(revision, repo))

    def _commit(self, revision: str, repo: str | None) -> list[dict[str, Any]]:
        found = self._repositories(self.as_of).resolve(revision, repo)
        with self._table.cursor() as cursor:
            return [commit_with_changes(cursor, position) for position in found]

    def status(self) -> Status:
        """Returns what the data directory holds."""
        return self._readers.read(self._status)

    def _status(self) -> Status:
        repositories = self._rows(
            "SELECT r.repo AS name, r.url, r.diffs, r.complete, r.indexed_at,"
            " (SELECT count(*) FROM commits c WHERE c.repo = r.repo) AS commits,"
            " (SELECT count(*) FROM refs f WHERE f.repo = r.repo AND f.to_position IS NULL) AS refs"
            " FROM repositories r WHERE r.to_position IS NULL ORDER BY r.repo"
        )
        gaps = {g.repo: g.incomplete for g in self._coverage.at(self._table, self.as_of)}
        for repository in repositories:
            repository["incomplete"] = dict(gaps.get(repository["name"], {}))
        return Status(
            str(self.directory), self._log.last, self.as_of, _size(self._home.log),
            _size(self._home.view("table")), _size(self._home.view("text")), repositories,
        )  # fmt: skip

    def verify(self, progress: Tell = None) -> list[str]:
        """Returns every difference between log, table and text index; none means all is sound."""
        from govc_search.verify import differences

        with self._at_work():
            try:
                memory = self.settings.size("table_memory_bytes")
                scratch = self._scratch, memory
                return differences(self._log, self._table, self._text, scratch, progress)
            finally:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def _rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        cursor = self._table.cursor()
        try:
            rows: list[dict[str, Any]] = cursor.query(sql, parameters).to_pylist()
            return rows
        finally:
            cursor.close()

    # Life

    def close(self) -> None:
        """Closes the data directory for others to open, once what runs has ended.

        What other processes asked is stopped after a second: they go on by themselves. Everything
        asked of the engine afterwards raises StoreError `engine_closed`.
        """
        self._listener.close()
        with self._writing, self._readers.closing():
            self._resources.close()

    def _close_view(self, part: str) -> None:
        self._view(part).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _telling(progress: Tell) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(Progress("views", done, total, "records"))

    return tell


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and not 0 < timeout <= _LONGEST:
        raise UsageError("invalid_argument", "timeout takes seconds, from above 0 to a year")


def _check_limit(limit: object) -> None:
    if limit is not None and not (isinstance(limit, int) and 0 < limit < _MOST_ROWS):
        raise UsageError("invalid_argument", "limit takes a whole number above zero")


def _is_text(value: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in value)


def _one_of(what: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise UsageError("invalid_argument", f"{what} is {', '.join(allowed)}, not {value!r}")


def _size(path: Path) -> int:
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
