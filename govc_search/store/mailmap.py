"""Names as a repository's mailmap gives them, by git's own rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["Mailmap"]

# What git's isspace() takes; bytes.strip() would take two more.
_SPACE: Final = b" \t\n\r"


@dataclass(slots=True)
class _Target:
    """A new name and e-mail; None keeps what was recorded."""

    name: bytes | None = None
    email: bytes | None = None


@dataclass(slots=True)
class _Address:
    """What the mailmap says of one recorded e-mail: for any name, and for certain names."""

    any: _Target = field(default_factory=_Target)
    named: dict[bytes, _Target] = field(default_factory=dict)


class Mailmap:
    """A parsed mailmap; looks up (name, e-mail) pairs as `git check-mailmap` does."""

    def __init__(self, text: bytes = b"") -> None:
        self._addresses: dict[bytes, _Address] = {}
        # git reads the file as a C string.
        for line in text.partition(b"\0")[0].split(b"\n"):
            self._add_line(line)

    def lookup(self, name: bytes, email: bytes) -> tuple[bytes, bytes]:
        """Returns the mapped name and e-mail; each is the given one where nothing maps it."""
        # bytes.lower() folds ASCII only, which is what git compares by.
        address = self._addresses.get(email.lower())
        if address is None:
            return name, email
        target = address.named.get(name.lower(), address.any)
        return (
            name if target.name is None else target.name,
            email if target.email is None else target.email,
        )

    def _add_line(self, line: bytes) -> None:
        if line.startswith(b"#"):
            return
        first = _name_and_email(line, allow_empty=False)
        if first is None:
            return
        new_name, new_email, rest = first
        second = _name_and_email(rest, allow_empty=True) if rest else None
        old_name = old_email = None
        if second is not None:
            old_name, old_email, _ = second
        if old_email is None:
            self._add(new_name, None, old_name, new_email)
        else:
            self._add(new_name, new_email, old_name, old_email)

    def _add(
        self,
        new_name: bytes | None,
        new_email: bytes | None,
        old_name: bytes | None,
        old_email: bytes,
    ) -> None:
        address = self._addresses.setdefault(old_email.lower(), _Address())
        if old_name is not None:
            address.named[old_name.lower()] = _Target(new_name, new_email)
            return
        if new_name is not None:
            address.any.name = new_name
        if new_email is not None:
            address.any.email = new_email


def _name_and_email(text: bytes, *, allow_empty: bool) -> tuple[bytes | None, bytes, bytes] | None:
    """Returns name (None: none given), e-mail and the rest of the line, or None."""
    left = text.find(b"<")
    right = text.find(b">", left + 1)
    if left < 0 or right < 0 or (right == left + 1 and not allow_empty):
        return None
    return text[:left].strip(_SPACE) or None, text[left + 1 : right], text[right + 1 :]
