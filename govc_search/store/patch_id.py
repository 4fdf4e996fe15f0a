"""The id of what a commit changes, computed from its record, so that a rebuilt table has it too."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["patch_ids"]

_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

# Shorter than the hashes of git, so that none is taken for the other.
_DIGEST_BYTES: Final = 16
# What git leaves out too; line ends keep lines apart.
_BLANKS: Final = b" \t\r"
_NOTHING: Final = pa.scalar(b"", pa.large_binary())
_LINE_END: Final = pa.scalar(b"\n", pa.large_binary())
_ABSENT: Final = pa.scalar(None, pa.string())
_BETWEEN: Final = pa.scalar(b"\0", pa.binary())


def patch_ids(changes: pa.StructArray, sizes: _Ints, whole: _Bools) -> pa.Array:
    """Returns the patch id of each commit in hexadecimal, NULL where it is not `whole`.

    `changes` are those of all commits, `sizes` how many each has. Two commits have the same id if
    they change the same paths, remove and add the same lines in the same order, blanks aside, and
    do the same to types, modes and names of files, and to the contents of binary ones. Where the
    lines stand, and between which others, does not count.
    """
    bounds = _bounds(sizes)
    heads, head_at = _heads(changes)
    lists = changes.field("hunks")
    hunks = lists.flatten()
    of_change = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    first_hunk = _bounds(of_change)[bounds]
    text, text_at = _bytes(
        pc.binary_join_element_wise(
            hunks.field("removed"), hunks.field("added"), _NOTHING, _LINE_END, null_handling="skip"
        )
    )
    runs, first_run = _runs(hunks, np.repeat(np.arange(len(changes)), of_change), bounds)
    ids: list[str | None] = [None] * len(sizes)
    for i in np.flatnonzero(whole & (sizes > 0)).tolist():
        digest = hashlib.blake2b(
            heads[head_at[bounds[i]] : head_at[bounds[i + 1]]], digest_size=_DIGEST_BYTES
        )
        digest.update(runs[first_run[i] : first_run[i + 1]].tobytes())
        lines = bytes(text[text_at[first_hunk[i]] : text_at[first_hunk[i + 1]]])
        digest.update(lines.translate(None, _BLANKS))
        ids[i] = digest.hexdigest()
    return pa.array(ids, pa.string())


def _heads(changes: pa.StructArray) -> tuple[memoryview, _Ints]:
    """Returns what there is to say of each change but its lines, in as many fields each."""
    # Of a file that came or went one side is null, and the other counts.
    moded = pc.fill_null(pc.not_equal(changes.field("old_mode"), changes.field("new_mode")), True)
    # A file that only moved is known by its names, whatever it holds.
    blobs = pc.not_equal(changes.field("old_blob"), changes.field("new_blob"))
    told = pc.and_(changes.field("is_binary"), pc.fill_null(blobs, True))
    conditions = {"old_mode": moded, "new_mode": moded, "old_blob": told, "new_blob": told}
    fields: list[Any] = [
        changes.field("change_type").cast(pa.binary()),
        changes.field("path"),
        changes.field("old_path"),
        *(
            pc.if_else(condition, changes.field(name), _ABSENT).cast(pa.binary())
            for name, condition in conditions.items()
        ),
    ]
    empty = pa.scalar(b"", pa.binary())
    joined = pc.binary_join_element_wise(
        *fields, empty, _BETWEEN, null_handling="replace", null_replacement=b""
    )
    return _bytes(joined.cast(pa.large_binary()))


def _runs(hunks: pa.StructArray, owner: _Ints, bounds: _Ints) -> tuple[npt.NDArray[Any], _Ints]:
    """Returns the runs of removed (negative) and added lines, and where those of a commit begin.

    A run is its change's number within the commit and its length. Context between two runs of one
    sign does not part them.
    """
    removed, added = (
        hunks.field(n).to_numpy().astype(np.int64) for n in ("old_lines", "new_lines")
    )
    counts = np.stack([-removed, added], axis=1).ravel()
    change = np.repeat(owner, 2)
    there = counts != 0
    counts, change = counts[there], change[there]
    starts = np.ones(len(counts), np.bool_)
    starts[1:] = (change[1:] != change[:-1]) | ((counts[1:] > 0) != (counts[:-1] > 0))
    at = np.flatnonzero(starts)
    change = change[at]
    lengths = np.add.reduceat(counts, at) if len(at) else counts
    commit = np.searchsorted(bounds, change, "right") - 1
    runs = np.stack([change - bounds[commit], lengths], axis=1).astype("<i4")
    return runs, np.searchsorted(change, bounds)


def _bounds(sizes: _Ints) -> _Ints:
    bounds = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return bounds


def _bytes(array: pa.LargeBinaryArray) -> tuple[memoryview, _Ints]:
    """Returns the bytes of all values one after another, and where each begins."""
    _, offsets, data = array.buffers()
    at = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return memoryview(data if data is not None else b""), at
