"""The functions that GQL knows, and the tables beside them: names, types, help.

All SQL here is our own text: nothing a user writes is ever put into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from govc_search.schema import (
    BOOLEAN,
    DOUBLE,
    INTEGER,
    LINE_COLUMNS,
    LOOKUPS,
    ROW,
    STAGES,
    TABLES,
    TEXT,
    TEXTS,
    TIMESTAMP,
    TREE,
    Column,
    Table,
    table,
)

__all__ = [
    "FUNCTIONS",
    "LINE_COLUMNS",
    "LOOKUPS",
    "ROW",
    "STAGES",
    "TABLES",
    "TREE",
    "Column",
    "Function",
    "Table",
    "function",
    "table",
]


@dataclass(frozen=True, slots=True)
class Function:
    """A function: argument types, result type, help, and its SQL over `{0}`, `{1}`, ...

    Types: TEXT, INTEGER, DOUBLE (any number), BOOLEAN, TIMESTAMP (or date), DATE, INTERVAL,
    LIST, ANY; DIGITS (a small whole number). Constants: PART such as 'month', PATTERN, INTERVAL,
    FORMAT as of strftime, SEPARATOR, SHARE from 0 to 1, GROUP from 0 to 9. `optional` counts
    trailing arguments that may be left out, `variadic` repeats the last. `returns` may be `=0`:
    the type of argument 0. `kind`: scalar, aggregate, window, text or graph (the last two are
    compiled by hand). `fault`: what becomes of arguments that it cannot take, see `bound.Fault`.
    """

    name: str
    args: tuple[str, ...]
    returns: str
    help: str
    sql: str = ""
    optional: int = 0
    variadic: bool = False
    kind: str = "scalar"
    aliases: tuple[str, ...] = ()
    # A constant integer argument may not exceed this: (argument, limit).
    bounded: tuple[int, int] | None = None
    fault: str = "error"
    # SQL of how many bytes it makes at most, where a few such calls could take all memory.
    size: str = ""

    @property
    def signature(self) -> str:
        """Returns the call as people write it."""
        required = len(self.args) - self.optional
        names = [a.lower() if i < required else f"[{a.lower()}]" for i, a in enumerate(self.args)]
        more = ", ..." if self.variadic else ""
        result = self.args[int(self.returns[1:])] if self.returns[0] == "=" else self.returns
        return f"{self.name}({', '.join(names)}{more}) -> {result}"


def _f(name: str, args: str, returns: str, help_: str, sql: str = "", **more: Any) -> Function:
    words = tuple(args.split())
    optional = sum(1 for w in words if w.endswith("?"))
    variadic = bool(words) and words[-1].endswith("...")
    clean = tuple(w.rstrip("?.") for w in words)
    return Function(name, clean, returns, help_, sql, optional, variadic, **more)


FUNCTIONS: Final[tuple[Function, ...]] = (
    # Text
    _f("lower", "TEXT", TEXT, "in lower case"),
    _f("upper", "TEXT", TEXT, "in upper case"),
    _f("length", "TEXT", INTEGER, "number of characters", aliases=("char_length",)),
    _f("trim", "TEXT TEXT?", TEXT, "without blanks (or the given characters) at both ends"),
    _f("ltrim", "TEXT TEXT?", TEXT, "without blanks at the left"),
    _f("rtrim", "TEXT TEXT?", TEXT, "without blanks at the right"),
    _f("left", "TEXT INTEGER", TEXT, "the first characters"),
    _f("right", "TEXT INTEGER", TEXT, "the last characters"),
    _f("substr", "TEXT INTEGER INTEGER?", TEXT, "part of a text, from 1", aliases=("substring",)),
    _f("replace", "TEXT TEXT TEXT", TEXT, "with every occurrence replaced", size="strlen({0}) * strlen({2})"),
    _f("split_part", "TEXT TEXT INTEGER", TEXT, "the n-th part between separators"),
    _f("split", "TEXT TEXT", TEXTS, "the parts between separators", "string_split({0}, {1})", aliases=("string_split",), size="CASE WHEN {1} = '' THEN 100 * strlen({0}) ELSE 0 END"),
    _f("strpos", "TEXT TEXT", INTEGER, "where a text begins in another, from 1; 0 if nowhere", aliases=("instr",)),
    _f("reverse", "TEXT", TEXT, "backwards"),
    _f("concat", "ANY...", TEXT, "joined together; NULLs are left out"),
    _f("concat_ws", "TEXT ANY...", TEXT, "joined with a separator; NULLs are left out"),
    _f("lpad", "TEXT INTEGER TEXT", TEXT, "padded at the left to a length", bounded=(1, 10_000)),
    _f("rpad", "TEXT INTEGER TEXT", TEXT, "padded at the right to a length", bounded=(1, 10_000)),
    _f("regexp_extract", "TEXT PATTERN GROUP?", TEXT, "what a regular expression (or its group) matched"),
    _f("regexp_replace", "TEXT PATTERN TEXT", TEXT, "with every match of a regular expression replaced", "regexp_replace({0}, {1}, {2}, 'g')", size="(strlen({0}) + 1) * strlen({2})"),
    _f("starts_with", "TEXT TEXT", BOOLEAN, "begins with"),
    _f("ends_with", "TEXT TEXT", BOOLEAN, "ends with", "suffix({0}, {1})"),
    _f("levenshtein", "TEXT TEXT", INTEGER, "edit distance of two texts"),
    _f("md5", "TEXT", TEXT, "MD5 digest, hexadecimal"),
    # Numbers
    _f("abs", "DOUBLE", "=0", "without sign"),
    _f("round", "DOUBLE DIGITS?", DOUBLE, "rounded to a number of decimals"),
    _f("floor", "DOUBLE", DOUBLE, "the whole number below"),
    _f("ceil", "DOUBLE", DOUBLE, "the whole number above", aliases=("ceiling",)),
    _f("sqrt", "DOUBLE", DOUBLE, "square root; NULL below zero", "CASE WHEN {0} >= 0 THEN sqrt({0}) END"),
    _f("ln", "DOUBLE", DOUBLE, "natural logarithm; NULL unless above zero", "CASE WHEN {0} > 0 THEN ln({0}) END"),
    _f("log10", "DOUBLE", DOUBLE, "decimal logarithm; NULL unless above zero", "CASE WHEN {0} > 0 THEN log10({0}) END"),
    _f("power", "DOUBLE DOUBLE", DOUBLE, "raised to a power", aliases=("pow",)),
    _f("sign", "DOUBLE", INTEGER, "-1, 0 or 1"),
    _f("mod", "DOUBLE DOUBLE", "=0", "remainder; NULL for a division by zero", fault="zero"),
    # Conditions
    _f("coalesce", "ANY...", "=0", "the first that is not NULL"),
    _f("nullif", "ANY ANY", "=0", "NULL if both are equal, else the first", "CASE WHEN {0} = {1} THEN NULL ELSE {0} END"),
    _f("ifnull", "ANY ANY", "=0", "the second if the first is NULL"),
    _f("greatest", "ANY...", "=0", "the largest"),
    _f("least", "ANY...", "=0", "the smallest"),
    _f("if", "BOOLEAN ANY ANY", "=1", "the second if the first is true, else the third", "CASE WHEN {0} THEN {1} ELSE {2} END"),
    # Lists
    _f("len", "TEXT|LIST", INTEGER, "length of a list or text"),
    _f("list_contains", "LIST ANY", BOOLEAN, "the list holds the value", aliases=("array_contains", "has")),
    _f("list_position", "LIST ANY", INTEGER, "where the list holds the value, from 1"),
    _f("list_distinct", "LIST", "=0", "without repeats, in no order"),
    _f("list_sort", "LIST", "=0", "in order"),
    _f("array_to_string", "LIST SEPARATOR", TEXT, "the items joined with a separator", "CASE WHEN len({0}) = 0 THEN '' ELSE list_aggr(CAST({0} AS VARCHAR[]), 'string_agg', {1}) END", size="len({0}) * (strlen({1}) + 50)"),
    _f("unnest", "LIST", "ANY", "a row for each item"),
    # Time
    _f("now", "", TIMESTAMP, "this moment, UTC", "$now"),
    _f("current_date", "", "DATE", "today, UTC", "CAST($now AS DATE)"),
    _f("ago", "INTERVAL", TIMESTAMP, "that long before now: AGO('2 weeks')", "($now - CAST({0} AS INTERVAL))", fault="null"),
    _f("date_trunc", "PART TIMESTAMP", TIMESTAMP, "the beginning of the year, quarter, month, week, day, hour, ...", "CAST(date_trunc({0}, {1}) AS TIMESTAMP)", fault="null"),
    _f("date_part", "PART TIMESTAMP", INTEGER, "the year, month, day, hour, dow, ... as a number", aliases=("datepart",)),
    _f("date_diff", "PART TIMESTAMP TIMESTAMP", INTEGER, "number of boundaries between two times", aliases=("datediff",)),
    _f("time_bucket", "INTERVAL TIMESTAMP", TIMESTAMP, "the beginning of the interval that holds the time", "time_bucket(CAST({0} AS INTERVAL), {1})", fault="null"),
    _f("strftime", "TIMESTAMP FORMAT", TEXT, "formatted: strftime(author_date, '%Y-%m')"),
    _f("year", "TIMESTAMP", INTEGER, "the year"),
    _f("quarter", "TIMESTAMP", INTEGER, "the quarter, 1 to 4"),
    _f("month", "TIMESTAMP", INTEGER, "the month, 1 to 12"),
    _f("week", "TIMESTAMP", INTEGER, "the ISO week"),
    _f("day", "TIMESTAMP", INTEGER, "the day of the month"),
    _f("hour", "TIMESTAMP", INTEGER, "the hour"),
    _f("minute", "TIMESTAMP", INTEGER, "the minute"),
    _f("dayname", "TIMESTAMP", TEXT, "name of the week day"),
    _f("monthname", "TIMESTAMP", TEXT, "name of the month"),
    _f("epoch", "TIMESTAMP", INTEGER, "seconds since 1970", "CAST(epoch({0}) AS BIGINT)"),
    _f("local", "TIMESTAMP INTEGER", TIMESTAMP, "the person's own clock: LOCAL(author_date, author_tz)", "({0} + to_minutes(TRY_CAST({1} AS INTEGER)))", fault="null"),
    # Aggregates
    _f("count", "ANY?", INTEGER, "number of rows, or of values that are not NULL", kind="aggregate"),
    _f("sum", "DOUBLE", "=0", "sum", kind="aggregate"),
    _f("avg", "DOUBLE", DOUBLE, "mean", kind="aggregate", aliases=("mean",)),
    _f("min", "ANY", "=0", "smallest", kind="aggregate"),
    _f("max", "ANY", "=0", "largest", kind="aggregate"),
    _f("median", "ANY", "=0", "the one in the middle", kind="aggregate"),
    _f("mode", "ANY", "=0", "the most frequent", kind="aggregate"),
    _f("quantile", "ANY SHARE", "=0", "the value below which a share lies", "quantile_disc({0}, {1})", kind="aggregate"),
    _f("stddev", "DOUBLE", DOUBLE, "standard deviation", kind="aggregate"),
    _f("any_value", "ANY", "=0", "some value", kind="aggregate"),
    _f("arg_max", "ANY ANY", "=0", "the first where the second is largest", kind="aggregate"),
    _f("arg_min", "ANY ANY", "=0", "the first where the second is smallest", kind="aggregate"),
    _f("string_agg", "TEXT SEPARATOR", TEXT, "joined with a separator", kind="aggregate"),
    _f("list", "ANY", "LIST", "all values as a list", kind="aggregate", aliases=("array_agg",)),
    _f("approx_count_distinct", "ANY", INTEGER, "about how many different values", kind="aggregate"),
    _f("bool_and", "BOOLEAN", BOOLEAN, "true for all", kind="aggregate"),
    _f("bool_or", "BOOLEAN", BOOLEAN, "true for any", kind="aggregate"),
    # Windows
    _f("row_number", "", INTEGER, "number of the row in its window", kind="window"),
    _f("rank", "", INTEGER, "rank with gaps", kind="window"),
    _f("dense_rank", "", INTEGER, "rank without gaps", kind="window"),
    _f("percent_rank", "", DOUBLE, "rank from 0 to 1", kind="window"),
    _f("ntile", "INTEGER", INTEGER, "number of the bucket", kind="window"),
    _f("lag", "ANY INTEGER? ANY?", "=0", "the value some rows before", kind="window"),
    _f("lead", "ANY INTEGER? ANY?", "=0", "the value some rows after", kind="window"),
    _f("first_value", "ANY", "=0", "the first value of the frame", kind="window"),
    _f("last_value", "ANY", "=0", "the last value of the frame", kind="window"),
    _f("nth_value", "ANY INTEGER", "=0", "the n-th value of the frame", kind="window"),
    # Text predicates; most take an optional table alias first.
    _f("match", "COLUMN PATTERN", BOOLEAN, "the column matches a query of words, phrases, word~, pre*, /re/", kind="text"),
    _f("search", "ALIAS? PATTERN", BOOLEAN, "two thirds of the words occur, exactly or nearly", kind="text"),
    _f("phrase", "COLUMN PATTERN INTEGER?", BOOLEAN, "the words occur in order, with so many others between", kind="text"),
    _f("fuzzy", "COLUMN PATTERN INTEGER?", BOOLEAN, "a word occurs within an edit distance", kind="text"),
    _f("contains", "TEXT PATTERN", BOOLEAN, "the text occurs, exactly", kind="text"),
    _f("added", "ALIAS? PATTERN", BOOLEAN, "some added line contains the text", kind="text"),
    _f("removed", "ALIAS? PATTERN", BOOLEAN, "some removed line contains the text", kind="text"),
    _f("changed", "ALIAS? PATTERN", BOOLEAN, "some added or removed line contains the text", kind="text"),
    _f("added_re", "ALIAS? PATTERN", BOOLEAN, "some added line matches the regular expression", kind="text"),
    _f("removed_re", "ALIAS? PATTERN", BOOLEAN, "some removed line matches the regular expression", kind="text"),
    _f("changed_re", "ALIAS? PATTERN", BOOLEAN, "some added or removed line matches: git log -G", kind="text"),
    _f("pickaxe", "ALIAS? PATTERN", BOOLEAN, "the number of occurrences in a file changed: git log -S", kind="text"),
    _f("touches", "ALIAS? PATTERN", BOOLEAN, "a changed path, old or new, matches the glob", kind="text"),
    _f("score", "ALIAS?", DOUBLE, "relevance of the row, higher is better", kind="text"),
    _f("highlight", "COLUMN TEXT? TEXT?", TEXT, "the column with every match marked", kind="text"),
    _f("snippet", "COLUMN INTEGER?", TEXT, "the best passage, with every match marked", kind="text"),
    # Commit graph
    _f("in_range", "ALIAS? PATTERN", BOOLEAN, "in git's revision range: 'a..b', 'a...b', '^x y'", kind="graph"),
    _f("reachable_from", "ALIAS? PATTERN", BOOLEAN, "the revision, or an ancestor of it", kind="graph"),
)  # fmt: skip

_FUNCTIONS: Final = {name: f for f in FUNCTIONS for name in (f.name, *f.aliases)}


def function(name: str) -> Function | None:
    """Returns the function of that name or alias in any case, or None."""
    return _FUNCTIONS.get(name.lower())
