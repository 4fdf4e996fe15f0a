"""Compares log, table and text index, and names every difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search.errors import StoreError
from govc_search.indexer.pipeline import Progress
from govc_search.indexer.text import TextIndex
from govc_search.indexer.views import gathered
from govc_search.store.log import Log
from govc_search.store.table import Table

__all__ = ["differences"]

Ids = npt.NDArray[np.uint64]

_SHOWN = 20
# Changes whose lines are in memory at once.
_GROUP = 4096


def differences(
    log: Log,
    table: Table,
    text: TextIndex,
    scratch: tuple[Path, int],
    progress: Callable[[Progress], None] | None = None,
) -> list[str]:
    """Returns the differences, a sentence each; none means that all agree.

    Every frame of the log is read and checked; the table is made again from it and compared row
    by row; the text index must hold exactly the documents that the table holds, and the lines
    beside it the same lines. `scratch` is a directory to make the second table in, which the
    caller removes, and the memory it may take.
    """
    tell = progress or (lambda _: None)
    report = log.verify(lambda done, total: tell(Progress("log", done, total, "bytes")))
    if report.damage:
        # What the views should hold is not known where the log cannot be read.
        return list(report.damage)
    out = [
        f"the {name} stands at position {checkpoint}, the log at {report.last}"
        for name, checkpoint in (("table", table.checkpoint), ("text index", text.checkpoint))
        if checkpoint != report.last
    ]
    tell(Progress("text", 0, None, "documents"))
    broken = text.damage()
    out += broken
    try:
        out += _table(
            log, table, scratch, lambda n: tell(Progress("table", n, report.last, "records"))
        )
        if not broken:
            out += _text(table, text, tell)
    except StoreError as error:
        # What cannot be read cannot be compared.
        out.append(error.message)
    return out


def _text(table: Table, text: TextIndex, tell: Callable[[Progress], None]) -> Iterator[str]:
    for part, sql in (
        ("commits", "SELECT position FROM commits"),
        ("changes", "SELECT change_id FROM changes"),
    ):
        yield from _documents(f"text index {part}", _ids(table, sql), text.keys(part))
    yield from _messages(table, text, tell)
    yield from _lines(table, text, tell)


def _table(
    log: Log, table: Table, scratch: tuple[Path, int], tell: Callable[[int], None]
) -> Iterator[str]:
    with Table.open(*scratch) as again:
        applied = 0
        for entries in gathered(log.read(0)):
            again.apply(applied, entries)
            applied = entries[-1].last
            tell(applied)
        again.commit()
        expected, found = again.digest(), table.digest()
    for name, (rows, checksum) in sorted(expected.items()):
        if found[name][0] != rows:
            yield f"table {name} has {found[name][0]} rows, the log gives {rows}"
        elif found[name][1] != checksum:
            yield f"table {name} has the right number of rows, but other content than the log"


def _documents(name: str, wanted: Ids, keys: list[int]) -> Iterator[str]:
    held = np.sort(np.array(keys, np.uint64))
    twice = held[1:][held[1:] == held[:-1]]
    for what, ids in (
        ("lacks", np.setdiff1d(wanted, held)),
        ("has besides", np.setdiff1d(held, wanted)),
        ("has twice", np.unique(twice)),
    ):
        if len(ids):
            yield f"{name} {what} {len(ids)} documents: {_some(ids)}"


def _messages(table: Table, text: TextIndex, tell: Callable[[Progress], None]) -> Iterator[str]:
    ids = _ids(table, "SELECT position FROM commits")
    wrong: list[int] = []
    for start in range(0, len(ids), _GROUP):
        tell(Progress("messages", start, len(ids), "commits"))
        group = ids[start : start + _GROUP]
        last = int(group[-1])
        try:
            held = text.messages(group).to_pylist()
        except StoreError as error:
            yield f"among commits {int(group[0])} to {last}: {error}"
            continue
        rows = _query(
            table,
            "SELECT message FROM commits WHERE position BETWEEN $a AND $b ORDER BY position",
            a=int(group[0]),
            b=last,
        )
        expected = rows.column(0).to_pylist()
        wrong += [i for i, a, b in zip(group.tolist(), expected, held, strict=True) if a != b]
    if wrong:
        yield f"other messages than the table has beside {len(wrong)} commits: {_some(wrong)}"


def _lines(table: Table, text: TextIndex, tell: Callable[[Progress], None]) -> Iterator[str]:
    ids = _ids(table, "SELECT change_id FROM changes")
    wrong: list[int] = []
    for start in range(0, len(ids), _GROUP):
        tell(Progress("lines", start, len(ids), "changes"))
        group = ids[start : start + _GROUP]
        try:
            removed, added = text.lines(group)
        except StoreError as error:
            last = int(group[-1])
            yield f"among changes {int(group[0])} to {last}: {error}"
            continue
        rows = _query(
            table,
            "SELECT change_id, string_agg(removed, chr(10) ORDER BY hunk) AS removed,"
            " string_agg(added, chr(10) ORDER BY hunk) AS added FROM hunks"
            " WHERE change_id BETWEEN $a AND $b GROUP BY change_id",
            a=int(group[0]),
            b=int(group[-1]),
        )
        expected = {row["change_id"]: (row["removed"], row["added"]) for row in rows.to_pylist()}
        for change, minus, plus in zip(group.tolist(), removed, added, strict=True):
            held = tuple(None if t is None else t.decode("utf-8", "replace") for t in (minus, plus))
            if expected.get(change, (None, None)) != held:
                wrong.append(change)
    if wrong:
        yield f"other lines than the table has beside {len(wrong)} changes: {_some(wrong)}"


def _ids(table: Table, sql: str) -> Ids:
    ids: Ids = np.sort(_query(table, sql).column(0).to_numpy())
    return ids


def _query(table: Table, sql: str, **parameters: int) -> pa.Table:
    with table.cursor() as cursor:
        return cursor.query(sql, parameters)


def _some(ids: Ids | list[int]) -> str:
    return ", ".join(str(i) for i in ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
