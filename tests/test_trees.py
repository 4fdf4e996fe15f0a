"""The tables files and content: what git says of a tree, and no more of it read than is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fixtures.indexed import column, rows
from fixtures.repositories import Builder, hostile, sharing

import govc_search
from govc_search import Engine
from govc_search.errors import DeadlineError, GovcSearchError
from govc_search.indexer.trees import Tree
from govc_search.ql import trees

LISTED = "SELECT path, mode, blob, size FROM files"
ODD_NAMES = (
    b'quo"te',
    b"new\nline",
    b"tab\there",
    b"back\\slash",
    b"sp ace",
    b"inv\xff\xfe",
    b"%_*",
)
REVISIONS = ("HEAD", "v1", "merged", "merged^2", "HEAD~3")


@dataclass
class Made:
    repo: Builder
    engine: Engine

    def listed(self, revision: str) -> list[tuple[str, str, str, int | None]]:
        out = []
        for entry in self.repo.git("ls-tree", "-r", "-l", "-z", revision).split(b"\0")[:-1]:
            head, path = entry.split(b"\t", 1)
            mode, _, blob, size = head.decode().split()
            number = None if size == "-" else int(size)
            out.append((path.decode("utf-8", "replace"), mode, blob, number))
        return out

    def grep(self, *arguments: str) -> list[str]:
        found = self.repo.git("grep", "-I", "-l", "-z", *arguments).split(b"\0")[:-1]
        return [f.partition(b":")[2].decode("utf-8", "replace") for f in found]


def branched(path: Path, object_format: str = "sha1") -> Builder:
    """A history with merges, renames, deletions, re-additions, and every kind of file."""
    repo = Builder(path, object_format=object_format)
    for name in ("a.txt", "dir/b.txt", "dir/c.go", "gone.txt", "src/app.js"):
        repo.write(name, f"{name}\nerror here\n".encode())
    first = repo.commit("first")
    repo.git("tag", "v1")
    repo.remove("gone.txt")
    repo.git("mv", "dir/b.txt", "dir/moved.txt")
    repo.commit("rename and delete")
    repo.write("gone.txt", b"back again\n")
    repo.write("dir/b.txt", b"another of the old name\n")
    repo.commit("add again")
    repo.git("checkout", "-q", "-b", "side", first)
    repo.write("a.txt", b"changed beside\nexception\n")
    repo.write("side.txt", b"side\n")
    repo.commit("side")
    repo.git("checkout", "-q", "main")
    repo.write("src/app.js", b"kept\n" * 9)
    repo.commit("kept")
    repo.git("checkout", "-q", "side")
    # The merge keeps both names: the last that touched the old one moved it away.
    repo.git("mv", "src/app.js", "src/main.js")
    repo.commit("rename beside")
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "--no-commit", "-s", "ours", "side")
    for name in ("a.txt", "side.txt", "src/main.js"):
        repo.git("checkout", "side", "--", name)
    repo.write("only_in_merge.txt", b"x\n")
    repo.commit("merge")
    repo.git("tag", "merged")
    for name in ODD_NAMES:
        repo.write(name, b"odd error\n")
    repo.write("nul.bin", b"\0binary error")
    repo.write("late_nul.txt", b"x" * 9000 + b"\0 error\n")
    repo.write("latin.txt", "Größe error\n".encode("latin-1"))
    repo.write("empty", b"")
    repo.write("same/1.c", b"twice error\n")
    repo.write("same/2.c", b"twice error\n")
    repo.write("crlf.txt", b"one\r\ntwo")
    repo.write("big.js", b"// error\n" * 300)
    (path / "run.sh").write_bytes(b"#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "link").symlink_to("a.txt")
    repo.commit("odd files")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{first},module")
    repo.clock += 60
    repo.git("commit", "-q", "-m", "submodule")
    # Older than what it follows, as clocks have it.
    repo.clock -= 20_000
    repo.write("big.js", b"// error\n" * 299 + b"// erro!\n")
    repo.git("add", "big.js")
    repo.git("commit", "-q", "-m", "before its time")
    return repo


@pytest.fixture(scope="module", params=["sha1", "sha256"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    home = tmp_path_factory.mktemp("trees")
    repo = branched(home / "repo", request.param)
    with govc_search.open(home / "data") as engine:
        # Merges are left out also where their changes are indexed.
        engine.index(repo.path, merges="first-parent" if request.param == "sha256" else None)
        yield Made(repo, engine)


def refused(engine: Engine, gql: str, params: Any = None, **options: Any) -> GovcSearchError:
    with pytest.raises(GovcSearchError) as caught:
        engine.query(gql, params, **options)
    return caught.value


# The answers of git


@pytest.mark.parametrize("revision", REVISIONS)
def test_files_are_those_of_ls_tree(made: Made, revision: str) -> None:
    assert rows(made.engine, f"{LISTED}('{revision}')") == made.listed(revision)
    assert rows(made.engine, f"{LISTED}($r) f", {"r": revision}) == made.listed(revision)
    if revision == "HEAD":
        assert rows(made.engine, LISTED) == made.listed(revision)


@pytest.mark.parametrize("revision", REVISIONS)
def test_last_modified_is_that_of_git_log(made: Made, revision: str) -> None:
    asked = f"SELECT path, last_modified, last_commit FROM files('{revision}')"
    found = {path: (date, commit) for path, date, commit in rows(made.engine, asked)}
    raw = made.repo.git("ls-tree", "-r", "-z", "--name-only", revision).split(b"\0")[:-1]
    assert len(found) == len(raw)
    for name in raw:
        log = made.repo.git(
            "log", "-1", "--format=%ct %H", "--full-history", "--no-merges", revision, "--", name,
            GIT_LITERAL_PATHSPECS="1",
        )  # fmt: skip
        seconds, _, commit = log.decode().partition(" ")
        date = datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None) if log else None
        assert found[name.decode("utf-8", "replace")] == (date, commit or None), name
    assert ((None, None) in found.values()) == ("only_in_merge.txt" in found)


@pytest.mark.parametrize("revision", REVISIONS)
def test_contents_are_those_of_the_blobs(made: Made, revision: str) -> None:
    found = rows(
        made.engine,
        f"SELECT path, blob, size, is_binary, lines, content FROM content('{revision}')",
    )
    assert [row[:3] for row in found] == [(p, b, s) for p, _, b, s in made.listed(revision)]
    for path, blob, size, is_binary, lines, content in found:
        if size is None:
            assert (is_binary, lines, content) == (None, None, None)
            continue
        data = made.repo.git("cat-file", "blob", f"{blob}") if size else b""
        data += b"\n" * (size - len(data))
        assert is_binary == (b"\0" in data[:8000]), path
        if is_binary:
            assert (lines, content) == (None, None)
        else:
            assert content == data.decode("utf-8", "replace"), path
            assert lines == len(data.removesuffix(b"\n").split(b"\n")) * bool(data), path


@pytest.mark.parametrize("revision", REVISIONS)
def test_text_predicates_find_what_git_grep_finds(made: Made, revision: str) -> None:
    asked = f"SELECT path FROM content('{revision}') WHERE type = 'file' AND "
    for condition, arguments in (
        ("content CONTAINS 'error'", ("-F", "error")),
        ("content CONTAINS 'error' OR content CONTAINS 'exception'", ("-F", "-e", "error", "-e", "exception")),
        ("content ~ '^er+or here$'", ("-E", "^er+or here$")),
        ("MATCH(content, 'error')", ("-w", "-i", "error")),
        ("content CONTAINS 'error' AND name GLOB '*.txt'", ("-F", "error")),
    ):  # fmt: skip
        expected = made.grep(*arguments, revision)
        if "GLOB" in condition:
            expected = [p for p in expected if p.endswith(".txt")]
        assert column(made.engine, asked + condition) == expected, condition


def test_the_queries_of_govc(made: Made) -> None:
    engine, listed = made.engine, [f for f in made.listed("HEAD") if f[3] is not None]
    go = sorted((s or 0, p) for p, _, _, s in listed if p.endswith(".go") and (s or 0) > 10)
    assert rows(
        engine,
        "SELECT path, size FROM files WHERE size > 10 AND path LIKE '%.go' ORDER BY size DESC LIMIT 50",
    ) == [(p, s) for s, p in go]
    asked = "SELECT SUM(size), AVG(size) FROM files WHERE path LIKE '*.js'"
    result = engine.query(asked)
    assert list(result) == [(None, None)]
    assert ["did you mean GLOB?" in w for w in result.warnings] == [True]
    sizes = [s for p, _, _, s in listed if p.endswith(".js") and s is not None]
    assert len(sizes) > 2
    assert rows(engine, asked.replace("LIKE", "GLOB")) == [(sum(sizes), sum(sizes) / len(sizes))]
    since = "2020-09-13 20:00:00"
    found = rows(
        engine,
        f"SELECT path, last_modified FROM files WHERE last_modified > '{since}'"
        " ORDER BY last_modified DESC",
    )
    assert 0 < len(found) < len(listed)
    assert [d for _, d in found] == sorted((d for _, d in found), reverse=True)
    authors = made.repo.git("log", "--all", "--format=%an").decode().splitlines()
    assert rows(
        engine,
        "SELECT author, COUNT(*) as commits FROM commits GROUP BY author ORDER BY COUNT(*) DESC",
    ) == [("Ada Lovelace", len(authors))]
    assert rows(engine, "SELECT COUNT(*) FROM commits WHERE author = 'john.doe'") == [(0,)]
    whole = engine.query(
        "SELECT * FROM content WHERE content CONTAINS 'error' OR content CONTAINS 'exception'"
    )
    paths = [r["path"] for r in whole.to_arrow().to_pylist() if r["type"] == "file"]
    assert sorted(paths) == made.grep("-F", "-e", "error", "-e", "exception", "HEAD")


def test_highlights_of_content(made: Made) -> None:
    for condition in (
        "MATCH(content, 'exception')",
        "content CONTAINS 'exception'",
        "content ~ 'exc.*n'",
    ):
        assert rows(
            made.engine,
            f"SELECT HIGHLIGHT(content), SNIPPET(content) FROM content WHERE {condition}",
        ) == [("changed beside\n[exception]\n", "changed beside [exception]")]


# Reading no more than is needed

# Each with the paths whose contents have to be read for it, at HEAD.
NARROWED = [
    ("SELECT content FROM content WHERE path = 'a.txt'", {"a.txt"}),
    ("SELECT content FROM content WHERE extension = 'js' AND content LIKE '%error%'", {"big.js", "src/app.js", "src/main.js"}),
    ("SELECT content FROM content WHERE extension = 'js' AND size < 2000 AND is_binary IS FALSE", {"src/app.js", "src/main.js"}),
    ("SELECT path FROM content WHERE language = 'Go' OR mode = '100755'", set()),
    ("SELECT lines FROM content WHERE (language = 'Go' OR mode = '100755') AND NOT is_test", {"dir/c.go", "run.sh"}),
    ("SELECT content FROM content WHERE repo = 'repo' AND name LIKE 'late%'", {"late_nul.txt"}),
    ("SELECT content FROM content WHERE repo <> 'repo'", set()),
    ("SELECT content FROM content WHERE dir = 'same' AND content CONTAINS 'twice'", {"same/1.c"}),
    ("SELECT x.content FROM (VALUES ('a.txt')) v(p) JOIN content x ON x.path = v.p AND x.extension = 'txt' AND x.size < 40", {"a.txt", "gone.txt", "side.txt", "latin.txt", "dir/b.txt", "dir/moved.txt", "crlf.txt", "only_in_merge.txt"}),
    ("SELECT c.subject, x.content FROM commits c LEFT JOIN content x ON x.path = 'a.txt'", {"a.txt"}),
    ("SELECT c.subject FROM commits c ANTI JOIN content x ON x.path = 'a.txt' AND x.content CONTAINS c.subject", {"a.txt"}),
    ("SELECT content FROM content WHERE path IN (SELECT path FROM changes WHERE change_type = 'R') AND content CONTAINS 'error'", {"dir/moved.txt", "src/main.js"}),
    ("SELECT (SELECT content FROM content x WHERE x.path = 'a.txt' AND x.path <> f.path) FROM files f", {"a.txt"}),
    ("WITH t AS (SELECT path, content FROM content WHERE extension = 'go') SELECT t.path FROM t WHERE content IS NOT NULL", {"dir/c.go"}),
    ("SELECT unnest(split(content, 'k')) FROM content WHERE name IN ('nul.bin', 'run.sh') LIMIT 1", {"nul.bin", "run.sh"}),
    ("SELECT DISTINCT ON (extension) content IS NULL FROM content WHERE name IN ('1.c', '2.c', 'run.sh') LIMIT 2", {"same/1.c", "run.sh"}),
    ("SELECT 1 FROM content WHERE name IN ('1.c', 'run.sh') GROUP BY GROUPING SETS ((), (content)) LIMIT 3", {"same/1.c", "run.sh"}),
    ("SELECT count(*) FROM content", set()),
    ("SELECT path, size FROM content ORDER BY size", set()),
    ("SELECT content FROM content WHERE path > 'a' LIMIT 1", {"a.txt"}),
]  # fmt: skip
# Conditions that must not narrow, since rows that fail them take part in the answer.
OUTER = [
    "SELECT c.subject, x.path FROM commits c LEFT JOIN content x ON x.content CONTAINS c.subject WHERE x.path IS NULL",
    "SELECT c.subject, x.path FROM commits c LEFT JOIN content x ON x.content CONTAINS c.subject WHERE x.path IS NULL OR x.path = 'a.txt'",
    "SELECT x.path FROM content x LEFT JOIN commits c ON x.path = 'a.txt' AND x.content CONTAINS c.subject",
    "SELECT x.path FROM content x ANTI JOIN commits c ON x.path = 'a.txt' AND c.is_root AND x.lines > 0",
    "SELECT x.path FROM content x SEMI JOIN commits c ON x.path = 'a.txt' AND c.is_root AND x.lines > 0",
    "SELECT x.path, y.path FROM content x FULL JOIN content('v1') y ON x.path = y.path AND x.extension = 'txt' AND x.content = y.content",
    "SELECT x.path, y.path FROM content x RIGHT JOIN content('v1') y ON x.path = y.path AND x.extension = 'txt' AND y.lines > 1",
    "SELECT x.path FROM content x WHERE EXISTS (SELECT 1 FROM content('v1') y WHERE y.path = x.path AND y.content <> x.content)",
    "SELECT path FROM content WHERE size > 5 AND content CONTAINS 'e' LIMIT 4 OFFSET 2",
    "SELECT path FROM content WHERE content CONTAINS 'twice' LIMIT 2",
    "SELECT path FROM content WHERE is_binary IS NULL OR content IS NULL",
    "SELECT DISTINCT lines FROM content WHERE extension = 'txt' ORDER BY lines LIMIT 3",
]  # fmt: skip


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blobs whose contents are asked for."""
    blobs: list[str] = []
    real = Tree.contents

    def contents(tree: Tree, asked: Sequence[str], *rest: Any) -> Iterator[pa.Table]:
        for part in real(tree, asked, *rest):
            blobs.extend(part.column("blob").to_pylist())
            yield part

    monkeypatch.setattr(Tree, "contents", contents)
    return blobs


@pytest.mark.parametrize(("gql", "paths"), NARROWED)
def test_contents_are_read_of_the_files_that_may_matter(
    made: Made, read: list[str], monkeypatch: pytest.MonkeyPatch, gql: str, paths: set[str]
) -> None:
    answer = rows(made.engine, gql)
    blobs = {path: blob for path, _, blob, _ in made.listed("HEAD")}
    assert sorted(read) == sorted({blobs[p] for p in paths})
    unnarrowed(made, monkeypatch, gql, answer)


@pytest.mark.parametrize("gql", OUTER)
def test_what_narrows_does_not_decide(
    made: Made, monkeypatch: pytest.MonkeyPatch, gql: str
) -> None:
    answer = rows(made.engine, gql)
    assert answer
    unnarrowed(made, monkeypatch, gql, answer)


def unnarrowed(made: Made, monkeypatch: pytest.MonkeyPatch, gql: str, answer: list[Any]) -> None:
    """Asks again, where nothing narrows what is read."""
    monkeypatch.setattr(trees, "_filters", lambda _select, _scan: {})
    monkeypatch.setattr(trees, "_first_rows", lambda _query: None)
    made.engine._plans.clear()
    again = rows(made.engine, gql)
    made.engine._plans.clear()
    key = (lambda row: tuple(map(repr, row))) if "LIMIT" not in gql else None
    assert (sorted(again, key=key), sorted(answer, key=key)) == (
        (again, answer) if key is None else (sorted(answer, key=key), sorted(answer, key=key))
    )


def test_limit_ends_reading_early(tmp_path: Path, read: list[str]) -> None:
    repo = Builder(tmp_path / "repo")
    for i in range(6):
        repo.write(f"{i}.txt", (b"%d\n" % i) * (2 << 20))
    repo.write("7.txt", b"0\n" * (2 << 20))
    repo.commit("large")
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, diffs="none")
        asked = "SELECT path FROM content WHERE content CONTAINS '0' OR content CONTAINS '2' LIMIT "
        assert column(engine, f"{asked}1") == ["0.txt"]
        assert len(read) < 6
        read.clear()
        # The last one is equal to the first, and comes after others.
        assert column(engine, f"{asked}3") == ["0.txt", "2.txt", "7.txt"]
        assert len(read) == 6


def test_too_much_text_is_refused(made: Made) -> None:
    made.engine.close()
    data = made.engine.directory
    try:
        with govc_search.open(data, settings={"content_bytes": 2000}) as engine:
            error = refused(engine, "SELECT sum(length(content)) FROM content")
            assert error.code == "content_too_large"
            assert "content_bytes" in (error.hint or "")
            assert "big.js alone has 2,700 bytes" in error.message
            asked = "SELECT path FROM content WHERE size < 1000 AND content"
            assert column(engine, f"{asked} CONTAINS 'exception'") == ["a.txt"]
        with govc_search.open(data, settings={"content_bytes": 10_000}) as engine:
            error = refused(engine, "SELECT sum(length(content)) FROM content")
            assert (error.code, error.line, error.column) == ("content_too_large", 1, 34)
            assert "10,000 bytes" in error.message
            # What does not pass is not held.
            assert len(rows(engine, "SELECT path FROM content WHERE content CONTAINS 'odd'")) == 7
    finally:
        made.engine = govc_search.open(data)


# Repositories


def test_revisions_are_those_of_the_repositories_that_know_them(
    tmp_path: Path, engine: Engine
) -> None:
    sharing(tmp_path / "first", tmp_path / "second")
    Builder(tmp_path / "second").git("tag", "only")
    for name in ("first", "second"):
        engine.index(tmp_path / name)
    assert rows(engine, "SELECT repo, count(*) FROM files GROUP BY repo ORDER BY repo") == [
        ("first", 8),
        ("second", 8),
    ]
    for table in ("files", "content"):
        asked = f"SELECT repo FROM {table} WHERE path = 'second.txt'"
        for more in ("", "AND size > 0", "AND path <> blob"):
            assert rows(engine, f"{asked} {more} LIMIT 1") == [("second",)]
    result = engine.query("SELECT DISTINCT repo FROM files('only')")
    assert list(result) == [("second",)]
    assert result.warnings == ('no revision "only" in first',)
    pinned = engine.query("SELECT DISTINCT repo FROM files('only') WHERE repo LIKE 's%'")
    assert (list(pinned), pinned.warnings) == ([("second",)], ())
    joined = (
        "SELECT count(*) FROM commits c JOIN files('only') f USING (repo) WHERE c.repo = 'second'"
    )
    assert engine.query(joined).warnings == ()
    assert refused(engine, "SELECT 1 FROM files('only') WHERE repo = 'first'").code == (
        "unknown_revision"
    )
    error = refused(engine, "SELECT 1 FROM commits c, files('no-such') f")
    assert (error.code, error.column) == ("unknown_revision", 26)
    assert refused(engine, "SELECT 1 FROM files('HEAD..only')").code == "invalid_revision"
    shutil.rmtree(tmp_path / "first")
    error = refused(engine, "SELECT count(*) FROM files")
    assert error.code == "tree_unavailable"
    assert (error.kind, error.column) == ("source", 22)
    assert "first" in error.message
    assert "index it from where it is now" in (error.hint or "")
    assert rows(engine, "SELECT count(*) FROM files WHERE repo = 'second'") == [(8,)]
    (tmp_path / "second").rename(tmp_path / "elsewhere")
    engine.index(tmp_path / "elsewhere", name="second")
    assert rows(engine, "SELECT count(*) FROM content WHERE repo = 'second' AND lines > 0") == [
        (8,)
    ]


def test_a_tree_is_that_of_the_snapshot(tmp_path: Path, engine: Engine) -> None:
    assert rows(engine, "SELECT * FROM files") == []
    repo = branched(tmp_path / "repo")
    engine.index(repo.path)
    before = rows(engine, LISTED)
    repo.write("new.txt", b"new\n")
    repo.commit("not indexed")
    assert rows(engine, LISTED) == before
    engine.index(repo.path)
    assert set(rows(engine, LISTED)) - set(before) == {
        ("new.txt", "100644", repo.git("rev-parse", "HEAD:new.txt").decode(), 4)
    }


def test_missing_blobs_are_counted(tmp_path: Path, engine: Engine) -> None:
    repo = branched(tmp_path / "repo")
    engine.index(repo.path)
    for name in ("same/1.c", "a.txt"):
        repo.object_file(repo.git("rev-parse", f"HEAD:{name}").decode()).unlink()
    file = repo.object_file(repo.git("rev-parse", "HEAD:crlf.txt").decode())
    file.chmod(0o644)
    data = file.read_bytes()
    file.write_bytes(data[:-6] + b"damage")
    result = engine.query("SELECT path, content IS NULL FROM content WHERE type = 'file'")
    missing = [path for path, is_missing in result if is_missing]
    assert missing == ["a.txt", "crlf.txt", "nul.bin", "same/1.c", "same/2.c"]
    (warning,) = result.warnings
    assert "3 blobs are missing or damaged" in warning
    sizes = engine.query("SELECT path FROM files WHERE size IS NULL AND type <> 'submodule'")
    assert [p for (p,) in sizes] == ["a.txt", "same/1.c", "same/2.c"]
    assert "2 blobs are missing" in sizes.warnings[0]
    assert engine.query("SELECT lines FROM content WHERE path = 'side.txt'").warnings == ()
    tree = repo.git("rev-parse", "HEAD:dir").decode()
    repo.object_file(tree).unlink()
    error = refused(engine, "SELECT path FROM files")
    assert error.code == "tree_unavailable"
    assert tree in error.message


def test_a_repository_runs_no_command(tmp_path: Path, engine: Engine) -> None:
    evidence = tmp_path / "evidence"
    hashes = hostile(tmp_path / "hostile", evidence)
    engine.index(tmp_path / "hostile")
    evidence.unlink(missing_ok=True)
    found = rows(engine, "SELECT content FROM content WHERE path = 'all.txt' AND size < 100")
    assert found == [("replaced\n",)]
    assert len(rows(engine, f"SELECT * FROM files('{hashes[1]}')")) == 3
    assert refused(engine, "SELECT 1 FROM files('--output=x')").code == "unsupported_revision"
    assert not evidence.exists()


def test_the_deadline_is_kept_while_git_is_waited_for(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("git")
    (tmp_path / "bin").mkdir()
    stuck = tmp_path / "bin" / "git"
    for command in ("ls-tree", "cat-file --batch-check", "cat-file --batch"):
        stuck.write_text(
            f'#!/bin/sh\ncase "$*" in *"{command}"*) exec sleep 60;; esac\nexec {real} "$@"\n'
        )
        stuck.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
            with pytest.raises(DeadlineError) as caught:
                made.engine.query("SELECT content FROM content", timeout=0.3)
        assert caught.value.code == "deadline_exceeded"
    assert list((made.engine.directory / "trees").iterdir()) == []
    assert len(rows(made.engine, "SELECT content FROM content")) == len(made.listed("HEAD"))


def test_history_that_was_not_read_is_told(tmp_path: Path, engine: Engine) -> None:
    engine.index(branched(tmp_path / "repo").path, diffs="none")
    assert engine.query("SELECT path FROM files").warnings == ()
    result = engine.query("SELECT last_modified FROM files")
    assert {date for (date,) in result} == {None}
    assert "indexed without changes" in result.warnings[0]
