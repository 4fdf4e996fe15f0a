"""The life of an indexed repository: its name, moves, choice of refs, and its removal."""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

import pytest
from fixtures.indexed import HASHES, column, grow, rows, small
from fixtures.repositories import Builder, sharing, tagged

import govc_search
from govc_search import Engine
from govc_search.cli.app import main
from govc_search.errors import EXIT_STATUS, QueryError, UsageError

EVERYWHERE = (
    "SELECT repo FROM repos",
    "SELECT DISTINCT repo FROM commits",
    "SELECT DISTINCT repo FROM commit_parents",
    "SELECT DISTINCT repo FROM changes",
    "SELECT DISTINCT repo FROM hunks",
    "SELECT DISTINCT repo FROM lines",
    "SELECT DISTINCT repo FROM refs",
    "SELECT DISTINCT repo FROM ref_updates",
    "SELECT DISTINCT repo FROM commits WHERE MATCH(message, 'commit')",
    "SELECT DISTINCT repo FROM commits WHERE REACHABLE_FROM('main')",
    "SELECT DISTINCT repo FROM changes WHERE TOUCHES('*.txt')",
    "SELECT DISTINCT repo FROM changes WHERE ADDED('content')",
)


def names(engine: Engine, *, indexes: bool = True) -> list[list[str]]:
    return [sorted(column(engine, gql, indexes=indexes)) for gql in EVERYWHERE]


def test_a_removed_repository_is_in_no_answer(tmp_path: Path, engine: Engine) -> None:
    shared = sharing(tmp_path / "one", tmp_path / "two")
    engine.index(tmp_path / "one")
    engine.index(tmp_path / "two", diffs="paths")
    engine.index(tmp_path / "two", diffs="full")
    assert names(engine) == [["one", "two"]] * len(EVERYWHERE)
    last = engine.status().last_position
    assert engine.remove("one") == 7
    for _ in range(2):
        assert names(engine) == names(engine, indexes=False) == [["two"]] * len(EVERYWHERE)
        assert [c["repo"] for c in engine.commit(shared[0])] == ["two"]
        assert [r["name"] for r in engine.status().repositories] == ["two"]
        assert engine.verify() == []
        engine.rebuild()
    with pytest.raises(UsageError) as caught:
        engine.remove("one")
    assert caught.value.code == "unknown_repository"
    # The log only grows, and so do positions.
    assert engine.status().last_position == last + 1
    report = engine.index(tmp_path / "one")
    assert (report.commits_added, report.commits_known) == (7, 0)
    assert names(engine) == [["one", "two"]] * len(EVERYWHERE)
    assert min(column(engine, "SELECT position FROM commits WHERE repo = 'one'")) > last + 1
    assert engine.verify() == []
    with govc_search.open(tmp_path / "other") as other:
        other.index(tmp_path / "one")
        same = "SELECT hash, path, removed, added FROM hunks WHERE repo = 'one' ORDER BY ALL"
        assert rows(engine, same) == rows(other, same) != []


def test_a_name_can_be_seen(tmp_path: Path, engine: Engine) -> None:
    repo, _ = small(tmp_path / "repo", 1)
    for name in ("", " ", " padded", "two\nlines", "a\x1b[31m", "\u202eabc", "x" * 256, "\udcff"):
        with pytest.raises(UsageError) as caught:
            engine.index(repo.path, name=name)
        assert caught.value.code == "invalid_name"
    assert engine.status().last_position == 0
    for i, name in enumerate(("group/sub project", "Ünï'; --", "repo:*")):
        copy = shutil.copytree(repo.path, tmp_path / f"copy{i}")
        assert engine.index(copy, name=name).repo == name
        assert column(engine, "SELECT hash FROM commits WHERE repo = ?", [name]) == [repo.head]
        assert len(column(engine, "SELECT hash FROM commits WHERE MATCH(subject, 'add')")) == 1
        engine.remove(name)
    # A path is bytes.
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    shutil.copytree(repo.path, odd)
    with pytest.raises(UsageError) as caught:
        engine.index(odd)
    assert caught.value.code == "invalid_name"
    engine.index(odd, name="odd")
    assert column(engine, "SELECT url FROM repos") == [f"{tmp_path}/\\xff"]
    assert engine.index(odd).repo == "odd"


def test_a_repository_that_moved_is_known_again(tmp_path: Path, engine: Engine) -> None:
    repo, hashes = small(tmp_path / "a" / "repo")
    engine.index(repo.path)
    shutil.copytree(repo.path, tmp_path / "b" / "repo")
    moved = Builder(tmp_path / "b" / "repo")
    # While it stands at its old place, this is another one.
    with pytest.raises(UsageError) as caught:
        engine.index(moved.path)
    assert caught.value.code == "name_taken"
    shutil.rmtree(repo.path)
    repo.path.mkdir()
    new = grow(moved, "new.txt")
    # Under another name it may be a fork of what is gone.
    report = engine.index(shutil.copytree(moved.path, tmp_path / "fork"))
    assert (report.repo, report.commits_added) == ("fork", 5)
    assert "--name repo" in report.warnings[0]
    engine.remove("fork")
    report = engine.index(moved.path)
    assert (report.commits_added, report.commits_known, report.amended) == (1, 4, 0)
    assert str(repo.path) in report.warnings[0]
    assert rows(engine, "SELECT repo, url FROM repos") == [("repo", str(moved.path))]
    assert column(engine, HASHES) == [*hashes, new]
    assert engine.index(moved.path).warnings == []
    # Moved again, with a link where it was, and its history rewritten but for a tag.
    moved.git("tag", "kept")
    engine.index(moved.path)
    moved.path.rename(tmp_path / "c")
    moved.path.symlink_to(tmp_path / "c")
    last = Builder(tmp_path / "c")
    last.git("checkout", "-q", "--orphan", "fresh")
    last.commit("another beginning")
    last.git("branch", "-M", "fresh", "main")
    assert engine.index(moved.path, name="repo").commits_added == 1
    assert column(engine, "SELECT url FROM repos") == [str(tmp_path / "c")]
    assert engine.verify() == []


def test_a_stranger_at_another_place_is_not_taken_for_one_that_moved(
    tmp_path: Path, engine: Engine
) -> None:
    repo, _ = small(tmp_path / "a" / "repo")
    other = Builder(tmp_path / "b" / "repo")
    grow(other, "other.txt")
    engine.index(repo.path)
    shutil.rmtree(repo.path)
    with pytest.raises(UsageError) as caught:
        engine.index(other.path)
    assert caught.value.code == "name_taken"
    assert "govc-search remove repo" in (caught.value.hint or "")
    engine.remove("repo")
    assert engine.index(other.path).commits_added == 1


def _branches(path: Path) -> Builder:
    tagged(path)
    return Builder(path)


def test_refs_that_are_not_followed_any_more_are_not_shown(tmp_path: Path, engine: Engine) -> None:
    repo = _branches(tmp_path / "repo")
    refs = "SELECT full_name FROM refs ORDER BY full_name"
    engine.index(repo.path)
    every, commits = column(engine, refs), column(engine, HASHES)
    engine.index(repo.path, refs=["main", "v*"])
    assert column(engine, refs) == ["refs/heads/main"]
    assert column(engine, HASHES) == commits
    assert engine.index(repo.path).refs_updated == 0
    # HEAD is what it names now.
    repo.git("checkout", "-q", "-b", "topic")
    engine.index(repo.path, refs=["HEAD"])
    assert column(engine, refs) == ["refs/heads/topic"]
    repo.git("checkout", "-q", "main")
    repo.git("branch", "-D", "topic")
    engine.index(repo.path, refs=())
    assert column(engine, refs) == every
    assert engine.verify() == []


def test_a_pattern_that_matches_nothing_is_told(tmp_path: Path, engine: Engine) -> None:
    repo, hashes = small(tmp_path / "repo")
    report = engine.index(repo.path, refs=["nowhere", "v*", "HEAD", "main"])
    assert report.warnings == ['no ref matches "nowhere"', 'no ref matches "v*"']
    assert column(engine, HASHES) == hashes
    assert engine.index(repo.path).warnings == report.warnings
    repo.git("tag", "v1")
    assert engine.index(repo.path, refs=["v*"]).warnings == []


def test_nothing_is_written_where_nothing_changed(tmp_path: Path, engine: Engine) -> None:
    repo, _ = small(tmp_path / "repo")
    times = "SELECT indexed_at FROM repos"
    engine.index(repo.path, refs=["main", "nowhere"])
    first, last = column(engine, times), engine.status().last_position
    engine.index(repo.path)
    assert (column(engine, times), engine.status().last_position) == (first, last)
    grow(repo, "new.txt")
    engine.index(repo.path)
    assert column(engine, times) > first


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_removing_asks_first(
    filled: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    filled.close()
    monkeypatch.setenv("GOVC_SEARCH_DATA", str(filled.directory))

    def run(*arguments: str, answer: str | None = None) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO() if answer is None else _Terminal(answer))
        capfd.readouterr()
        status = main(["remove", *arguments])
        out, err = capfd.readouterr()
        assert out == ""
        return status, err

    assert run("nobody")[0] == EXIT_STATUS["usage"]
    status, err = run("repo")
    assert (status, "5 commits" in err) == (EXIT_STATUS["usage"], True)
    assert "--yes" in err
    status, err = run("repo", answer="n\n")
    assert (status, "5 commits" in err, "nothing was removed" in err) == (0, True, True)
    with govc_search.open(filled.directory) as engine:
        assert len(column(engine, HASHES)) == 5
    assert run("repo", answer="y\n")[0] == 0
    assert run("repo", "--yes")[0] == EXIT_STATUS["usage"]
    with govc_search.open(filled.directory) as engine:
        assert column(engine, HASHES) == []


def test_revisions_are_asked_of_the_repositories_that_can_answer(
    tmp_path: Path, engine: Engine
) -> None:
    for name in ("one", "two", "three"):
        repo, hashes = small(tmp_path / name, 2)
        repo.git("tag", f"only-{name}", hashes[0])
        engine.index(tmp_path / name)
    known = "SELECT DISTINCT c.repo FROM commits c JOIN changes f USING (hash) WHERE IN_RANGE('only-one..main') AND {}"
    elsewhere = tuple(f'no revision "only-one" in {name}' for name in ("three", "two"))
    for condition, warnings in {
        "TRUE": elsewhere,
        "c.repo <> 'two'": elsewhere,
        "c.repo = 'one'": (),
        "'one' = f.repo": (),
        "c.repo IN ('one', 'two')": elsewhere[1:],
        "(c.repo = 'one' OR f.repo = 'two')": elsewhere,
        "(c.repo = 'one' OR c.repo = 'three') AND f.repo <> 'three'": elsewhere[:1],
        "c.repo IN ('one', 'two') AND f.repo IN ('one', 'three')": (),
    }.items():
        result = engine.query(known.format(condition))
        assert (list(result), sorted(result.warnings)) == ([("one",)], sorted(warnings)), condition
    assert engine.search("ref:only-one repo:one repo:two").warnings == elsewhere[1:]
    for gql, said in {
        "SELECT hash FROM commits WHERE IN_RANGE('only-one..main') AND repo = 'two'": 'no revision "only-one" in two',
        "SELECT hash FROM commits WHERE IN_RANGE('main..nope')": 'no revision "nope" in any of 3 repositories: one, three, two',
        "SELECT hash FROM commits WHERE REACHABLE_FROM('main~9') AND repo <> ''": 'no revision "main~9" in any of 3 repositories: one, three, two',
    }.items():
        with pytest.raises(QueryError) as caught:
            engine.query(gql)
        assert (caught.value.code, caught.value.message) == ("unknown_revision", said)
    with pytest.raises(QueryError, match="in any of 3 repositories: one, three, two"):
        engine.commit("nope")
    with pytest.raises(QueryError) as caught:
        engine.search("needle1 ref:nope")
    assert caught.value.render().splitlines()[1:] == ["  needle1 ref:nope", "              ^^^^"]
