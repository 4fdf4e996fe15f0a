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
    "ITEM",
    "LINE_COLUMNS",
    "LISTED",
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


# Results that are made of the first argument.
ITEM: Final = "item"
LISTED: Final = "listed"


@dataclass(frozen=True, slots=True)
class Function:
    """A function: argument types, result type, help, and its SQL over `{0}`, `{1}`, ... or `{all}`.

    Types: TEXT, INTEGER, DOUBLE (any number), BOOLEAN, TIMESTAMP (or date), DATE, INTERVAL,
    LIST, ANY; DIGITS (a small whole number). Constants: PART such as 'month', PATTERN, INTERVAL,
    FORMAT as of strftime, SEPARATOR, FLAGS of a regular expression, SHARE from 0 to 1, GROUP from 0 to 9, COUNT from 1. `optional`
    counts trailing arguments that may be left out, `variadic` repeats the last. `returns` may be
    `=0`: the type of argument 0; ITEM: of the items of its list; LISTED: a list of it. `kind`: scalar, aggregate, window, text or graph (the last two are
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
    # SQL of what is held against MOST_BYTES, where a few such calls could take all memory; `{rest}`
    # stands for optional arguments.
    size: str = ""

    @property
    def signature(self) -> str:
        """Returns the call as people write it."""
        required = len(self.args) - self.optional
        names = [a.lower() if i < required else f"[{a.lower()}]" for i, a in enumerate(self.args)]
        if self.args[:1] == ("ALIAS",):
            names = ["[alias]", *(a.lower() for a in self.args[1:])]
        more = ", ..." if self.variadic else ""
        result = {ITEM: "ANY", LISTED: "LIST"}.get(self.returns, self.returns)
        if result[0] == "=":
            result = self.args[int(result[1:])]
        return f"{self.name}({', '.join(names)}{more}) -> {result}"


def _f(name: str, args: str, returns: str, help_: str, sql: str = "", **more: Any) -> Function:
    words = tuple(args.split())
    optional = sum(1 for w in words if w.endswith("?"))
    variadic = bool(words) and words[-1].endswith("...")
    clean = tuple(w.rstrip("?.") for w in words)
    return Function(name, clean, returns, help_, sql, optional, variadic, **more)


# What a function may make for one row beyond what it is given, and once more as much as that:
# DuckDB looks at a deadline once in two thousand rows, and counts texts and lists against no limit.
MOST_BYTES: Final = 100_000

# Counting is as much work as replacing: it is done only where lengths alone do not tell.
# Every letter of the one text is compared with every one of the other: a million pairs at most.
_COMPARED: Final = "CAST(length({0}) AS DOUBLE) * length({1}) / 10"
_REPLACED: Final = (
    f"CASE WHEN {{1}} = '' OR strlen({{0}}) * (strlen({{2}}) - 1) <= {MOST_BYTES} THEN 0"
    " ELSE (strlen({0}) - strlen(replace({0}, {1}, ''))) / strlen({1})"
    " * (strlen({2}) - strlen({1})) - strlen({0}) END"
)
# What matched is in the result once for each backslash at the most.
_REPLACED_MATCHES: Final = (
    f"CASE WHEN (strlen({{0}}) + 1) * strlen({{2}}) - strlen({{0}}) <= {MOST_BYTES} THEN 0 ELSE"
    " (strlen(regexp_replace({0}, {1}, 'x'{rest})) - strlen(regexp_replace({0}, {1}, ''{rest})))"
    " * strlen({2}) + (strlen({0}) - strlen(regexp_replace({0}, {1}, ''{rest})))"
    " * (strlen({2}) - strlen(replace({2}, '\\', '')) - 1) - strlen({0}) END"
)

FUNCTIONS: Final[tuple[Function, ...]] = (
    # Text
    _f("lower", "TEXT", TEXT, "in lower case", aliases=("lcase",)),
    _f("upper", "TEXT", TEXT, "in upper case", aliases=("ucase",)),
    _f("length", "TEXT", INTEGER, "number of characters", aliases=("char_length", "character_length")),
    _f("strlen", "TEXT", INTEGER, "number of bytes in UTF-8", aliases=("octet_length",)),
    _f("trim", "TEXT TEXT?", TEXT, "without blanks (or the given characters) at both ends"),
    _f("ltrim", "TEXT TEXT?", TEXT, "without blanks at the left"),
    _f("rtrim", "TEXT TEXT?", TEXT, "without blanks at the right"),
    _f("left", "TEXT INTEGER", TEXT, "the first characters"),
    _f("right", "TEXT INTEGER", TEXT, "the last characters"),
    _f("substr", "TEXT INTEGER INTEGER?", TEXT, "part of a text, from 1", aliases=("substring",)),
    _f("replace", "TEXT TEXT TEXT", TEXT, "with every occurrence replaced", size=_REPLACED),
    _f("split_part", "TEXT TEXT INTEGER", TEXT, "the n-th part between separators"),
    _f("split", "TEXT TEXT", TEXTS, "the parts between separators", "string_split({0}, {1})", aliases=("string_split", "str_split", "string_to_array"), size="CASE WHEN {1} = '' THEN 4 * strlen({0}) ELSE 0 END"),
    # What is too long is not made either where DuckDB computes constants beforehand.
    _f("repeat", "TEXT INTEGER", TEXT, "so many times in a row", f"repeat(CAST({{0}} AS VARCHAR), CASE WHEN strlen({{0}}) * CAST({{1}} AS DOUBLE) <= {MOST_BYTES} THEN {{1}} END)", size="strlen({0}) * CAST({1} AS DOUBLE)"),
    _f("translate", "TEXT TEXT TEXT", TEXT, "characters of the second replaced by those of the third"),
    _f("ascii", "TEXT", INTEGER, "code point of the first character", aliases=("ord", "unicode")),
    _f("chr", "INTEGER", TEXT, "the character of a code point", "chr(CAST({0} AS INTEGER))"),
    _f("strip_accents", "TEXT", TEXT, "without accents"),
    _f("url_encode", "TEXT", TEXT, "escaped for a URL"),
    _f("url_decode", "TEXT", TEXT, "what was escaped for a URL"),
    _f("parse_filename", "TEXT BOOLEAN?", TEXT, "the last part of a path; with TRUE without its extension"),
    _f("parse_dirpath", "TEXT", TEXT, "the path without its last part"),
    _f("parse_dirname", "TEXT", TEXT, "the first part of a path"),
    _f("parse_path", "TEXT", TEXTS, "the parts of a path"),
    _f("strpos", "TEXT TEXT", INTEGER, "where a text begins in another, from 1; 0 if nowhere", aliases=("instr", "position")),
    _f("reverse", "TEXT", TEXT, "backwards"),
    _f("concat", "ANY...", TEXT, "joined together; NULLs are left out"),
    _f("concat_ws", "TEXT ANY...", TEXT, "joined with a separator; NULLs are left out"),
    _f("lpad", "TEXT INTEGER TEXT", TEXT, "padded at the left to a length", bounded=(1, 10_000)),
    _f("rpad", "TEXT INTEGER TEXT", TEXT, "padded at the right to a length", bounded=(1, 10_000)),
    _f("regexp_extract", "TEXT PATTERN GROUP?", TEXT, "what a regular expression (or its group) matched"),
    _f("regexp_replace", "TEXT PATTERN TEXT FLAGS?", TEXT, "with the first match of a regular expression replaced, with 'g' every one", size=_REPLACED_MATCHES),
    _f("regexp_matches", "TEXT PATTERN", BOOLEAN, "a regular expression matches somewhere, as ~ does", aliases=("regexp_like",)),
    _f("regexp_full_match", "TEXT PATTERN", BOOLEAN, "a regular expression matches the whole text"),
    _f("regexp_extract_all", "TEXT PATTERN GROUP?", TEXTS, "all that a regular expression (or its group) matched"),
    _f("regexp_split_to_array", "TEXT PATTERN", TEXTS, "the parts between matches of a regular expression", aliases=("string_split_regex",)),
    _f("regexp_count", "TEXT PATTERN", INTEGER, "how often a regular expression matches", "len(regexp_extract_all({0}, {1}))"),
    _f("starts_with", "TEXT TEXT", BOOLEAN, "begins with", aliases=("prefix",)),
    _f("ends_with", "TEXT TEXT", BOOLEAN, "ends with", "suffix({0}, {1})", aliases=("suffix",)),
    _f("levenshtein", "TEXT TEXT", INTEGER, "edit distance of two texts", aliases=("editdist3",), size=_COMPARED),
    _f("damerau_levenshtein", "TEXT TEXT", INTEGER, "edit distance where two exchanged letters are one edit", size=_COMPARED),
    _f("jaro_winkler_similarity", "TEXT TEXT", DOUBLE, "likeness of two texts, 0 to 1", size=_COMPARED),
    _f("jaccard", "TEXT TEXT", DOUBLE, "share of characters that two texts have in common"),
    _f("hamming", "TEXT TEXT", INTEGER, "places at which two texts of one length differ", aliases=("mismatches",)),
    # Half of the 64 bits' range, so that it is a number like others.
    _f("hash", "ANY...", INTEGER, "a number for values, to group or join by in place of long texts; only equal ones are sure to have the same, and other releases give others", "CAST(hash({all}) >> 1 AS BIGINT)"),
    _f("md5", "TEXT", TEXT, "MD5 digest, hexadecimal"),
    _f("sha1", "TEXT", TEXT, "SHA-1 digest, hexadecimal"),
    _f("sha256", "TEXT", TEXT, "SHA-256 digest, hexadecimal"),
    _f("hex", "TEXT|INTEGER", TEXT, "in hexadecimal digits", aliases=("to_hex",)),
    _f("bin", "TEXT|INTEGER", TEXT, "in binary digits"),
    _f("format_bytes", "INTEGER", TEXT, "a number of bytes with its unit", aliases=("pg_size_pretty",)),
    _f("bar", "DOUBLE DOUBLE DOUBLE WIDTH?", TEXT, "a bar for a number between two others, of a width"),
    # Numbers
    _f("abs", "DOUBLE", "=0", "without sign"),
    _f("round", "DOUBLE DIGITS?", DOUBLE, "rounded to a number of decimals"),
    _f("floor", "DOUBLE", DOUBLE, "the whole number below"),
    _f("ceil", "DOUBLE", DOUBLE, "the whole number above", aliases=("ceiling",)),
    _f("trunc", "DOUBLE", DOUBLE, "without what is behind the point"),
    _f("exp", "DOUBLE", DOUBLE, "e raised to a power"),
    _f("cbrt", "DOUBLE", DOUBLE, "cubic root"),
    _f("pi", "", DOUBLE, "3.14159..."),
    _f("degrees", "DOUBLE", DOUBLE, "an angle in degrees"),
    _f("radians", "DOUBLE", DOUBLE, "an angle in radians"),
    _f("sin", "DOUBLE", DOUBLE, "sine"),
    _f("cos", "DOUBLE", DOUBLE, "cosine"),
    _f("tan", "DOUBLE", DOUBLE, "tangent"),
    _f("asin", "DOUBLE", DOUBLE, "angle of a sine; NULL outside -1 to 1", "CASE WHEN {0} BETWEEN -1 AND 1 THEN asin({0}) END"),
    _f("acos", "DOUBLE", DOUBLE, "angle of a cosine; NULL outside -1 to 1", "CASE WHEN {0} BETWEEN -1 AND 1 THEN acos({0}) END"),
    _f("atan", "DOUBLE", DOUBLE, "angle of a tangent"),
    _f("atan2", "DOUBLE DOUBLE", DOUBLE, "angle of a point: y, x"),
    _f("sqrt", "DOUBLE", DOUBLE, "square root; NULL below zero", "CASE WHEN {0} >= 0 THEN sqrt({0}) END"),
    _f("ln", "DOUBLE", DOUBLE, "natural logarithm; NULL unless above zero", "CASE WHEN {0} > 0 THEN ln({0}) END"),
    _f("log10", "DOUBLE", DOUBLE, "decimal logarithm; NULL unless above zero", "CASE WHEN {0} > 0 THEN log10({0}) END", aliases=("log",)),
    _f("log2", "DOUBLE", DOUBLE, "binary logarithm; NULL unless above zero", "CASE WHEN {0} > 0 THEN log2({0}) END"),
    _f("power", "DOUBLE DOUBLE", DOUBLE, "raised to a power", aliases=("pow",)),
    _f("sign", "DOUBLE", INTEGER, "-1, 0 or 1"),
    _f("mod", "DOUBLE DOUBLE", "=0", "remainder; NULL for a division by zero", fault="zero"),
    _f("gcd", "INTEGER INTEGER", INTEGER, "greatest common divisor", aliases=("greatest_common_divisor",)),
    _f("lcm", "INTEGER INTEGER", INTEGER, "least common multiple", aliases=("least_common_multiple",)),
    _f("factorial", "INTEGER", INTEGER, "factorial", "CAST(factorial(CAST({0} AS INTEGER)) AS BIGINT)"),
    _f("bit_count", "INTEGER", INTEGER, "number of bits that are set"),
    _f("isnan", "DOUBLE", BOOLEAN, "not a number"),
    _f("isinf", "DOUBLE", BOOLEAN, "infinite"),
    _f("isfinite", "DOUBLE", BOOLEAN, "neither infinite nor NaN"),
    # Conditions
    _f("coalesce", "ANY...", "=0", "the first that is not NULL"),
    _f("nullif", "ANY ANY", "=0", "NULL if both are equal, else the first", "CASE WHEN {0} = {1} THEN NULL ELSE {0} END"),
    _f("ifnull", "ANY ANY", "=0", "the second if the first is NULL"),
    _f("greatest", "ANY...", "=0", "the largest"),
    _f("least", "ANY...", "=0", "the smallest"),
    _f("if", "BOOLEAN ANY ANY", "=1", "the second if the first is true, else the third", "CASE WHEN {0} THEN {1} ELSE {2} END"),
    # Lists
    _f("len", "TEXT|LIST", INTEGER, "length of a list or text", aliases=("array_length",)),
    _f("list_contains", "LIST ANY", BOOLEAN, "the list holds the value", aliases=("array_contains", "has")),
    _f("list_position", "LIST ANY", INTEGER, "where the list holds the value, from 1", aliases=("array_position", "list_indexof")),
    _f("list_distinct", "LIST", "=0", "without repeats, in no order", aliases=("array_distinct",)),
    _f("list_sort", "LIST", "=0", "in order", aliases=("array_sort",)),
    _f("list_reverse_sort", "LIST", "=0", "in order, the largest first", aliases=("array_reverse_sort",)),
    _f("list_reverse", "LIST", "=0", "backwards", aliases=("array_reverse",)),
    _f("list_slice", "LIST INTEGER INTEGER", "=0", "from a place to another, as list[i:j]", aliases=("array_slice",)),
    _f("list_extract", "LIST INTEGER", ITEM, "the item at a place, as list[i]", aliases=("list_element", "array_extract")),
    _f("list_first", "LIST", ITEM, "the first item"),
    _f("list_last", "LIST", ITEM, "the last item"),
    _f("list_append", "LIST ANY", "=0", "with a value at the end", aliases=("array_append",)),
    _f("list_concat", "LIST LIST", "=0", "two lists in a row", aliases=("array_cat", "array_concat")),
    _f("list_intersect", "LIST LIST", "=0", "what both hold, in no order", aliases=("array_intersect",)),
    _f("list_has_any", "LIST LIST", BOOLEAN, "both hold some value", aliases=("array_has_any",)),
    _f("list_has_all", "LIST LIST", BOOLEAN, "the first holds all values of the second", aliases=("array_has_all",)),
    _f("list_unique", "LIST", INTEGER, "number of different values", aliases=("array_unique",)),
    _f("list_count", "LIST", INTEGER, "number of values that are not NULL"),
    _f("list_sum", "NUMBERS", ITEM, "sum of the items"),
    _f("list_avg", "NUMBERS", DOUBLE, "mean of the items"),
    _f("list_min", "LIST", ITEM, "smallest item"),
    _f("list_max", "LIST", ITEM, "largest item"),
    _f("flatten", "LISTS", ITEM, "the items of the lists in a list"),
    _f("generate_series", "INTEGER|TIMESTAMP|DATE INTEGER|TIMESTAMP|DATE? STEP?", LISTED, "from a number (or 0) or time to another, by a step"),
    _f("range", "INTEGER|TIMESTAMP|DATE INTEGER|TIMESTAMP|DATE? STEP?", LISTED, "as generate_series, without the end"),
    _f("map_keys", "MAP", "LIST", "the values that a histogram counts"),
    _f("map_values", "MAP", "INTEGER[]", "the counts of a histogram"),
    _f("cardinality", "MAP", INTEGER, "how many values a histogram counts"),
    _f("array_to_string", "LIST SEPARATOR", TEXT, "the items joined with a separator", "CASE WHEN len({0}) = 0 THEN '' ELSE list_aggr(CAST({0} AS VARCHAR[]), 'string_agg', {1}) END", size="len({0}) * (strlen({1}) - 16)"),
    _f("unnest", "LIST", ITEM, "a row for each item"),
    # Time
    _f("now", "", TIMESTAMP, "this moment, UTC", "$now", aliases=("current_timestamp", "get_current_timestamp", "localtimestamp", "transaction_timestamp")),
    _f("current_date", "", "DATE", "today, UTC", "CAST($now AS DATE)", aliases=("today",)),
    _f("ago", "INTERVAL", TIMESTAMP, "that long before now: AGO('2 weeks')", "($now - CAST({0} AS INTERVAL))", fault="null"),
    _f("date_trunc", "PART TIMESTAMP", TIMESTAMP, "the beginning of the year, quarter, month, week, day, hour, ...", "CAST(date_trunc({0}, {1}) AS TIMESTAMP)", fault="null", aliases=("datetrunc",)),
    _f("date_part", "PART TIMESTAMP", INTEGER, "the year, month, day, hour, dow, ... as a number", aliases=("datepart",)),
    _f("date_diff", "PART TIMESTAMP TIMESTAMP", INTEGER, "number of boundaries between two times", aliases=("datediff",)),
    _f("date_sub", "PART TIMESTAMP TIMESTAMP", INTEGER, "number of whole parts between two times", aliases=("datesub",)),
    _f("date_add", "TIMESTAMP INTERVAL", TIMESTAMP, "a time and an interval after it", "({0} + CAST({1} AS INTERVAL))", fault="null"),
    _f("age", "TIMESTAMP TIMESTAMP", "INTERVAL", "years, months and days from the second to the first"),
    _f("time_bucket", "INTERVAL TIMESTAMP", TIMESTAMP, "the beginning of the interval that holds the time", "time_bucket(CAST({0} AS INTERVAL), CAST({1} AS TIMESTAMP))", fault="null"),
    _f("strftime", "TIMESTAMP FORMAT", TEXT, "formatted: strftime(author_date, '%Y-%m')"),
    _f("strptime", "TEXT FORMAT", TIMESTAMP, "the time that a text is in a format; an offset is turned to UTC", "CAST(strptime({0}, {1}) AS TIMESTAMP)"),
    _f("try_strptime", "TEXT FORMAT", TIMESTAMP, "as strptime, NULL where the text is not in the format", "CAST(try_strptime({0}, {1}) AS TIMESTAMP)", fault="null"),
    _f("make_date", "INTEGER INTEGER INTEGER", "DATE", "of year, month and day"),
    _f("make_timestamp", "INTEGER INTEGER INTEGER INTEGER INTEGER DOUBLE", TIMESTAMP, "of year, month, day, hour, minute, second"),
    _f("to_timestamp", "DOUBLE", TIMESTAMP, "of seconds since 1970", "make_timestamp(CAST(CAST({0} AS DOUBLE) * 1000000 AS BIGINT))", fault="null"),
    _f("last_day", "TIMESTAMP", "DATE", "the last day of the month"),
    _f("year", "TIMESTAMP", INTEGER, "the year"),
    _f("quarter", "TIMESTAMP", INTEGER, "the quarter, 1 to 4"),
    _f("month", "TIMESTAMP", INTEGER, "the month, 1 to 12"),
    _f("week", "TIMESTAMP", INTEGER, "the ISO week", aliases=("weekofyear",)),
    _f("isoyear", "TIMESTAMP", INTEGER, "the year that the ISO week is of"),
    _f("yearweek", "TIMESTAMP", INTEGER, "ISO year and week: 202407"),
    _f("day", "TIMESTAMP", INTEGER, "the day of the month", aliases=("dayofmonth",)),
    _f("dayofyear", "TIMESTAMP", INTEGER, "the day of the year"),
    _f("dayofweek", "TIMESTAMP", INTEGER, "the day of the week, Sunday 0 to Saturday 6", aliases=("weekday",)),
    _f("isodow", "TIMESTAMP", INTEGER, "the day of the week, Monday 1 to Sunday 7"),
    _f("hour", "TIMESTAMP", INTEGER, "the hour"),
    _f("minute", "TIMESTAMP", INTEGER, "the minute"),
    _f("second", "TIMESTAMP", INTEGER, "the second"),
    _f("dayname", "TIMESTAMP", TEXT, "name of the week day"),
    _f("monthname", "TIMESTAMP", TEXT, "name of the month"),
    _f("epoch", "TIMESTAMP", INTEGER, "seconds since 1970", "CAST(epoch({0}) AS BIGINT)"),
    _f("epoch_ms", "TIMESTAMP", INTEGER, "milliseconds since 1970"),
    _f("local", "TIMESTAMP INTEGER", TIMESTAMP, "the person's own clock: LOCAL(author_date, author_tz)", "({0} + to_minutes(TRY_CAST({1} AS INTEGER)))", fault="null"),
    # Aggregates
    _f("count", "ANY?", INTEGER, "number of rows, or of values that are not NULL", kind="aggregate"),
    _f("sum", "DOUBLE", "=0", "sum", kind="aggregate"),
    _f("avg", "DOUBLE", DOUBLE, "mean", kind="aggregate", aliases=("mean",)),
    _f("count_if", "BOOLEAN", INTEGER, "number of rows for which it is true", "count(CASE WHEN {0} THEN 1 END)", kind="aggregate", aliases=("countif",)),
    _f("min", "ANY COUNT?", "=0", "smallest; with a number a list of so many", kind="aggregate"),
    _f("max", "ANY COUNT?", "=0", "largest; with a number a list of so many", kind="aggregate"),
    _f("product", "DOUBLE", DOUBLE, "all multiplied", kind="aggregate"),
    _f("geomean", "DOUBLE", DOUBLE, "geometric mean of what is above zero", "geomean(CASE WHEN {0} > 0 THEN {0} END)", kind="aggregate", aliases=("geometric_mean",)),
    _f("median", "ANY", "=0", "the one in the middle", kind="aggregate"),
    _f("mode", "ANY", "=0", "the most frequent", kind="aggregate"),
    _f("quantile", "ANY SHARE", "=0", "the value below which a share lies", "quantile_disc({0}, {1})", kind="aggregate", aliases=("quantile_disc",)),
    _f("quantile_cont", "DOUBLE SHARE", DOUBLE, "as quantile, between two values where it falls there", kind="aggregate"),
    _f("approx_quantile", "DOUBLE SHARE", DOUBLE, "about the value below which a share lies", "approx_quantile(CAST({0} AS DOUBLE), CAST({1} AS FLOAT))", kind="aggregate"),
    _f("mad", "DOUBLE", DOUBLE, "median of the distances from the median", kind="aggregate"),
    _f("histogram", "SOME", "MAP", "how often each value occurs", kind="aggregate"),
    _f("entropy", "ANY", DOUBLE, "entropy of the values, in bits", kind="aggregate"),
    _f("kurtosis", "DOUBLE", DOUBLE, "excess kurtosis", kind="aggregate"),
    _f("skewness", "DOUBLE", DOUBLE, "skewness", kind="aggregate"),
    _f("stddev", "DOUBLE", DOUBLE, "standard deviation of a sample", kind="aggregate", aliases=("stddev_samp",)),
    _f("stddev_pop", "DOUBLE", DOUBLE, "standard deviation of all there is", kind="aggregate"),
    _f("variance", "DOUBLE", DOUBLE, "variance of a sample", kind="aggregate", aliases=("var_samp",)),
    _f("var_pop", "DOUBLE", DOUBLE, "variance of all there is", kind="aggregate"),
    _f("corr", "DOUBLE DOUBLE", DOUBLE, "correlation", kind="aggregate"),
    _f("covar_pop", "DOUBLE DOUBLE", DOUBLE, "covariance of all there is", kind="aggregate"),
    _f("covar_samp", "DOUBLE DOUBLE", DOUBLE, "covariance of a sample", kind="aggregate"),
    _f("regr_slope", "DOUBLE DOUBLE", DOUBLE, "slope of the line through y, x", kind="aggregate"),
    _f("regr_intercept", "DOUBLE DOUBLE", DOUBLE, "where the line through y, x meets the axis", kind="aggregate"),
    _f("regr_r2", "DOUBLE DOUBLE", DOUBLE, "how well the line through y, x fits", kind="aggregate"),
    _f("regr_count", "DOUBLE DOUBLE", INTEGER, "number of pairs without NULL", kind="aggregate"),
    _f("bit_and", "INTEGER", INTEGER, "bits set in all", kind="aggregate"),
    _f("bit_or", "INTEGER", INTEGER, "bits set in any", kind="aggregate"),
    _f("bit_xor", "INTEGER", INTEGER, "bits set in an odd number", kind="aggregate"),
    _f("first", "ANY", "=0", "the first by ORDER BY, NULL or not", kind="aggregate", aliases=("arbitrary",)),
    _f("last", "ANY", "=0", "the last by ORDER BY, NULL or not", kind="aggregate"),
    _f("any_value", "ANY", "=0", "some value", kind="aggregate"),
    _f("arg_max", "ANY ANY COUNT?", "=0", "the first where the second is largest; with a number a list of so many", kind="aggregate", aliases=("argmax", "max_by")),
    _f("arg_min", "ANY ANY COUNT?", "=0", "the first where the second is smallest; with a number a list of so many", kind="aggregate", aliases=("argmin", "min_by")),
    _f("string_agg", "TEXT SEPARATOR?", TEXT, "joined with a separator, a comma if none is given", kind="aggregate", aliases=("group_concat", "listagg")),
    _f("list", "ANY", LISTED, "all values as a list", kind="aggregate", aliases=("array_agg",)),
    _f("approx_count_distinct", "ANY", INTEGER, "about how many different values", kind="aggregate"),
    _f("approx_top_k", "ANY COUNT", LISTED, "about the most frequent values", kind="aggregate"),
    _f("bool_and", "BOOLEAN", BOOLEAN, "true for all", kind="aggregate", aliases=("every",)),
    _f("bool_or", "BOOLEAN", BOOLEAN, "true for any", kind="aggregate"),
    _f("grouping", "ANY...", INTEGER, "which keys a grouping set leaves out: a bit for each, the last is 1", kind="aggregate"),
    # Windows
    _f("row_number", "", INTEGER, "number of the row in its window", kind="window"),
    _f("rank", "", INTEGER, "rank with gaps", kind="window"),
    _f("dense_rank", "", INTEGER, "rank without gaps", kind="window"),
    _f("percent_rank", "", DOUBLE, "rank from 0 to 1", kind="window"),
    _f("cume_dist", "", DOUBLE, "share of rows that come no later", kind="window"),
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
    _f("match_offsets", "COLUMN", "LIST", "where highlight would mark: [start, end) in code points, from 0", kind="text"),
    _f("snippet_offsets", "COLUMN INTEGER?", "LIST", "where snippet cuts: [start, end) in code points, from 0", kind="text"),
    # Commit graph
    _f("in_range", "ALIAS? PATTERN", BOOLEAN, "in git's revision range: 'a..b', 'a...b', '^x y'", kind="graph"),
    _f("reachable_from", "ALIAS? PATTERN", BOOLEAN, "the revision, or an ancestor of it", kind="graph"),
    _f("ancestor_of", "ALIAS? PATTERN", BOOLEAN, "an ancestor of the revision, which is one of itself", kind="graph"),
    _f("descendant_of", "ALIAS? PATTERN", BOOLEAN, "the revision is an ancestor, of itself too: git tag --contains", kind="graph"),
    _f("history_of", "ALIAS? PATTERN", BOOLEAN, "in the history of the path through its renames, before and after", kind="graph"),
    _f("is_ancestor", "TEXT TEXT", BOOLEAN, "the first commit is an ancestor of the second, or the same one", kind="graph"),
    _f("merge_base", "TEXT TEXT", TEXT, "hash of the best common ancestor, NULL without one", kind="graph"),
    _f("resolve", "TEXT", TEXT, "full hash of the commit that a revision names", kind="graph"),
    _f("first_tag", "TEXT PATTERN?", TEXT, "oldest tag with a version that contains the commit; a glob chooses tags", kind="graph"),
)  # fmt: skip

_FUNCTIONS: Final = {name: f for f in FUNCTIONS for name in (f.name, *f.aliases)}


def function(name: str) -> Function | None:
    """Returns the function of that name or alias in any case, or None."""
    return _FUNCTIONS.get(name.lower())
