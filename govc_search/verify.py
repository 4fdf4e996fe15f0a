"""Compares log, table and text index, and names every difference."""

from __future__ import annotations

from collections.abc import Callable

from govc_search.indexer.pipeline import Progress
from govc_search.indexer.text import TextIndex
from govc_search.store.log import Log
from govc_search.store.table import Table

__all__ = ["differences"]

_SHOWN = 20


def differences(
    log: Log, table: Table, text: TextIndex, progress: Callable[[Progress], None] | None = None
) -> list[str]:
    """Returns the differences, a sentence each; none means that all agree.

    Every frame of the log is read and checked, the table is made again from it in memory and
    compared by content, and the text index must hold exactly the keys that the table holds.
    """
    tell = progress or (lambda _: None)
    out: list[str] = []
    report = log.verify(lambda done, total: tell(Progress("log", done, total, "bytes")))
    out += report.damage
    if out:
        # What the views should hold is not known where the log cannot be read.
        return out
    for name, checkpoint in (("table", table.checkpoint), ("text index", text.checkpoint)):
        if checkpoint != report.last:
            out.append(f"the {name} stands at position {checkpoint}, the log at {report.last}")
    with Table.in_memory() as again:
        applied = 0
        for entries in log.read(0):
            again.apply(applied, entries)
            applied = entries[-1].last
            tell(Progress("table", applied, report.last, "records"))
        again.commit()
        expected, found = again.digest(content=True), table.digest(content=True)
    for name in sorted(expected):
        if expected[name][0] != found[name][0]:
            out.append(f"table {name} has {found[name][0]} rows, the log gives {expected[name][0]}")
        elif expected[name][1] != found[name][1]:
            out.append(f"table {name} has the right number of rows, but other content than the log")
    tell(Progress("text", 0, None, "documents"))
    for part, sql in (
        ("commits", "SELECT position AS id FROM commits"),
        ("changes", "SELECT change_id AS id FROM changes"),
    ):
        cursor = table.cursor()
        try:
            wanted = set(cursor.query(sql).column(0).to_pylist())
        finally:
            cursor.close()
        held = text.keys(part)
        missing = sorted(wanted - set(held))
        extra = sorted(set(held) - wanted)
        if len(held) != len(set(held)):
            out.append(f"text index {part} holds {len(held) - len(set(held))} documents twice")
        for what, ids in (("lacks", missing), ("has besides", extra)):
            if ids:
                shown = ", ".join(map(str, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")
                out.append(f"text index {part} {what} {len(ids)} documents: {shown}")
    return out
