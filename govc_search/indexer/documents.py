"""Records as documents of the text index.

`commits`, key = position: subject, body, author and committer (name and e-mail), path (of all changes, each with its old path, one a line). `changes`, key =
change_id: path (and old path, one a line), heading, added and removed (of all hunks, one after
another). What a page of commits shows is stored beside its words, and `facts` are held that
searches are narrowed by.

Fields in `BAGS` hold the words of long texts without the positions of camel-case parts and
variants; all others hold exactly what `analysis.positions` gives for the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tantivy

from govc_search import analysis, facts
from govc_search.records import CHANGE_BITS
from govc_search.store.rows import counts, decode, split_message, timestamps, transcoded

__all__ = [
    "BAGS",
    "FIELDS",
    "Page",
    "change_documents",
    "commit_documents",
    "page_of",
    "schemas",
]

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "commits": ("subject", "body", "author", "committer", "path"),
    "changes": ("path", "heading", "added", "removed"),
}
BAGS: Final = frozenset({"heading", "added", "removed"})

# Patch text turned into documents at a time.
_SLICE_BYTES: Final = 16 << 20

Positions = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Page:
    """What a page of results shows of a commit; times in seconds since 1970, or None."""

    position: int
    repo: str
    hash: str
    subject: str
    author: str
    author_email: str
    author_time: int | None
    committer_time: int | None


def schemas() -> dict[str, tantivy.Schema]:
    """Returns the schema of each index.

    `mark` names what is not text: the checkpoint document, `facts.TERMS` as `field:text`, and
    documents with a cut word in a field as `long:field`.
    """
    out = {}
    for table, fields in FIELDS.items():
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("key", fast=True, indexed=True)
        builder.add_unsigned_field("position", fast=True, indexed=True)
        for name in fields:
            builder.add_text_field(name, tokenizer_name="words", index_option="position")
        builder.add_text_field("mark", tokenizer_name="raw", index_option="basic")
        builder.add_unsigned_field("checkpoint", stored=True)
        if table == "commits":
            builder.add_bytes_field("page", stored=True)
            for name in facts.NUMBERS:
                builder.add_integer_field(name, fast=True)
        out[table] = builder.build()
    return out


def page_of(position: int, stored: bytes) -> Page:
    """Returns a page from its stored form."""
    return Page(position, *json.loads(stored))


# A text as its words; whether one was cut.
_Prepared = tuple[str | tantivy.PreTokenizedString, bool]

# Paths and people come again and again; what they are as words is kept, whoever adds them.
_PREPARED: Final[dict[str, _Prepared]] = {}
_MAX_PREPARED: Final = 1 << 16


class _Words:
    """Adds texts to documents as words, and notes which words were seen."""

    def __init__(self, seen: set[str] | None) -> None:
        self._seen = seen

    def add(self, document: tantivy.Document, field: str, text: str) -> None:
        """Adds a text with all its positions."""
        if text:
            self._add(document, field, text, _prepare(text))

    def add_frequent(self, document: tantivy.Document, field: str, text: str) -> None:
        """Adds a text that is likely to come again."""
        prepared = _PREPARED.get(text)
        if prepared is None:
            if len(_PREPARED) >= _MAX_PREPARED:
                _PREPARED.clear()
            prepared = _PREPARED[text] = _prepare(text)
        self._add(document, field, text, prepared)

    def _add(self, document: tantivy.Document, field: str, text: str, prepared: _Prepared) -> None:
        words, long = prepared
        if isinstance(words, str):
            document.add_text(field, words)
            if self._seen is not None:
                self._seen.update(words.split())
            return
        document.add_pre_tokenized_text(field, words)
        if self._seen is not None:
            self._seen.update(word for word, _ in analysis.positions(text)[0])
        if long:
            document.add_text("mark", f"long:{field}")

    def add_bag(self, document: tantivy.Document, field: str, bag: str, *, long: bool) -> None:
        """Adds the words of a long text."""
        if bag:
            document.add_text(field, bag)
            if self._seen is not None:
                self._seen.update(bag.split())
        if long:
            document.add_text("mark", f"long:{field}")


def _prepare(text: str) -> _Prepared:
    if analysis.is_plain(text):
        return analysis.plain(text), False
    token = tantivy.Token
    words, long = analysis.positions(text)
    tokens = [token(word, position, 0, 0) for word, position in words]
    return tantivy.PreTokenizedString("", tokens), long


def commit_documents(
    batch: pa.RecordBatch, positions: Positions, seen: set[str] | None = None
) -> Iterator[tantivy.Document]:
    """Yields the document of each commit of a batch of commits or amendments.

    The words of the documents are added to `seen`.
    """
    words = _Words(seen)
    batch = transcoded(batch)
    texts = {
        name: decode(batch.column(name)).to_pylist()
        for name in ("author", "author_email", "committer", "committer_email", "message")
    }
    repos, hashes = batch.column("repo").to_pylist(), batch.column("hash").to_pylist()
    times = [batch.column(f"{who}_time").to_pylist() for who in ("author", "committer")]
    paths = _paths(batch.column("changes"))
    numbers = _numbers(batch)
    keys = positions.tolist()
    for i, key in enumerate(keys):
        message = texts["message"][i].partition("\0")[0]
        subject, start = split_message(message)
        author, email = texts["author"][i], texts["author_email"][i]
        document = tantivy.Document()
        document.add_unsigned("key", key)
        document.add_unsigned("position", key)
        committer, email_of_committer = texts["committer"][i], texts["committer_email"][i]
        known = (repos[i], hashes[i], author, email, committer, email_of_committer)
        for name, value in zip(facts.TERMS, known, strict=True):
            mark = facts.term(name, value)
            if mark is not None:
                document.add_text("mark", mark)
        for name, values in numbers:
            if (number := values[i]) is not None:
                document.add_integer(name, number)
        words.add(document, "subject", subject)
        words.add(document, "body", message[start:])
        words.add_frequent(document, "author", f"{author} {email}")
        words.add_frequent(document, "committer", f"{committer} {email_of_committer}")
        words.add(document, "path", paths[i])
        page = (repos[i], hashes[i], subject, author, email, times[0][i], times[1][i])
        document.add_bytes("page", json.dumps(page, ensure_ascii=False).encode())
        yield document


def _numbers(batch: pa.RecordBatch) -> list[tuple[str, list[int | None]]]:
    """Returns the numbers of each commit by name, None where the table has NULL."""
    rows = {
        **counts(batch),
        "parent_count": pc.list_value_length(batch.column("parents")),
        **{
            f"{who}_date": pc.if_else(
                timestamps(batch.column(f"{who}_time")).is_valid(),
                batch.column(f"{who}_time"),
                None,
            )
            for who in ("author", "committer")
        },
    }
    return [(name, rows[name].to_pylist()) for name in facts.NUMBERS]


def _edges(lists: pa.Array) -> list[int]:
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    edges: list[int] = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes))).tolist()
    return edges


def _paths(lists: pa.Array) -> list[str]:
    """Returns all paths of each commit, one a line."""
    lines = _path_lines(lists.flatten())
    return ["\n".join(lines[a:b]) for a, b in pairwise(_edges(lists))]


def _path_lines(changes: pa.Array) -> list[str]:
    """Returns the path of each change and, on a line of its own, the old one."""
    new = decode(changes.field("path")).to_pylist()
    old = decode(changes.field("old_path")).to_pylist()
    return [a if b is None else f"{a}\n{b}" for a, b in zip(new, old, strict=True)]


def change_documents(
    batch: pa.RecordBatch, positions: Positions, seen: set[str] | None = None
) -> Iterator[tantivy.Document]:
    """Yields the document of each change of a batch of commits or amendments.

    The words of the documents are added to `seen`.
    """
    words = _Words(seen)
    for start, stop in _slices(batch.column("changes")):
        piece = batch.slice(start, stop - start)
        yield from _change_documents(piece, positions[start:stop], words)


def _slices(lists: pa.Array) -> Iterator[tuple[int, int]]:
    """Yields runs of commits whose patches together are not much above `_SLICE_BYTES`."""
    rows = len(lists)
    if lists.nbytes <= _SLICE_BYTES:
        yield 0, rows
        return
    start = 0
    while start < rows:
        stop = rows
        while stop - start > 1 and lists.slice(start, stop - start).nbytes > _SLICE_BYTES:
            stop = start + (stop - start + 1) // 2
        yield start, stop
        start = stop


def _change_documents(
    batch: pa.RecordBatch, positions: Positions, words: _Words
) -> Iterator[tantivy.Document]:
    lists = batch.column("changes")
    changes = lists.flatten()
    if not len(changes):
        return
    edges = np.asarray(_edges(lists))
    sizes = np.diff(edges)
    owners = np.repeat(positions, sizes)
    ordinals = np.arange(len(changes)) - np.repeat(edges[:-1], sizes)
    keys = (owners << np.uint64(CHANGE_BITS) | ordinals.astype(np.uint64)).tolist()
    marks = [f"repo:{repo}" for repo in batch.column("repo").to_pylist()]
    repos = np.repeat(np.arange(len(marks)), sizes).tolist()
    paths = _path_lines(changes)
    hunk_lists = changes.field("hunks")
    hunks = hunk_lists.flatten()
    hunk_edges = _edges(hunk_lists)
    headings = _headings(hunks.field("heading").to_pylist(), hunk_edges)
    removed = _bags(hunks.field("removed"), hunk_edges)
    added = _bags(hunks.field("added"), hunk_edges)
    for i, position in enumerate(owners.tolist()):
        document = tantivy.Document()
        document.add_unsigned("key", keys[i])
        document.add_unsigned("position", position)
        document.add_text("mark", marks[repos[i]])
        words.add_frequent(document, "path", paths[i])
        for field, bags in (("heading", headings), ("removed", removed), ("added", added)):
            bag, long = next(bags)
            words.add_bag(document, field, bag, long=long)
        yield document


def _headings(headings: list[bytes], edges: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Yields the words of each change's headings, each different heading once."""
    texts = [b"\n".join([*dict.fromkeys(headings[a:b]), b""]) for a, b in pairwise(edges)]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum([len(text) for text in texts])))
    return analysis.bags(b"".join(texts), offsets.astype(np.int64).tolist())


def _bags(texts: pa.Array, edges: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Yields the words of each change: its hunks' texts, each ended by a line end."""
    if not len(texts):
        return iter([("", False)] * (len(edges) - 1))
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(texts) + 1, texts.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    text = np.frombuffer(data_buffer or b"", np.uint8)[first:last]
    # Each text moves on by the line ends of those before it.
    ends = offsets - first + np.arange(len(offsets))
    ended = np.full(int(ends[-1]), ord("\n"), np.uint8)
    holds = np.ones(len(ended), np.bool_)
    holds[ends[1:] - 1] = False
    ended[holds] = text
    return analysis.bags(ended.tobytes(), ends[np.asarray(edges)].tolist())
