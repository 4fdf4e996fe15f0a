"""git and the engine agree on every fixture repository, and a disagreement is not overlooked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.repositories import (
    Builder,
    damaged_commit,
    hostile,
    missing_object,
    odd_cases,
    shallow_clone,
    sharing,
    tagged,
)

import govc_search
from bench.compare import compare, main
from bench.differences import BINARY, DATES, POSIX, UNMAPPED, documented
from bench.gitview import GitFailedError, GitView
from bench.graph_questions import FOLLOW, PATCHES, PICKS
from bench.outcome import Comparison
from bench.question import Question, hashes
from bench.questions import questions
from bench.sampling import draw, unquoted
from govc_search.engine import Engine

ROOT = Path(__file__).parent.parent


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with govc_search.open(tmp_path / "data") as engine:
        yield engine


def compared(path: Path, engine: Engine, *, seed: int = 1) -> Comparison:
    with GitView(path) as view:
        steps = list(compare(view, engine, seed=seed))
    return steps[-1]


def wrong(comparison: Comparison) -> list[tuple[str, str, object]]:
    return [(o.gql, o.verdict, (o.missing[:3], o.extra[:3])) for o in comparison.wrong]


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_odd_cases_are_answered_as_by_git(
    tmp_path: Path, engine: Engine, object_format: str
) -> None:
    odd_cases(tmp_path / "repo", object_format=object_format)
    engine.index(tmp_path / "repo", jobs=1)
    comparison = compared(tmp_path / "repo", engine)
    assert not wrong(comparison)
    assert not [o.verdict for o in comparison.outcomes if o.failed]
    asked = {o.question.group for o in comparison.outcomes if o.git_count}
    assert asked == {
        *("commits", "changes", "lines", "refs", "shortlog", "-S", "-G", "--grep", "--author"),
        *("--committer", "dates", "paths", "ranges", "ancestry", "--follow"),
    }


def _missing_blob(path: Path) -> object:
    return missing_object(path, "blob")


def _missing_tree(path: Path) -> object:
    return missing_object(path, "tree")


@pytest.mark.parametrize(
    ("build", "unanswered"),
    [
        (tagged, False),
        (_missing_blob, False),
        (_missing_tree, False),
        (damaged_commit, True),
        (shallow_clone, False),
        (lambda path: hostile(path, path / "evidence"), False),
        (Builder, False),
    ],
    ids=["tagged", "missing blob", "missing tree", "damaged commit", "shallow", "hostile", "empty"],
)
def test_unusual_repositories_are_answered_as_by_git(
    tmp_path: Path, engine: Engine, build: Callable[[Path], object], unanswered: bool
) -> None:
    build(tmp_path / "repo")
    engine.index(tmp_path / "repo", jobs=1)
    comparison = compared(tmp_path / "repo", engine)
    assert not wrong(comparison)
    assert any(o.failed for o in comparison.outcomes) is unanswered
    assert not (tmp_path / "repo" / "evidence").exists()


def test_its_own_history_is_answered_as_by_git() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    assert main([str(ROOT), "--refs", "HEAD", "--jobs", "1"]) == 0


def test_one_of_several_repositories_is_compared_alone(tmp_path: Path) -> None:
    sharing(tmp_path / "first", tmp_path / "second")
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(tmp_path / "first", jobs=1)
        engine.index(tmp_path / "second", refs=["HEAD"], jobs=1)
    data = ["--data", str(tmp_path / "data")]
    assert main([str(tmp_path / "first"), *data]) == 0
    assert main([*data, "--refs", "HEAD", "--", str(tmp_path / "second")]) == 0
    assert main([str(tmp_path), *data]) == 2


@pytest.mark.parametrize("refs", [["HEAD"], ["side"], ["tags/v1", "side"]])
def test_only_what_was_asked_to_be_indexed_is_compared(
    tmp_path: Path, engine: Engine, refs: list[str]
) -> None:
    repo = Builder(tmp_path / "repo")
    for i in range(4):
        repo.write("a.txt", b"line\n" * (i + 1))
        repo.commit(f"commit {i}")
        repo.git("tag", f"v{i}")
    repo.git("checkout", "-q", "-b", "side", "v0")
    repo.write("side.txt", b"line\n")
    repo.commit("on a side")
    repo.git("checkout", "-q", "main")
    engine.index(repo.path, refs=refs, jobs=1)
    with GitView(repo.path) as view:
        comparison = list(compare(view, engine, refs=refs))[-1]
    assert not wrong(comparison)
    assert not [o.verdict for o in comparison.outcomes if o.failed]


def test_an_index_that_lacks_a_commit_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = Builder(tmp_path / "repo")
    repo.write("a.txt", b"one needle\n")
    repo.commit("first")
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, jobs=1)
    repo.write("a.txt", b"TODO\n")
    newest = repo.commit("second")
    assert main([str(repo.path), "--data", str(tmp_path / "data")]) == 1
    printed = capsys.readouterr().out
    assert f"git alone has {newest}" in printed
    assert "DIFFERENT" in printed


def test_a_wrong_row_is_told_on_either_side(tmp_path: Path, engine: Engine) -> None:
    repo = Builder(tmp_path / "repo")
    repo.write("a.txt", b"x\n")
    first = repo.commit("first")
    engine.index(repo.path, jobs=1)
    engine._table._writer.execute("UPDATE commits SET hash = repeat('0', 40)")
    comparison = compared(repo.path, engine)
    everything = comparison.outcomes[0]
    assert everything.missing == [(first,)]
    assert everything.extra == [("0" * 40,)]


def test_only_what_git_finds_in_binary_files_is_a_documented_difference(tmp_path: Path) -> None:
    repo = Builder(tmp_path / "repo")
    repo.write("blob", b"\0 needle\n")
    binary = repo.commit("binary")
    repo.write("blob", b"\0 needle needle\n")
    repo.write("text", b"needle\n")
    both = repo.commit("both")
    asked = Question("-S", (), "", lambda _: (), explain="binary", pattern="needle")
    with GitView(repo.path) as view:
        assert documented(view, asked, binary, git_only=True) == BINARY
        assert documented(view, asked, binary, git_only=False) is None
        assert documented(view, asked, both, git_only=True) is None


def test_only_what_engines_may_take_for_letters_is_a_documented_difference(tmp_path: Path) -> None:
    repo = Builder(tmp_path / "repo")
    made = []
    for content in (b"a needle\n", "ü needle\n".encode(), "üneedle\n".encode(), b"\xff needle\n"):
        repo.write("a", content)
        made.append(repo.commit("one more"))
        repo.remove("a")
        repo.commit("gone")
    asked = Question("-G", (), "", lambda _: (), explain="regex", pattern=r"\<needle\>")
    with GitView(repo.path) as view:
        kinds = [documented(view, asked, commit, git_only=True) for commit in made]
    assert kinds == [None, None, POSIX, POSIX]


def test_only_committers_that_git_leaves_unmapped_are_a_documented_difference(
    tmp_path: Path,
) -> None:
    repo = Builder(tmp_path / "repo")
    repo.write(".mailmap", b"Charles <new@example.com> <charles@example.com>\n")
    other = repo.commit("by another")
    own = repo.commit("his own", GIT_AUTHOR_EMAIL="charles@example.com")
    kinds = {}
    with GitView(repo.path) as view:
        for pattern in ("@example", "new@", "charles@"):
            asked = Question("--committer", (), "", hashes, explain="committer", pattern=pattern)
            for name, commit in (("other", other), ("own", own)):
                for git_only in (True, False):
                    kind = documented(view, asked, commit, git_only=git_only)
                    if kind == UNMAPPED:
                        kinds[name, pattern] = git_only
    assert kinds == {("other", "new@"): False, ("other", "charles@"): True}


def test_of_patches_it_is_told_how_many_both_take_for_the_same(
    tmp_path: Path, engine: Engine
) -> None:
    repo = Builder(tmp_path / "repo")
    lines = {branch: [b"line %d\n" % i for i in range(30)] for branch in ("main", "side")}

    def change(branch: str, at: int) -> str:
        lines[branch][at] = b"other %d\n" % at
        repo.write("a", b"".join(lines[branch]))
        return repo.commit("change")

    repo.write("a", b"".join(lines["main"]))
    repo.commit("first")
    repo.git("branch", "side")
    change("main", 5)
    change("main", 25)
    repo.git("checkout", "-q", "side")
    # Beside the second change, so that git does not take it for the same.
    change("side", 24)
    change("side", 5)
    change("side", 25)
    repo.git("checkout", "-q", "main")
    engine.index(repo.path, jobs=1)
    with GitView(repo.path) as view:
        comparison = list(compare(view, engine, only=["patches"]))[-1]
    assert not wrong(comparison)
    told: dict[str, tuple[int, int]] = {}
    for o in comparison.outcomes:
        told[o.question.overlap] = max(told.get(o.question.overlap, (0, 0)), (o.both, o.either))
    assert told == {PICKS: (1, 2), PATCHES: (1, 2)}


def test_what_may_differ_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "git.md").read_text("utf-8")
    table = page[page.index("## What differs, counted") :]
    for kind in (BINARY, POSIX, UNMAPPED, DATES, FOLLOW, PATCHES, PICKS):
        assert f"| {kind} |" in table


def test_what_is_asked_depends_on_history_and_seed_alone(tmp_path: Path) -> None:
    made = odd_cases(tmp_path / "repo")
    with GitView(tmp_path / "repo") as view:
        commits = list(made.values())
        first, again = draw(view, commits), draw(view, commits[::-1])
        other = draw(view, commits, seed=2)
        assert len(questions(view, first)) > 40
    assert first == again
    assert other != first


def test_the_view_reads_nothing_of_the_sources_configuration(tmp_path: Path) -> None:
    hostile(tmp_path / "repo", tmp_path / "evidence")
    with GitView(tmp_path / "repo") as view:
        patch = view.run(["log", "--all", "-p", "--format=%H"]).output
        view.run(["for-each-ref"], source=True)
        with pytest.raises(GitFailedError, match="bad revision"):
            view.run(["log", "nowhere", "--"])
    assert b"GIT binary" not in patch
    assert b"+content 1" in patch
    assert not (tmp_path / "evidence").exists()


@pytest.mark.parametrize(
    ("printed", "path"),
    [
        (b"plain name", "plain name"),
        (rb'"tab\there"', "tab\there"),
        (rb'"\303\274\\\""', 'ü\\"'),
        (rb'"inv\377"', "inv\ufffd"),
    ],
)
def test_quoted_paths_are_read(printed: bytes, path: str) -> None:
    assert unquoted(printed) == path
