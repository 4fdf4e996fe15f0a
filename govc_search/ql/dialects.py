"""Syntax of other systems that GQL has not: what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["ALIASES", "FUNCTIONS", "TABLES", "instead"]

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
        (r"", r"\\[a-z?]", "a command of the shell stands on a line of its own, after the ;"),
        (r"", r"@@", "write MATCH(column, 'words')"),
        (r"", r"\$\d", "write ? for a parameter by its place, or $name"),
        (r"", r"[:@][a-z_]\w*", "write $name for a parameter"),
        (r"", r"%\(?s\b", "write ? for a parameter"),
        (r"\btablesample|", r"(using\s+sample|tablesample)\b|\d", "ORDER BY hash LIMIT 10 takes ten of any kind"),
        (r"\b(?:main|public|information_schema|pg_catalog)", r"\.", "tables have no schema: SHOW TABLES lists them"),
        (r"\bsubstring\s*\([^()]*", r"from\b", "write substring(text, start, length)"),
        (r"\btrim\s*\([^()]*", r"\S", "write trim(text, characters)"),
        (r"\bas", r"[a-z_]\w*", "a keyword as a name takes double quotes"),
    )
)  # fmt: skip


# Words of other dialects that could be read as the alias of what stands before them.
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "natural": "JOIN ... USING (...) names the columns",
        "asof": "a LATERAL sub-query with ORDER BY and LIMIT 1 does it",
        "positional": "JOIN ... ON row numbers does it",
        "tablesample": "ORDER BY hash LIMIT n takes some rows",
        "fetch": "write LIMIT n",
        "pivot": "count(*) FILTER (WHERE ...) makes columns",
        "unpivot": "a LATERAL (VALUES ...) makes rows",
    }
)
# Functions and tables of PostgreSQL, MySQL, SQLite, ClickHouse, mergestat; lower case.
FUNCTIONS: Final[Mapping[str, str]] = MappingProxyType({
    "to_char": "strftime(date, '%Y-%m-%d')", "date_format": "strftime(date, '%Y-%m-%d')",
    "formatdatetime": "strftime(date, '%Y-%m-%d')", "to_date": "strptime(text, '%Y-%m-%d')",
    "str_to_date": "strptime(text, '%Y-%m-%d')", "todate": "date::DATE", "julianday": "epoch(date)",
    "unix_timestamp": "epoch(date)", "from_unixtime": "to_timestamp(seconds)",
    "getdate": "NOW()", "curdate": "CURRENT_DATE", "timestampdiff": "date_diff('day', a, b)",
    "toyear": "year(date)", "tomonth": "month(date)", "todayofweek": "isodow(date)", "tohour": "hour(date)",
    "tostartofyear": "date_trunc('year', date)", "tostartofmonth": "date_trunc('month', date)",
    "tostartofweek": "date_trunc('week', date)", "tostartofday": "date_trunc('day', date)",
    "locate": "strpos(text, part)", "charindex": "strpos(text, part)",
    "substring_index": "split_part(text, separator, n)", "regexp_substr": "regexp_extract(text, pattern)",
    "splitbychar": "string_split(text, separator)", "concat_agg": "string_agg(text, ', ')",
    "iif": "if(condition, a, b)", "multiif": "CASE WHEN ... THEN ... END", "decode": "CASE WHEN ... THEN ... END",
    "uniq": "count(DISTINCT x)", "uniqexact": "count(DISTINCT x)",
    "sumif": "sum(x) FILTER (WHERE condition)", "avgif": "avg(x) FILTER (WHERE condition)",
    "grouparray": "list(x)", "groupuniqarray": "list(DISTINCT x)",
    "arrayjoin": "unnest(list)", "json_agg": "list(x)", "percentile_cont": "quantile_cont(x, 0.9)",
    "percentile_disc": "quantile(x, 0.9)", "random": "ORDER BY hash, which is random enough",
    "rand": "ORDER BY hash, which is random enough", "to_tsvector": "MATCH(column, 'words')",
    "to_tsquery": "MATCH(column, 'words')", "version": "govc-search --version", "commit_from_tags": "FIRST_TAG(hash)",
    "levenshtein_distance": "levenshtein(a, b)",
})  # fmt: skip
TABLES: Final[Mapping[str, str]] = MappingProxyType({
    "stats": "changes", "diffs": "changes", "diff": "changes", "git_commits": "commits", "git_log": "commits", "log": "commits",
    "git_commit_stats": "changes", "git_files": "files", "git_refs": "refs", "git_tags": "tags", "git_branches": "branches",
    "repositories": "repos", "tree": "files", "blobs": "content", "users": "authors", "contributors": "authors", "patches": "lines",
})  # fmt: skip


def instead(text: str, place: int) -> str | None:
    """Returns what GQL has for what another system has at the place of a syntax error, or None."""
    before = text[max(0, place - 200) : place]
    for left, right, hint in _INSTEAD:
        if right.match(text, place) and left.search(before):
            return hint
    return None
