"""The table for people: aligned, and on a terminal no wider than it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

from govc_search.cli.terminal import Target, paint

__all__ = ["Column", "clip", "draw_table", "width"]

_GAP: Final = "  "
_NULL: Final = "NULL"
# Narrower than this a text says nothing: rows are then shown as records.
_NARROW: Final = 8
_ROWS: Final = 8_192


@dataclass(frozen=True, slots=True)
class Column:
    """A column to draw: its name and cells, escaped already; None is NULL.

    `right` aligns to the right; `fixed` says that a cell means nothing when it is cut.
    """

    name: str
    cells: Sequence[str | None]
    right: bool = False
    fixed: bool = False

    def natural(self) -> int:
        """Returns the width of the widest value, the name included."""
        return max([width(self.name), *map(width, self.cells)])


def width(text: str | None) -> int:
    """Returns how many cells of a terminal a text takes."""
    if text is None:
        return len(_NULL)
    # Nearly all text is ASCII, and then a length is a width.
    return len(text) if text.isascii() else cell_len(text)


def clip(text: str, room: int) -> str:
    """Returns the text in at most `room` cells, with an ellipsis where it was cut."""
    if width(text) <= room:
        return text
    return set_cell_size(text, room - 1).rstrip() + "…" if room > 0 else ""


def draw_table(columns: Sequence[Column], rows: int, target: Target) -> None:
    """Writes the columns as a table, or as records where the terminal is too narrow for one."""
    widths = [c.natural() for c in columns]
    if target.terminal:
        fitted = _fit(columns, widths, target.width)
        if fitted is None:
            _draw_records(columns, rows, target)
            return
        widths = fitted
    # A header may be cut as well: a number is never wider than its name has to be.
    heads = [
        _cell(c, c.name, w, last=_is_last(c, columns)) for c, w in zip(columns, widths, strict=True)
    ]
    target.text(_GAP.join(paint(h, "header", colour=target.colour) for h in heads).rstrip() + "\n")
    rule = _GAP.join(("─" if target.terminal else "-") * w for w in widths)
    target.text(paint(rule, "dim", colour=target.colour) + "\n")
    for start in range(0, rows, _ROWS):
        end = min(start + _ROWS, rows)
        drawn = [
            _draw_cells(c, c.cells[start:end], w, target, last=_is_last(c, columns))
            for c, w in zip(columns, widths, strict=True)
        ]
        target.text("".join(_GAP.join(row).rstrip(" ") + "\n" for row in zip(*drawn, strict=True)))


def _is_last(column: Column, columns: Sequence[Column]) -> bool:
    return column is columns[-1]


def _draw_cells(
    column: Column, cells: Sequence[str | None], room: int, target: Target, *, last: bool
) -> Iterator[str]:
    for cell in cells:
        if cell is None:
            shown = _cell(column, _NULL, room, last=last)
            yield paint(shown, "dim", colour=target.colour)
        else:
            yield _cell(column, cell, room, last=last)


def _cell(column: Column, text: str, room: int, *, last: bool) -> str:
    text = clip(text, room)
    pad = " " * (room - width(text))
    if column.right:
        return pad + text
    # Blanks at the end of a line are of no use to anybody.
    return text if last else text + pad


def _fit(columns: Sequence[Column], widths: list[int], room: int) -> list[int] | None:
    """Returns widths that fit the room, or None where they would be too narrow.

    Numbers and dates keep theirs; of the others the widest give first, down to one common cap.
    """
    room -= len(_GAP) * (len(columns) - 1)
    if sum(widths) <= room:
        return widths
    fixed = sum(w for c, w in zip(columns, widths, strict=True) if c.fixed)
    texts = sorted(w for c, w in zip(columns, widths, strict=True) if not c.fixed)
    left, cap = room - fixed, 0
    for i, natural in enumerate(texts):
        share = left // (len(texts) - i)
        if natural > share:
            cap = share
            break
        left -= natural
    if cap < _NARROW:
        return None
    spare = left - cap * sum(w > cap for w in texts)
    fitted = []
    for column, natural in zip(columns, widths, strict=True):
        if column.fixed or natural <= cap:
            fitted.append(natural)
            continue
        more = 1 if spare > 0 else 0
        spare -= more
        fitted.append(cap + more)
    return fitted


def _draw_records(columns: Sequence[Column], rows: int, target: Target) -> None:
    names = max(width(c.name) for c in columns)
    names = min(names, max(target.width // 3, _NARROW))
    room = max(target.width - names - len(_GAP), 1)
    for row in range(rows):
        title = f"─ {row + 1} "
        target.text(
            paint(title + "─" * (target.width - len(title)), "dim", colour=target.colour) + "\n"
        )
        for column in columns:
            name = clip(column.name, names)
            name = paint(name + " " * (names - width(name)), "header", colour=target.colour)
            cell = column.cells[row]
            shown = paint(_NULL, "dim", colour=target.colour) if cell is None else clip(cell, room)
            target.text(f"{name}{_GAP}{shown}".rstrip(" ") + "\n")
