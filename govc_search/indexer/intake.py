"""Takes pushed commits into the log: new ones, those that bring more, and those known already."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from govc_search.indexer.pipeline import DEPTHS
from govc_search.indexer.pushed import Pushed, Refused, read_pushed
from govc_search.records import AMENDMENT, KINDS, REPOSITORY
from govc_search.settings import Settings
from govc_search.store.known import Known, Sent
from govc_search.store.log import Log

__all__ = ["PUSHED", "PushReport", "push"]

# Where a repository is that no git repository was read for.
PUSHED = "push:"
_KIND = {k.name: k for k in KINDS}
_FORMATS = {40: "sha1", 64: "sha256"}


@dataclass(slots=True)
class PushReport:
    """What became of the commits of one push.

    `positions` has one for each commit sent: of a duplicate the old one, of one refused None.
    `amended` are duplicates that brought more than was known of them.
    """

    accepted: int = 0
    duplicates: int = 0
    amended: int = 0
    refused: list[Refused] = field(default_factory=list)
    positions: list[int | None] = field(default_factory=list)
    last_position: int = 0


def push(
    commits: Sequence[object], log: Log, known: Known, settings: Settings, *, atomic: bool
) -> PushReport:
    """Appends pushed commits and returns what became of each, once that is durable.

    With `atomic` nothing is written where any of them is refused.
    """
    now = time.time_ns() // 1000
    pushed = read_pushed(commits, now, patch_bytes=settings.size("commit_patch_bytes"))
    intake = _Intake(pushed, known, now)
    report = PushReport(refused=[*pushed.refused, *intake.refused], positions=[None] * len(commits))
    report.refused.sort(key=lambda r: r.index)
    report.last_position = log.last
    if atomic and report.refused:
        return report
    parts = intake.parts()
    if parts:
        first, report.last_position = log.append(parts)
        for i, rows in enumerate((intake.new, intake.more)):
            # Records of repositories come first, as they stand in the log.
            start = first + len(intake.repositories) + (len(intake.new) if i else 0)
            intake.positions |= {
                row: start + n if not i else intake.held[row].position for n, row in enumerate(rows)
            }
    for row, sent in enumerate(pushed.sent):
        report.positions[sent] = intake.positions.get(intake.first.get(row, row))
    report.accepted, report.amended = len(intake.new), len(intake.more)
    report.duplicates = sum(p is not None for p in report.positions) - report.accepted
    return report


class _Intake:
    """Sorts the rows of a push: new, known, known and bringing more, refused."""

    def __init__(self, pushed: Pushed, known: Known, now: int) -> None:
        self.pushed = pushed
        self.now = now
        self.new: list[int] = []
        self.more: list[int] = []
        self.held: dict[int, Sent] = {}
        self.positions: dict[int, int] = {}
        self.refused: list[Refused] = []
        self.repositories: list[dict[str, Any]] = []
        # Rows that were sent before in the same push, by the row that was first.
        self.first: dict[int, int] = {}
        batch = pushed.batch
        self.repos: list[str] = batch.column("repo").to_pylist()
        self.hashes: list[str] = batch.column("hash").to_pylist()
        self.depths: list[str] = batch.column("depth").to_pylist()
        self.parents = [bool(p) for p in batch.column("parents").to_pylist()]
        self.changed = batch.column("changes").is_valid().to_pylist()
        states = {str(r["repo"]): r for r in known.repositories()}
        for repo in dict.fromkeys(self.repos):
            rows = [i for i, r in enumerate(self.repos) if r == repo]
            self._sort(repo, rows, states.get(repo), known)

    def _sort(
        self, repo: str, rows: list[int], state: Mapping[str, Any] | None, known: Known
    ) -> None:
        form = state["object_format"] if state else _FORMATS[len(self.hashes[rows[0]])]
        if state is None:
            self.repositories.append(_repository(repo, form, self.now))
        held = known.sent(repo, [self.hashes[i] for i in rows]) if state else {}
        seen: dict[str, int] = {}
        for row in rows:
            name = self.hashes[row]
            if _FORMATS[len(name)] != form:
                message = f'the hashes of "{repo}" are {form}: {name} is not'
                self.refused.append(Refused(self.pushed.sent[row], "invalid_hash", message))
            elif name in seen:
                self.first[row] = seen[name]
            else:
                seen[name] = row
                self._place(row, held.get(name))

    def _place(self, row: int, before: Sent | None) -> None:
        if before is None:
            self.new.append(row)
            return
        self.held[row] = before
        self.positions[row] = before.position
        more = DEPTHS.index(self.depths[row]) - DEPTHS.index(before.depth)
        mends = (
            before.incomplete is not None
            or (self.parents[row] and not before.parents)
            or (self.changed[row] and before.bare)
        )
        if more > 0 or (more == 0 and mends):
            self.more.append(row)

    def parts(self) -> list[tuple[Any, pa.RecordBatch]]:
        """Returns what is to be appended: records of new repositories, commits, amendments."""
        parts: list[tuple[Any, pa.RecordBatch]] = []
        if self.repositories:
            batch = pa.RecordBatch.from_pylist(self.repositories, schema=REPOSITORY)
            parts.append((_KIND["repository"], batch))
        if self.new:
            parts.append((_KIND["commit"], self.pushed.batch.take(pa.array(self.new))))
        if self.more:
            again = self.pushed.batch.take(pa.array(self.more))
            targets = pa.array([self.held[row].position for row in self.more], pa.uint64())
            rows = pa.RecordBatch.from_arrays([targets, *again.columns], schema=AMENDMENT)
            parts.append((_KIND["amendment"], rows))
        return parts


def _repository(repo: str, object_format: str, now: int) -> dict[str, Any]:
    return {
        "repo": repo, "event": "added", "url": f"{PUSHED}{repo}", "object_format": object_format,
        "default_branch": None, "head": None, "diffs": "full", "merges": "none", "refs": [],
        "mailmap": None, "complete": False, "at": now,
    }  # fmt: skip
