"""Frames: how messages travel over a stream socket.

A frame is a magic number, the lengths of both parts, a header in JSON and a body of bytes. The
layout is that of every release, so that two of them can at least tell each other which they are.
Dates and times, which JSON has not, are {"$date": text} and {"$timestamp": text} in a header.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

__all__ = ["FrameError", "receive", "same_user", "send"]

_MAGIC: Final = b"govc"
_LAYOUT: Final = struct.Struct("!4sIQ")
_CREDENTIALS: Final = struct.Struct("3i")


class FrameError(Exception):
    """What came is no frame, or larger than is taken; the message says which."""


def send(connection: socket.socket, header: Mapping[str, Any], body: Any = b"") -> None:
    """Sends one frame; `body` is anything with the buffer protocol. Raises OSError."""
    text = json.dumps(header, default=_encoded).encode()
    connection.sendall(_LAYOUT.pack(_MAGIC, len(text), len(body)) + text)
    if len(body):
        connection.sendall(body)


def _encoded(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {"$timestamp": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    raise TypeError(f"{type(value).__name__} does not travel")


def _decoded(told: dict[str, Any]) -> object:
    match told:
        case {"$timestamp": str(text)}:
            return datetime.fromisoformat(text)
        case {"$date": str(text)}:
            return date.fromisoformat(text)
    return told


def receive(connection: socket.socket, most: int | None = None) -> tuple[dict[str, Any], bytearray]:
    """Returns the header and body of the next frame, of at most `most` bytes together.

    Raises EOFError where the stream ends, FrameError and OSError.
    """
    magic, header_size, body_size = _LAYOUT.unpack(_exactly(connection, _LAYOUT.size))
    if magic != _MAGIC:
        raise FrameError("this is no frame")
    if most is not None and header_size + body_size > most:
        raise FrameError(f"a frame of {header_size + body_size} bytes is too large")
    text = _exactly(connection, header_size)
    try:
        header = json.loads(text, object_hook=_decoded)
    except (ValueError, RecursionError):
        raise FrameError("the header of the frame is not JSON") from None
    if not isinstance(header, dict):
        raise FrameError("the header of the frame is not an object")
    return header, _exactly(connection, body_size)


def _exactly(connection: socket.socket, size: int) -> bytearray:
    out = bytearray(size)
    rest = memoryview(out)
    while rest:
        got = connection.recv_into(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return out


def same_user(connection: socket.socket, user: int) -> bool:
    """Returns whether the other end is a process of this user, as far as the platform tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(told)
    return bool(uid == user)
