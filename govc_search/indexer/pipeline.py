"""Indexing one repository: what is new in it, read and appended to the log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from govc_search import gaps
from govc_search.errors import UsageError
from govc_search.indexer.naming import Identity, identify
from govc_search.indexer.reader_pool import ReaderPool
from govc_search.indexer.repository import Head, Ref, Repository
from govc_search.records import AMENDMENT, KINDS, REF_UPDATE, REPOSITORY
from govc_search.settings import Settings
from govc_search.store.known import Held, Known
from govc_search.store.log import Log, Payload

__all__ = [
    "DEPTHS",
    "IndexOptions",
    "IndexReport",
    "Progress",
    "index_repository",
    "remove_repository",
]

DEPTHS = ("none", "paths", "full")
_KIND = {k.name: k for k in KINDS}
# Frames that the log may be ahead of the views while it is filled.
_AHEAD = 3


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
    commits read of which something is missing, `warnings` say what may not be as meant.
    """

    repo: str
    commits_added: int = 0
    commits_known: int = 0
    amended: int = 0
    refs_updated: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    incomplete: int = 0
    warnings: list[str] = field(default_factory=list)
    elapsed: float = 0.0
    last_position: int = 0
    interrupted: bool = False


def _now() -> int:
    return time.time_ns() // 1000


def index_repository(
    path: str | Path,
    options: IndexOptions,
    log: Log,
    known: Known,
    settings: Settings,
    scratch: Path,
    claim: Callable[[str], AbstractContextManager[None]],
    near: Callable[[int], None],
    progress: Callable[[Progress], None] | None = None,
) -> IndexReport:
    """Reads what is new in the repository at `path` and returns what was done.

    The private view that it is read through is made in the directory `scratch`.
    `claim` keeps other writers out of the repository, `near` waits until the views come near a
    position. On KeyboardInterrupt the report says so; the
    next run goes on from what was logged. Raises SourceError for what is no readable repository.
    """
    started = time.perf_counter()
    tell = progress or (lambda _: None)
    # Ctrl-C strikes the main thread wherever it is, so a write to the log has another one: it is
    # done, or was not begun.
    with Repository.open(path, scratch) as repository, ThreadPoolExecutor(1, "log") as writer:
        identity = identify(repository, options.name, known)
        report = IndexReport(identity.name, warnings=list(identity.warnings))
        try:
            with claim(identity.name):
                _Run(
                    repository, identity, options, report, log, known, settings, near, tell, writer
                ).all()
        except KeyboardInterrupt:
            report.interrupted = True
        finally:
            tell(Progress("done", report.commits_added, report.commits_added, "commits"))
    report.elapsed = time.perf_counter() - started
    report.last_position = log.last
    return report


def remove_repository(repo: str, log: Log, known: Known) -> int:
    """Appends that a repository is removed and returns how many commits it has.

    Raises UsageError `unknown_repository`.
    """
    state = known.repository(repo)
    if state is None:
        raise UsageError(
            "unknown_repository", f'no repository "{repo}"', hint="`govc-search status` lists them"
        )
    count = known.count(repo)
    row = {**state, "event": "removed", "complete": False, "at": _now()}
    log.append([(_KIND["repository"], _records(REPOSITORY, [row]))])
    return count


def _records(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    full = [{f.name: row.get(f.name) for f in schema} for row in rows]
    return pa.RecordBatch.from_pylist(full, schema=schema)


class _Run:
    def __init__(
        self,
        repository: Repository,
        identity: Identity,
        options: IndexOptions,
        report: IndexReport,
        log: Log,
        known: Known,
        settings: Settings,
        near: Callable[[int], None],
        tell: Callable[[Progress], None],
        writer: ThreadPoolExecutor,
    ) -> None:
        self.repository = repository
        self.log = log
        self.known = known
        self.settings = settings
        self.near = near
        self.written: deque[int] = deque()
        self.tell = tell
        self.writer = writer
        self.wrote = False
        self.name, self.url = identity.name, identity.url
        self.before = known.repository(self.name)
        before: Mapping[str, Any] = self.before or {}
        self.diffs = options.diffs or before.get("diffs") or "full"
        self.merges = options.merges or before.get("merges") or "none"
        self.patterns = (
            options.refs if options.refs is not None else tuple(before.get("refs") or ())
        )
        self.jobs = options.jobs
        self.report = report

    def all(self) -> None:
        self.tell(Progress("refs", 0, None, "refs"))
        found = self.repository.refs(self.patterns)
        if self.patterns and not found and self.repository.refs():
            # Kept, the choice would leave the repository without any ref.
            raise UsageError(
                "no_ref_matches",
                f"no ref of {self.url} matches {' or '.join(map(repr, self.patterns))}",
                hint="a name, a glob, or HEAD; '*' is every ref",
            )
        self.report.warnings += [
            f'no ref matches "{pattern}"'
            for pattern in self.patterns
            if not self.repository.refs([pattern])
        ]
        tips = {r.commit for r in found if r.commit is not None}
        head = self.repository.head()
        if "HEAD" in self.patterns and head.branch is not None:
            found += self.repository.refs([head.branch.decode("utf-8", "surrogateescape")])
        # HEAD is told by the repository's record; a ref of its own would count its branch twice.
        refs = list(dict.fromkeys(r for r in found if r.name != b"HEAD"))
        state = self._state(head, complete=False)
        changed = self.before is None or any(
            _shown(self.before.get(k)) != _shown(state[k])
            for k in ("url", "default_branch", "head", "diffs", "merges", "refs", "mailmap")
        )
        recorded = self.known.refs(self.name)
        hashes, amended = self._wanted(tips, recorded)
        if self.before is None or (changed and hashes):
            self._append("repository", REPOSITORY, [state])
        self._read(hashes, amended)
        updates = self._ref_updates(refs, recorded)
        if updates:
            self._append("ref_update", REF_UPDATE, updates)
            self.report.refs_updated = len(updates)
        # What could not be read is looked for again, with all that may lie behind it.
        complete = all(hash_ in amended for hash_, _ in self.report.failures)
        if changed or self.wrote or (self.before or {}).get("complete") != complete:
            self._append("repository", REPOSITORY, [self._state(head, complete=complete)])
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
    ) -> tuple[list[str], dict[str, Held]]:
        """Returns the hashes to read in order, and those of them that are indexed already."""
        held = self.known.commits(self.name) if self.before is not None else {}
        shallow = self.repository.shallow
        deepened = any(
            h.incomplete == gaps.SHALLOW and name not in shallow for name, h in held.items()
        )
        # Only what a whole run recorded can be relied on to be indexed with all its ancestors.
        whole = self.before is not None and self.before["complete"] and not deepened
        seen = {r["peeled"] or r["hash"] for r in recorded.values()} if whole else set()
        if whole and self.before is not None and self.before["head"]:
            seen.add(self.before["head"])
        self.tell(Progress("history", 0, None, "commits"))
        listed = self.repository.rev_list(sorted(set(tips)), sorted(seen))
        amended = self._to_amend(held)
        self.report.commits_known = len(held)
        return [h for h in listed if h not in held] + list(amended), amended

    def _to_amend(self, held: Mapping[str, Held]) -> dict[str, Held]:
        """Returns the indexed commits of which more may be had now than there was."""
        wanted = DEPTHS.index(self.diffs)
        reasons = {h.incomplete for h in held.values() if h.incomplete is not None}
        lost = {name for reason in reasons if (name := gaps.lost_object(reason))}
        back = self.repository.holds(sorted(lost))

        def may_grow(name: str, commit: Held) -> bool:
            depth, reason = DEPTHS.index(commit.depth), commit.incomplete
            if reason is None and commit.bare and self.merges == "first-parent":
                return wanted > 0
            if reason is None or depth != wanted:
                return depth < wanted
            if reason == gaps.SHALLOW:
                return name not in self.repository.shallow
            limit, missing = gaps.limit_of(reason), gaps.lost_object(reason)
            if limit is not None:
                return limit < self.settings.size("commit_patch_bytes")
            if missing is not None:
                return missing in back
            # What remains is git's own trouble, which may have passed, or lies in the commit.
            return gaps.kind_of(reason) == "unreadable"

        return {name: commit for name, commit in held.items() if may_grow(name, commit)}

    def _read(self, hashes: list[str], amended: Mapping[str, Held]) -> None:
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
                self._take(batch.batch, batch.payload, amended)
                self.tell(Progress("commits", done, total, "commits"))

    def _take(
        self,
        batch: pa.RecordBatch,
        payload: Payload,
        amended: Mapping[str, Held],
    ) -> None:
        if batch.num_rows == 0:
            return
        self.report.incomplete += batch.num_rows - batch.column("incomplete").null_count
        if not amended or not any(h in amended for h in batch.column("hash").to_pylist()):
            self._write("commit", batch, payload)
            return
        old = pa.array([h in amended for h in batch.column("hash").to_pylist()])
        new = batch.filter(pc.invert(old))
        again = batch.filter(old)
        # What is read as deep as before and still misses what it missed brings nothing.
        brings = [
            before.depth != self.diffs or before.incomplete != why or (before.bare and not bare)
            for before, why, bare in zip(
                [amended[h] for h in again.column("hash").to_pylist()],
                again.column("incomplete").to_pylist(),
                again.column("changes").is_null().to_pylist(),
                strict=True,
            )
        ]
        again = again.filter(pa.array(brings, pa.bool_()))
        if new.num_rows:
            self._write("commit", new)
        if again.num_rows:
            targets = pa.array(
                [amended[h].position for h in again.column("hash").to_pylist()], pa.uint64()
            )
            columns = [targets, *again.columns]
            rows = pa.RecordBatch.from_arrays(columns, schema=AMENDMENT)
            self._write("amendment", rows)

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
        # A ref that is followed no more is as good as gone; its commits stay, as those of one that
        # was deleted.
        present = {r.name.decode("utf-8", "replace") for r in refs}
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

    def _append(self, kind: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
        self._write(kind, _records(schema, rows))

    def _write(self, kind: str, batch: pa.RecordBatch, payload: Payload | None = None) -> None:
        part = payload or (_KIND[kind], batch)
        _, last = self.writer.submit(self.log.append, [part]).result()
        # Counted as soon as it is durable: an interrupt may come before the views have it.
        if kind == "commit":
            self.report.commits_added += batch.num_rows
        elif kind == "amendment":
            self.report.amended += batch.num_rows
        self.wrote = True
        self.written.append(last)
        if len(self.written) > _AHEAD:
            self.near(self.written.popleft())


def _shown(value: object) -> object:
    """Returns a value as the table gives it back, where bytes that are no text are replaced."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
