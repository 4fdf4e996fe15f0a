"""The dictionary of a text index's words: which of them contain a fragment, which are near.

It is a cache of what the index itself can list, kept as one block of bytes so that a search for
a fragment is one pass at the speed of memory. It may hold words that the index has lost, never
the other way round: `checkpoint` says up to which position it is complete, and where that is
behind the index it is listed anew. The file is a row of blocks, each complete with the ones
before it; whatever follows a torn block is ignored.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Final

from govc_search.fragments import At

__all__ = ["TermFile", "Terms"]

# Magic, checkpoint, payload length, CRC-32 of checkpoint, length and payload.
_HEADER: Final = struct.Struct("<4sQQI")
_MAGIC: Final = b"GVTD"
_MAX_BLOCKS: Final = 256

# Answers kept: one query asks the same of several fields.
_KEPT: Final = 256


class Terms:
    """The words of one index at one moment; never changes."""

    def __init__(self, block: bytes, checkpoint: int) -> None:
        # Every word stands between two line ends.
        self._block = block
        self.checkpoint = checkpoint
        self._found: dict[tuple[str, At, int], list[str] | None] = {}

    @classmethod
    def of(cls, words: Iterable[str], checkpoint: int) -> Terms:
        """Returns the dictionary of some words."""
        return cls(_payload(words), checkpoint)

    def __len__(self) -> int:
        return max(0, self._block.count(b"\n") - 1)

    @property
    def block(self) -> bytes:
        """Returns all words, each between two line ends."""
        return self._block

    def extended(self, words: Iterable[str], checkpoint: int) -> Terms:
        """Returns the dictionary with more words, complete up to `checkpoint`."""
        return Terms(self._block + _payload(words)[1:], checkpoint)

    def containing(self, fragment: str, at: At, limit: int) -> list[str] | None:
        """Returns the words with a fragment in that place, or None if more than `limit`."""
        key = fragment, at, limit
        if key in (known := self._found):
            return known[key]
        words = self._find(fragment, at, limit)
        # Replaced, never cleared: another thread may be reading it.
        self._found = {key: words} if len(known) >= _KEPT else {**known, key: words}
        return words

    def _find(self, fragment: str, at: At, limit: int) -> list[str] | None:
        block, needle = self._block, fragment.encode()
        if at == "prefix":
            needle = b"\n" + needle
        elif at == "suffix":
            needle += b"\n"
        found: dict[bytes, None] = {}
        hit = block.find(needle)
        while hit >= 0:
            start = hit if at == "prefix" else block.rfind(b"\n", 0, hit)
            end = block.find(b"\n", start + 1)
            found[block[start + 1 : end]] = None
            if len(found) > limit:
                return None
            hit = block.find(needle, end)
        return [word.decode() for word in found]

    @cached_property
    def by_first(self) -> dict[str, list[str]]:
        """Returns all words, once each, by their first character."""
        out: dict[str, list[str]] = {}
        for word in dict.fromkeys(self._block.decode().split("\n")):
            if word:
                out.setdefault(word[0], []).append(word)
        return out


def _payload(words: Iterable[str]) -> bytes:
    joined = "\n".join(words)
    return f"\n{joined}\n".encode() if joined else b"\n"


class TermFile:
    """The dictionary on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks = 0

    def load(self) -> Terms:
        """Returns what is on disk, complete up to the last whole block."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return Terms(b"\n", 0)
        pieces = [b"\n"]
        checkpoint = at = 0
        self._blocks = 0
        while at + _HEADER.size <= len(data):
            magic, position, length, crc = _HEADER.unpack_from(data, at)
            payload = data[at + _HEADER.size : at + _HEADER.size + length]
            if magic != _MAGIC or len(payload) != length or _crc(position, payload) != crc:
                break
            pieces.append(payload[1:])
            checkpoint = position
            at += _HEADER.size + length
            self._blocks += 1
        if at < len(data):
            # Appending after a torn block would hide what is appended.
            self._blocks = _MAX_BLOCKS
        return Terms(b"".join(pieces), checkpoint)

    def replace(self, terms: Terms) -> None:
        """Writes the whole dictionary anew."""
        beside = self._path.with_suffix(".new")
        beside.write_bytes(_block(terms.block, terms.checkpoint))
        beside.replace(self._path)
        self._blocks = 1

    def append(self, words: Iterable[str], terms: Terms) -> None:
        """Adds the words by which `terms` grew."""
        if self._blocks == 0 or self._blocks >= _MAX_BLOCKS:
            self.replace(terms)
            return
        with self._path.open("ab") as file:
            file.write(_block(_payload(words), terms.checkpoint))
        self._blocks += 1


def _crc(checkpoint: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<QQ", checkpoint, len(payload))))


def _block(payload: bytes, checkpoint: int) -> bytes:
    header = _HEADER.pack(_MAGIC, checkpoint, len(payload), _crc(checkpoint, payload))
    return header + payload
