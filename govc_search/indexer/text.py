"""The text view: two indexes that follow the log, commits and changes.

The view's checkpoint is the smaller of theirs; after a crash between the two commits, what one
of them already holds is skipped there when the view replays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from govc_search.errors import StoreError
from govc_search.indexer import changed_text, message_text
from govc_search.indexer.text_part import TextPart, message_of
from govc_search.indexer.text_search import TextSnapshot
from govc_search.settings import Settings
from govc_search.store.log import Entry

__all__ = ["TextIndex"]

Ids = npt.NDArray[np.uint64]

_logger = logging.getLogger(__name__)


class TextIndex:
    """The text view of one data directory; used by one writer thread at a time."""

    def __init__(self, commits: TextPart, changes: TextPart) -> None:
        self.commits = commits
        self.changes = changes
        self._snapshot: TextSnapshot | None = None

    @classmethod
    def open(cls, directory: Path | str, heap_bytes: int) -> TextIndex:
        """Returns the view in a directory, made where there is none; raises StoreError."""
        path = Path(directory)
        return cls(
            TextPart(path / "commits", "commits", heap_bytes // 4),
            TextPart(path / "changes", "changes", heap_bytes - heap_bytes // 4),
        )

    @property
    def _parts(self) -> tuple[TextPart, TextPart]:
        return self.commits, self.changes

    @property
    def checkpoint(self) -> int:
        """Returns the last position that both indexes hold durably; 0 when empty."""
        return min(part.checkpoint for part in self._parts)

    @property
    def applied(self) -> int:
        """Returns the last position applied, committed or not."""
        return min(part.applied for part in self._parts)

    def apply(self, from_: int, entries: Sequence[Entry]) -> None:
        """Applies the entries of `(from_, to]`; raises StoreError where they do not fit.

        After any other failure the view is rolled back to its checkpoint.
        """
        if from_ != self.applied:
            raise StoreError("text_gap", f"the text index stands at {self.applied}, not at {from_}")
        try:
            for entry in entries:
                for part in self._parts:
                    part.apply(entry)
        except BaseException as error:
            self._give_up(error)
            raise

    def commit(self) -> int:
        """Makes all applied durable with the checkpoint, which is returned."""
        try:
            for part in self._parts:
                part.commit()
        except BaseException as error:
            self._give_up(error)
            if isinstance(error, StoreError) or not _is_writers(error):
                raise
            raise StoreError(
                "text_write_failed", f"the text index was not written: {message_of(error)}"
            ) from error
        return self.checkpoint

    def _give_up(self, error: BaseException) -> None:
        _logger.warning("text index: rolling back: %s", message_of(error))
        self.rollback()

    def rollback(self) -> None:
        """Drops everything applied since the last commit."""
        for part in self._parts:
            part.rollback()

    def keys(self, table: str) -> list[int]:
        """Returns the key of every document of `commits` or `changes`, in order."""
        return next(part for part in self._parts if part.table == table).keys()

    def damage(self) -> list[str]:
        """Returns what is wrong with files of the indexes whose checksum is not their own."""
        return [found for part in self._parts for found in part.damage()]

    def lines(self, changes: Ids) -> tuple[list[bytes | None], list[bytes | None]]:
        """Returns the removed and the added lines of each change, joined; None is no line."""
        return changed_text.lines(self.changes.pinned.texts, changes)

    def messages(self, commits: Ids) -> pa.Array:
        """Returns the message of each commit; raises StoreError where one is missing."""
        return message_text.messages(self.commits.pinned.texts, commits)

    def snapshot(
        self, as_of: int | None = None, expansions: int = Settings().size("expansions")
    ) -> TextSnapshot:
        """Returns the view as it is now; `as_of` may not be beyond its checkpoint.

        `expansions` is the most words that one prefix, fuzzy word or /regex/ may widen to.
        """
        if as_of is not None and as_of > self.checkpoint:
            raise StoreError(
                "text_gap", f"the text index stands at {self.checkpoint}, not at {as_of}"
            )
        pinned = self.commits.pinned, self.changes.pinned
        last = self._snapshot
        if last is None or last.pinned != pinned or last.expansions != expansions:
            last = self._snapshot = TextSnapshot(self.commits, self.changes, pinned, expansions)
        return last

    def settle(self) -> None:
        """Ends background work: called after a large load, so that queries find all done."""
        for part in self._parts:
            part.settle()

    def close(self) -> None:
        """Drops what was not committed and ends background work."""
        for part in self._parts:
            if part.applied != part.checkpoint:
                part.rollback()
            part.close()


def _is_writers(error: BaseException) -> bool:
    # A panic of the library is not an Exception; Ctrl-C and the end of the process are neither.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
