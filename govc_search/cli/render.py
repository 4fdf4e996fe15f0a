"""Results as bytes: table, json, ndjson, csv, tsv, markdown, parquet, arrow.

Text is made column by column with Arrow, so that a large result costs little more than its
bytes. Instants are ISO 8601 in UTC with a "Z", intervals are ISO 8601 durations, lists and
structures are JSON, in every text format.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from govc_search.cli.table import Column, draw_table
from govc_search.cli.terminal import HARMFUL, Target, escape
from govc_search.errors import UsageError

__all__ = ["FORMATS", "Rows", "binary_to_terminal", "format_of", "is_binary", "render", "texts"]

_ROWS: Final = 16_384
# What Parquet keeps together: so many rows, or bytes.
_GROUP_ROWS: Final = 1 << 16
_GROUP_BYTES: Final = 16 << 20


class Rows(Protocol):
    """Rows to write, batch by batch: a stream, or the reader of a table."""

    @property
    def schema(self) -> pa.Schema:
        """Returns names and types of the columns."""

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


def texts(column: pa.Array) -> pa.Array:
    """Returns a column as text, one value a row, nulls kept."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return texts(column.dictionary_decode())
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            column = column.cast(pa.timestamp(kind.unit, "UTC")).cast(pa.timestamp(kind.unit))
        stamped = pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
        return pc.replace_substring_regex(stamped, r"(?:\.0+|(\.\d*?[1-9])0*)?$", r"\1Z")
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if _is_python_only(kind):
        return pa.array([None if v is None else _plain(v) for v in column.to_pylist()], pa.string())
    return column.cast(pa.large_string() if pa.types.is_large_string(kind) else pa.string())


def _is_python_only(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_nested(kind)
        or pa.types.is_interval(kind)
        or pa.types.is_duration(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _plain(value: Any) -> str:
    """Returns a value without a text of its own in Arrow as text: JSON, or what stands in it."""
    encoded = _json(value)
    return encoded[1:-1] if encoded.startswith('"') else encoded


def _json(value: Any) -> str:
    return _guard(json.dumps(_jsonable(value), ensure_ascii=False, separators=(", ", ": ")))


def _jsonable(value: Any) -> Any:
    match value:
        case pa.MonthDayNano():
            return _duration(value.months, value.days, value.nanoseconds)
        case timedelta():
            micros = value // timedelta(microseconds=1)
            return _duration(0, 0, micros * 1000)
        case datetime():
            return value.replace(tzinfo=None).isoformat() + "Z"
        case date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {str(k): _jsonable(v) for k, v in value.items()}
        case list() | tuple():
            return [_jsonable(v) for v in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _duration(months: int, days: int, nanoseconds: int) -> str:
    """Returns an interval as an ISO 8601 duration, such as `P1Y2M3DT4H5M6.5S`."""
    out = "P"
    for unit, n in (("Y", int(months / 12)), ("M", months - int(months / 12) * 12), ("D", days)):
        if n:
            out += f"{n}{unit}"
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    clock = ""
    for unit, n in (("H", seconds // 3600), ("M", seconds // 60 % 60)):
        if n:
            clock += f"{sign}{n}{unit}"
    if seconds % 60 or fraction:
        digits = f".{fraction:09d}".rstrip("0") if fraction else ""
        clock += f"{sign}{seconds % 60}{digits}S"
    if clock:
        return f"{out}T{clock}"
    return out if len(out) > 1 else "PT0S"


# In JSON a harmful character may always stand as \uXXXX: the same text, and safe to look at.
_JSON_HARMFUL: Final = re.compile(
    "[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]"
)


def _guard(encoded: str) -> str:
    return _JSON_HARMFUL.sub(lambda m: f"\\u{ord(m[0]):04x}", encoded)


def _safe(column: pa.Array, *, lines: bool = False) -> pa.Array:
    """Returns a text column with harmful characters escaped; the same array where there are none."""
    found = pc.match_substring_regex(column, HARMFUL)
    if not pc.any(found).as_py():
        return column
    return pa.array(
        [None if v is None else escape(v, lines=lines) for v in column.to_pylist()],
        pa.large_string(),
    )


def _batches(rows: Rows) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        for start in range(0, batch.num_rows, _ROWS):
            yield batch.slice(start, _ROWS)


def _distinct_names(schema: pa.Schema) -> list[str]:
    """Returns the column names, a repeated one with its ordinal, as keys have to be."""
    names: list[str] = []
    taken = set(schema.names)
    seen: set[str] = set()
    for name in schema.names:
        unique, n = name, 1
        while unique in seen or (n > 1 and unique in taken):
            n += 1
            unique = f"{name}_{n}"
        seen.add(unique)
        names.append(unique)
    return names


# JSON


def _json_values(column: pa.Array) -> list[str]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ["null" if v is None else _guard(_encode_text(v)) for v in column.to_pylist()]
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return ["null" if v is None else str(v) for v in texts(column).to_pylist()]
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return ["null" if v is None else f'"{v}"' for v in texts(column).to_pylist()]
    return ["null" if v is None else _json(v) for v in column.to_pylist()]


_encode_text: Final = json.encoder.encode_basestring


def _json_rows(rows: Rows) -> Iterator[list[str]]:
    """Yields the rows as JSON objects, a list a batch."""
    keys = [_guard(_encode_text(name)) for name in _distinct_names(rows.schema)]
    for batch in _batches(rows):
        columns = [
            [f"{key}: {value}" for value in _json_values(column)]
            for key, column in zip(keys, batch.columns, strict=True)
        ]
        yield ["{" + ", ".join(row) + "}" for row in zip(*columns, strict=True)]


def _write_json(rows: Rows, target: Target) -> None:
    opening = "[\n"
    for objects in _json_rows(rows):
        if objects:
            target.text(opening + ",\n".join(objects))
            opening = ",\n"
    target.text("[]\n" if opening == "[\n" else "\n]\n")


def _write_ndjson(rows: Rows, target: Target) -> None:
    for objects in _json_rows(rows):
        target.text("".join(f"{one}\n" for one in objects))


# Separated values


def _write_lines(
    rows: Rows, target: Target, cell: Callable[[pa.Array], pa.Array], separator: str, end: str
) -> None:
    names = pa.array(rows.schema.names, pa.large_string())
    target.text(separator.join(_cells(names, target, cell).to_pylist()) + end)
    for batch in _batches(rows):
        columns = [_cells(texts(c), target, cell) for c in batch.columns]
        if columns and batch.num_rows:
            joined = pc.binary_join_element_wise(*columns, _large(separator)).to_pylist()
            target.text(end.join(joined) + end)


def _cells(column: pa.Array, target: Target, cell: Callable[[pa.Array], pa.Array]) -> pa.Array:
    column = column.cast(pa.large_string())
    # To a file or a pipe goes the truth; only a terminal has to be protected.
    return cell(_safe(column, lines=True) if target.terminal else column)


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _csv_cell(column: pa.Array) -> pa.Array:
    """Returns cells as RFC 4180 has them; null is empty, an empty text is two quotes."""
    quoted = pc.replace_substring(column, '"', '""')
    quote = _large('"')
    quoted = pc.binary_join_element_wise(quote, quoted, quote, _large(""))
    needed = pc.match_substring_regex(column, r'[",\r\n]|^$|^ | $')
    return pc.fill_null(pc.if_else(needed, quoted, column), "")


def _csv_only_cell(column: pa.Array) -> pa.Array:
    return _csv_cell(pc.fill_null(column, ""))


_TSV_ESCAPES: Final = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def _tsv_cell(column: pa.Array) -> pa.Array:
    for char, replacement in _TSV_ESCAPES:
        column = pc.replace_substring(column, char, replacement)
    return pc.fill_null(column, "\\N")


def _write_csv(rows: Rows, target: Target) -> None:
    # The null of a lone column would be an empty line, which readers skip.
    cell = _csv_cell if len(rows.schema) > 1 else _csv_only_cell
    _write_lines(rows, target, cell, ",", "\r\n")


def _write_tsv(rows: Rows, target: Target) -> None:
    _write_lines(rows, target, _tsv_cell, "\t", "\n")


# Markdown

# What Markdown would take for markup. An underscore inside a word is none.
_MARKUP: Final = re.compile(r"[\\`*\[\]<>|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def _markdown_cell(text: str | None) -> str:
    if text is None:
        return ""
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return "<br>".join(_MARKUP.sub(lambda m: "\\" + m[0], escape(line)) for line in lines)


def _write_markdown(rows: Rows, target: Target) -> None:
    target.text("| " + " | ".join(map(_markdown_cell, rows.schema.names)) + " |\n")
    rule = ("---:" if _is_number(f.type) else "---" for f in rows.schema)
    target.text("| " + " | ".join(rule) + " |\n")
    for batch in _batches(rows):
        columns = [map(_markdown_cell, texts(c).to_pylist()) for c in batch.columns]
        cells = zip(*columns, strict=True)
        target.text("".join("| " + " | ".join(row) + " |\n" for row in cells))


# Table


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _write_table(rows: Rows, target: Target) -> None:
    # How wide a column is depends on all of its cells.
    table = pa.Table.from_batches(list(rows), rows.schema)
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        cells = _safe(texts(column.combine_chunks()).cast(pa.large_string()))
        kind = column.type
        fixed = _is_number(kind) or pa.types.is_temporal(kind) or pa.types.is_boolean(kind)
        columns.append(
            Column(escape(name), cells.to_pylist(), right=_is_number(kind), fixed=bool(fixed))
        )
    draw_table(columns, table.num_rows, target)


# Binary


class _Sink(io.RawIOBase):
    """A target as a file to append to."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._write = target.write

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._write(bytes(data))
        return len(data)


def _write_parquet(rows: Rows, target: Target) -> None:
    import pyarrow.parquet as pq

    names = _distinct_names(rows.schema)
    # Parquet has no intervals.
    as_text = [_has_interval(f.type) for f in rows.schema]
    schema = pa.schema(
        (name, pa.string() if text else f.type)
        for name, text, f in zip(names, as_text, rows.schema, strict=True)
    )
    with pq.ParquetWriter(_Sink(target), schema, compression="zstd") as writer:
        group: list[pa.RecordBatch] = []
        for batch in rows:
            columns = [
                texts(c) if text else c for c, text in zip(batch.columns, as_text, strict=True)
            ]
            group.append(pa.RecordBatch.from_arrays(columns, schema=schema))
            if (
                sum(b.num_rows for b in group) >= _GROUP_ROWS
                or sum(b.nbytes for b in group) >= _GROUP_BYTES
            ):
                writer.write_table(pa.Table.from_batches(group))
                group.clear()
        if group:
            writer.write_table(pa.Table.from_batches(group))


def _has_interval(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return _has_interval(kind.value_type)
    return bool(pa.types.is_interval(kind) or pa.types.is_duration(kind))


def _write_arrow(rows: Rows, target: Target) -> None:
    names = _distinct_names(rows.schema)
    schema = pa.schema((n, f.type) for n, f in zip(names, rows.schema, strict=True))
    with pa.ipc.new_file(pa.PythonFile(_Sink(target), "w"), schema) as writer:
        for batch in rows:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))


FORMATS: Final[Mapping[str, Callable[[Rows, Target], None]]] = MappingProxyType(
    {
        "table": _write_table,
        "json": _write_json,
        "ndjson": _write_ndjson,
        "csv": _write_csv,
        "tsv": _write_tsv,
        "markdown": _write_markdown,
        "parquet": _write_parquet,
        "arrow": _write_arrow,
    }
)

_BINARY: Final = frozenset({"parquet", "arrow"})
_SUFFIXES: Final = MappingProxyType(
    {
        ".json": "json",
        ".ndjson": "ndjson",
        ".jsonl": "ndjson",
        ".csv": "csv",
        ".tsv": "tsv",
        ".md": "markdown",
        ".parquet": "parquet",
        ".arrow": "arrow",
        ".feather": "arrow",
    }
)


def format_of(suffix: str) -> str | None:
    """Returns the format that a file name's suffix stands for, or None."""
    return _SUFFIXES.get(suffix.lower())


def is_binary(format_: str) -> bool:
    """Returns whether a format is no text."""
    return format_ in _BINARY


def render(rows: Rows | pa.Table, format_: str, target: Target) -> None:
    """Writes rows in one of FORMATS; of all but `table` no more than some are in memory.

    Raises UsageError `binary_to_terminal` for parquet and arrow on a terminal.
    """
    if format_ in _BINARY and target.terminal:
        raise binary_to_terminal(format_)
    FORMATS[format_](rows.to_reader() if isinstance(rows, pa.Table) else rows, target)


def binary_to_terminal(format_: str) -> UsageError:
    """Returns the error that a format is no text for a terminal."""
    return UsageError(
        "binary_to_terminal",
        f"{format_} is no text for a terminal",
        hint="write it to a file with -o FILE, or into a pipe",
    )
