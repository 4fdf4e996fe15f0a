r"""Parses patch text, many file patches at a time, into Arrow arrays without a loop over lines.

In what `git diff-tree -p` prints the first byte of a line tells what it is: inside a hunk " ",
"+", "-" or "\", a hunk header "@", and a section ("diff --git ...") begins with "d", as no line
inside a hunk can. Paths with line ends are quoted by git. The counts that each hunk header
promises are checked against the lines that follow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from govc_search.records import HUNK

__all__ = ["Patches", "parse_patches"]

_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]
_Bytes = npt.NDArray[np.uint8]

_NEWLINE, _SPACE, _PLUS, _COMMA, _MINUS, _AT, _D, _F, _B, _BACKSLASH = b"\n +,-@dfB\\"
_JOIN: Final = pa.scalar(b"\n", pa.large_binary())


@dataclass(frozen=True, slots=True)
class Patches:
    """The sections of a patch text and their hunks, split at context lines.

    Arrays with one item for each section: its first byte, whether git called it binary, whether
    its hunks hold what their headers promise. Arrays with one item for each hunk: the number of
    its section, lines removed and added. `hunks` is a struct array of `records.HUNK`.
    """

    starts: _Ints
    binary: _Bools
    sound: _Bools
    section: _Ints
    deletions: _Ints
    insertions: _Ints
    hunks: pa.StructArray


def parse_patches(text: bytes) -> Patches:
    """Returns the sections of `text`, which is empty or ends with a line end."""
    a = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(a == _NEWLINE)
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    first = a[starts]
    number = np.arange(len(first))

    is_at = first == _AT
    is_d = first == _D
    # "diff", not "deleted file mode" or "dissimilarity index"; a line has its end, so +2 is safe
    # on any of these three.
    heads = np.flatnonzero(is_d)
    heads = heads[a[np.minimum(starts[heads] + 2, len(a) - 1)] == _F]
    last_at = np.maximum.accumulate(np.where(is_at, number, -1))
    last_d = np.maximum.accumulate(np.where(is_d, number, -1))
    in_hunk = last_at > last_d
    added = in_hunk & (first == _PLUS)
    removed = in_hunk & (first == _MINUS)
    context = in_hunk & (first == _SPACE)

    sound = np.ones(len(heads), np.bool_)
    ats = np.flatnonzero(is_at)
    section_of_at = np.searchsorted(heads, ats) - 1
    numbers, heading_from, well_formed = _hunk_headers(a, starts[ats], ends[ats])
    old_seen = np.cumsum(context | removed)
    new_seen = np.cumsum(context | added)
    # A hunk reaches to the line before the next hunk header or section, or to the end.
    stop = np.minimum(_next(ats, ats, len(first)), _next(heads, ats, len(first))) - 1
    fits = (
        well_formed
        & (old_seen[stop] - old_seen[ats] == numbers[1])
        & (new_seen[stop] - new_seen[ats] == numbers[3])
    )
    sound[section_of_at[~fits]] = False
    stray = np.flatnonzero(in_hunk & ~(added | removed | context | is_at | (first == _BACKSLASH)))
    sound[np.searchsorted(heads, stray, "right") - 1] = False
    binary = np.zeros(len(heads), np.bool_)
    binary[np.searchsorted(heads, np.flatnonzero(~in_hunk & (first == _B)), "right") - 1] = True

    changed = added | removed
    # "\ No newline at end of file" neither ends a run nor belongs to one.
    telling = np.flatnonzero(changed | context | is_at)
    is_changed = changed[telling]
    before = np.zeros_like(is_changed)
    before[1:] = is_changed[:-1]
    runs = telling[is_changed & ~before]

    header = np.searchsorted(ats, runs) - 1
    at = ats[header]
    removed_text, deletions = _join_lines(text, starts, ends, removed, runs)
    added_text, insertions = _join_lines(text, starts, ends, added, runs)
    # A side without lines is numbered by the line before it, as git's own headers are.
    old_start = (
        numbers[0][header] - (numbers[1][header] > 0)
        + old_seen[runs] - removed[runs] - old_seen[at] + (deletions > 0)
    )  # fmt: skip
    new_start = (
        numbers[2][header] - (numbers[3][header] > 0)
        + new_seen[runs] - added[runs] - new_seen[at] + (insertions > 0)
    )  # fmt: skip
    headings = _slices(text, heading_from, ends[ats]).take(pa.array(header)).cast(pa.binary())
    hunks = pa.StructArray.from_arrays(
        [
            _uint32(old_start),
            _uint32(deletions),
            _uint32(new_start),
            _uint32(insertions),
            headings,
            removed_text,
            added_text,
        ],
        fields=list(HUNK),
    )
    return Patches(
        starts[heads],
        binary,
        sound,
        np.searchsorted(heads, runs) - 1,
        deletions,
        insertions,
        hunks,
    )


def _uint32(values: _Ints) -> pa.Array:
    return pa.array(values.astype(np.uint32))


def _next(marks: _Ints, lines: _Ints, end: int) -> _Ints:
    """Returns for each line the first mark after it, else `end`."""
    return np.append(marks, end)[np.searchsorted(marks, lines, "right")]


def _slices(text: bytes, begin: _Ints, end: _Ints) -> pa.LargeBinaryArray:
    """Returns the slices `[begin, end)` of `text`, which are in order and apart."""
    offsets = np.empty(2 * len(begin), np.int64)
    offsets[0::2] = begin
    offsets[1::2] = end
    # Every other item of this array is what lies between two slices.
    both = pa.Array.from_buffers(
        pa.large_binary(),
        max(0, len(offsets) - 1),
        [None, pa.py_buffer(offsets), pa.py_buffer(text)],
    )
    return both.take(pa.array(np.arange(0, len(offsets), 2)))


def _join_lines(
    text: bytes, starts: _Ints, ends: _Ints, wanted: _Bools, runs: _Ints
) -> tuple[pa.LargeBinaryArray, _Ints]:
    """Returns for each run its wanted lines without sign, joined, and how many they are."""
    lines = np.flatnonzero(wanted)
    bounds = np.append(np.searchsorted(lines, runs), len(lines))
    counts = np.diff(bounds)
    parts = _slices(text, starts[lines] + 1, ends[lines])
    per_run = pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), parts)
    joined = pc.binary_join(per_run, _JOIN)
    none: Any = pa.scalar(None, pa.large_binary())
    return pc.if_else(pa.array(counts > 0), joined, none), counts


def _hunk_headers(a: _Bytes, begin: _Ints, end: _Ints) -> tuple[_Ints, _Ints, _Bools]:
    """Reads `@@ -l,s +l,s @@ heading` lines, all of them one column at a time.

    Returns the four numbers (an absent count is 1) as rows, where each heading starts, and which
    lines are well formed.
    """
    count = len(begin)
    numbers = np.zeros((4, count), np.int64)
    heading = end.copy()
    fine = np.zeros(count, np.bool_)
    counted = np.zeros((4, count), np.bool_)
    field = np.zeros(count, np.int64)
    alive = np.flatnonzero(end - begin >= len("@@ -1 +1 @@"))
    column = len("@@ -")
    # Twenty digits a number at most: longer is no line number.
    while len(alive) and column < 64:
        place = begin[alive] + column
        inside = place < end[alive]
        alive, place = alive[inside], place[inside]
        byte = a[place]
        digit = (byte >= 48) & (byte <= 57)
        rows = alive[digit]
        numbers[field[rows], rows] = numbers[field[rows], rows] * 10 + (byte[digit] - 48)
        rows = alive[byte == _COMMA]
        field[rows] += 1
        counted[np.minimum(field[rows], 3), rows] = True
        blank = byte == _SPACE
        rows = alive[blank]
        over = field[rows] >= 2
        field[rows] = 2
        done, last = rows[over], place[blank][over]
        whole = last + 2 < end[done]
        done, last = done[whole], last[whole]
        fine[done] = (a[last + 1] == _AT) & (a[last + 2] == _AT)
        heading[done] = np.minimum(last + 4, end[done])
        bad = ~(digit | (byte == _COMMA) | blank | (byte == _PLUS))
        keep = ~bad
        keep[blank] &= ~over
        alive = alive[keep]
        alive = alive[field[alive] < 4]
        column += 1
    for which in (1, 3):
        numbers[which][~counted[which]] = 1
    return numbers, heading, fine
