"""How answers are shown: the rows of a query, the hits of a search, commits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from govc_search.cli.listing import draw_commit, draw_hits
from govc_search.cli.output import Output
from govc_search.cli.render import Rows
from govc_search.cli.terminal import CLOSE, OPEN, escape

if TYPE_CHECKING:
    from govc_search import Result

__all__ = ["is_explain", "question", "show_commits", "show_hits", "show_rows"]

_EXPLAIN: Final = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*explain\b", re.DOTALL | re.IGNORECASE)


def is_explain(gql: str) -> bool:
    """Returns whether a query asks for its plan."""
    return _EXPLAIN.match(gql) is not None


def show_rows(gql: str, rows: Rows, output: Output) -> None:
    """Writes the rows of a query; a plan is lines of text where rows would be a table."""
    if output.format == "table" and is_explain(gql):
        with output.opened() as target:
            for batch in rows:
                lines = batch.column(0).to_pylist()
                target.text("".join(f"{escape(str(line))}\n" for line in lines))
    else:
        output.rows(rows)


def question(words: str, limit: int, output: Output) -> tuple[str, Mapping[str, object]]:
    """Returns the GQL and parameters of the search box, with marks where people look at the hits."""
    from govc_search.engine import to_gql

    marks = (OPEN, CLOSE) if output.is_listing else None
    return to_gql(words, limit, marks=marks, plain=marks is None)


def show_hits(result: Result, output: Output) -> None:
    """Writes the hits that `question` found."""
    hits = result.to_arrow()
    if output.is_listing:
        with output.opened() as target:
            draw_hits(hits, target)
    else:
        # A table is to be read: the short hash is enough.
        output.table(hits.drop_columns(["hash"]) if output.format == "table" else hits)


def show_commits(commits: Sequence[Mapping[str, Any]], output: Output) -> None:
    """Writes commits as `Engine.commit` returns them."""
    if output.format != "table":
        import pyarrow as pa

        output.table(pa.Table.from_pylist(list(commits)))
        return
    with output.opened() as target:
        for i, commit in enumerate(commits):
            if i:
                target.text("\n")
            draw_commit(commit, target)
