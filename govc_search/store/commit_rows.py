"""One commit as the tables hold it, with all that it changed."""

from __future__ import annotations

from typing import Any

from govc_search.store.cursor import Cursor

__all__ = ["commit_with_changes"]


def commit_with_changes(cursor: Cursor, position: int) -> dict[str, Any]:
    """Returns the row of a commit with a list of `changes`, and these with their `hunks`."""
    (commit,) = _rows(
        cursor, "SELECT * EXCLUDE (body_start) FROM commits WHERE position = $p", p=position
    )
    changes = _rows(
        cursor, "SELECT * FROM changes WHERE position = $p ORDER BY change_id", p=position
    )
    hunks = _rows(
        cursor, "SELECT * FROM hunks WHERE change_id BETWEEN $a AND $b ORDER BY change_id, hunk",
        a=position << 20, b=(position + 1 << 20) - 1,
    )  # fmt: skip
    for change in changes:
        change["hunks"] = [h for h in hunks if h["change_id"] == change["change_id"]]
    return {**commit, "changes": changes}


def _rows(cursor: Cursor, sql: str, **parameters: object) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = cursor.query(sql, parameters).to_pylist()
    return rows
