"""Commits that make the same change have the same patch id, and others have not."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from fixtures.repositories import Builder, missing_object, odd_cases

import govc_search

Files = dict[str, bytes]
BODY = [b"line %d of a file\n" % i for i in range(30)]


def text(*, start: int = 0, **edits: bytes) -> bytes:
    """Returns the body from line `start` on with some lines (`l7=...`) replaced."""
    lines = {**dict(enumerate(BODY)), **{int(k[1:]): v for k, v in edits.items()}}
    return b"".join(lines[i] for i in range(start, 30))


Pair = tuple[Files, Files]
# What each of two commits finds and leaves.
SAME: dict[str, tuple[Pair, Pair]] = {
    "elsewhere in the file": (
        ({"a": text()}, {"a": text(l20=b"new\n")}),
        ({"a": text(start=9)}, {"a": text(start=9, l20=b"new\n")}),
    ),
    "other context": (
        ({"a": text()}, {"a": text(l20=b"new\n")}),
        ({"a": text(l19=b"x\n", l21=b"y\n")}, {"a": text(l19=b"x\n", l20=b"new\n", l21=b"y\n")}),
    ),
    "context between added lines": (
        ({"a": b"1\n"}, {"a": b"1\nx\ny\n"}),
        ({"a": b"1\n"}, {"a": b"x\n1\ny\n"}),
    ),
    "blanks": (
        ({"a": b"1\n"}, {"a": b"1\n\tif (x)  y;\n\n"}),
        ({"a": b"1\n"}, {"a": b"1\nif(x) y;\r\n  \n"}),
    ),
    "line end at the end": (
        ({"a": b"1\n"}, {"a": b"1\n2"}),
        ({"a": b"1\n"}, {"a": b"1\n2\n"}),
    ),
    "a rename, at another similarity": (
        ({"a": text()}, {"b": text(l3=b"new\n")}),
        ({"a": text(start=2)}, {"b": text(start=2, l3=b"new\n")}),
    ),
    "a binary file that moved": (
        ({"a": b"\0" + text()}, {"b": b"\0" + text()}),
        ({"a": b"\1\0" + text()}, {"b": b"\1\0" + text()}),
    ),
}
OTHER: dict[str, tuple[Pair, Pair]] = {
    "another path": (
        ({"a": text(), "b": b""}, {"a": text(l2=b"x\n"), "b": b""}),
        ({"a": b"", "b": text()}, {"a": b"", "b": text(l2=b"x\n")}),
    ),
    "blanks of a path": (({}, {"a b": b"1\n"}), ({}, {"ab": b"1\n"})),
    "there and back": (
        ({"a": b"1\n2\n"}, {"a": b"2\n1\n"}),
        ({"a": b"2\n1\n"}, {"a": b"1\n2\n"}),
    ),
    "a sign that belongs to the line": (
        ({"a": b"1\n2\n"}, {"a": b"+2\n"}),
        ({"a": b"1\n"}, {"a": b"2\n"}),
    ),
    "which lines are removed": (
        ({"a": b"x\n1\ny\n"}, {"a": b"1\nz\n"}),
        ({"a": b"x\n1\n"}, {"a": b"1\ny\nz\n"}),
    ),
    "where a line ends": (
        ({"a": b"1\n"}, {"a": b"1\nab\nc\n"}),
        ({"a": b"1\n"}, {"a": b"1\na\nbc\n"}),
    ),
    "in which file a line is": (
        ({"a": b"1\n", "b": b"1\n"}, {"a": b"1\nx\ny\n", "b": b"1\nz\n"}),
        ({"a": b"1\n", "b": b"1\n"}, {"a": b"1\nx\n", "b": b"1\ny\nz\n"}),
    ),
    "a new file": (({}, {"a": b"x\n"}), ({"a": b"1\n"}, {"a": b"1\nx\n"})),
    "mode there and back": (({"a": b"1\n"}, {"a*": b"1\n"}), ({"a*": b"1\n"}, {"a": b"1\n"})),
    "mode of a new file": (({}, {"a": b"1\n"}), ({}, {"a*": b"1\n"})),
    "another name": (({"a": text()}, {"b": text()}), ({"a": text()}, {"c": text()})),
    "from another name": (({"a": text()}, {"c": text()}), ({"b": text()}, {"c": text()})),
    "contents of a binary file": (
        ({"a": b"\0001"}, {"a": b"\0002"}),
        ({"a": b"\0001"}, {"a": b"\0003"}),
    ),
    "another submodule": (({}, {"m@1": b""}), ({}, {"m@2": b""})),
}


def put(repo: Builder, files: Files) -> str:
    """Commits exactly these files: `name*` is executable, `name@1` a submodule."""
    for file in repo.path.iterdir():
        if file.name != ".git":
            file.unlink()
    for name, content in files.items():
        if "@" not in name:
            repo.write(name.removesuffix("*"), content)
            if name.endswith("*"):
                (repo.path / name[:-1]).chmod(0o755)
    repo.git("add", "-A")
    for name in files:
        if "@" in name:
            path, _, digit = name.partition("@")
            repo.git("update-index", "--add", "--cacheinfo", f"160000,{digit * 40},{path}")
    repo.clock += 3600
    repo.git("commit", "-q", "--allow-empty", "-m", "m")
    return repo.head


def ids(path: Path, **options: object) -> dict[str, str | None]:
    """Returns the patch id of each commit of a repository indexed afresh."""
    data = path.parent / f"{path.name}-data"
    with govc_search.open(data) as engine:
        engine.index(path, jobs=1, **options)
        return dict(engine.query("SELECT hash, patch_id FROM commits"))


def pairs(groups: Iterable[tuple[str, str | None]]) -> set[tuple[str, str]]:
    by_id = defaultdict(list)
    for commit, patch in groups:
        if patch is not None:
            by_id[patch].append(commit)
    return {p for group in by_id.values() for p in itertools.combinations(sorted(group), 2)}


def test_the_same_change_has_the_same_id(tmp_path: Path) -> None:
    repo = Builder(tmp_path / "repo")
    made: dict[str, list[str]] = {}
    for kind, cases in (("same", SAME), ("other", OTHER)):
        for name, case in cases.items():
            for before, after in case:
                put(repo, before)
                made.setdefault(f"{kind}: {name}", []).append(put(repo, after))
    found = ids(repo.path)
    assert all(found[commit] is not None for pair in made.values() for commit in pair)
    judged = {name: found[a] == found[b] for name, (a, b) in made.items()}
    assert judged == {name: name.startswith("same") for name in made}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_what_git_takes_for_one_patch_is_one(tmp_path: Path, object_format: str) -> None:
    odd_cases(tmp_path / "repo", object_format=object_format)
    repo = Builder(tmp_path / "repo", object_format=object_format)
    commits = repo.git("rev-list", "--no-merges", "--reverse", "main").decode().split()
    repo.git("checkout", "-q", "-f", "-b", "again", commits[0])
    carried = []
    for commit in commits[1:]:
        repo.clock += 60
        try:
            repo.git("cherry-pick", "--allow-empty", commit)
        except AssertionError:
            repo.git("reset", "-q", "--hard")
            continue
        carried.append(commit)
    assert len(carried) > 15
    patches = repo.git("log", "-p", "--all", "--no-merges", "--full-index", "--binary")
    printed = repo.git("patch-id", "--stable", stdin=patches).decode().splitlines()
    theirs = pairs((commit, patch) for patch, commit in map(str.split, printed))
    ours = ids(repo.path)
    assert len(theirs) > 10
    assert theirs <= pairs(ours.items())
    listed = repo.git("rev-list", "--all", "--no-merges").decode().split()
    assert {c for c in listed if ours[c]} == {line.split()[1] for line in printed}


def test_what_was_not_read_whole_has_none(tmp_path: Path) -> None:
    repo = Builder(tmp_path / "repo")
    repo.write("a", b"1\n")
    repo.commit("one")
    repo.git("checkout", "-q", "-b", "side")
    repo.write("b", b"1\n")
    side = repo.commit("two")
    repo.git("checkout", "-q", "main")
    nothing = repo.commit("nothing")
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    assert set(ids(repo.path, diffs="none").values()) == {None}
    assert set(ids(repo.path, diffs="paths").values()) == {None}
    # Deeper diffs amend what is there.
    deeper = ids(repo.path, diffs="full")
    assert {c for c, patch in deeper.items() if patch is None} == {nothing, repo.head}
    merged = ids(repo.path, diffs="full", merges="first-parent")
    assert merged[repo.head] == merged[side] is not None
    hashes, at, _ = missing_object(tmp_path / "damaged", "blob")
    lacking = ids(tmp_path / "damaged")
    assert [c for c in hashes if lacking[c] is None] == [hashes[at]]
