"""Finds the parts of a repository, and makes the private bare directories that git reads it through.

A private view borrows a repository's objects and has nothing else of it, so its configuration,
attributes, hooks, grafts and replacements are never seen by git.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from govc_search.errors import SourceError, StoreError

__all__ = ["Place", "broken", "is_repository", "locate", "make_view", "private_directory"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of a repository lie: linked work trees have a directory of their own."""

    git_dir: Path
    common: Path


def private_directory(scratch: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Returns a directory for views in `scratch`, or in the system's temporary one."""
    # Git is run in the view: a relative path would lead elsewhere there.
    place = Path(tempfile.gettempdir()) if scratch is None else scratch.absolute()
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        return tempfile.TemporaryDirectory(
            prefix="govc-search-", dir=place, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise StoreError(
            "data_directory_unusable", f"{place} cannot be used: {str(error.strerror).lower()}"
        ) from None


def make_view(view: Path, common: Path, object_format: str) -> None:
    """Makes a bare repository at `view` that has the objects of the one at `common`."""
    info = view / "objects" / "info"
    info.mkdir(parents=True)
    (view / "refs").mkdir()
    (view / "HEAD").write_text("ref: refs/heads/main\n")
    version, extensions = 0, ""
    if object_format != "sha1":
        version, extensions = 1, f"[extensions]\n\tobjectFormat = {object_format}\n"
    (view / "config").write_text(
        f"[core]\n\trepositoryFormatVersion = {version}\n\tbare = true\n{extensions}"
    )
    quoted = os.fsencode(common / "objects")
    for plain, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        quoted = quoted.replace(plain, escaped)
    (info / "alternates").write_bytes(b'"' + quoted + b'"\n')


def broken(path: Path, why: str) -> SourceError:
    """Returns the error for a repository that git cannot read."""
    return SourceError(
        "repository_broken",
        f"the repository at {path} cannot be read: {why}",
        hint="`git fsck` in it may tell more",
    )


def is_repository(path: Path) -> bool:
    """Returns whether there is a repository at a path, be it one that cannot be read."""
    try:
        locate(path)
    except SourceError as error:
        return error.code == "repository_broken"
    except OSError:
        return True
    return True


def locate(path: Path) -> Place:
    """Returns the parts of the repository at `path`: a work tree's top or a git directory.

    Raises SourceError `repository_missing`, `not_a_repository` or `repository_broken`.
    """
    if not path.exists():
        raise SourceError("repository_missing", f"there is nothing at {path}")
    inner = path / ".git"
    if path.is_file() and path.name == ".git":
        git_dir = _linked(path, path)
    elif inner.is_file():
        git_dir = _linked(path, inner)
    elif inner.is_dir():
        git_dir = inner
    elif path.is_dir() and _is_git_dir(path):
        git_dir = path
    else:
        raise SourceError(
            "not_a_repository", f"{path} is not a git repository", hint=_parent_hint(path)
        )
    if not _is_git_dir(git_dir):
        raise broken(path, f"{git_dir} has no HEAD, objects and refs")
    common = git_dir
    if (git_dir / "commondir").is_file():
        told = (git_dir / "commondir").read_bytes().rstrip(b"\r\n")
        common = (git_dir / os.fsdecode(told)).resolve()
        if not ((common / "objects").is_dir() and (common / "refs").is_dir()):
            raise broken(path, f"{common} has no objects and refs")
    for part in ("objects", "refs"):
        if not os.access(common / part, os.R_OK | os.X_OK):
            raise broken(path, f"permission denied on {common / part}")
    return Place(git_dir.resolve(), common.resolve())


def _is_git_dir(path: Path) -> bool:
    return (path / "HEAD").is_file() and (
        (path / "commondir").is_file() or ((path / "objects").is_dir() and (path / "refs").is_dir())
    )


def _linked(path: Path, file: Path) -> Path:
    told = file.read_bytes().rstrip(b"\r\n")
    if not told.startswith(b"gitdir: "):
        raise broken(path, f"{file} does not name a git directory")
    git_dir = file.parent / os.fsdecode(told[8:])
    if not git_dir.is_dir():
        raise broken(path, f"{file} names {git_dir}, which is not there")
    return git_dir


def _parent_hint(path: Path) -> str | None:
    for above in path.parents:
        if (above / ".git").exists():
            return f"the work tree it lies in begins at {above}"
    return None
