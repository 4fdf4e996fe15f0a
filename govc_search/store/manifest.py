"""The data directory: who owns it, what formats it holds, which epoch its positions belong to."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from govc_search.errors import BusyError, StoreError
from govc_search.store import log

__all__ = ["FORMATS", "DataDirectory", "Holder", "holder"]

# What this release writes. A part with a later number is refused; a view with an earlier one is
# built anew.
FORMATS: Final[Mapping[str, int]] = MappingProxyType(
    {"directory": 1, "log": log.FORMAT, "table": 3, "text": 3}
)

_MANIFEST: Final = "manifest.json"
_LOCK: Final = "lock"
_MEND: Final = (
    "restore it from a copy, or `govc-search rebuild` makes one; positions then belong to a new"
    " epoch, and what was noted by the old one is not to be gone on from"
)
# What a crash may leave behind while a directory is being made.
_UNFINISHED: Final = frozenset({_LOCK, _MANIFEST + ".tmp"})


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a data directory."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class _Manifest:
    epoch: str
    formats: dict[str, int]


class DataDirectory:
    """One data directory, locked by this process until it is closed.

    `warnings` tells what opening had to mend.
    """

    def __init__(
        self, path: Path, lock: int, manifest: _Manifest, warnings: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.warnings = list(warnings)
        self._lock = lock
        self._manifest = manifest
        _held.add(self)

    @classmethod
    def open(cls, path: Path | str, *, create: bool = True, mend: bool = False) -> DataDirectory:
        """Returns the directory, made (mode 0700) if it is missing or empty and `create` is set.

        With `mend` a manifest that is lost or damaged is made anew where a log says that the
        directory is one of ours. Raises BusyError `data_directory_busy` when another process
        holds it, and StoreError `no_data_directory`, `not_a_data_directory`, `format_too_new`,
        `manifest_missing` or `manifest_damaged`.
        """
        path = Path(path)
        try:
            present = {p.name for p in path.iterdir()} if path.exists() else None
        except OSError as error:
            raise _foreign(path, str(error.strerror).lower()) from None
        ours = log.is_log(path / "log")
        if present is None or _MANIFEST not in present:
            if ours and not mend:
                raise StoreError(
                    "manifest_missing", f"{path} holds a log and no {_MANIFEST}", hint=_MEND
                )
            if present is not None and not present <= _UNFINISHED and not ours:
                raise _foreign(path, "it holds other files and no index")
            if not create and not ours:
                raise StoreError(
                    "no_data_directory",
                    f"nothing is indexed in {path}",
                    hint="`govc-search index PATH` indexes a repository there;"
                    " --data DIR names another place",
                )
        else:
            # Before anything is written there: the name is a usual one.
            _read(path, mend=mend, ours=ours)
        try:
            if present is None:
                path.mkdir(mode=0o700, parents=True)
                _sync(path.parent)
            if _MANIFEST not in (present or ()):
                path.chmod(0o700)
            lock = _take(path)
        except OSError as error:
            raise StoreError(
                "data_directory_unusable", f"{path} cannot be used: {str(error.strerror).lower()}"
            ) from None
        warnings = []
        try:
            manifest = _read(path, mend=mend, ours=ours)
            if manifest is None:
                manifest = _Manifest(secrets.token_hex(8), dict(FORMATS))
                _replace(path, manifest)
                if ours:
                    warnings.append(
                        f"made a new {_MANIFEST}: positions stay, and belong to the new epoch"
                        f" {manifest.epoch}"
                    )
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock, manifest, warnings)

    @property
    def epoch(self) -> str:
        """Returns the random id, in hexadecimal, of this directory's positions."""
        return self._manifest.epoch

    @property
    def formats(self) -> Mapping[str, int]:
        """Returns the format version of each part as the directory holds it."""
        return MappingProxyType(self._manifest.formats)

    @property
    def log(self) -> Path:
        """Returns where the log's segments are."""
        return self.path / "log"

    def view(self, name: str) -> Path:
        """Returns where a view is: `table` or `text`."""
        return self.path / name

    def record(self, part: str, version: int) -> None:
        """Notes that `part` now has format `version`, durably."""
        manifest = _Manifest(self.epoch, {**self.formats, part: version})
        _replace(self.path, manifest)
        self._manifest = manifest

    def close(self) -> None:
        """Lets go of the directory."""
        if self._lock >= 0:
            os.ftruncate(self._lock, 0)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1

    def abandon(self) -> None:
        """Lets go of it in a forked child, which would keep it busy after its parent's end."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_held: weakref.WeakSet[DataDirectory] = weakref.WeakSet()


def _forget_all() -> None:
    for directory in list(_held):
        directory.abandon()


os.register_at_fork(after_in_child=_forget_all)


def holder(path: Path | str) -> Holder | None:
    """Returns the process that wrote its name into the directory's lock last, or None."""
    try:
        text = (Path(path) / _LOCK).read_text("utf-8", "replace")
        pid, _, command = text.partition("\n")
        return Holder(int(pid), command.strip())
    except (OSError, ValueError):
        return None


def _take(path: Path) -> int:
    fd = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if not isinstance(error, BlockingIOError):
            raise
        who = holder(path)
        by = f"process {who.pid} ({who.command})" if who else "another process"
        raise BusyError(
            "data_directory_busy",
            f"{path} is held by {by}",
            hint="use the engine of that process or close it there; `govc-search query` asks it",
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n{shlex.join(sys.argv)[:500]}\n".encode(errors="replace"), 0)
    return fd


def _read(path: Path, *, mend: bool, ours: bool) -> _Manifest | None:
    """Returns the manifest, or None where there is none or one that is to be made anew."""
    try:
        text = (path / _MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    try:
        manifest = json.loads(text)
        formats = manifest["formats"]
        versions = {part: int(formats[part]) for part in FORMATS}
        epoch = str(manifest["epoch"])
    except (ValueError, KeyError, TypeError):
        if not ours:
            raise _foreign(path, f"its {_MANIFEST} is not one of ours") from None
        if mend:
            return None
        raise StoreError(
            "manifest_damaged", f"{path / _MANIFEST} cannot be understood", hint=_MEND
        ) from None
    for part, version in versions.items():
        if version > FORMATS[part]:
            raise StoreError(
                "format_too_new",
                f"{path} holds the {part} in format {version}, this release reads up to"
                f" {FORMATS[part]}",
                hint="a later release wrote it: use that one",
            )
    return _Manifest(epoch, versions)


def _replace(path: Path, manifest: _Manifest) -> None:
    temporary = path / (_MANIFEST + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"epoch": manifest.epoch, "formats": manifest.formats}, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path / _MANIFEST)
    _sync(path)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _foreign(path: Path, why: str) -> StoreError:
    return StoreError(
        "not_a_data_directory",
        f"{path} is not a data directory: {why}",
        hint="name an empty directory or one that does not exist",
    )
