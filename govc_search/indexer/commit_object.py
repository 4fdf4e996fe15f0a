"""Takes apart a raw commit object: what git's formats hide or smooth over."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["CommitObject", "Date", "parse_commit_object", "parse_date", "signature_kind"]

_HEADER: Final = re.compile(
    rb"tree ([0-9a-f]{40,64})\n((?:parent [0-9a-f]{40,64}\n)*)"
    rb"(?:author (.*)\n)?(?:committer (.*)\n)?"
)
_USUAL: Final = re.compile(rb" (\d{1,18}) ([+-])(\d\d)([0-5]\d)")
_ODD: Final = re.compile(rb"\s*(-?\d+)\s+([+-]\d+)")
_SIGNATURES: Final = (
    (b"-----BEGIN PGP ", "gpg"),
    (b"-----BEGIN SSH SIGNATURE", "ssh"),
    (b"-----BEGIN SIGNED MESSAGE", "x509"),
)


@dataclass(frozen=True, slots=True)
class Date:
    """A recorded time: seconds since 1970, offset in minutes, and the text where it is odd.

    `raw` is null where the other two say all that was written.
    """

    time: int | None
    tz: int | None
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class CommitObject:
    """What stands in a commit object's header."""

    tree: str
    parents: list[str]
    author: Date
    committer: Date
    encoding: str | None
    signature: str | None


def parse_date(person: bytes | None) -> Date:
    """Returns the date at the end of a `Name <email> seconds zone` line.

    As git does, it looks after the last ">". A zone of a day or more, or with sixty minutes or
    more, is none; a time that does not fit 64 bits is none.
    """
    if person is None:
        return Date(None, None, None)
    tail = person[person.rfind(b">") + 1 :] if b">" in person else b""
    usual = _USUAL.fullmatch(tail)
    if usual is not None:
        seconds, sign, hours, minutes = usual.groups()
        tz = int(hours) * 60 + int(minutes)
        if tz < 24 * 60:
            # "-0000" and times with leading zeros cannot be written again from the numbers.
            odd = (sign == b"-" and not tz) or (seconds[:1] == b"0" and len(seconds) > 1)
            return Date(int(seconds), -tz if sign == b"-" else tz, tail[1:] if odd else None)
    raw = tail.strip() or person
    found = _ODD.match(tail)
    if found is None or len(found[1]) > 20:
        return Date(None, None, raw)
    time = int(found[1])
    if not -(1 << 63) <= time < 1 << 63:
        return Date(None, None, raw)
    digits = found[2][1:]
    offset = int(digits) // 100 * 60 + int(digits) % 100 if len(digits) <= 6 else 24 * 60
    if offset >= 24 * 60 or int(digits[-2:]) >= 60:
        return Date(time, None, raw)
    return Date(time, -offset if found[2][:1] == b"-" else offset, raw)


def signature_kind(armor: bytes) -> str:
    """Returns gpg, ssh or x509 by the first line of a signature, else unknown."""
    for start, kind in _SIGNATURES:
        if armor.startswith(start):
            return kind
    return "unknown"


def parse_commit_object(data: bytes) -> CommitObject | None:
    """Returns the header of a raw commit object, or None where it is not one."""
    found = _HEADER.match(data)
    if found is None:
        return None
    tree, parents, author, committer = found.groups()
    encoding = signature = None
    end = data.find(b"\n\n", found.end() - 1)
    # Headers are few: most commits have nothing between the committer and the message.
    if end != found.end() - 1:
        rest = data[found.end() - 1 : end if end >= 0 else len(data)]
        at = rest.find(b"\nencoding ")
        if at >= 0:
            encoding = rest[at + 10 :].partition(b"\n")[0].decode("utf-8", "replace")
        # Continuation lines start with a space, so a tag's signature inside a mergetag header
        # is not found here.
        at = rest.find(b"\ngpgsig")
        if at >= 0:
            signature = signature_kind(rest[at + 1 :].partition(b" ")[2])
    return CommitObject(
        tree.decode(),
        [line[7:].decode() for line in parents.splitlines()],
        parse_date(author),
        parse_date(committer),
        encoding,
        signature,
    )
