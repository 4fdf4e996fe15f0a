"""One tantivy index that follows the log, with its writer, its checkpoint and its dictionary.

The checkpoint is a document of the index itself, replaced in the same commit as the documents
it speaks of.
"""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tantivy

from govc_search.errors import StoreError
from govc_search.indexer import documents
from govc_search.indexer.changed_text import ChangedText
from govc_search.indexer.frames import Frames
from govc_search.indexer.message_text import MessageText
from govc_search.indexer.terms import TermFile, Terms
from govc_search.store.log import Entry

__all__ = ["Pinned", "TextPart", "message_of", "reading"]

_CHECKPOINT: Final = "checkpoint"
_MIN_HEAP: Final = 15 << 20
# Files of the library that end in a footer, and what it is.
_CHECKED: Final = frozenset({".del", ".fast", ".fieldnorm", ".idx", ".pos", ".store", ".term"})
_FOOTER: Final = struct.Struct("<II")
_FOOTER_MAGIC: Final = 1337

# Up to so many characters of words between two commits, new words are picked out one by one;
# after more the dictionary is listed anew when it is next needed.
_COUNTED_CHARACTERS: Final = 1 << 20


def message_of(error: BaseException) -> str:
    """Returns what a library's error says, on one line."""
    return " ".join(str(error).split())


@contextmanager
def reading(table: str) -> Iterator[None]:
    """Turns what the library says of damaged files, by a panic too, into StoreError."""
    try:
        yield
    except BaseException as error:
        # A panic of the library is no Exception, and has no class that could be imported.
        if type(error).__name__ == "PanicException" or (
            isinstance(error, ValueError) and "corrupt" in str(error).lower()
        ):
            raise StoreError(
                "text_damaged",
                f"the text index of {table} cannot be read: {message_of(error)}",
                hint="`govc-search rebuild text` makes it anew from the log",
            ) from error
        raise


@dataclass(frozen=True, slots=True)
class Pinned:
    """What was committed at one moment: `position`s up to `checkpoint`, and their long texts."""

    searcher: tantivy.Searcher
    checkpoint: int
    texts: Frames


class TextPart:
    """One of the indexes with its writer, checkpoint and dictionary."""

    def __init__(self, directory: Path, table: str, heap_bytes: int) -> None:
        self.table = table
        self.schema = documents.schemas()[table]
        self._heap = max(heap_bytes, _MIN_HEAP)
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self._index = tantivy.Index(self.schema, str(directory), reuse=True)
            words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
            self._index.register_tokenizer("words", words)
            self._index.config_reader("manual")
            kind = ChangedText if table == "changes" else MessageText
            self._texts = kind(directory.parent)
            self.pinned = self._pin()
        except Exception as error:
            raise StoreError(
                "text_damaged",
                f"the text index of {table} cannot be opened: {message_of(error)}",
                hint="`govc-search rebuild text` makes it anew from the log",
            ) from error
        self._writer: tantivy.IndexWriter | None = None
        self.applied = self.pinned.checkpoint
        self._file = TermFile(directory.parent / f"{table}.terms")
        self._terms = self._file.load()
        self._new_words: set[str] | None = set()
        self._counted = 0
        self._listing = threading.Lock()

    @property
    def checkpoint(self) -> int:
        """Returns the last position that is durable here."""
        return self.pinned.checkpoint

    def _pin(self) -> Pinned:
        self._index.reload()
        searcher = self._index.searcher()
        query = tantivy.Query.term_query(self.schema, "mark", _CHECKPOINT, "basic")
        hits = searcher.search(query, 1, count=False).hits
        stored = searcher.doc(hits[0][1]).get_first("checkpoint") if hits else None
        return Pinned(searcher, int(stored or 0), self._texts.frames())

    @property
    def writer(self) -> tantivy.IndexWriter:
        """Returns the writer, which lives as long as the view: dropping it aborts merges."""
        if self._writer is None:
            self._writer = self._index.writer(self._heap, 1)
            # A crash may have left files of a commit that was not finished. The same deletions,
            # made again, have a file of the same name, and the library does not overwrite it.
            self._writer.garbage_collect_files()
        return self._writer

    def apply(self, entry: Entry) -> None:
        """Applies what of an entry this index lacks."""
        if entry.last <= self.applied:
            return
        skipped = max(0, self.applied + 1 - entry.first)
        batch, first = entry.batch.slice(skipped), entry.first + skipped
        if entry.kind.name == "commit":
            positions = np.arange(first, first + batch.num_rows, dtype=np.uint64)
            self._add(batch, positions)
        elif entry.kind.name == "amendment":
            positions = batch.column("amends").to_numpy()
            for row in range(batch.num_rows):
                # By term, tantivy takes the number for a signed one and deletes nothing.
                amended = tantivy.Query.term_query(
                    self.schema, "position", int(positions[row]), "basic"
                )
                self.writer.delete_documents_by_query(amended)
                self._add(batch.slice(row, 1), positions[row : row + 1])
        elif entry.kind.name == "repository":
            events = zip(batch.column("event"), batch.column("repo"), strict=True)
            for event, repo in events:
                if event.as_py() == "removed":
                    self.writer.delete_documents_by_term("mark", f"repo:{repo.as_py()}")
        self.applied = entry.last

    def _add(self, batch: pa.RecordBatch, positions: npt.NDArray[np.uint64]) -> None:
        writer = self.writer
        for document in self._documents(batch, positions):
            writer.add_document(document)
        self._texts.append(batch, positions)

    def _documents(
        self, batch: pa.RecordBatch, positions: npt.NDArray[np.uint64]
    ) -> Iterator[tantivy.Document]:
        if self._new_words is not None:
            self._counted += batch.nbytes
            if self._counted > _COUNTED_CHARACTERS:
                self._new_words = None
        if self.table == "commits":
            return documents.commit_documents(batch, positions, self._new_words)
        return documents.change_documents(batch, positions, self._new_words)

    def commit(self) -> None:
        """Makes durable what was applied; raises StoreError if the index did not take it."""
        if self.applied == self.checkpoint:
            return
        fresh = self._fresh_words()
        self._texts.commit()
        writer = self.writer
        writer.delete_documents_by_term("mark", _CHECKPOINT)
        document = tantivy.Document()
        document.add_text("mark", _CHECKPOINT)
        document.add_unsigned("checkpoint", self.applied)
        writer.add_document(document)
        writer.commit()
        before, pinned = self.checkpoint, self._pin()
        if pinned.checkpoint != self.applied:
            raise StoreError(
                "text_write_failed",
                f"the text index of {self.table} stands at {pinned.checkpoint}, "
                f"not at {self.applied}",
            )
        if fresh is not None and self._terms.checkpoint >= before:
            self._terms = self._terms.extended(fresh, pinned.checkpoint)
            self._file.append(fresh, self._terms)
        self.pinned = pinned
        self._forget_words()

    def _fresh_words(self) -> list[str] | None:
        """Returns the words applied since the last commit that the index does not hold."""
        if self._new_words is None:
            return None
        fields, frequency = documents.FIELDS[self.table], self.pinned.searcher.doc_freq
        return [
            word
            for word in self._new_words
            if "\n" not in word and not any(frequency(field, word) for field in fields)
        ]

    def _forget_words(self) -> None:
        self._new_words, self._counted = set(), 0

    def rollback(self) -> None:
        """Drops what was applied since the last commit."""
        if self._writer is not None:
            self._writer.rollback()
            self._writer.garbage_collect_files()
        self._texts.rollback()
        self.applied = self.checkpoint
        self._forget_words()

    def terms(self, pinned: Pinned) -> Terms:
        """Returns a dictionary that holds every word of what is pinned."""
        if self._terms.checkpoint >= pinned.checkpoint:
            return self._terms
        words: dict[str, None] = {}
        for field in documents.FIELDS[self.table]:
            for word, _ in pinned.searcher.terms_with_prefix(field, ""):
                words[word] = None
        listed = Terms.of(words, pinned.checkpoint)
        with self._listing:
            if listed.checkpoint > self._terms.checkpoint:
                self._terms = listed
                self._file.replace(listed)
        return listed

    def keys(self) -> list[int]:
        """Returns the key of every document, in order; one that is there twice comes twice."""
        with reading(self.table):
            return self._keys()

    def _keys(self) -> list[int]:
        searcher = self.pinned.searcher
        query = tantivy.Query.range_query(
            self.schema, "key", tantivy.FieldType.Unsigned, 0, (1 << 64) - 1
        )
        hits = searcher.search(
            query, max(1, searcher.num_docs), order_by_field="key", order=tantivy.Order.Asc
        ).hits
        return [int(key) for key, _ in hits]

    def damage(self) -> Iterator[str]:
        """Yields what is wrong with each file of the index whose checksum is not its own."""
        for file in sorted(self._directory.iterdir()):
            if file.suffix in _CHECKED and not _is_sound(file):
                yield f"text index {self.table}: the checksum of {file.name} is not that of its content"

    def settle(self) -> None:
        """Brings the dictionary up to date and waits for merges under way."""
        self.close()
        self.pinned = self._pin()
        self.terms(self.pinned)

    def close(self) -> None:
        """Waits for merges and lets go of the directory; the next write takes it again."""
        if self._writer is not None:
            # A writer is of no use after this.
            self._writer.wait_merging_threads()
            self._writer = None


def _is_sound(file: Path) -> bool:
    """Returns whether a file of the library ends with the checksum of what stands before.

    The end is a description in JSON with its `crc`, the length of that, and a magic number.
    """
    data = file.read_bytes()
    if len(data) < _FOOTER.size:
        return False
    length, magic = _FOOTER.unpack(data[-_FOOTER.size :])
    start = len(data) - _FOOTER.size - length
    if magic != _FOOTER_MAGIC or start < 0:
        return False
    try:
        crc = json.loads(data[start : -_FOOTER.size])["crc"]
    except (ValueError, KeyError, TypeError):
        return False
    return bool(crc == zlib.crc32(memoryview(data)[:start]))
