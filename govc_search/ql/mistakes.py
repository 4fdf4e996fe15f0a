"""Conditions that hold for no row, which their author cannot have meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from govc_search.ql import bound

__all__ = ["of_comparison", "of_pattern"]

_HASHES: Final = frozenset(
    {
        "hash",
        "parent",
        "peeled",
        "head",
        "old_hash",
        "new_hash",
        "last_commit",
        "reverts",
        "tree",
        "blob",
        "old_blob",
        "new_blob",
    }
)
_HASH: Final = re.compile(r"[0-9a-fA-F]{4,64}")
_LONG: Final = (40, 64)
_SHORT: Final = 12


def of_comparison(operands: list[bound.Expr]) -> Iterator[str]:
    """Yields warnings of columns of hashes that are compared with hashes of another length."""
    columns = [o.column.name for o in operands if isinstance(o, bound.Column)]
    for value in (o.value for o in operands if isinstance(o, bound.Constant)):
        if not columns or not isinstance(value, str) or not _HASH.fullmatch(value):
            continue
        if columns[0] == "short_hash" and len(value) != _SHORT:
            yield f"short_hash has {_SHORT} digits: write hash LIKE '{value.lower()}%'"
        elif columns[0] in _HASHES and len(value) not in _LONG:
            yield f"{columns[0]} has {_LONG[0]} digits or {_LONG[1]}: write LIKE '{value.lower()}%'"


def of_pattern(word: str, pattern: object) -> Iterator[str]:
    """Yields a warning of a pattern of LIKE that takes * for a wildcard."""
    if isinstance(pattern, str) and "*" in pattern and "%" not in pattern:
        yield f"* is not a wildcard in {word}: {pattern!r} matches itself alone; did you mean GLOB?"
