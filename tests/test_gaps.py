"""What of a repository is not indexed: when it is tried again, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.indexed import HASHES, column, grow, rows, small
from fixtures.repositories import Builder, missing_object, shallow_clone

import govc_search
from govc_search import Engine
from govc_search.gaps import kind_of, limit_of, lost_object, too_large

WHY = "SELECT incomplete FROM commits WHERE incomplete IS NOT NULL ORDER BY position"


def merging(path: Path) -> tuple[Builder, str]:
    repo, _ = small(path, 2)
    repo.git("checkout", "-q", "-b", "side")
    grow(repo, "side.txt", "sideways")
    repo.git("checkout", "-q", "main")
    grow(repo, "more.txt")
    repo.git("merge", "-q", "--no-ff", "--no-edit", "side")
    return repo, repo.head


@pytest.mark.parametrize("steps", [["full"], ["none", "paths", "full"]])
def test_merges_are_read_again_once_they_are_to_have_changes(
    steps: list[str], tmp_path: Path, engine: Engine, asked: list[str]
) -> None:
    repo, merge = merging(tmp_path / "repo")
    engine.index(repo.path)
    before = column(engine, HASHES)
    of_merge = "SELECT path FROM changes WHERE hash = ?"
    for diffs in steps:
        asked.clear()
        report = engine.index(repo.path, merges="first-parent", diffs=diffs)
        assert (report.amended, asked) == ((0, []) if diffs == "none" else (1, [merge]))
        assert column(engine, of_merge, [merge]) == ([] if diffs == "none" else ["side.txt"])
    found = "SELECT hash FROM changes WHERE ADDED('sideways')"
    assert merge in column(engine, found)
    assert column(engine, found) == column(engine, found, indexes=False)
    assert column(engine, HASHES) == before
    for merges in (None, "first-parent", "none"):
        asked.clear()
        assert engine.index(repo.path, merges=merges).amended == 0
        assert asked == []
    assert engine.verify() == []


def test_a_commit_that_is_too_large_is_read_again_with_a_larger_limit(
    tmp_path: Path, asked: list[str]
) -> None:
    repo, _ = small(tmp_path / "repo", 2)
    repo.write("big.txt", b"".join(b"needle %d\n" % i for i in range(2000)))
    big = repo.commit("big")

    def index(limit: int, amended: int, read: list[str]) -> list[str]:
        asked.clear()
        with govc_search.open(tmp_path / "data", settings={"commit_patch_bytes": limit}) as engine:
            assert engine.index(repo.path).amended == amended
            assert asked == read
            assert engine.verify() == []
            return column(engine, WHY)

    assert index(4000, 0, repo.git("rev-list", "--reverse", "main").decode().split()) == [
        "too_large: more than 4000 bytes of patch"
    ]
    for limit in (4000, 2000):
        assert index(limit, 0, []) == ["too_large: more than 4000 bytes of patch"]
    assert index(8000, 1, [big]) == ["too_large: more than 8000 bytes of patch"]
    assert index(8000, 0, []) == ["too_large: more than 8000 bytes of patch"]
    assert index(1 << 20, 1, [big]) == []
    assert index(4000, 0, []) == []


@pytest.mark.parametrize("what", ["blob", "tree"])
def test_what_is_missing_is_only_looked_for(
    what: str, tmp_path: Path, engine: Engine, asked: list[str]
) -> None:
    hashes, at, name = missing_object(tmp_path / "repo", what)
    engine.index(tmp_path / "repo")
    asked.clear()
    assert engine.index(tmp_path / "repo").amended == 0
    assert hashes[at] not in asked
    assert column(engine, WHY) == [f"missing object {name}"]


def test_reasons_begin_with_their_kind() -> None:
    assert kind_of("missing object " + "1" * 40) == kind_of("missing") == "missing"
    assert kind_of("damaged object " + "1" * 64) == "damaged"
    assert kind_of(too_large(5, "bytes of patch")) == kind_of("too_large:") == "too_large"
    assert kind_of("shallow") == "shallow"
    assert kind_of("patch not understood") == kind_of("patch") == "not_understood"
    assert kind_of("git ended with status 1") == kind_of("git") == "unreadable"
    assert limit_of(too_large(5, "bytes of patch")) == 5
    assert limit_of(too_large(5, "changes")) is None
    assert lost_object("damaged object " + "1" * 64) == "1" * 64
    assert lost_object("missing object 12") is None


def too_large_commit(path: Path) -> None:
    repo, _ = small(path)
    repo.write("big.txt", b"x\n" * 40_000)
    repo.commit("big")


# How a repository is made and read; the kinds of gaps in it; what a query of paths and one of
# lines says of it, where it says anything.
LACKING: dict[str, tuple[Callable[[Path], object], str, dict[str, int], str, str]] = {
    "nothing": (small, "full", {}, "", ""),
    "a blob": (lambda p: missing_object(p, "blob"), "full", {"missing": 1}, "1 commit is incomplete (1 missing)", "1 commit is incomplete"),
    "a tree": (lambda p: missing_object(p, "tree"), "full", {"missing": 1}, "1 commit is incomplete (1 missing)", "1 commit is incomplete"),
    "the past": (shallow_clone, "full", {"shallow": 1}, "1 commit is incomplete (1 shallow)", "1 commit is incomplete"),
    "a large patch": (too_large_commit, "full", {"too_large": 1}, "(1 too_large)", "(1 too_large)"),
    "lines": (small, "paths", {}, "", "4 commits are indexed without changed lines"),
    "changes": (small, "none", {}, "4 commits are indexed without changes", "4 commits are indexed without changes"),
}  # fmt: skip

OF_NEITHER = (
    "SELECT count(*) FROM commits WHERE MATCH(subject, 'add')",
    "SELECT * FROM refs",
    "SELECT 1",
)
OF_ANOTHER = (
    "SELECT count(*) FROM lines WHERE repo = 'sound'",
    "SELECT count(*) FROM commits c JOIN changes f USING (hash) WHERE c.repo IN ('sound')",
    "SELECT hash FROM commits WHERE ADDED('needle1') AND repo = 'sound'",
    "SELECT count(*) FROM commits c, (SELECT * FROM changes WHERE repo = 'sound') f",
)
OF_PATHS = (
    "SELECT count(*) FROM changes",
    "SELECT hash FROM commits WHERE TOUCHES('*.txt')",
    "SELECT hash FROM commits c WHERE EXISTS (SELECT 1 FROM changes f WHERE f.hash = c.hash)",
    "WITH t AS (SELECT path FROM changes) SELECT count(*) FROM t",
    "SELECT count(*) FROM changes WHERE MATCH(path, 'file1')",
)
OF_LINES = (
    "SELECT count(*) FROM lines",
    "SELECT count(*) FROM hunks",
    "SELECT hash FROM commits WHERE NOT ADDED('needle1')",
    "SELECT path FROM changes WHERE PICKAXE('needle1')",
    "SELECT path FROM changes f WHERE EXISTS (SELECT 1 FROM hunks h WHERE h.change_id = f.change_id)",
    "SELECT SCORE(), path FROM changes WHERE SEARCH('needle1')",
)


@pytest.mark.parametrize("case", LACKING)
def test_an_answer_says_what_it_cannot_hold(case: str, tmp_path: Path) -> None:
    build, diffs, kinds, of_paths, of_lines = LACKING[case]
    build(tmp_path / "repo")
    small(tmp_path / "sound")
    with govc_search.open(tmp_path / "data", settings={"commit_patch_bytes": 60_000}) as engine:
        engine.index(tmp_path / "sound")
        engine.index(tmp_path / "repo", diffs=diffs)
        counted = {r["name"]: r["incomplete"] for r in engine.status().repositories}
        assert counted == {"repo": kinds, "sound": {}}
        for queries, expected in (
            (OF_NEITHER + OF_ANOTHER, ""),
            (OF_PATHS, of_paths),
            (OF_LINES, of_lines),
        ):
            for gql in queries:
                for indexes in (True, False, True):
                    warnings = engine.query(gql, indexes=indexes).warnings
                    told = [w for w in warnings if not w.startswith("indexes are off")]
                    assert len(told) == bool(expected), gql
                    assert not expected or (told[0].startswith("repo: ") and expected in told[0])
        # Told as long as it is so.
        engine.remove("repo")
        assert engine.query(OF_LINES[0]).warnings == ()


def test_a_gap_that_is_filled_is_told_no_more(tmp_path: Path, engine: Engine) -> None:
    hashes, at, name = missing_object(tmp_path / "repo", "blob")
    engine.index(tmp_path / "repo")
    assert engine.query(OF_LINES[0]).warnings != ()
    assert Builder(tmp_path / "repo").store("blob", b"content %d\n" % at) == name
    engine.index(tmp_path / "repo")
    assert engine.query(OF_LINES[0]).warnings == ()
    assert rows(engine, "SELECT DISTINCT hash FROM lines ORDER BY hash") == [
        (h,) for h in sorted(hashes)
    ]
