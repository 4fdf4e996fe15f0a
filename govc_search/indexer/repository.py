"""Opens a source repository without letting git read anything but its objects and refs.

Two private bare directories are made in a place of our own. The `view` borrows the source's
objects and is all that commits are read through. The other one also borrows its refs and HEAD;
it is asked once, when the repository is opened. So the source's configuration, attributes,
hooks, grafts and replacements are never seen by git.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from govc_search.indexer.commit_object import parse_commit_object, parse_date
from govc_search.indexer.git_process import ObjectReader, run_git
from govc_search.indexer.private_view import Place, broken, locate, make_view, private_directory

__all__ = ["Head", "Ref", "Repository"]

_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT: Final = (b"refs/heads/", b"refs/tags/", b"refs/remotes/", b"refs/")
_WALK_BATCH: Final = 1024


@dataclass(frozen=True, slots=True)
class Ref:
    """A ref as it stood when the repository was opened; HEAD, where it is born, is one too.

    `object_type` is commit, tag, tree or blob, null where the object cannot be read. `peeled` is
    what annotated tags lead to, else `hash`; `commit` is the same where that is a commit. The
    rest comes from the tag object: times in seconds since 1970, offset in minutes.
    """

    name: bytes
    hash: str
    object_type: str | None
    peeled: str
    peeled_type: str | None
    tagger: bytes | None = None
    tagger_email: bytes | None = None
    tagger_time: int | None = None
    tagger_tz: int | None = None
    message: bytes | None = None

    @property
    def commit(self) -> str | None:
        """Returns the commit that the ref leads to, or None."""
        return self.peeled if self.peeled_type == "commit" else None


@dataclass(frozen=True, slots=True)
class Head:
    """HEAD: the full name of its branch (null: detached) and its hash (null: unborn)."""

    branch: bytes | None
    hash: str | None


class Repository:
    """A source repository, open for reading; a context manager that removes its private view."""

    def __init__(self, path: Path, place: Place, scratch: Path | None) -> None:
        self.path = path
        self.git_dir = place.git_dir
        self._temporary = private_directory(scratch)
        root = Path(self._temporary.name)
        self.view = str(root / "view")
        self._walk_view = str(root / "refs")
        self._shallow_file = str(root / "shallow")
        try:
            self.object_format = _object_format(path, place, str(root))
            self.shallow = _read_shallow(path, place)
            self._make_views(place)
            self._head, self._names = self._take_refs()
            self._objects = ObjectReader(self.view)
        except BaseException:
            self._temporary.cleanup()
            raise
        self._refs: list[Ref] | None = None

    @classmethod
    def open(cls, path: Path | str, scratch: Path | None = None) -> Repository:
        """Returns the repository at `path`: a work tree's top, a bare or a git directory.

        The private view is made in `scratch`, whose owner clears away what a killed process left
        there, or in the system's temporary directory. A repository without any commit is no
        error. Raises SourceError `repository_missing`, `not_a_repository` or `repository_broken`.
        """
        path = Path(path).expanduser()
        try:
            path = path.absolute()
            return cls(path, locate(path), scratch)
        except PermissionError as error:
            raise broken(path, f"permission denied on {error.filename}") from None
        except OSError as error:
            raise broken(path, str(error.strerror or error).lower()) from None

    def _make_views(self, place: Place) -> None:
        for made in (self.view, self._walk_view):
            make_view(Path(made), place.common, self.object_format)
        Path(self._shallow_file).write_text("".join(f"{h}\n" for h in sorted(self.shallow)))
        borrowed = Path(self._walk_view)
        shutil.rmtree(borrowed / "refs")
        (borrowed / "refs").symlink_to(place.common / "refs")
        for name in ("packed-refs", "reftable"):
            if (place.common / name).exists():
                (borrowed / name).symlink_to(place.common / name)
        if (place.common / "reftable").exists():
            run_git(str(borrowed), ["config", "core.repositoryFormatVersion", "1"])
            run_git(str(borrowed), ["config", "extensions.refStorage", "reftable"])
        shutil.copyfile(place.git_dir / "HEAD", borrowed / "HEAD")

    def _take_refs(self) -> tuple[Head, list[tuple[bytes, str]]]:
        listed = run_git(self._walk_view, ["for-each-ref", "--format=%(objectname) %(refname)"])
        if listed.returncode:
            raise broken(self.path, _last_words(listed.stderr))
        names = []
        for line in listed.stdout.splitlines():
            name, _, ref = line.partition(b" ")
            names.append((ref, name.decode()))
        symbolic = run_git(self._walk_view, ["symbolic-ref", "--quiet", "HEAD"])
        branch = symbolic.stdout.rstrip(b"\n") or None
        if branch is not None:
            return Head(branch, dict(names).get(branch)), names
        resolved = run_git(self._walk_view, ["rev-parse", "--quiet", "--verify", "HEAD"])
        found = resolved.stdout.strip().decode()
        if not _HASH.fullmatch(found):
            raise broken(self.path, "its HEAD cannot be read")
        return Head(None, found), names

    def head(self) -> Head:
        """Returns HEAD as it stood when the repository was opened."""
        return self._head

    def refs(self, patterns: Sequence[str] = ()) -> list[Ref]:
        """Returns the refs that match any pattern; without patterns every ref and HEAD.

        A pattern is `HEAD`, a full name, a name without `refs/heads/` and the like, a directory
        of names, or a glob over one of these in which `*` goes over slashes.
        """
        if self._refs is None:
            self._refs = self._read_refs()
        if not patterns:
            return list(self._refs)
        wanted = [os.fsencode(p).rstrip(b"/") for p in patterns]
        return [r for r in self._refs if any(_matches(r.name, p) for p in wanted)]

    def _read_refs(self) -> list[Ref]:
        names = list(self._names)
        if self._head.hash is not None:
            names.insert(0, (b"HEAD", self._head.hash))
        hashes = list(dict.fromkeys(h for _, h in names))
        kinds = self._kinds(hashes)
        tags = [h for h in hashes if kinds.get(h) == "tag"]
        read = {}
        points: dict[str, str] = {}
        todo = tags
        # Tags of tags are rare: each round reads one more layer.
        while todo:
            for answer in self._objects.read(todo):
                target, read[answer.hash] = _read_tag(answer.hash, answer.data)
                if target is not None:
                    points[answer.hash] = target
            kinds |= self._kinds([t for t in points.values() if t not in kinds])
            todo = [t for t in points.values() if kinds.get(t) == "tag" and t not in read]
        refs = []
        for name, found in names:
            end = found
            # Counted, because a forged pack may hold tags that lead in a circle.
            for _ in range(len(points)):
                end = points.get(end, end)
            kind = kinds.get(end)
            if found in read:
                refs.append(replace(read[found], name=name, peeled=end, peeled_type=kind))
            else:
                refs.append(Ref(name, found, kind, found, kind))
        return refs

    def _kinds(self, hashes: Sequence[str]) -> dict[str, str]:
        """Returns the types of the objects that are there, by hash."""
        if not hashes:
            return {}
        done = run_git(
            self.view,
            ["cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer"],
            stdin="".join(f"{h}\n" for h in hashes).encode(),
        )
        pairs = (line.split(" ") for line in done.stdout.decode().splitlines())
        return {name: kind for name, kind in pairs if kind in ("commit", "tag", "tree", "blob")}

    def holds(self, names: Sequence[str]) -> set[str]:
        """Returns which of these objects are there and can be read."""
        return {answer.name for answer in self._objects.read(names, 0) if answer.kind}

    def mailmap(self) -> bytes | None:
        """Returns the `.mailmap` at HEAD, or None where there is none."""
        if self._head.hash is None:
            return None
        (answer,) = self._objects.read([f"{self._head.hash}:.mailmap"])
        return answer.data if answer.kind == "blob" else None

    def rev_list(self, tips: Sequence[str], not_tips: Sequence[str] = ()) -> list[str]:
        """Returns the commits reachable from `tips` and not from `not_tips`, parents first.

        Tips of `not_tips` that are gone are left out. A commit that is missing or damaged is in
        the list too, so that whoever reads it can say so.
        """
        tips = list(dict.fromkeys(tips))
        not_tips = list(dict.fromkeys(not_tips))
        if not tips:
            return []
        kinds = self._kinds([*tips, *not_tips])
        gone = [t for t in tips if kinds.get(t) != "commit"]
        tips = [t for t in tips if kinds.get(t) == "commit"]
        not_tips = [t for t in not_tips if kinds.get(t) == "commit"]
        done = run_git(
            self.view,
            ["rev-list", "--topo-order", "--reverse", "--stdin"],
            stdin="".join([*(f"{t}\n" for t in tips), *(f"^{t}\n" for t in not_tips)]).encode(),
            shallow_file=self._shallow_file,
        )
        found = done.stdout.decode().split()
        if done.returncode:
            # Git gives up at the first commit that it cannot read.
            found = self._walk(tips, not_tips)
        return [*gone, *found]

    def _walk(self, tips: Sequence[str], not_tips: Sequence[str]) -> list[str]:
        hidden = set(self._parents(not_tips)) if not_tips else set()
        parents = self._parents([t for t in tips if t not in hidden], hidden)
        # Keys are in the order in which they were met. An edge is followed once, so that even a
        # circle, which only a forged pack can hold, comes to an end.
        order: dict[str, None] = {}
        for tip in tips:
            stack = [tip] if tip in parents else []
            while stack:
                waiting = parents[stack[-1]]
                if waiting:
                    parent = waiting.pop(0)
                    if parent in parents and parent not in order:
                        stack.append(parent)
                else:
                    order[stack.pop()] = None
        return list(order)

    def _parents(self, tips: Sequence[str], hidden: set[str] | None = None) -> dict[str, list[str]]:
        """Returns the parents of all commits that can be reached, of unreadable ones none."""
        found: dict[str, list[str]] = {}
        todo = list(dict.fromkeys(tips))
        seen = set(todo) | (hidden or set())
        while todo:
            now, todo = todo[-_WALK_BATCH:], todo[:-_WALK_BATCH]
            for answer in self._objects.read(now):
                commit = parse_commit_object(answer.data) if answer.kind == "commit" else None
                cut = commit is None or answer.name in self.shallow
                found[answer.name] = [] if cut or commit is None else commit.parents
                for parent in found[answer.name]:
                    if parent not in seen:
                        seen.add(parent)
                        todo.append(parent)
        return found

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Returns whether one commit is reachable from the other; not where one is missing."""
        if not (_HASH.fullmatch(ancestor) and _HASH.fullmatch(descendant)):
            return False
        done = run_git(
            self.view,
            ["merge-base", "--is-ancestor", ancestor, descendant],
            shallow_file=self._shallow_file,
        )
        return done.returncode == 0

    def close(self) -> None:
        """Ends what was started and removes the private view."""
        self._objects.close()
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _last_words(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
    return lines[-1].removeprefix("fatal: ").removeprefix("error: ")


def _object_format(path: Path, place: Place, scratch: str) -> str:
    config = place.common / "config"
    if not config.exists():
        return "sha1"
    # Read as a plain file: nothing in it is taken to heart.
    done = run_git(
        scratch,
        ["config", "--file", str(config), "--no-includes", "--get", "extensions.objectformat"],
    )
    if done.returncode > 1:
        raise broken(path, _last_words(done.stderr))
    found = done.stdout.decode("utf-8", "replace").strip().lower() or "sha1"
    if found not in ("sha1", "sha256"):
        raise broken(path, f'unknown object format "{found}"')
    return found


def _read_shallow(path: Path, place: Place) -> frozenset[str]:
    file = place.common / "shallow"
    if not file.exists():
        return frozenset()
    lines = file.read_text("ascii", "replace").split()
    if not all(_HASH.fullmatch(line) for line in lines):
        raise broken(path, "its list of shallow commits is damaged")
    return frozenset(lines)


def _matches(name: bytes, pattern: bytes) -> bool:
    names = [name, *(name[len(p) :] for p in _SHORT if name.startswith(p))]
    return any(
        n == pattern or n.startswith(pattern + b"/") or fnmatch.fnmatchcase(n, pattern)
        for n in names
    )


_TAG: Final = re.compile(rb"object ([0-9a-f]{40,64})\ntype \w+\ntag .*\n(?:tagger (.*)\n)?")


def _read_tag(name: str, data: bytes) -> tuple[str | None, Ref]:
    """Returns what the tag points to and the ref's fields that come from it."""
    found = _TAG.match(data)
    if found is None:
        return None, Ref(b"", name, "tag", name, None)
    message = data[data.find(b"\n\n") + 2 :] if b"\n\n" in data else b""
    ref = Ref(b"", name, "tag", name, None, message=message)
    person = found[2]
    if person is not None:
        date = parse_date(person)
        tagger, _, rest = person.partition(b"<")
        ref = replace(
            ref,
            tagger=tagger.strip(),
            tagger_email=rest.partition(b">")[0].strip(),
            tagger_time=date.time,
            tagger_tz=date.tz,
        )
    return found[1].decode(), ref
