"""The walk over a history: what is reachable from a commit.

A repository's commits are cut into chains, each commit followed by its first parent where no
other chain has it yet, and numbered chain by chain from the newest commit on. What is reachable
from a commit is then a suffix of its chain and of each chain that an edge leads into, so a walk
costs one step for each merge and branch, not for each commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Chains", "Ints"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Chains:
    """Chains over a graph, and the walk along them; numbers are those of the commits."""

    rank: Ints  # commit -> place in chain order
    order: Ints  # place -> commit
    ends: list[int]  # chain -> the place after its last commit
    chain: list[int]  # place -> chain
    starts: list[int]  # place -> the first of its edges that leave the chain
    targets: list[int]  # edge -> place it leads to
    count: int

    @classmethod
    def over(cls, count: int, edge_from: Ints, edge_to: Ints) -> Chains:
        """Returns the chains; a commit's first edge leads to its first parent."""
        # The first edge of each commit, and of those that share a target the last one, go on
        # in the chain.
        first = np.full(count, -1, np.int64)
        first[edge_from[::-1]] = edge_to[::-1]
        claimed = np.full(count, -1, np.int64)
        having = np.flatnonzero(first >= 0)
        claimed[first[having]] = having
        following = np.full(count, -1, np.int64)
        taken = np.flatnonzero(claimed >= 0)
        following[claimed[taken]] = taken
        # Pointer jumping: after k rounds each commit knows its 2**k-th predecessor's distance.
        head = np.arange(count)
        before = claimed.copy()
        head[taken] = before[taken]
        depth = (claimed >= 0).astype(np.int64)
        active = taken
        # Hashes cannot form a circle, forged ones could: the rounds are counted.
        for _ in range(count.bit_length() + 1):
            if not len(active):
                break
            via = head[active]
            depth_via, head_via = depth[via], head[via]
            depth[active] += depth_via
            head[active] = head_via
            active = active[head_via != via]
        order = np.lexsort((depth, head))
        rank = np.empty(count, np.int64)
        rank[order] = np.arange(count)
        begins = depth[order] == 0
        chain = np.cumsum(begins) - 1
        ends = np.append(np.flatnonzero(begins)[1:], count) if count else np.zeros(0, np.int64)
        leaving = following[edge_from] != edge_to
        sources, targets = rank[edge_from[leaving]], rank[edge_to[leaving]]
        by_source = np.argsort(sources, kind="stable")
        starts = np.searchsorted(sources[by_source], np.arange(count + 1))
        return cls(
            rank,
            order,
            ends.tolist(),
            chain.tolist(),
            starts.tolist(),
            targets[by_source].tolist(),
            count,
        )

    def from_(self, tips: Sequence[int], stops: Sequence[int] = ()) -> Bools:
        """Returns which commits are reached from the tips, themselves included.

        The walk goes as far as to `stops`, and not past them.
        """
        ends, chain, starts, targets = self.ends, self.chain, self.starts, self.targets
        last = {int(self.rank[s]) for s in stops}
        if last:
            # A chain ends at a stop, and what is left of it is one more chain.
            ends, chain = ends.copy(), chain.copy()
            for place in sorted(last):
                of = chain[place]
                chain[place + 1 : ends[of]] = [len(ends)] * (ends[of] - place - 1)
                ends.append(ends[of])
                ends[of] = place + 1
        reached: dict[int, int] = {}
        stack = [int(self.rank[t]) for t in tips]
        while stack:
            place = stack.pop()
            of = chain[place]
            until = reached.get(of)
            if until is None:
                until = ends[of]
            elif place >= until:
                continue
            reached[of] = place
            stack.extend(targets[starts[place] : starts[until - (until - 1 in last)]])
        marks = np.zeros(self.count + 1, np.int8)
        if reached:
            marks[np.fromiter(reached.values(), np.int64)] = 1
            closing = np.fromiter((ends[of] for of in reached), np.int64)
            marks[closing] -= 1
        out = np.empty(self.count, np.bool_)
        out[self.order] = np.cumsum(marks[:-1], dtype=np.int8).astype(np.bool_)
        return out

    def first(self, tips: Sequence[int]) -> Ints:
        """Returns for each commit the place in `tips` of the first that reaches it, or -1."""
        ends, chain, starts, targets = self.ends, self.chain, self.starts, self.targets
        by_place = np.full(self.count, -1, np.int64)
        reached: dict[int, int] = {}
        for i, tip in enumerate(tips):
            stack = [int(self.rank[tip])]
            while stack:
                place = stack.pop()
                of = chain[place]
                until = reached.get(of, ends[of])
                if place < until:
                    reached[of] = place
                    by_place[place:until] = i
                    stack.extend(targets[starts[place] : starts[until]])
        out = np.empty(self.count, np.int64)
        out[self.order] = by_place
        return out
