"""A frame of the log: its layout, and how it is written, found and read back.

header   magic, format, header length, part count, body length, first and last position,
         hash of the previous frame, hash of this frame, CRC-32 of the header
parts    kind, rows, compressed length, length (one for each part)
payloads zstd-compressed Arrow IPC streams of one record batch each
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import zstandard

from govc_search.errors import StoreError
from govc_search.records import KINDS, Kind

__all__ = [
    "FORMAT",
    "NO_FRAME",
    "Entry",
    "Frame",
    "Payload",
    "build",
    "check_payload",
    "damaged",
    "encode",
    "next_frame",
    "place",
    "read_body",
    "read_entries",
    "read_header",
]

FORMAT: Final = 1

_MAGIC: Final = b"GVLF"
# The first three fields and the CRC at the end keep their places in every format, so that a
# frame of a later format is told from a damaged one.
_FIELDS: Final = struct.Struct("<4sHHIQQQ32s32s")
_CRC: Final = struct.Struct("<I")
_HEADER: Final = _FIELDS.size + _CRC.size
_HASHED: Final = _FIELDS.size - 32
_PART: Final = struct.Struct("<HHQQQ")
NO_FRAME: Final = bytes(32)

_LEVEL: Final = 3
# What one part may unfold to; a part above it is refused when it is written, so that every part
# in the log can be read back.
_PART_BYTES: Final = 2 << 30
_WINDOW: Final = 1 << 20


_BY_NUMBER: Final = {kind.number: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Entry:
    """What one part of a frame holds: row `i` of `batch` has position `first + i`."""

    kind: Kind
    first: int
    batch: pa.RecordBatch

    @property
    def last(self) -> int:
        """Returns the position of the last row."""
        rows: int = self.batch.num_rows
        return self.first + rows - 1


@dataclass(frozen=True, slots=True)
class Payload:
    """A record batch as the log stores it; `data` comes from `encode`, maybe in a worker."""

    kind: Kind
    rows: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame's header and where it lies; `digest` covers it and `previous`."""

    offset: int
    length: int
    parts: int
    first: int
    last: int
    previous: bytes
    digest: bytes

    @property
    def end(self) -> int:
        """Returns the offset of what follows."""
        return self.offset + self.length


def encode(kind: Kind, batch: pa.RecordBatch) -> Payload:
    """Returns the batch as a compressed payload; raises ValueError on a foreign schema."""
    if not batch.schema.equals(kind.schema):
        raise ValueError(f"a batch of {kind.name} records has another schema: {batch.schema}")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, kind.schema) as writer:
        writer.write_batch(batch)
    raw = sink.getvalue()
    return Payload(kind, batch.num_rows, zstandard.ZstdCompressor(level=_LEVEL).compress(raw))


def check_payload(payload: Payload) -> None:
    """Raises StoreError `record_too_large` for a payload that could not be read back."""
    unfolded = zstandard.frame_content_size(payload.data)
    if not 0 <= unfolded <= _PART_BYTES:
        raise StoreError(
            "record_too_large",
            f"a batch of {payload.rows} {payload.kind.name} records unfolds to {unfolded} bytes,"
            " more than the log takes in one part",
        )


def build(payloads: list[Payload], first: int, last: int, previous: bytes) -> tuple[bytes, bytes]:
    """Returns the bytes of a frame and its hash."""
    table = b"".join(
        _PART.pack(p.kind.number, 0, p.rows, len(p.data), zstandard.frame_content_size(p.data))
        for p in payloads
    )
    body = b"".join([table, *(p.data for p in payloads)])
    hashed = _FIELDS.pack(
        _MAGIC, FORMAT, _HEADER, len(payloads), len(body), first, last, previous, NO_FRAME
    )[:_HASHED]
    digest = _digest(hashed, body)
    header = hashed + digest
    return b"".join([header, _CRC.pack(zlib.crc32(header)), body]), digest


def _digest(hashed: bytes, body: bytes) -> bytes:
    state = hashlib.blake2b(hashed, digest_size=32)
    state.update(body)
    return state.digest()


def read_header(fd: int, offset: int, size: int, segment: str) -> Frame:
    """Returns the frame at `offset`, its body unread; raises StoreError if there is none."""
    raw = os.pread(fd, _HEADER, offset)
    if len(raw) < _HEADER:
        raise damaged(segment, offset, "the frame is cut short")
    magic, version, length, parts, body, first, last, previous, digest = _FIELDS.unpack_from(raw)
    if magic != _MAGIC or not _HEADER <= length <= 4096:
        raise damaged(segment, offset, "there is no frame")
    if length > _HEADER:
        raw = os.pread(fd, length, offset)
        if len(raw) < length:
            raise damaged(segment, offset, "the frame is cut short")
    if _CRC.unpack_from(raw, length - _CRC.size)[0] != zlib.crc32(raw[: length - _CRC.size]):
        raise damaged(segment, offset, "the frame's header does not match its checksum")
    if version > FORMAT:
        raise StoreError(
            "format_too_new",
            place(segment, offset) + f"format {version}, this release reads up to {FORMAT}",
            hint="a later release wrote this log: use that one",
        )
    if offset + length + body > size:
        raise damaged(segment, offset, f"positions {first} to {last} are cut short")
    return Frame(offset, length + body, parts, first, last, previous, digest)


def read_body(fd: int, frame: Frame, segment: str) -> memoryview:
    """Returns the frame's parts table and payloads; raises StoreError if they are damaged."""
    raw = os.pread(fd, frame.length, frame.offset)
    # One read ends early on files above two gigabytes.
    while 0 < len(raw) < frame.length:
        more = os.pread(fd, frame.length - len(raw), frame.offset + len(raw))
        if not more:
            break
        raw += more
    body = memoryview(raw)[_HEADER:]
    state = hashlib.blake2b(raw[:_HASHED], digest_size=32)
    state.update(body)
    if len(raw) < frame.length or state.digest() != frame.digest:
        raise damaged(
            segment,
            frame.offset,
            f"positions {frame.first} to {frame.last} do not match their checksum",
        )
    return body


def _decode(kind: Kind, data: memoryview, rows: int, unfolded: int) -> pa.RecordBatch:
    # The size in the payload's own header decides what is allocated, so it is checked first.
    declared = zstandard.frame_content_size(data)
    if declared != unfolded or not 0 <= declared <= _PART_BYTES:
        raise ValueError(f"a payload declares {declared} bytes where {unfolded} were written")
    raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=unfolded)
    with pa.ipc.open_stream(raw) as reader:
        batches = list(reader)
    if len(batches) != 1 or batches[0].num_rows != rows:
        raise ValueError(f"{sum(b.num_rows for b in batches)} rows where {rows} were written")
    if not batches[0].schema.equals(kind.schema):
        raise ValueError(f"another schema than that of {kind.name} records")
    return batches[0]


def next_frame(fd: int, start: int, size: int, segment: str) -> Frame | None:
    """Returns the first whole frame at or after `start`, or None: tells damage from a tail."""
    offset = start
    while offset < size:
        window = os.pread(fd, _WINDOW, offset)
        found = window.find(_MAGIC)
        while found >= 0:
            try:
                frame = read_header(fd, offset + found, size, segment)
                read_body(fd, frame, segment)
            except StoreError:
                found = window.find(_MAGIC, found + 1)
            else:
                return frame
        if len(window) < _WINDOW:
            return None
        offset += _WINDOW - len(_MAGIC) + 1
    return None


def read_entries(fd: int, frame: Frame, segment: str) -> list[Entry]:
    """Returns what the frame holds; raises StoreError where it is damaged or unknown."""
    body = read_body(fd, frame, segment)
    entries: list[Entry] = []
    position = frame.first
    at = frame.parts * _PART.size
    for i in range(frame.parts):
        number, _, rows, size, unfolded = _PART.unpack_from(body, i * _PART.size)
        kind = _BY_NUMBER.get(number)
        if kind is None:
            raise StoreError(
                "format_too_new",
                place(segment, frame.offset) + f"records of the unknown kind {number}",
                hint="a later release wrote this log: use that one",
            )
        try:
            batch = _decode(kind, body[at : at + size], rows, unfolded)
        except (ValueError, zstandard.ZstdError, pa.ArrowException) as error:
            raise damaged(
                segment,
                frame.offset,
                f"positions {position} to {position + rows - 1} do not decode: {error}",
            ) from error
        entries.append(Entry(kind, position, batch))
        position += rows
        at += size
    if position != frame.last + 1 or at != len(body):
        raise damaged(segment, frame.offset, "the parts do not add up to the frame")
    return entries


_HINT: Final = "restore the log from a copy; `verify` names every damaged place"


def place(segment: str, offset: int) -> str:
    """Returns how messages name a place in the log."""
    return f"log segment {segment}, offset {offset}: "


def damaged(segment: str, offset: int, what: str) -> StoreError:
    """Returns the error for a place that cannot be trusted."""
    return StoreError("log_damaged", place(segment, offset) + what, hint=_HINT)
