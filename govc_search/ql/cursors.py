"""Cursors: where the next page of a query begins, as a text that says nothing to others.

A cursor is a version, a digest and JSON, in the base64 of URLs. It belongs to one statement, its
parameters and one epoch of positions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

from govc_search.errors import QueryError
from govc_search.ql.run import Params

__all__ = ["Place", "decode", "digest", "encode"]

_VERSION: Final = b"\x01"
_DIGEST: Final = 12
_EPOCH: Final = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after the row with `key`, or at row `offset` of a pinned result.

    `now` is the moment of the first page, `left` how many rows the statement's own LIMIT leaves.
    """

    now: datetime
    left: int | None = None
    key: tuple[object, ...] | None = None
    pin: str = ""
    offset: int = 0


def digest(gql: str, params: Params, epoch: str) -> bytes:
    """Returns what tells the statement of a cursor from others."""
    pairs = sorted(params.items()) if isinstance(params, Mapping) else enumerate(params or ())
    values = [(name, type(v).__name__, repr(v)) for name, v in pairs]
    return _hashed(json.dumps([gql, values, epoch]).encode())


def _hashed(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST).digest()


def encode(place: Place, statement: bytes) -> str:
    """Returns the cursor of a place in a statement, given by its digest."""
    told = {
        "now": _microseconds(place.now),
        "left": place.left,
        "key": None if place.key is None else [_written(v) for v in place.key],
        "pin": place.pin,
        "offset": place.offset,
    }
    body = statement + json.dumps(told, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_VERSION + _hashed(body) + body).decode().rstrip("=")


def decode(cursor: str, statement: bytes) -> Place:
    """Returns the place that a cursor names; raises QueryError `invalid_cursor`."""
    try:
        raw = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
    except ValueError:
        raise _invalid("it is not whole, or something was added") from None
    version, hashed, body = raw[:1], raw[1 : 1 + _DIGEST], raw[1 + _DIGEST :]
    if hashed != _hashed(body) or not body:
        raise _invalid("it is not whole, or something was added")
    if version != _VERSION:
        raise _invalid("it is of another release")
    if body[:_DIGEST] != statement:
        raise _invalid(
            "it belongs to another statement, other parameters or another data directory"
        )
    told = json.loads(body[_DIGEST:])
    key = told["key"]
    return Place(
        _EPOCH + timedelta(microseconds=told["now"]),
        told["left"],
        None if key is None else tuple(map(_read, key)),
        told["pin"],
        told["offset"],
    )


def _invalid(why: str) -> QueryError:
    return QueryError(
        "invalid_cursor",
        f"the cursor cannot be used: {why}",
        hint="pass the next_cursor of a page with the statement and parameters it came from",
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


# Values of keys that JSON does not know, by the names they go by there.
_TYPES: Final[Mapping[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "time": (datetime, _microseconds, lambda us: _EPOCH + timedelta(microseconds=us)),
    "date": (date, date.isoformat, date.fromisoformat),
    # JSON has neither infinities nor NaN.
    "float": (float, float.hex, float.fromhex),
    "decimal": (Decimal, str, Decimal),
}


def _written(value: object) -> object:
    for name, (kind, write, _) in _TYPES.items():
        if isinstance(value, kind):
            return {name: write(value)}
    return value


def _read(told: Any) -> object:
    if isinstance(told, dict):
        ((name, value),) = told.items()
        return _TYPES[name][2](value)
    return told
