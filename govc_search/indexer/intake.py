"""Takes pushed commits into the log, many pushes at a time: each commit once, and what mends it.

A commit that is new to a push is reserved before it is looked for in the table and until the table
has it, so that two pushes of it at the same time are one commit and its duplicate.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from govc_search.errors import UsageError
from govc_search.indexer.pipeline import DEPTHS
from govc_search.indexer.pushed import Pushed, Refused, read_pushed
from govc_search.records import AMENDMENT, KINDS, REPOSITORY
from govc_search.settings import Settings
from govc_search.store.known import Known, Sent
from govc_search.store.log import Log

__all__ = ["PUSHED", "Intake", "PushReport"]

# Where a repository is that no git repository was read for.
PUSHED = "push:"
_KIND = {k.name: k for k in KINDS}
_FORMATS = {40: "sha1", 64: "sha256"}
# What is reserved for the record of a repository, in place of a hash.
_ITSELF = ""

Key = tuple[str, str]


class Brought(NamedTuple):
    """How much a push says of a commit."""

    depth: str
    parents: bool
    changes: bool

    def more_than(self, other: Brought) -> bool:
        """Returns whether this says more, and nothing less deeply, than another does."""
        deeper = DEPTHS.index(self.depth) - DEPTHS.index(other.depth)
        beside = (self.parents and not other.parents) or (self.changes and not other.changes)
        return deeper > 0 or (deeper == 0 and beside)


@dataclass(slots=True)
class Reserved:
    """A commit that one push writes while others wait for its position."""

    brought: Brought
    position: Future[int] = field(default_factory=Future)


@dataclass(slots=True)
class PushReport:
    """What became of the commits of one push.

    `positions` has one for each commit sent: of a duplicate the old one, of one refused None.
    `amended` are duplicates that brought more than was known of them. `last_position` is the last
    one of this push, or where it wrote nothing, of the log.
    """

    accepted: int = 0
    duplicates: int = 0
    amended: int = 0
    refused: list[Refused] = field(default_factory=list)
    positions: list[int | None] = field(default_factory=list)
    last_position: int = 0


class Intake:
    """Takes pushes from many threads; what waits at the same time shares a frame of the log.

    `reach` waits until the views hold what the log does.
    """

    def __init__(
        self,
        log: Log,
        known: Callable[[], Known],
        held: Callable[[], int],
        reach: Callable[[], None],
    ) -> None:
        self.log = log
        self.known = known
        self.reach = reach
        self._held = held
        self._changed = threading.Condition()
        self._reserved: dict[Key, Reserved] = {}
        # What is reserved and logged, by position: let go when the table has it.
        self._logged: deque[tuple[int, Key]] = deque()
        self._pushing: Counter[str] = Counter()
        self._claimed: set[str] = set()
        # Amendments look at what they amend, and so come one after another.
        self.amending = threading.Lock()

    @contextmanager
    def claim(self, repo: str) -> Iterator[None]:
        """Keeps pushes out of a repository that somebody else writes to, once those running end."""
        with self._changed:
            self._claimed.add(repo)
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._pushing[repo])
            self.reach()
            yield
        finally:
            with self._changed:
                self._claimed.discard(repo)

    def push(self, commits: Sequence[object], settings: Settings, *, atomic: bool) -> PushReport:
        """Appends commits and returns what became of each, once that is durable.

        With `atomic` nothing is written where any of them is refused. Raises UsageError
        `repository_busy` while a repository of theirs is being read or removed.
        """
        now = time.time_ns() // 1000
        pushed = read_pushed(commits, now, patch_bytes=settings.size("commit_patch_bytes"))
        with self._entered(pushed) as repos:
            states = {str(r["repo"]): r for r in self.known().repositories()}
            refused = [*pushed.refused, *_foreign(pushed, repos, states)]
            refused.sort(key=lambda r: r.index)
            report = PushReport(refused=refused, positions=[None] * len(commits))
            report.last_position = self.log.last
            if not (atomic and refused):
                _One(self, pushed, {r.index for r in refused}, now, states).all(report)
        return report

    @contextmanager
    def _entered(self, pushed: Pushed) -> Iterator[list[str]]:
        repos = pushed.batch.column("repo").unique().to_pylist()
        with self._changed:
            busy = sorted(self._claimed & set(repos))
            if busy:
                raise UsageError(
                    "repository_busy",
                    f'"{busy[0]}" is being read or removed',
                    hint="push again when that is done",
                )
            self._pushing.update(repos)
        try:
            yield repos
        finally:
            with self._changed:
                self._pushing.subtract(repos)
                self._changed.notify_all()

    # Reservations

    def reserve(self, wanted: Mapping[Key, Brought]) -> dict[Key, Reserved]:
        """Returns what others have reserved of these; the rest is reserved for the caller."""
        held = self._held()
        with self._changed:
            while self._logged and self._logged[0][0] <= held:
                self._reserved.pop(self._logged.popleft()[1], None)
            theirs = {k: self._reserved[k] for k in wanted if k in self._reserved}
            self._reserved |= {k: Reserved(b) for k, b in wanted.items() if k not in theirs}
        return theirs

    def keep(self, positions: Mapping[Key, int]) -> None:
        """Tells those who wait where reserved records are; they stay so until they are seen."""
        with self._changed:
            for key, position in positions.items():
                self._reserved[key].position.set_result(position)
                self._logged.append((position, key))

    def let_go(self, keys: Iterable[Key], error: BaseException) -> None:
        """Ends reservations of what was not logged, for which others may wait."""
        with self._changed:
            for key in keys:
                reserved = self._reserved.get(key)
                if reserved is not None and not reserved.position.done():
                    reserved.position.set_exception(error)
                    del self._reserved[key]

    def found(self, positions: Mapping[Key, int]) -> None:
        """Ends reservations of what the table has."""
        with self._changed:
            for key, position in positions.items():
                self._reserved.pop(key).position.set_result(position)


class _One:
    """One push: its rows sorted into new ones, those of others, known ones."""

    def __init__(
        self,
        intake: Intake,
        pushed: Pushed,
        refused: set[int],
        now: int,
        states: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.intake = intake
        self.pushed = pushed
        self.now = now
        self.states = states
        batch = pushed.batch
        columns = [batch.column(n) for n in ("repo", "hash", "depth")]
        keys = zip(*(c.to_pylist() for c in columns[:2]), strict=True)
        self.keys: list[Key | None] = [
            key if sent not in refused else None
            for key, sent in zip(keys, pushed.sent, strict=True)
        ]
        self.brought = [
            Brought(*row)
            for row in zip(
                columns[2].to_pylist(),
                (bool(p) for p in batch.column("parents").to_pylist()),
                batch.column("changes").is_valid().to_pylist(),
                strict=True,
            )
        ]

    def all(self, report: PushReport) -> None:
        wanted: dict[Key, Brought] = {}
        rows: dict[Key, int] = {}
        for row, key in enumerate(self.keys):
            if key is not None and key not in rows:
                rows[key] = row
                if key[0] not in self.states:
                    wanted[key[0], _ITSELF] = Brought("none", False, False)
                wanted[key] = self.brought[row]
        theirs = self.intake.reserve(wanted)
        mine = [k for k in wanted if k not in theirs]
        try:
            positions, more = self._known([k for k in mine if k[1] != _ITSELF], rows)
            new = [k for k in mine if k not in positions]
            # What is said of a repository comes after the record of it.
            for key, reserved in theirs.items():
                if key[1] == _ITSELF:
                    reserved.position.result()
            positions |= self._append(new, rows, report)
        except BaseException as error:
            self.intake.let_go(mine, error)
            raise
        for key, reserved in theirs.items():
            positions[key] = reserved.position.result()
            if key in rows and self.brought[rows[key]].more_than(reserved.brought):
                more.append(key)
        if more:
            self._amend(more, rows, report)
        for row, key in enumerate(self.keys):
            if key is not None:
                report.positions[self.pushed.sent[row]] = positions[key]
        report.duplicates = sum(k is not None for k in self.keys) - report.accepted

    def _known(
        self, mine: Sequence[Key], rows: Mapping[Key, int]
    ) -> tuple[dict[Key, int], list[Key]]:
        """Returns the positions of what the table has, and what of that brings more."""
        sent = self._sent(mine)
        positions = {k: s.position for k, s in sent.items()}
        self.intake.found(positions)
        return positions, [k for k, s in sent.items() if self._mends(rows[k], s)]

    def _sent(self, keys: Sequence[Key]) -> dict[Key, Sent]:
        found: dict[Key, Sent] = {}
        for repo in dict.fromkeys(r for r, _ in keys):
            hashes = [h for r, h in keys if r == repo]
            known = self.intake.known().sent(repo, hashes) if repo in self.states else {}
            found |= {(repo, h): s for h, s in known.items()}
        return found

    def _mends(self, row: int, before: Sent) -> bool:
        had = Brought(before.depth, before.parents > 0, not before.bare)
        again = self.brought[row]
        return again.more_than(had) or (
            before.incomplete is not None and again.depth == before.depth
        )

    def _append(
        self, new: Sequence[Key], rows: Mapping[Key, int], report: PushReport
    ) -> dict[Key, int]:
        """Logs new repositories and commits, and returns their positions."""
        repositories = [k for k in new if k[1] == _ITSELF]
        commits = [k for k in new if k[1] != _ITSELF]
        if not commits:
            return {}
        # As they were sent: parents come before children.
        parts: list[tuple[Any, pa.RecordBatch]] = []
        if repositories:
            states = [_repository(k, commits, self.now) for k, _ in repositories]
            batch = pa.RecordBatch.from_pylist(states, schema=REPOSITORY)
            parts.append((_KIND["repository"], batch))
        taken = pa.array([rows[k] for k in commits])
        parts.append((_KIND["commit"], self.pushed.batch.take(taken)))
        first, report.last_position = self.intake.log.append(parts)
        report.accepted = len(commits)
        positions = {k: first + i for i, k in enumerate([*repositories, *commits])}
        self.intake.keep(positions)
        return positions

    def _amend(self, more: list[Key], rows: Mapping[Key, int], report: PushReport) -> None:
        with self.intake.amending:
            self.intake.reach()
            before = self._sent(more)
            # Somebody else may have brought the same meanwhile.
            again = [k for k in more if k in before and self._mends(rows[k], before[k])]
            if not again:
                return
            batch = self.pushed.batch.take(pa.array([rows[k] for k in again]))
            targets = pa.array([before[k].position for k in again], pa.uint64())
            amended = pa.RecordBatch.from_arrays([targets, *batch.columns], schema=AMENDMENT)
            _, report.last_position = self.intake.log.append([(_KIND["amendment"], amended)])
            report.amended = len(again)


def _foreign(
    pushed: Pushed, repos: Sequence[str], states: Mapping[str, Mapping[str, Any]]
) -> Iterator[Refused]:
    """Yields the commits whose hashes are of another kind than those of their repository."""
    columns = [pushed.batch.column(n).to_pylist() for n in ("repo", "hash")]
    forms = {repo: str(states[repo]["object_format"]) for repo in repos if repo in states}
    for sent, repo, name in zip(pushed.sent, *columns, strict=True):
        form = _FORMATS[len(name)]
        if forms.setdefault(repo, form) != form:
            yield Refused(
                sent, "invalid_hash", f'the hashes of "{repo}" are {forms[repo]}: {name} is not'
            )


def _repository(repo: str, commits: Sequence[Key], now: int) -> dict[str, Any]:
    form = next(_FORMATS[len(h)] for r, h in commits if r == repo)
    return {
        "repo": repo, "event": "added", "url": f"{PUSHED}{repo}", "object_format": form,
        "default_branch": None, "head": None, "diffs": "full", "merges": "none", "refs": [],
        "mailmap": None, "complete": False, "at": now,
    }  # fmt: skip
