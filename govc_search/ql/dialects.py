"""Syntax of other systems that GQL has not: what to write instead."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["instead"]

# What stands before the place of the error, what stands there and after it, what to write.
_INSTEAD: Final = tuple(
    (re.compile(rf"(?:{before})\s*\Z", re.IGNORECASE), re.compile(here, re.IGNORECASE), hint)
    for before, here, hint in (
        (r"\A", r"(insert|update|delete|create|drop|alter|truncate|merge|copy|grant|replace)\b", "GQL only reads"),
        (r"\A", r"(from|table)\b", "begin with SELECT * FROM"),
        (r"\A", r"(pragma\b|\.tables|use\b)", "SHOW TABLES lists the tables"),
        (r"\bfetch", r"(first|next)\b", "write LIMIT"),
        (r"\bselect\s+top", r"\d", "write LIMIT at the end"),
        (r"\blimit\s+\d+", r",\s*\d", "write LIMIT count OFFSET first"),
        (r"\bwithin\s+group", r"\(", "write quantile_cont(column, 0.9)"),
        (r"", r"similar\b", "write ~ 'regular expression'"),
        (r"\bcollate|", r"collate\b", "order by lower(...) to ignore case"),
        (r"", r"(regexp|rlike)\b|\bregexp", "write ~ 'regular expression'"),
        (r"", r"@@", "write MATCH(column, 'words')"),
        (r"", r"\$\d", "write ? for a parameter by its place, or $name"),
        (r"", r"[:@][a-z_]\w*", "write $name for a parameter"),
        (r"", r"%\(?s\b", "write ? for a parameter"),
        (r"\btablesample|", r"(using\s+sample|tablesample)\b|\d", "ORDER BY hash LIMIT 10 takes ten of any kind"),
        (r"\b(?:main|public|information_schema|pg_catalog)", r"\.", "tables have no schema: SHOW TABLES lists them"),
        (r"\bas", r"[a-z_]\w*", "a keyword as a name takes double quotes"),
    )
)  # fmt: skip


def instead(text: str, place: int) -> str | None:
    """Returns what GQL has for what another system has at the place of a syntax error, or None."""
    before = text[max(0, place - 200) : place]
    for left, right, hint in _INSTEAD:
        if right.match(text, place) and left.search(before):
            return hint
    return None
