"""What a data directory holds, in figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Status"]


@dataclass(frozen=True, slots=True)
class Status:
    """What a data directory holds; sizes in bytes, a repository is one dictionary.

    Its `incomplete` counts the commits of which something is missing, by why.
    """

    directory: str
    last_position: int
    as_of: int
    log_bytes: int
    table_bytes: int
    text_bytes: int
    repositories: list[dict[str, Any]]
