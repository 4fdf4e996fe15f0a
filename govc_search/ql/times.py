"""Dates, times and intervals as GQL writes them in text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["is_interval", "timestamp"]

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{1,2}))?")
_INTERVAL = re.compile(
    r"(?:[+-]?\d+(?:\.\d+)?\s*(?:microsecond|millisecond|second|sec|minute|min|hour|day|week|month"
    r"|quarter|year|decade|h|d|w|s|m|y)s?\s*(?:,\s*)?)+",
    re.IGNORECASE,
)


def timestamp(text: str) -> datetime | None:
    """Returns the UTC instant of ISO text, or None where it is no date.

    `2019` and `2019-06` are their first instant; without an offset the time is UTC.
    """
    text = text.strip()
    m = _PARTIAL.fullmatch(text)
    try:
        if m:
            return datetime(int(m[1]), int(m[2] or 1), 1)
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    if value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None


def is_interval(text: str) -> bool:
    """Returns whether `text` is an interval such as `2 weeks` or `1 year 6 months`."""
    return _INTERVAL.fullmatch(text.strip()) is not None
