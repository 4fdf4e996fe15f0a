"""Two ways to the same answer, timed in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

__all__ = ["mean_ratio", "raced"]

# Best of so many runs, fewer of what takes long.
_RUNS: Final = 9
_BUDGET: Final = 3.0

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


def raced(
    ours: Callable[[], Ours], theirs: Callable[[], Theirs]
) -> tuple[float, Ours, float, Theirs]:
    """Returns the best time of each call in ms, with its answer; each is run once before.

    What other processes take of the machine meets both alike.
    """
    mine, other = ours(), theirs()
    best_ours = best_theirs = math.inf
    until = time.perf_counter() + _BUDGET
    runs = 0
    while runs < 2 or (runs < _RUNS and time.perf_counter() < until):
        started = time.perf_counter()
        mine = ours()
        between = time.perf_counter()
        other = theirs()
        ended = time.perf_counter()
        best_ours = min(best_ours, between - started)
        best_theirs = min(best_theirs, ended - between)
        runs += 1
    return best_ours * 1000, mine, best_theirs * 1000, other


def mean_ratio(ratios: Iterable[float]) -> float:
    """Returns the geometric mean, 1 of nothing."""
    logs = [math.log(ratio) for ratio in ratios]
    return math.exp(math.fsum(logs) / len(logs)) if logs else 1.0
