"""What is missing of a commit: the words of `incomplete` in its record, and what they mean.

A reason begins with its kind and goes on with what would mend it: the object that could not be
read, or the limit that the commit went beyond.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["NOT_UNDERSTOOD", "SHALLOW", "Gaps", "kind_of", "limit_of", "lost_object", "too_large"]

SHALLOW: Final = "shallow"
NOT_UNDERSTOOD: Final = "patch not understood"

_LOST: Final = re.compile(r"(?:missing|damaged) object ([0-9a-f]{40,64})")
_LIMIT: Final = re.compile(r"too_large: more than (\d+) bytes")
_KINDS: Final = {
    "shallow": "shallow",
    "too_large:": "too_large",
    "missing": "missing",
    "damaged": "damaged",
    "patch": "not_understood",
}


@dataclass(frozen=True, slots=True)
class Gaps:
    """What one repository lacks: numbers of commits.

    `incomplete` has them by kind of reason; `without_changes` and `without_lines` are those that
    were read no deeper than the repository's depth asked for.
    """

    repo: str
    incomplete: Mapping[str, int]
    without_changes: int = 0
    without_lines: int = 0


def too_large(limit: int, unit: str) -> str:
    """Returns the reason of a commit that goes beyond a limit of bytes or changes."""
    return f"too_large: more than {limit} {unit}"


def kind_of(reason: str) -> str:
    """Returns the kind of a reason, of which the first word is enough.

    One of shallow, too_large, missing, damaged, not_understood, and unreadable for all else.
    """
    return _KINDS.get(reason.partition(" ")[0], "unreadable")


def lost_object(reason: str) -> str | None:
    """Returns the hash of the object that could not be read, or None where that is not it."""
    found = _LOST.fullmatch(reason)
    return found[1] if found else None


def limit_of(reason: str) -> int | None:
    """Returns the bytes of patch beyond which the commit was cut, or None where it was not."""
    found = _LIMIT.match(reason)
    return int(found[1]) if found else None
