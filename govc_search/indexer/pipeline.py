"""Indexing one repository: what is new in it, read, appended to the log, carried into the views."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from govc_search.errors import UsageError
from govc_search.indexer.reader_pool import ReaderPool
from govc_search.indexer.repository import Head, Ref, Repository
from govc_search.indexer.views import Feeder
from govc_search.records import AMENDMENT, KINDS, REF_UPDATE, REPOSITORY
from govc_search.settings import Settings
from govc_search.store.log import Entry, Log, Payload

__all__ = ["DEPTHS", "IndexOptions", "IndexReport", "Progress", "index_repository"]

DEPTHS = ("none", "paths", "full")
_KIND = {k.name: k for k in KINDS}
# What is known of an indexed commit: its position, how deep it was read (a place in DEPTHS), and
# why it is incomplete.
_Held = tuple[int, int, str | None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long piece of work is; `total` is None while it is not known."""

    phase: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What to read; None keeps what the repository was indexed with, or the default."""

    name: str | None = None
    diffs: str | None = None
    merges: str | None = None
    refs: tuple[str, ...] | None = None
    jobs: int | None = None


@dataclass(slots=True)
class IndexReport:
    """What indexing one repository did.

    `failures` are (hash, reason) of commits that could not be read at all, `incomplete` counts
    commits of which something is missing.
    """

    repo: str
    commits_added: int = 0
    commits_known: int = 0
    amended: int = 0
    refs_updated: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    incomplete: int = 0
    elapsed: float = 0.0
    last_position: int = 0
    interrupted: bool = False


class Known(Protocol):
    """What is indexed already, as the table knows it."""

    def known_hashes(self, repo: str) -> set[str]: ...

    def commit_depths(self, repo: str) -> dict[str, tuple[int, str, str | None]]: ...

    def repository(self, repo: str) -> Mapping[str, Any] | None: ...

    def repository_at(self, url: str) -> str | None: ...

    def refs(self, repo: str) -> dict[str, Mapping[str, Any]]: ...


def _now() -> int:
    return time.time_ns() // 1000


def index_repository(
    path: str | Path,
    options: IndexOptions,
    log: Log,
    known: Known,
    feeding: Callable[[], Feeder],
    settings: Settings,
    scratch: Path,
    progress: Callable[[Progress], None] | None = None,
) -> IndexReport:
    """Reads what is new in the repository at `path` and returns what was done.

    The private view that it is read through is made in the directory `scratch`.
    On KeyboardInterrupt what was logged is carried into the views and the report says so; the
    next run goes on from there. Raises SourceError for what is no readable repository.
    """
    started = time.perf_counter()
    tell = progress or (lambda _: None)
    # Ctrl-C strikes the main thread wherever it is, so a write to the log has another one: it is
    # done, or was not begun.
    with Repository.open(path, scratch) as repository, ThreadPoolExecutor(1, "log") as writer:
        run = _Run(repository, options, log, known, settings, tell, writer)
        try:
            with feeding() as feeder:
                try:
                    run.all(feeder)
                except KeyboardInterrupt:
                    run.report.interrupted = True
        finally:
            tell(Progress("done", run.report.commits_added, run.report.commits_added, "commits"))
    run.report.elapsed = time.perf_counter() - started
    run.report.last_position = log.last
    return run.report


class _Run:
    def __init__(
        self,
        repository: Repository,
        options: IndexOptions,
        log: Log,
        known: Known,
        settings: Settings,
        tell: Callable[[Progress], None],
        writer: ThreadPoolExecutor,
    ) -> None:
        self.repository = repository
        self.log = log
        self.known = known
        self.settings = settings
        self.tell = tell
        self.writer = writer
        self.wrote = False
        path = repository.path.resolve()
        # A work tree and its git directory are one repository.
        self.url = str(path.parent if path.name == ".git" else path)
        self.name = self._name(options.name)
        self.before = known.repository(self.name)
        before: Mapping[str, Any] = self.before or {}
        self.diffs = options.diffs or before.get("diffs") or "full"
        self.merges = options.merges or before.get("merges") or "none"
        self.patterns = (
            options.refs if options.refs is not None else tuple(before.get("refs") or ())
        )
        self.jobs = options.jobs
        self.report = IndexReport(self.name)

    def _name(self, wanted: str | None) -> str:
        existing = self.known.repository_at(self.url)
        own = Path(self.url).name.removesuffix(".git")
        name = wanted or existing or own or "repository"
        if existing is not None and name != existing:
            raise UsageError(
                "already_indexed",
                f'{self.url} is indexed as "{existing}" already',
                hint="leave --name out, or every commit of it would count twice",
            )
        other = self.known.repository(name)
        if other is not None and other["url"] != self.url:
            raise UsageError(
                "name_taken",
                f'"{name}" is another repository already: {other["url"]}',
                hint="give this one another name with --name",
            )
        return name

    def all(self, feeder: Feeder) -> None:
        self.tell(Progress("refs", 0, None, "refs"))
        found = self.repository.refs(self.patterns)
        tips = {r.commit for r in found if r.commit is not None}
        head = self.repository.head()
        if "HEAD" in self.patterns and head.branch is not None:
            found += self.repository.refs([head.branch.decode("utf-8", "surrogateescape")])
        # HEAD is told by the repository's record; a ref of its own would count its branch twice.
        refs = list(dict.fromkeys(r for r in found if r.name != b"HEAD"))
        state = self._state(head, complete=False)
        changed = self.before is None or any(
            _shown(self.before.get(k)) != _shown(state[k])
            for k in ("default_branch", "head", "diffs", "merges", "refs", "mailmap")
        )
        recorded = self.known.refs(self.name)
        hashes, amended = self._wanted(tips, recorded)
        if self.before is None or (changed and hashes):
            self._append(feeder, "repository", REPOSITORY, [state])
        self._read(feeder, hashes, amended)
        updates = self._ref_updates(refs, recorded)
        if updates:
            self._append(feeder, "ref_update", REF_UPDATE, updates)
            self.report.refs_updated = len(updates)
        # What could not be read is looked for again, with all that may lie behind it.
        complete = all(hash_ in amended for hash_, _ in self.report.failures)
        if changed or self.wrote or (self.before or {}).get("complete") != complete:
            self._append(feeder, "repository", REPOSITORY, [self._state(head, complete=complete)])
        if not self.deeper:
            # These are indexed, and as much of them as is to be had.
            failures = [(h, why) for h, why in self.report.failures if h not in amended]
            self.report.failures = failures

    def _state(self, head: Head, *, complete: bool) -> dict[str, Any]:
        return {
            "repo": self.name,
            "event": "changed" if self.before is not None or self.wrote else "added",
            "url": self.url,
            "object_format": self.repository.object_format,
            "default_branch": head.branch,
            "head": head.hash,
            "diffs": self.diffs,
            "merges": self.merges,
            "refs": list(self.patterns),
            "mailmap": self.repository.mailmap(),
            "complete": complete,
            "at": _now(),
        }

    @property
    def deeper(self) -> bool:
        """Returns whether changes are to be read deeper than they were."""
        before = self.before
        return before is not None and DEPTHS.index(self.diffs) > DEPTHS.index(before["diffs"])

    def _wanted(
        self, tips: Iterable[str], recorded: Mapping[str, Mapping[str, Any]]
    ) -> tuple[list[str], dict[str, _Held]]:
        """Returns the hashes to read in order, and those of them that are indexed already."""
        held = self.known.commit_depths(self.name) if self.before is not None else {}
        shallow = self.repository.shallow
        deepened = any(why == "shallow" and h not in shallow for h, (_, _, why) in held.items())
        # Only what a whole run recorded can be relied on to be indexed with all its ancestors.
        whole = self.before is not None and self.before["complete"] and not deepened
        seen = {r["peeled"] or r["hash"] for r in recorded.values()} if whole else set()
        if whole and self.before is not None and self.before["head"]:
            seen.add(self.before["head"])
        self.tell(Progress("history", 0, None, "commits"))
        listed = self.repository.rev_list(sorted(set(tips)), sorted(seen))
        wanted = DEPTHS.index(self.diffs)
        amended: dict[str, _Held] = {}
        for hash_, (position, depth, incomplete) in held.items():
            cut_off = incomplete == "shallow" and hash_ in shallow
            place = DEPTHS.index(depth)
            if place < wanted or (place == wanted and incomplete and not cut_off):
                amended[hash_] = (position, place, incomplete)
        self.report.commits_known = len(held)
        return [h for h in listed if h not in held] + list(amended), amended

    def _read(self, feeder: Feeder, hashes: list[str], amended: Mapping[str, _Held]) -> None:
        done, total = 0, len(hashes)
        self.tell(Progress("commits", 0, total, "commits"))
        if not hashes:
            return
        with ReaderPool(
            self.repository,
            self.name,
            jobs=self.jobs or 0,
            depth=self.diffs,
            merges=self.merges,
            settings=self.settings,
        ) as pool:
            for batch in pool.read(hashes):
                done += batch.asked
                self.report.failures += batch.failures
                self._take(feeder, batch.batch, batch.payload, amended)
                self.tell(Progress("commits", done, total, "commits"))

    def _take(
        self,
        feeder: Feeder,
        batch: pa.RecordBatch,
        payload: Payload,
        amended: Mapping[str, _Held],
    ) -> None:
        if batch.num_rows == 0:
            return
        self.report.incomplete += batch.num_rows - batch.column("incomplete").null_count
        if not amended or not any(h in amended for h in batch.column("hash").to_pylist()):
            self._write(feeder, "commit", batch, payload)
            return
        old = pa.array([h in amended for h in batch.column("hash").to_pylist()])
        new = batch.filter(pc.invert(old))
        again = batch.filter(old)
        # What is read as deep as before and still misses what it missed brings nothing.
        brings = [
            amended[h][1:] != (DEPTHS.index(self.diffs), why)
            for h, why in zip(
                again.column("hash").to_pylist(),
                again.column("incomplete").to_pylist(),
                strict=True,
            )
        ]
        again = again.filter(pa.array(brings, pa.bool_()))
        if new.num_rows:
            self._write(feeder, "commit", new)
        if again.num_rows:
            targets = pa.array(
                [amended[h][0] for h in again.column("hash").to_pylist()], pa.uint64()
            )
            columns = [targets, *again.columns]
            rows = pa.RecordBatch.from_arrays(columns, schema=AMENDMENT)
            self._write(feeder, "amendment", rows)

    def _ref_updates(
        self, refs: Sequence[Ref], recorded: Mapping[str, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        updates = []
        now = _now()
        for ref in refs:
            name = ref.name.decode("utf-8", "replace")
            old = recorded.get(name)
            if old is not None and old["hash"] == ref.hash:
                continue
            forced = False
            if old is not None:
                a, b = old["peeled"] or old["hash"], ref.peeled or ref.hash
                forced = not self.repository.is_ancestor(a, b)
            updates.append(
                {
                    "repo": self.name,
                    "ref": ref.name,
                    "old_hash": old["hash"] if old else None,
                    "new_hash": ref.hash,
                    "peeled": ref.peeled,
                    "object_type": ref.object_type,
                    "forced": forced,
                    "tagger": ref.tagger,
                    "tagger_email": ref.tagger_email,
                    "tagger_time": ref.tagger_time,
                    "tagger_tz": ref.tagger_tz,
                    "message": ref.message,
                    "at": now,
                }
            )
        present = {r.name.decode("utf-8", "replace") for r in self.repository.refs()}
        for name, old in recorded.items():
            if name not in present:
                updates.append(
                    {
                        "repo": self.name,
                        "ref": name.encode(),
                        "old_hash": old["hash"],
                        "new_hash": None,
                        "peeled": None,
                        "object_type": None,
                        "forced": False,
                        "at": now,
                    }
                )
        return updates

    def _append(
        self, feeder: Feeder, kind: str, schema: pa.Schema, rows: list[dict[str, Any]]
    ) -> None:
        full = [{f.name: row.get(f.name) for f in schema} for row in rows]
        self._write(feeder, kind, pa.RecordBatch.from_pylist(full, schema=schema))

    def _write(
        self, feeder: Feeder, kind: str, batch: pa.RecordBatch, payload: Payload | None = None
    ) -> None:
        part = payload or (_KIND[kind], batch)
        first, _ = self.writer.submit(self.log.append, [part]).result()
        # Counted as soon as it is durable: an interrupt may come before the views have it.
        if kind == "commit":
            self.report.commits_added += batch.num_rows
        elif kind == "amendment":
            self.report.amended += batch.num_rows
        feeder.feed([Entry(_KIND[kind], first, batch)])
        self.wrote = True


def _shown(value: object) -> object:
    """Returns a value as the table gives it back, where bytes that are no text are replaced."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
