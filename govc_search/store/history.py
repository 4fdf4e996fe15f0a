"""One repository's commits as arrays, numbered by position."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search.errors import QueryError
from govc_search.store.chains import Bools, Chains, Ints

__all__ = ["Bools", "History", "Ints", "Positions"]

Positions = npt.NDArray[np.uint64]

_CACHE_BYTES: Final = 64 << 20
# Tips that are walked one by one, and those that are walked at once.
_APART: Final = 8
_TOGETHER: Final = 128
_NIBBLES: Final = np.zeros(256, np.uint64)
for _digit in range(16):
    _NIBBLES[ord(f"{_digit:x}")] = _digit


@dataclass(slots=True)
class History:
    """One repository's commits, numbered by position, with their parents.

    `hashes` are the raw hexadecimal digits; `key` their first 16 as a number, `by_key` the
    commits in the order of it. `parents[offsets[i]:offsets[i + 1]]` are commit `i`'s, -1 where
    one is not indexed; `missing` names those by place in `parents`.
    """

    positions: Positions
    hashes: npt.NDArray[np.bytes_]
    key: Positions
    by_key: Ints
    offsets: Ints
    parents: Ints
    missing: tuple[Ints, npt.NDArray[np.bytes_]]
    edge_from: Ints
    edge_to: Ints
    _down: Chains | None = None
    _up: Chains | None = None
    _order: list[tuple[int, list[int]]] | None = None
    _cache: OrderedDict[tuple[bool, tuple[int, ...]], Bools] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def empty(cls) -> History:
        """Returns the history without a commit, to extend."""
        none, digits = np.zeros(0, np.int64), np.zeros(0, "S40")
        unsigned = np.zeros(0, np.uint64)
        return cls(
            unsigned,
            digits,
            unsigned,
            none,
            np.zeros(1, np.int64),
            none,
            (none, digits),
            none,
            none,
        )

    def extended(self, rows: pa.Table) -> History:
        """Returns the history with later commits (position, hash, parents) added."""
        lists = rows.column("parents").combine_chunks()
        hashes = np.concatenate([self.hashes, _digits(rows.column("hash"))])
        key = _keys(hashes)
        by_key = np.argsort(key, kind="stable")
        sizes = np.diff(lists.offsets.to_numpy()).astype(np.int64)
        offsets = np.concatenate([self.offsets, self.offsets[-1] + np.cumsum(sizes)])
        wanted = _digits(lists.flatten())
        places = np.concatenate(
            [self.missing[0], np.arange(len(self.parents), len(self.parents) + len(wanted))]
        )
        wanted = np.concatenate([self.missing[1], wanted])
        parents = np.concatenate([self.parents, np.full(int(sizes.sum()), -1, np.int64)])
        found = _look_up(wanted, hashes, key, by_key)
        parents[places] = found
        still = found < 0
        edge_from = np.repeat(np.arange(len(hashes)), np.diff(offsets))
        there = parents >= 0
        return History(
            np.concatenate([self.positions, rows.column("position").to_numpy()]),
            hashes,
            key,
            by_key,
            offsets,
            parents,
            (places[still], wanted[still]),
            edge_from[there],
            parents[there],
        )

    def numbers(self, positions: Iterable[int]) -> list[int]:
        """Returns the numbers of these commits, ascending; raises QueryError on another's."""
        wanted = np.unique(np.fromiter(positions, np.uint64))
        at = np.searchsorted(self.positions, wanted)
        inside = np.minimum(at, max(0, len(self.positions) - 1))
        if len(wanted) and (not len(self.positions) or (self.positions[inside] != wanted).any()):
            raise QueryError(
                "unknown_revision", "a position that is not a commit of the repository"
            )
        return [int(i) for i in at]

    def named(self, selected: Bools) -> Positions:
        """Returns the positions of the selected commits, ascending."""
        return self.positions[selected]

    def parents_of(self, number: int) -> list[int]:
        """Returns the parents' numbers, -1 for those that are not indexed."""
        return [int(p) for p in self.parents[self.offsets[number] : self.offsets[number + 1]]]

    def hash_of(self, number: int) -> str:
        """Returns the full hash."""
        return bytes(self.hashes[number]).decode()

    def find(self, prefix: str) -> list[int]:
        """Returns the commits whose hash begins with `prefix` (lower-case hexadecimal)."""
        digits = prefix[:16]
        low = int(digits.ljust(16, "0"), 16)
        high = int(digits.ljust(16, "f"), 16)
        ordered = self.key[self.by_key]
        begin = np.searchsorted(ordered, np.uint64(low), "left")
        end = np.searchsorted(ordered, np.uint64(high), "right")
        numbers = self.by_key[begin:end]
        return [int(n) for n in numbers if self.hash_of(int(n)).startswith(prefix)]

    def find_all(self, hashes: pa.Array) -> Ints:
        """Returns the number of the commit of each full hash, -1 where there is none."""
        return _look_up(_digits(hashes), self.hashes, self.key, self.by_key)

    def reach(self, tips: Sequence[int]) -> Bools:
        """Returns which commits the tips reach; not to be written to."""
        return self._cached(tips, up=False)

    def reach_each(self, tips: Sequence[int]) -> Iterator[Bools]:
        """Yields which commits each of the tips reaches, itself included.

        Many tips are walked together, a bit for each: a hundred cost what a few cost apart.
        """
        if len(tips) <= _APART:
            for tip in tips:
                yield self.reach([tip])
            return
        if self._order is None:
            self._order = self._children_first()
        for begin in range(0, len(tips), _TOGETHER):
            group = tips[begin : begin + _TOGETHER]
            marks = [0] * len(self.positions)
            for i, tip in enumerate(group):
                marks[tip] |= 1 << i
            for number, parents in self._order:
                mark = marks[number]
                if mark:
                    for parent in parents:
                        marks[parent] |= mark
            size = _TOGETHER // 8
            packed = b"".join([mark.to_bytes(size, "little") for mark in marks])
            rows = np.frombuffer(packed, np.uint8).reshape(-1, size)
            for i in range(len(group)):
                yield (rows[:, i // 8] >> (i % 8) & 1).astype(np.bool_)

    def _children_first(self) -> list[tuple[int, list[int]]]:
        """Returns every commit with its parents, after all its children."""
        parents: list[list[int]] = [[] for _ in range(len(self.positions))]
        for child, parent in zip(self.edge_from.tolist(), self.edge_to.tolist(), strict=True):
            parents[child].append(parent)
        waiting = np.bincount(self.edge_to, minlength=len(parents)).tolist()
        ready = [n for n, count in enumerate(waiting) if not count]
        out = []
        while ready:
            number = ready.pop()
            out.append((number, parents[number]))
            for parent in parents[number]:
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(parent)
        return out

    def reach_up(self, tips: Sequence[int]) -> Bools:
        """Returns which commits reach the tips; not to be written to."""
        return self._cached(tips, up=True)

    def reach_until(self, tips: Sequence[int], stops: Sequence[int], *, up: bool) -> Bools:
        """Returns which commits the tips reach, or are reached from (`up`), up to the stops."""
        return self._chains(up=up).from_(tips, stops)

    def first_reached(self, tips: Sequence[int]) -> Ints:
        """Returns for each commit the place in `tips` of the first that reaches it, or -1."""
        return self._chains(up=False).first(tips)

    def children_of(self, numbers: Sequence[int]) -> list[int]:
        """Returns the numbers of the commits that have one of these as a parent."""
        return [int(n) for n in np.unique(self.edge_from[np.isin(self.edge_to, numbers)])]

    def _chains(self, *, up: bool) -> Chains:
        with self._lock:
            if up and self._up is None:
                by_parent = np.argsort(self.edge_to, kind="stable")
                self._up = Chains.over(
                    len(self.positions), self.edge_to[by_parent], self.edge_from[by_parent]
                )
            if not up and self._down is None:
                self._down = Chains.over(len(self.positions), self.edge_from, self.edge_to)
            chains = self._up if up else self._down
            assert chains is not None
            return chains

    def _cached(self, tips: Sequence[int], *, up: bool) -> Bools:
        key = (up, tuple(tips))
        with self._lock:
            known = self._cache.get(key)
            if known is not None:
                self._cache.move_to_end(key)
                return known
        found = self._chains(up=up).from_(key[1])
        with self._lock:
            self._cache[key] = found
            while len(self._cache) * len(found) > _CACHE_BYTES and len(self._cache) > 1:
                self._cache.popitem(last=False)
        return found

    def by_date(self, tip: int, dates: Ints) -> Ints:
        """Returns the commits that the tip reaches in the order in which `git log` shows them.

        `dates` are those of the committers. Git shows the newest of those of which it has shown a
        child, so a commit that is newer than its children are comes right after one of them.
        """
        reached = self.reach([tip])
        numbers = np.flatnonzero(reached)
        skewed = reached[self.edge_from] & (dates[self.edge_to] > dates[self.edge_from])
        if not skewed.any():
            return numbers[np.argsort(-dates[numbers], kind="stable")]
        by_parent = np.argsort(self.edge_to, kind="stable")
        begins = np.searchsorted(self.edge_to[by_parent], np.arange(len(dates) + 1))

        def children(number: int) -> Ints:
            found = self.edge_from[by_parent[begins[number] : begins[number + 1]]]
            return found[reached[found]]

        # The date at which the walk comes by.
        shown = dates.copy()
        todo = set(self.edge_to[skewed].tolist())
        while todo:
            number = todo.pop()
            when = min(dates[number], shown[children(number)].max())
            if when < shown[number]:
                shown[number] = when
                todo.update(p for p in self.parents_of(number) if p >= 0 and shown[p] > when)
        late = shown < dates
        order = numbers[np.lexsort((late[numbers], -shown[numbers]))]
        places = np.flatnonzero(late[order])
        for run in np.split(places, np.flatnonzero(np.diff(shown[order[places]])) + 1):
            numbers = order[run].tolist()
            begun = [n for n in numbers if not late[children(n)].all()]
            order[run] = self._walk(begun, set(numbers), dates)
        return order

    def _walk(self, begun: list[int], members: set[int], dates: Ints) -> list[int]:
        queue = [(-int(dates[n]), n) for n in begun]
        heapq.heapify(queue)
        members -= set(begun)
        out = []
        while queue:
            number = heapq.heappop(queue)[1]
            out.append(number)
            for parent in self.parents_of(number):
                if parent in members:
                    members.remove(parent)
                    heapq.heappush(queue, (-int(dates[parent]), parent))
        return out

    def is_merge(self, numbers: Ints) -> Bools:
        """Returns which of these commits have two parents or more, indexed or not."""
        return np.diff(self.offsets)[numbers] > 1

    def tips_of(self, selected: Bools) -> Bools:
        """Returns the selected commits that have no selected child."""
        tips = selected.copy()
        tips[self.edge_to[selected[self.edge_from]]] = False
        return tips


def _digits(hashes: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    whole = hashes.combine_chunks() if isinstance(hashes, pa.ChunkedArray) else hashes
    if not len(whole):
        return np.zeros(0, "S40")
    ends = whole.cast(pa.large_string()).buffers()[1]
    offsets = np.frombuffer(ends, np.int64)[whole.offset : whole.offset + len(whole) + 1]
    sizes = np.diff(offsets)
    if (sizes == sizes[0]).all() and sizes[0]:
        data = np.frombuffer(whole.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        return np.ascontiguousarray(data).view(f"S{sizes[0]}")
    return np.array(whole.to_pylist(), dtype="S")


def _keys(hashes: npt.NDArray[np.bytes_]) -> Positions:
    width = hashes.dtype.itemsize
    digits = np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), width)[:, :16]
    key = np.zeros(len(hashes), np.uint64)
    for i in range(digits.shape[1]):
        key = key << np.uint64(4) | _NIBBLES[digits[:, i]]
    return key


def _look_up(
    wanted: npt.NDArray[np.bytes_], hashes: npt.NDArray[np.bytes_], key: Positions, by_key: Ints
) -> Ints:
    """Returns the number of the commit of each wanted hash, -1 where there is none."""
    found = np.full(len(wanted), -1, np.int64)
    if not len(hashes) or not len(wanted):
        return found
    ordered = key[by_key]
    keys = _keys(wanted)
    at = np.searchsorted(ordered, keys)
    # Hashes that share their first digits lie side by side.
    pending = np.arange(len(wanted))
    while len(pending):
        place = at[pending]
        pending = pending[place < len(ordered)]
        pending = pending[ordered[at[pending]] == keys[pending]]
        candidate = by_key[at[pending]]
        equal = hashes[candidate] == wanted[pending]
        found[pending[equal]] = candidate[equal]
        pending = pending[~equal]
        at[pending] += 1
    return found
