"""Dates, times and intervals as GQL writes them in text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

__all__ = ["Interval", "interval", "timestamp", "wrong_directive"]

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{1,2}))?")
_INTERVAL = re.compile(
    r"(?:[+-]?\d+(?:\.\d+)?\s*(?:(?:microsecond|millisecond|second|sec|minute|min|hour|day|week|month"
    r"|quarter|year|decade)s?|[hdwsmy])(?![a-z])\s*(?:,\s*)?)+",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)
_UNITS: Final = {
    "microsecond": ("second", 1e-6), "millisecond": ("second", 1e-3), "second": ("second", 1),
    "sec": ("second", 1), "s": ("second", 1), "minute": ("second", 60), "min": ("second", 60),
    "m": ("second", 60), "hour": ("second", 3600), "h": ("second", 3600), "day": ("day", 1),
    "d": ("day", 1), "week": ("day", 7), "w": ("day", 7), "month": ("month", 1),
    "quarter": ("month", 3), "year": ("month", 12), "y": ("month", 12), "decade": ("month", 120),
}  # fmt: skip

_DIRECTIVES: Final = frozenset("aAbBcdfgGhHIjmMnpSTuUVwWxXyYzZ%") | {
    "-d", "-j", "-m", "-y", "-H", "-I", "-M", "-S",
}  # fmt: skip


class Interval(NamedTuple):
    """Months, days and seconds, which are not of one length with each other."""

    months: float
    days: float
    seconds: float

    @property
    def years(self) -> float:
        """Returns how long it is at most, whichever way its parts point."""
        return abs(self.months) / 12 + abs(self.days) / 365 + abs(self.seconds) / (365 * 86_400)

    @property
    def is_positive(self) -> bool:
        """Returns whether it leads forward."""
        return self.months * 30 * 86_400 + self.days * 86_400 + self.seconds > 0


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


def interval(text: str) -> Interval | None:
    """Returns the interval that `2 weeks` or `1 year 6 months` is, or None where it is none."""
    if _INTERVAL.fullmatch(text.strip()) is None:
        return None
    months = days = seconds = 0.0
    for amount, unit in _AMOUNT.findall(text):
        name = unit.lower()
        kind, factor = _UNITS[name if len(name) == 1 else name.removesuffix("s")]
        months += float(amount) * factor * (kind == "month")
        days += float(amount) * factor * (kind == "day")
        seconds += float(amount) * factor * (kind == "second")
    return Interval(months, days, seconds)


def wrong_directive(format_: str) -> str | None:
    """Returns the first part of a format of strftime that stands for nothing, or None.

    An empty format as a whole stands for nothing.
    """
    if not format_:
        return ""
    for found in re.finditer(r"%(-?[a-zA-Z]|%|.?)", format_, re.DOTALL):
        if found[1] not in _DIRECTIVES:
            return found[0]
    return None
