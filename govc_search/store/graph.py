"""The commit graph: reachability, revisions and ranges, with git's meaning."""

from __future__ import annotations

import difflib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from govc_search.errors import QueryError
from govc_search.store.history import Bools, History, Ints, Positions

__all__ = ["NO_DATE", "CommitGraph", "Graphs", "RowReader", "RowSource"]

_SUFFIX: Final = re.compile(r"\^\{([a-z]*)\}|\^(\d*)|~(\d*)")
_DESCRIBED: Final = re.compile(r".+-g([0-9a-fA-F]{4,64})")
_HEX: Final = re.compile(r"[0-9a-fA-F]{4,64}")
# git's rules for a short name of a ref, in the order it tries them.
_RULES: Final = (
    *("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}"),
    "refs/remotes/{}/HEAD",
)
# Stands for a date outside years 1 to 9999.
NO_DATE: Final = -(1 << 63)
# What was computed for the queries of one snapshot.
_KEPT: Final = 32

T = TypeVar("T")


class RowReader(Protocol):
    """Runs SQL over the table."""

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Returns the result of a SELECT."""
        ...

    def close(self) -> None:
        """Lets go of the connection."""
        ...


class RowSource(Protocol):
    """The table, as far as the graph needs it."""

    @property
    def rewrites(self) -> int:
        """Returns a count that grows when rows that were there change."""
        ...

    def cursor(self) -> RowReader:
        """Returns a reader for one request."""
        ...


class Graphs:
    """Gives the graph of a snapshot; the newest one is kept and extended by what came since."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._newest: CommitGraph | None = None

    def at(self, as_of: int) -> CommitGraph:
        """Returns the graph of the commits and refs up to position `as_of`."""
        with self._lock:
            newest, rewrites = self._newest, self._source.rewrites
            if newest is not None and newest.rewrites != rewrites:
                newest = None
            if newest is not None and newest.as_of == as_of:
                return newest
            if newest is not None and newest.as_of > as_of:
                return CommitGraph(self._source, as_of)
            self._newest = CommitGraph(self._source, as_of, newest)
            return self._newest


class CommitGraph:
    """The graph of every repository at one snapshot; a repository is read when first asked for.

    Positions name commits. Methods take and give positions of commits of one repository; all of
    them may be called from many threads.
    """

    def __init__(self, source: RowSource, as_of: int, earlier: CommitGraph | None = None) -> None:
        self._source = source
        self.as_of = as_of
        self.rewrites = source.rewrites
        self._lock = threading.Lock()
        self._history: dict[str, History] = {}
        self._refs: dict[str, _Refs] = {}
        self._dates: dict[str, Ints] = {}
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._before = {} if earlier is None else earlier.histories()

    def reachable(self, repo: str, positions: Iterable[int]) -> Positions:
        """Returns the commits reachable from these, themselves included, in ascending order."""
        history = self.history(repo)
        return history.named(history.reach(history.numbers(positions)))

    def descendants(self, repo: str, position: int) -> Positions:
        """Returns the commits that this one is reachable from, itself included, ascending."""
        history = self.history(repo)
        return history.named(history.reach_up(history.numbers([position])))

    def is_ancestor(self, repo: str, ancestor: int, descendant: int) -> bool:
        """Returns whether the one is reachable from the other; a commit is from itself."""
        history = self.history(repo)
        (number,) = history.numbers([ancestor])
        return bool(history.reach(history.numbers([descendant]))[number])

    def merge_bases(self, repo: str, a: int, b: int) -> list[int]:
        """Returns the best common ancestors, the newest by committer date first."""
        history = self.history(repo)
        common = history.reach(history.numbers([a])) & history.reach(history.numbers([b]))
        return [int(history.positions[n]) for n in self.best(repo, common)]

    def best(self, repo: str, common: Bools) -> list[int]:
        """Returns the numbers of the best of some commits and all their ancestors, newest first."""
        # What a common ancestor has as a parent is common too, so only those with no common
        # child are best.
        found = np.flatnonzero(self.history(repo).tips_of(common))
        dates = self.dates(repo)
        return sorted(map(int, found), key=lambda n: (dates[n], n), reverse=True)

    def merge_base(self, repo: str, a: int, b: int) -> int | None:
        """Returns the commit that `git merge-base` prints, or None."""
        bases = self.merge_bases(repo, a, b)
        return bases[0] if bases else None

    def resolve(self, repo: str, revision: str) -> int:
        """Returns the position of the commit that a revision names.

        Raises QueryError `unknown_revision`, `ambiguous_revision` or `unsupported_revision`.
        """
        history = self.history(repo)
        return int(history.positions[self._number(repo, history, revision, near=True)])

    def _number(self, repo: str, history: History, revision: str, *, near: bool) -> int:
        base, steps = _parse(revision)
        number = self._base(repo, history, base, revision, near=near)
        for kind, count in steps:
            for _ in range(count if kind == "~" else 1):
                parents = history.parents_of(number)
                n = 1 if kind == "~" else count
                if n == 0:
                    continue
                if n > len(parents) or parents[n - 1] < 0:
                    raise _unknown(
                        repo,
                        revision,
                        "it leads to a commit that is not indexed"
                        if n <= len(parents)
                        else "there is no such parent",
                    )
                number = parents[n - 1]
        return number

    def numbers(self, repo: str, revisions: pa.Array) -> Ints:
        """Returns the number of the commit that each text names, -1 where it names none or several.

        Most are full hashes, and looked up together.
        """
        history = self.history(repo)
        sizes = pc.utf8_length(revisions).to_numpy(zero_copy_only=False)
        full = sizes == history.hashes.dtype.itemsize
        found = np.full(len(revisions), -1, np.int64)
        found[full] = history.find_all(revisions.filter(pa.array(full)))
        for i in map(int, np.flatnonzero(found < 0)):
            try:
                found[i] = self._number(repo, history, revisions[i].as_py(), near=False)
            except QueryError:
                continue
        return found

    def range(self, repo: str, expression: str) -> Positions:
        """Returns the commits of a revision range, ascending, as `git rev-list` selects them.

        Takes revisions, `^x`, `a..b`, `a...b`, `x^@`, `x^!` and `x^-n`, apart by spaces. Raises
        QueryError as `resolve` does, and `invalid_range` where there is nothing to select from.
        """
        history = self.history(repo)
        wanted: set[int] = set()
        unwanted: set[int] = set()

        def number(revision: str) -> int:
            return history.numbers([self.resolve(repo, revision)])[0]

        words = expression.split()
        if not words:
            raise QueryError("invalid_range", "an empty range selects nothing")
        for given in words:
            word = given
            if word.startswith("-"):
                raise QueryError(
                    "invalid_range",
                    f'"{word}" is an option, not a revision',
                    hint="ranges are a..b, a...b, ^x and revisions",
                )
            inverted = word.startswith("^")
            word = word.removeprefix("^")
            yes, no = (unwanted, wanted) if inverted else (wanted, unwanted)
            if "..." in word:
                left, _, right = word.partition("...")
                a, b = number(left or "HEAD"), number(right or "HEAD")
                both = history.reach([a]) & history.reach([b])
                yes.update((a, b))
                no.update(int(n) for n in np.flatnonzero(history.tips_of(both)))
            elif ".." in word:
                left, _, right = word.partition("..")
                no.add(number(left or "HEAD"))
                yes.add(number(right or "HEAD"))
            elif word.endswith("^@"):
                yes.update(p for p in history.parents_of(number(word[:-2])) if p >= 0)
            elif word.endswith("^!"):
                yes.add(number(word[:-2]))
                no.update(p for p in history.parents_of(number(word[:-2])) if p >= 0)
            elif minus := re.fullmatch(r"(.+)\^-(\d*)", word):
                yes.add(number(minus[1]))
                no.add(number(f"{minus[1]}^{minus[2] or 1}"))
            else:
                yes.add(number(word))
        selected = history.reach(sorted(wanted))
        if unwanted:
            selected = selected & ~history.reach(sorted(unwanted))
        return history.named(selected)

    def log_order(self, repo: str, position: int) -> Positions:
        """Returns what is reachable from a commit as `git log --no-merges` lists it."""
        history = self.history(repo)
        (tip,) = history.numbers([position])
        listed = history.by_date(tip, np.maximum(self.dates(repo) // 1_000_000, 0))
        return history.positions[listed[~history.is_merge(listed)]]

    def hash_of(self, repo: str, position: int) -> str:
        """Returns the full hash of a commit."""
        history = self.history(repo)
        return history.hash_of(history.numbers([position])[0])

    def refs(self, repo: str) -> Mapping[str, int]:
        """Returns full name -> position of the refs whose commit is indexed."""
        history, refs = self.history(repo), self._refs_of(repo)
        numbers = history.find_all(pa.array(refs.peeled.values(), pa.string()))
        return {
            name: int(history.positions[number])
            for name, number in zip(refs.peeled, numbers.tolist(), strict=True)
            if number >= 0
        }

    def dates(self, repo: str) -> Ints:
        """Returns the committer dates in microseconds since 1970, the lowest number for none.

        They are in the order of the history's commits.
        """
        with self._lock:
            known = self._dates.get(repo)
        if known is None:
            rows = self.read(
                "SELECT epoch_us(committer_date) FROM commits WHERE repo = $r AND position <= $b"
                " ORDER BY position",
                {"r": repo, "b": self.as_of},
            )
            known = rows.column(0).fill_null(NO_DATE).to_numpy()
            with self._lock:
                self._dates[repo] = known
        return known

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Returns what `make` gave for this key before, at this snapshot, or gives now."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                known: T = self._made[key]
                return known
        made = make()
        with self._lock:
            self._made[key] = made
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return made

    def history(self, repo: str) -> History:
        """Returns the commits of a repository with their parents."""
        with self._lock:
            history = self._history.get(repo)
            if history is None:
                earlier = self._before.pop(repo, None)
                rows = self.read(
                    "SELECT position, hash, parents FROM commits WHERE repo = $r"
                    " AND position > $a AND position <= $b ORDER BY position",
                    {"r": repo, "a": earlier[0] if earlier else 0, "b": self.as_of},
                )
                history = earlier[1] if earlier else History.empty()
                if rows.num_rows:
                    history = history.extended(rows)
                self._history[repo] = history
            return history

    def histories(self) -> dict[str, tuple[int, History]]:
        """Returns what was read of each repository, and up to which position."""
        with self._lock:
            return self._before | {r: (self.as_of, h) for r, h in self._history.items()}

    def _refs_of(self, repo: str) -> _Refs:
        with self._lock:
            refs = self._refs.get(repo)
        if refs is not None:
            return refs
        rows = self.read(
            "SELECT full_name, hash, coalesce(peeled, hash) FROM refs WHERE repo = $r"
            " AND from_position <= $p AND (to_position IS NULL OR to_position > $p)",
            {"r": repo, "p": self.as_of},
        )
        names, hashes, peeled = (c.to_pylist() for c in rows.columns)
        head = self.read(
            "SELECT default_branch, head FROM repositories WHERE repo = $r"
            " AND from_position <= $p AND (to_position IS NULL OR to_position > $p)",
            {"r": repo, "p": self.as_of},
        ).to_pylist()
        tips = dict(zip(names, peeled, strict=True))
        refs = _Refs(tips, dict(zip(hashes, peeled, strict=True)))
        if head:
            # The branch may have moved since HEAD was recorded.
            at = tips.get(head[0]["default_branch"], head[0]["head"])
            if at is not None:
                refs.peeled["HEAD"] = at
        with self._lock:
            self._refs[repo] = refs
        return refs

    def _base(self, repo: str, history: History, base: str, revision: str, *, near: bool) -> int:
        refs = self._refs_of(repo)
        full = base.lower() if len(base) in (40, 64) and _HEX.fullmatch(base) else None
        if full is not None:
            numbers = history.find(refs.objects.get(full, full))
            if numbers:
                return numbers[0]
        for rule in _RULES:
            name = rule.format(base)
            if name in refs.peeled:
                numbers = history.find(refs.peeled[name])
                if not numbers:
                    raise _unknown(repo, revision, f"{name} names no indexed commit")
                return numbers[0]
        described = _DESCRIBED.fullmatch(base)
        short = described[1] if described else base
        if _HEX.fullmatch(short):
            numbers = history.find(short.lower())
            tags = {p for h, p in refs.objects.items() if h != p and h.startswith(short.lower())}
            for peeled in tags:
                numbers = sorted({*numbers, *history.find(peeled)})
            if len(numbers) == 1:
                return numbers[0]
            if numbers:
                some = ", ".join(history.hash_of(n)[:16] for n in numbers[:3])
                raise QueryError(
                    "ambiguous_revision",
                    f'"{short}" is the beginning of {len(numbers)} commits in {repo}',
                    hint=f"give more digits: {some}",
                )
        if not near:
            raise _unknown(repo, revision)
        names = {re.sub(r"^refs/(heads|tags|remotes)/", "", n) for n in refs.peeled}
        raise _unknown(repo, revision, None, difflib.get_close_matches(base, sorted(names), 3))

    def read(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        """Returns the result of a SELECT over the table."""
        cursor = self._source.cursor()
        try:
            return cursor.query(sql, parameters)
        finally:
            cursor.close()


@dataclass(frozen=True, slots=True)
class _Refs:
    """Ref -> hash of the commit, and hash of any object that a ref names -> the same."""

    peeled: dict[str, str]
    objects: dict[str, str]


def _unknown(
    repo: str, revision: str, why: str | None = None, near: Sequence[str] = ()
) -> QueryError:
    message = f'no revision "{revision}" in {repo}'
    return QueryError(
        "unknown_revision",
        f"{message}: {why}" if why else message,
        hint="did you mean " + " or ".join(f'"{n}"' for n in near) + "?" if near else None,
    )


def _parse(revision: str) -> tuple[str, list[tuple[str, int]]]:
    """Returns the base of a revision and its steps (~ or ^, count), outermost last."""
    ends = [i for i in (revision.find("~"), revision.find("^")) if i >= 0]
    base, rest = (revision[: min(ends)], revision[min(ends) :]) if ends else (revision, "")
    steps: list[tuple[str, int]] = []
    at = 0
    while at < len(rest):
        found = _SUFFIX.match(rest, at)
        if found is None or len(found[2] or found[3] or "") > 9:
            raise _unsupported(revision)
        if found[1] is not None:
            # Every revision here is a commit already, so peeling changes nothing.
            if found[1] not in ("", "commit", "object"):
                raise _unsupported(revision)
        elif found[2] is not None:
            steps.append(("^", int(found[2] or 1)))
        else:
            steps.append(("~", int(found[3] or 1)))
        at = found.end()
    if base == "@":
        base = "HEAD"
    if not base or base.startswith((":", "-")) or "@{" in base or ":" in base:
        raise _unsupported(revision)
    return base, steps


def _unsupported(revision: str) -> QueryError:
    return QueryError(
        "unsupported_revision",
        f'"{revision}" is not a revision that can be looked up here',
        hint="take a hash, a branch, a tag, HEAD, and ~n or ^n after it",
    )
