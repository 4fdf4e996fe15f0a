"""A long history made of a real one: the same messages, people and changes many times over.

Each round tells the history again, later, on top of the round before. What is frequent stays
frequent; rare words, people and files become others in each round, as in a history that really
grew. Lines of changes are left out, their numbers kept.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from govc_search import records
from govc_search.store.log import Log
from govc_search.store.manifest import DataDirectory

__all__ = ["NAME", "make_history"]

NAME: Final = "million"
_BATCH: Final = 8_192
_WORD: Final = re.compile(rb"[A-Za-z]{4,}")
# Up to so many commits use a rare word, are a rare person's, or change a rare file.
_RARE_WORD: Final = 20
_RARE_PERSON: Final = 100
_RARE_FILE: Final = 20
_GOLDEN: Final = 0x9E3779B97F4A7C15
_KIND: Final = {kind.name: kind for kind in records.KINDS}


def make_history(source: Path, target: Path, commits: int, tell: Callable[[str], None]) -> None:
    """Makes a data directory whose log holds `commits` commits, from that of one repository.

    What is at `target` is replaced; the views are made when it is next opened.
    """
    shutil.rmtree(target, ignore_errors=True)
    with DataDirectory.open(source, create=False) as home, Log.open(home.log) as log:
        tell("what the history is made of")
        original, repository = _read(log)
    rounds = -(-commits // original.num_rows)
    history = _History(original, rounds)
    with DataDirectory.open(target) as home, Log.open(home.log) as log:
        state = {**repository, "repo": NAME, "event": "added", "refs": ["HEAD"]}
        _append(log, "repository", [{**state, "complete": False}])
        left = commits
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for batch in history.round(number):
                part = batch.slice(0, left)
                left -= part.num_rows
                if part.num_rows:
                    log.append([(_KIND["commit"], part)])
                    tip = part.column("hash")[-1].as_py()
        update = {
            "repo": NAME, "ref": b"refs/heads/master", "old_hash": None, "new_hash": tip,
            "peeled": tip, "object_type": "commit", "forced": False, "at": state["at"],
        }  # fmt: skip
        _append(log, "ref_update", [update])
        done = {"event": "changed", "complete": True, "head": tip}
        _append(log, "repository", [{**state, **done, "default_branch": b"refs/heads/master"}])


def _read(log: Log) -> tuple[pa.Table, dict[str, Any]]:
    batches, repository = [], {}
    for entries in log.read():
        for entry in entries:
            if entry.kind.name == "commit":
                batches.append(_without_lines(entry.batch))
            elif entry.kind.name == "repository":
                repository = entry.batch.to_pylist()[-1]
    return pa.Table.from_batches(batches).combine_chunks(), repository


def _without_lines(batch: pa.RecordBatch) -> pa.RecordBatch:
    changes = batch.column("changes")
    nothing = pa.nulls(len(changes.flatten()), records.CHANGE.field("hunks").type)
    return _with(batch, "changes", _changed(changes, hunks=nothing))


def _with(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    columns = [values if f.name == name else batch.column(f.name) for f in batch.schema]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _changed(lists: pa.Array, **given: pa.Array) -> pa.Array:
    """Returns lists of changes with some of their fields replaced."""
    flat = lists.flatten()
    fields = [given.get(f.name, flat.field(f.name)) for f in records.CHANGE]
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    structs = pa.StructArray.from_arrays(fields, fields=list(records.CHANGE))
    return pa.LargeListArray.from_arrays(
        pa.array(offsets, pa.int64()), structs, type=lists.type, mask=lists.is_null()
    )


def _append(log: Log, kind: str, rows: list[dict[str, Any]]) -> None:
    schema = _KIND[kind].schema
    full = [{f.name: row.get(f.name) for f in schema} for row in rows]
    log.append([(_KIND[kind], pa.RecordBatch.from_pylist(full, schema=schema))])


class _History:
    def __init__(self, original: pa.Table, rounds: int) -> None:
        self.original = original
        self.rounds = rounds
        messages = original.column("message").to_pylist()
        words = Counter(w for m in messages for w in set(_WORD.findall(m)))
        self.rare_words = {w for w, n in words.items() if n <= _RARE_WORD}
        people = Counter(original.column("author_email").to_pylist())
        self.rare_people = {p for p, n in people.items() if n <= _RARE_PERSON}
        flat = original.column("changes").combine_chunks().flatten()
        files = Counter(flat.field("path").to_pylist())
        self.rare_files = {p for p, n in files.items() if n <= _RARE_FILE}
        times = [original.column(f"{who}_time") for who in ("author", "committer")]
        self.first: int = min(pc.min(t).as_py() for t in times)
        self.span: int = max(pc.max(t).as_py() for t in times) - self.first

    def round(self, number: int) -> Iterator[pa.RecordBatch]:
        """Yields the commits of a round, which begins on top of the one before."""
        tip = self.original.column("hash")[-1].as_py()
        below = _mapped(tip, number - 1) if number else None
        for start in range(0, self.original.num_rows, _BATCH):
            (batch,) = self.original.slice(start, _BATCH).combine_chunks().to_batches()
            yield self._told(batch, number, below)

    def _told(self, batch: pa.RecordBatch, number: int, below: str | None) -> pa.RecordBatch:
        letter = bytes([ord("a") + number % 26])

        def word(match: re.Match[bytes]) -> bytes:
            return match[0] + letter * 2 if match[0] in self.rare_words else match[0]

        parents = [
            [_mapped(p, number) for p in given] or ([below] if below else [])
            for given in batch.column("parents").to_pylist()
        ]
        given = {
            "repo": [NAME] * batch.num_rows,
            "hash": [_mapped(h, number) for h in batch.column("hash").to_pylist()],
            "parents": parents,
        }
        if number:
            given["message"] = [_WORD.sub(word, m) for m in batch.column("message").to_pylist()]
            for who in ("author", "committer"):
                emails = batch.column(f"{who}_email").to_pylist()
                names = batch.column(who).to_pylist()
                rare = [email in self.rare_people for email in emails]
                given[who] = [
                    n + b" " + letter if r else n for n, r in zip(names, rare, strict=True)
                ]
                given[f"{who}_email"] = [
                    letter + e if r else e for e, r in zip(emails, rare, strict=True)
                ]
        for who in ("author", "committer"):
            times = batch.column(f"{who}_time").to_pylist()
            given[f"{who}_time"] = [None if t is None else self._later(t, number) for t in times]
        for name, values in given.items():
            batch = _with(batch, name, pa.array(values, batch.schema.field(name).type))
        if not number:
            return batch
        changes = batch.column("changes")
        paths = changes.flatten().field("path").dictionary_encode()
        told = [
            b"%c/" % letter + p if p in self.rare_files else p for p in paths.dictionary.to_pylist()
        ]
        moved = pa.array(told, pa.binary()).take(paths.indices)
        return _with(batch, "changes", _changed(changes, path=moved))

    def _later(self, time: int, number: int) -> int:
        return self.first + (number * self.span + time - self.first) // self.rounds


def _mapped(name: str, number: int) -> str:
    """Returns the hash of a commit in a round: as evenly spread as the original ones are."""
    mask = _GOLDEN * number % (1 << 64)
    return f"{int(name[:16], 16) ^ mask:016x}{name[16:]}"
