"""Indexing a repository, again and again: what is read, what is kept, what is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fixtures.indexed import HASHES, column, grow, rows, small
from fixtures.repositories import (
    Builder,
    damaged_commit,
    missing_object,
    shallow_clone,
    sharing,
    tagged,
)

import govc_search
from govc_search import Engine, schema
from govc_search.errors import SourceError, UsageError
from govc_search.indexer.reader_pool import ReaderPool


def test_repositories_that_share_commits(tmp_path: Path, engine: Engine) -> None:
    shared = sharing(tmp_path / "one", tmp_path / "two")
    for name in ("one", "two"):
        report = engine.index(tmp_path / name)
        assert (report.repo, report.commits_added, report.commits_known) == (name, 7, 0)
    assert rows(engine, "SELECT repo, count(*) FROM commits GROUP BY repo ORDER BY repo") == [
        ("one", 7),
        ("two", 7),
    ]
    twice = "SELECT hash FROM commits GROUP BY hash HAVING count(*) = 2"
    assert set(column(engine, twice)) == set(shared)
    # Each row joins with its own repository's rows alone.
    joined = (
        "SELECT count(*) FROM commits c JOIN changes d ON d.repo = c.repo AND d.hash = c.hash"
        " WHERE MATCH(c.subject, 'commit')"
    )
    assert column(engine, joined) == [2 * 12]
    assert [c["repo"] for c in engine.commit(shared[0])] == ["one", "two"]
    # What the table keeps for itself is not shown.
    assert set(engine.commit(shared[0])[0]) <= {
        "changes", *(c.name for c in schema.COMMITS.columns)
    }  # fmt: skip
    assert [c["repo"] for c in engine.commit(shared[0][:10], "two")] == ["two"]
    assert len(column(engine, "SELECT hash FROM commits WHERE IN_RANGE('main~1..main')")) == 2
    with pytest.raises(UsageError, match="three"):
        engine.commit(shared[0], "three")
    assert [r["commits"] for r in engine.status().repositories] == [7, 7]
    assert engine.verify() == []


def test_only_what_is_new_is_read(tmp_path: Path, engine: Engine, asked: list[str]) -> None:
    repo, hashes = small(tmp_path / "repo")
    engine.index(repo.path)
    assert asked == hashes
    asked.clear()
    new = [grow(repo, "new1.txt"), grow(repo, "new2.txt")]
    report = engine.index(repo.path)
    assert asked == new
    assert (report.commits_added, report.commits_known, report.refs_updated) == (2, 4, 1)
    assert column(engine, HASHES) == hashes + new
    assert engine.verify() == []


def _latin_mailmap(path: Path) -> None:
    repo, _ = small(path)
    repo.write(".mailmap", "Jürgen <j@example.com>\n".encode("latin-1"))
    repo.commit("mailmap")


UNCHANGED: dict[str, Callable[[Path], object]] = {
    "plain": small,
    "tags": tagged,
    "shallow": shallow_clone,
    "mailmap in latin-1": _latin_mailmap,
    "missing blob": lambda path: missing_object(path, "blob"),
    "damaged commit": damaged_commit,
    "empty": Builder,
}


@pytest.mark.parametrize("build", UNCHANGED.values(), ids=UNCHANGED)
def test_nothing_new_appends_nothing(
    build: Callable[[Path], object], tmp_path: Path, engine: Engine
) -> None:
    build(tmp_path / "repo")
    first = engine.index(tmp_path / "repo")
    size, before = engine._log.size, engine._table.digest()
    again = engine.index(tmp_path / "repo")
    assert (again.commits_added, again.amended, again.refs_updated) == (0, 0, 0)
    assert again.last_position == first.last_position == engine.status().last_position
    assert engine._log.size == size
    assert engine._table.digest() == before
    # What could not be read is told each time.
    assert again.failures == first.failures


def test_shallow_clones_are_not_read_again_until_they_are_deepened(
    tmp_path: Path, engine: Engine, asked: list[str]
) -> None:
    hashes, _ = shallow_clone(tmp_path / "repo")
    assert engine.index(tmp_path / "repo").incomplete == 1
    asked.clear()
    assert engine.index(tmp_path / "repo").incomplete == 0
    assert asked == []
    Builder(tmp_path / "repo").git("fetch", "-q", "--unshallow")
    report = engine.index(tmp_path / "repo")
    assert (report.commits_added, report.amended, report.incomplete) == (len(hashes) - 2, 1, 0)
    assert column(engine, "SELECT hash FROM commits WHERE incomplete IS NOT NULL") == []
    assert engine.verify() == []


def test_a_forced_push_moves_the_ref_and_keeps_the_commits(tmp_path: Path, engine: Engine) -> None:
    repo, hashes = small(tmp_path / "repo")
    engine.index(repo.path)
    old = hashes[-1]
    repo.git("reset", "-q", "--hard", "HEAD~2")
    new = grow(repo, "other.txt")
    report = engine.index(repo.path)
    assert (report.commits_added, report.refs_updated) == (1, 1)
    assert rows(engine, "SELECT old_hash, new_hash, forced FROM ref_updates ORDER BY position") == [
        (None, old, False),
        (old, new, True),
    ]
    assert column(engine, HASHES) == [*hashes, new]
    reached = "SELECT hash FROM commits WHERE REACHABLE_FROM('main') ORDER BY position"
    assert column(engine, reached) == [*hashes[:2], new]
    # A step forward is not forced.
    grow(repo, "more.txt")
    engine.index(repo.path)
    assert column(engine, "SELECT forced FROM ref_updates ORDER BY position")[-1] is False
    assert engine.verify() == []


def test_refs_come_and_go(tmp_path: Path, engine: Engine) -> None:
    repo, hashes = small(tmp_path / "repo")
    repo.git("branch", "topic", "HEAD~1")
    engine.index(repo.path)
    repo.git("branch", "-D", "topic")
    repo.git("tag", "v1")
    repo.git("tag", "-a", "v2", "-m", "annotated")
    report = engine.index(repo.path)
    assert (report.commits_added, report.refs_updated) == (0, 3)
    names = "SELECT full_name FROM refs ORDER BY full_name"
    assert column(engine, names) == ["refs/heads/main", "refs/tags/v1", "refs/tags/v2"]
    gone = "SELECT old_hash, new_hash, forced FROM ref_updates WHERE ref = 'refs/heads/topic'"
    assert rows(engine, gone + " ORDER BY position") == [
        (None, hashes[-2], False),
        (hashes[-2], None, False),
    ]
    assert column(engine, "SELECT message FROM tags WHERE name = 'v2'") == ["annotated\n"]
    assert engine.commit("v2")[0]["hash"] == hashes[-1]
    repo.git("branch", "topic", "HEAD")
    engine.index(repo.path)
    assert len(column(engine, names)) == 4
    assert engine.verify() == []


def test_refs_can_be_chosen_and_the_choice_is_kept(tmp_path: Path, engine: Engine) -> None:
    repo, hashes = small(tmp_path / "repo")
    repo.git("checkout", "-q", "-b", "side", "HEAD~1")
    side = grow(repo, "side.txt")
    repo.git("checkout", "-q", "main")
    engine.index(repo.path, refs=["main"])
    assert column(engine, HASHES) == hashes
    assert engine.index(repo.path).commits_added == 0
    assert engine.index(repo.path, refs=()).commits_added == 1
    assert column(engine, HASHES) == [*hashes, side]


def test_diffs_become_deeper_and_keep_their_positions(tmp_path: Path, engine: Engine) -> None:
    repo, hashes = small(tmp_path / "repo")
    positions = "SELECT hash, position, indexed_at FROM commits ORDER BY position"
    counts = "SELECT (SELECT count(*) FROM changes), (SELECT count(*) FROM hunks)"
    needle = "SELECT hash FROM changes WHERE ADDED('needle2')"
    expected = {"none": (0, 0), "paths": (4, 0), "full": (4, 4)}
    engine.index(repo.path, diffs="none")
    kept = rows(engine, positions)
    for diffs, (changes, hunks) in expected.items():
        report = engine.index(repo.path, diffs=diffs)
        assert (report.commits_added, report.amended) == (0, 0 if diffs == "none" else 4)
        assert rows(engine, counts) == [(changes, hunks)]
        assert column(engine, needle) == ([hashes[2]] if hunks else [])
        assert column(engine, needle, indexes=False) == column(engine, needle)
        assert rows(engine, positions) == kept
        assert engine.verify() == []
    # Shallower again: what is there stays, what comes is read as told, also when not told again.
    engine.index(repo.path, diffs="none")
    grow(repo, "late.txt")
    assert engine.index(repo.path).amended == 0
    assert rows(engine, counts) == [(4, 4)]
    engine.index(repo.path, diffs="full")
    with govc_search.open(tmp_path / "direct") as direct:
        direct.index(repo.path)
        found, wanted = engine._table.digest(content=True), direct._table.digest(content=True)
        # The states a repository went through are its history.
        assert found.pop("repositories") != wanted.pop("repositories")
        assert found.pop("ref_updates") != wanted.pop("ref_updates")
        found.pop("refs")
        wanted.pop("refs")
        assert found == wanted


def test_a_missing_blob_that_turns_up_is_read(
    tmp_path: Path, engine: Engine, asked: list[str]
) -> None:
    hashes, at, name = missing_object(tmp_path / "repo", "blob")
    report = engine.index(tmp_path / "repo")
    assert (report.commits_added, report.incomplete, report.failures) == (len(hashes), 1, [])
    why = rows(engine, "SELECT hash, incomplete FROM commits WHERE incomplete IS NOT NULL")
    assert [h for h, _ in why] == [hashes[at]]
    assert name in why[0][1]
    asked.clear()
    repo = Builder(tmp_path / "repo")
    assert repo.store("blob", b"content %d\n" % at) == name
    report = engine.index(tmp_path / "repo")
    assert (report.commits_added, report.amended, report.incomplete) == (0, 1, 0)
    assert asked == [hashes[at]]
    assert column(engine, HASHES) == hashes
    assert column(engine, "SELECT path FROM changes WHERE ADDED('content 2')") == ["file2.txt"]
    assert engine.verify() == []
    assert engine.index(tmp_path / "repo").last_position == report.last_position


def test_a_missing_commit_that_turns_up_is_read_with_all_behind_it(
    tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "repo"
    repo, hashes = small(path)
    file = repo.object_file(hashes[2])
    file.rename(tmp_path / "aside")
    report = engine.index(path)
    assert [h for h, _ in report.failures] == [hashes[2]]
    assert column(engine, HASHES) == [hashes[3]]
    assert engine.status().repositories[0]["complete"] is False
    assert engine.verify() == []
    (tmp_path / "aside").rename(file)
    report = engine.index(path)
    assert (report.commits_added, report.failures) == (3, [])
    assert column(engine, HASHES) == [hashes[3], *hashes[:3]]
    reached = "SELECT count(*) FROM commits WHERE REACHABLE_FROM('main')"
    assert column(engine, reached) == [4]
    assert engine.status().repositories[0]["complete"] is True


@pytest.mark.parametrize("missing", [True, False])
def test_what_can_be_read_of_a_damaged_repository_is(
    missing: bool, tmp_path: Path, engine: Engine
) -> None:
    hashes, at = damaged_commit(tmp_path / "repo", missing=missing)
    report = engine.index(tmp_path / "repo")
    ((failed, why),) = report.failures
    assert failed == hashes[at]
    assert why
    assert set(column(engine, HASHES)) <= set(hashes) - {failed}
    assert hashes[-1] in column(engine, HASHES)
    assert engine.verify() == []


# What cannot be indexed


def test_names(tmp_path: Path, engine: Engine) -> None:
    one, _ = small(tmp_path / "a" / "repo")
    two, _ = small(tmp_path / "b" / "repo", 2)
    assert engine.index(one.path).repo == "repo"
    before = engine.status().last_position
    with pytest.raises(UsageError) as caught:
        engine.index(two.path)
    assert caught.value.code == "name_taken"
    assert str(one.path) in caught.value.message
    assert engine.status().last_position == before
    assert engine.index(two.path, name="other").repo == "other"
    # The name is known from then on, and a git directory is its work tree's.
    grow(two, "new.txt")
    assert engine.index(two.path / ".git").repo == "other"
    assert [(r["name"], r["commits"]) for r in engine.status().repositories] == [
        ("other", 3),
        ("repo", 4),
    ]


def _broken(path: Path) -> None:
    small(path)
    (path / ".git" / "HEAD").write_bytes(b"\0\1not a head")


NO_REPOSITORIES: dict[str, Callable[[Path], object]] = {
    "repository_missing": lambda path: path,
    "not_a_repository": lambda path: path.mkdir(),
    "repository_broken": _broken,
}


@pytest.mark.parametrize("code", NO_REPOSITORIES)
def test_what_is_no_repository_is_named_and_leaves_nothing(
    code: str, tmp_path: Path, engine: Engine
) -> None:
    NO_REPOSITORIES[code](tmp_path / "repo")
    with pytest.raises(SourceError) as caught:
        engine.index(tmp_path / "repo")
    assert caught.value.code == code
    assert str(tmp_path / "repo") in caught.value.message
    assert engine.status().last_position == 0
    assert engine.status().repositories == []


def test_an_empty_repository_is_one_and_grows(tmp_path: Path, engine: Engine) -> None:
    repo = Builder(tmp_path / "repo")
    report = engine.index(repo.path)
    assert (report.commits_added, report.failures) == (0, [])
    assert rows(engine, "SELECT repo, head FROM repos") == [("repo", None)]
    assert column(engine, HASHES) == []
    hash_ = grow(repo, "first.txt")
    engine.index(repo.path)
    assert column(engine, HASHES) == [hash_]
    assert engine.verify() == []


def test_merges_are_compared_once_that_is_asked_for(
    tmp_path: Path, engine: Engine, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "repo"
    repo, _ = small(path, 2)
    for branch in ("one", "two"):
        repo.git("checkout", "-q", "-b", branch, "main~1")
        grow(repo, f"{branch}.txt", f"from {branch}")
        repo.git("checkout", "-q", "main")
        repo.git("merge", "-q", "--no-ff", "--no-edit", branch)
    merges = "SELECT files_changed, insertions FROM commits WHERE is_merge ORDER BY position"
    hits = "SELECT count(*) FROM commits WHERE is_merge AND ADDED('from two')"
    engine.index(path)
    assert rows(engine, merges) == [(None, None)] * 2
    # A run that is cut short leaves merges for the next one.
    real = ReaderPool.read

    def cut_short(pool: ReaderPool, wanted: Sequence[str]) -> Iterator[Any]:
        yield from real(pool, wanted[:1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ReaderPool, "read", cut_short)
        report = engine.index(path, merges="first-parent")
    assert (report.interrupted, report.amended) == (True, 1)
    asked.clear()
    report = engine.index(path)
    assert (report.commits_added, report.amended, len(asked)) == (0, 1, 1)
    assert rows(engine, merges) == [(1, 2)] * 2
    assert column(engine, hits) == column(engine, hits, indexes=False) == [1]
    assert engine.verify() == []
    asked.clear()
    assert engine.index(path).last_position == report.last_position
    assert asked == []


def test_a_path_that_is_no_text_needs_a_name(tmp_path: Path, engine: Engine) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/re\xff"))
    small(path, 1)
    with pytest.raises(UsageError) as caught:
        engine.index(path)
    assert caught.value.code == "invalid_name"
    assert engine.index(path, name="re").commits_added == 1
    assert engine.index(path).commits_known == 1
    with pytest.raises(UsageError, match="not valid Unicode"):
        engine.index(path, refs=["HEAD", "\udcff*"])
