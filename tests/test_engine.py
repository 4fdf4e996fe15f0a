"""The engine over real repositories: what is read, what is kept, what is told, what is mended."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tantivy
from fixtures.repositories import (
    Builder,
    damaged_commit,
    missing_object,
    shallow_clone,
    sharing,
    tagged,
)

import govc_search
from govc_search import Engine, Progress
from govc_search.errors import (
    BusyError,
    DeadlineError,
    GovcSearchError,
    QueryError,
    SourceError,
    StoreError,
    UsageError,
)
from govc_search.indexer.reader_pool import ReaderPool
from govc_search.store.table import Table

HASHES = "SELECT hash FROM commits ORDER BY position"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with govc_search.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What readers are asked for, as it is asked."""
    hashes: list[str] = []
    real = ReaderPool.read

    def read(pool: ReaderPool, wanted: Sequence[str]) -> Any:
        hashes.extend(wanted)
        return real(pool, wanted)

    monkeypatch.setattr(ReaderPool, "read", read)
    return hashes


def grow(repo: Builder, name: str, words: str = "some words") -> str:
    repo.write(name, f"{words}\nin {name}\n".encode())
    return repo.commit(f"add {name}\n\n{words}\n")


def small(path: Path, count: int = 4) -> tuple[Builder, list[str]]:
    repo = Builder(path)
    return repo, [grow(repo, f"file{i}.txt", f"needle{i} hay") for i in range(count)]


def column(engine: Engine, gql: str, params: Any = None, **options: Any) -> list[Any]:
    return [row[0] for row in engine.query(gql, params, **options)]


def rows(engine: Engine, gql: str, params: Any = None) -> list[tuple[Any, ...]]:
    return list(engine.query(gql, params))


# What is indexed


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


def test_settings_and_arguments_are_checked(tmp_path: Path, engine: Engine) -> None:
    for settings, code in (
        ({"frame_byte": 1}, "unknown_setting"),
        ({"frame_bytes": "many"}, "invalid_setting"),
        ({"frame_bytes": 0}, "invalid_setting"),
    ):
        with pytest.raises(UsageError) as caught:
            govc_search.open(tmp_path / "other", settings=settings)
        assert caught.value.code == code
    assert not (tmp_path / "other").exists()
    calls: list[Callable[[], object]] = [
        lambda: engine.index(tmp_path, diffs="deep"),
        lambda: engine.index(tmp_path, merges="all"),
        lambda: engine.index(tmp_path, jobs=0),
        lambda: engine.rebuild("log"),
    ]
    for call in calls:
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.code == "invalid_argument"


def test_one_process_holds_a_directory(engine: Engine) -> None:
    code = (
        "import sys, govc_search\n"
        "try:\n    govc_search.open(sys.argv[1])\n"
        "except govc_search.GovcSearchError as e:\n    print(e.code, e.message)\n"
    )
    arguments = [sys.executable, "-c", code, str(engine.directory)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("data_directory_busy")
    with pytest.raises(BusyError):
        govc_search.open(engine.directory)
    engine.close()
    govc_search.open(engine.directory).close()


# Views are made from the log


QUESTIONS = (
    "SELECT hash, subject FROM commits WHERE MATCH(subject, 'file2') ORDER BY position",
    "SELECT hash, path FROM changes WHERE ADDED('needle1') ORDER BY change_id",
    "SELECT path, sign, text FROM lines WHERE text LIKE '%hay%' ORDER BY path",
    "SELECT full_name, hash FROM refs ORDER BY full_name",
    "SELECT hash FROM commits WHERE IN_RANGE('main~2..main') ORDER BY position",
    "SELECT repo, count(*) FROM commits GROUP BY repo ORDER BY repo",
)


def state(engine: Engine) -> dict[str, Any]:
    return {
        "answers": [rows(engine, q) for q in QUESTIONS],
        "table": engine._table.digest(),
        "text": [engine._text.keys(part) for part in ("commits", "changes")],
        "as_of": engine.as_of,
    }


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with amendments, a forced push, and a deleted ref."""
    home = tmp_path_factory.mktemp("indexed")
    repo, _ = small(home / "repo")
    repo.git("branch", "topic")
    with govc_search.open(home / "data") as engine:
        engine.index(repo.path, diffs="none")
        repo.git("reset", "-q", "--hard", "HEAD~1")
        repo.git("branch", "-D", "topic")
        grow(repo, "file9.txt", "needle1 again")
        engine.index(repo.path, diffs="full")
        assert engine.verify() == []
    return home / "data"


@pytest.fixture
def filled(tmp_path: Path, indexed: Path) -> Iterator[Engine]:
    shutil.copytree(indexed, tmp_path / "filled")
    with govc_search.open(tmp_path / "filled") as opened:
        yield opened


@pytest.mark.parametrize("part", ["table", "text", None])
def test_rebuilt_views_answer_the_same(part: str | None, filled: Engine) -> None:
    before = state(filled)
    events: list[Progress] = []
    filled.rebuild(part, events.append)
    assert state(filled) == before
    assert filled.verify() == []
    assert events[-1].done == events[-1].total
    assert sorted(p.name for p in filled.directory.iterdir()) == [
        *("lock", "log", "manifest.json", "table", "text"),
    ]


def _spoil(path: Path) -> None:
    """Overwrites the middle of every file below a directory."""
    for file in path.rglob("*"):
        if file.is_file() and file.stat().st_size > 100 and not file.name.startswith("."):
            data = bytearray(file.read_bytes())
            data[: len(data) // 2] = b"x" * (len(data) // 2)
            file.chmod(0o600)
            file.write_bytes(data)


@pytest.mark.parametrize("part", ["table", "text"])
@pytest.mark.parametrize("damage", [shutil.rmtree, _spoil])
def test_lost_and_spoilt_views_are_made_anew(
    part: str, damage: Callable[[Path], None], filled: Engine
) -> None:
    before = state(filled)
    filled.close()
    damage(filled.directory / part)
    with govc_search.open(filled.directory) as again:
        assert state(again) == before
        assert again.verify() == []
        assert bool(again.warnings) == (damage is _spoil)
    with govc_search.open(filled.directory) as again:
        assert again.warnings == []


def test_views_ahead_of_the_log_are_not_given_up_unasked(filled: Engine) -> None:
    last = filled.status().last_position
    filled.close()
    (segment,) = (filled.directory / "log").glob("*.log")
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 10)
    # What the log lost may be in the views alone.
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            govc_search.open(filled.directory)
        assert caught.value.code == "log_incomplete"
    with govc_search.open(filled.directory, accept_loss=True) as again:
        assert again.as_of == again.status().last_position < last
        assert any("ahead of the log" in warning for warning in again.warnings)
        assert again.verify() == []
        again.index(Path(again.status().repositories[0]["url"]))
        assert again.status().last_position == last
        assert again.verify() == []


def _drop_document(engine: Engine, part: str, field: str, key: int) -> None:
    index = getattr(engine._text, part)
    query = tantivy.Query.term_query(index.schema, field, key, "basic")
    index.writer.delete_documents_by_query(query)
    index.writer.commit()
    index.pinned = index._pin()


def _repeat_document(engine: Engine, key: int) -> None:
    index = engine._text.commits
    document = tantivy.Document()
    document.add_unsigned("key", key)
    document.add_unsigned("position", key)
    index.writer.add_document(document)
    index.writer.commit()
    index.pinned = index._pin()


def _sql(statement: str) -> Callable[[Engine], None]:
    def change(engine: Engine) -> None:
        engine._table._writer.execute(statement)

    return change


def _flip(file: Path, share: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(len(data) * share)] ^= 0x10
    # In place: what has the file mapped is to see it.
    with file.open("r+b") as out:
        out.write(data)


TAMPERED: dict[str, tuple[Callable[[Engine], None], str]] = {
    "a row less": (_sql("DELETE FROM changes WHERE path = 'file1.txt'"), r"table changes has \d+ rows, the log gives \d+"),
    "a row more": (_sql("INSERT INTO refs SELECT * FROM refs LIMIT 1"), r"table refs has \d+ rows"),
    "another text": (_sql("UPDATE commits SET subject = 'x' WHERE position = 3"), "table commits .* other content"),
    "another position": (_sql("UPDATE commits SET position = 900 WHERE position = 3"), "table commits .* other content"),
    "another line": (_sql("UPDATE hunks SET added = 'x' WHERE added LIKE '%needle2%'"), "table hunks .* other content"),
    "another ref": (_sql("UPDATE refs SET to_position = NULL"), "table refs .* other content"),
    "nobody": (_sql("DELETE FROM identities"), "table identities has 0 rows"),
    "no document of a commit": (lambda e: _drop_document(e, "commits", "key", 3), "text index commits lacks 1 documents: 3$"),
    "no documents of changes": (lambda e: _drop_document(e, "changes", "position", 3), "text index changes lacks 1 documents: 3145728$"),
    "a document twice": (lambda e: _repeat_document(e, 3), "text index commits has twice 1 documents: 3$"),
    "a document too many": (lambda e: _repeat_document(e, 99), "text index commits has besides 1 documents: 99$"),
    "a byte of the lines": (lambda e: _flip(e.directory / "text" / "changes.lines", 0.95), "lines"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_verify_names_what_differs(case: str, filled: Engine) -> None:
    tamper, message = TAMPERED[case]
    tamper(filled)
    found = filled.verify()
    assert any(re.search(message, f) for f in found), found
    assert all(len(f) < 400 for f in found)
    if case in ("a row less", "a document twice", "a byte of the lines"):
        filled.rebuild()
        assert filled.verify() == []


def test_verify_names_the_damaged_frame(filled: Engine) -> None:
    (segment,) = (filled.directory / "log").glob("*.log")
    _flip(segment, 0.5)
    found = filled.verify()
    assert len(found) == 1
    assert segment.name in found[0]
    assert "positions" in found[0]
    # What is indexed still answers, but cannot be made anew from such a log.
    assert column(filled, "SELECT count(*) FROM commits") == [5]
    with pytest.raises(StoreError) as caught:
        filled.rebuild("table")
    assert caught.value.code == "log_damaged"


# What happens on the way


class _Stop(Exception):  # noqa: N818 - it is no error
    pass


def test_an_interrupted_run_is_carried_through_and_the_next_goes_on(
    tmp_path: Path, engine: Engine
) -> None:
    repo, hashes = small(tmp_path / "repo", 8)

    def stop(event: Progress) -> None:
        if event.phase == "commits" and event.done:
            raise KeyboardInterrupt

    report = engine.index(repo.path, progress=stop)
    assert report.interrupted
    assert report.commits_added == 8
    assert engine.status().repositories[0]["complete"] is False
    assert column(engine, "SELECT count(*) FROM refs") == [0]
    assert engine.verify() == []
    report = engine.index(repo.path)
    assert (report.interrupted, report.commits_added, report.refs_updated) == (False, 0, 1)
    assert column(engine, HASHES) == hashes
    assert engine.status().repositories[0]["complete"] is True
    assert engine.verify() == []


def test_an_error_on_the_way_leaves_an_engine_that_works(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, hashes = small(tmp_path / "repo")

    def fail(event: Progress) -> None:
        if event.phase == "commits" and event.done:
            raise _Stop

    with pytest.raises(_Stop):
        engine.index(repo.path, progress=fail)
    assert engine.verify() == []
    grow(repo, "more.txt")
    with monkeypatch.context() as patch:
        real, failing = Table.apply, iter([True])

        def apply(table: Table, from_: int, entries: Sequence[Any]) -> None:
            if next(failing, False):
                raise StoreError("table_unusable", "no space left on device")
            real(table, from_, entries)

        patch.setattr(Table, "apply", apply)
        with pytest.raises(StoreError, match="no space"):
            engine.index(repo.path)
    assert engine.as_of == engine.status().last_position
    engine.index(repo.path)
    assert column(engine, HASHES)[:4] == hashes
    assert len(column(engine, HASHES)) == 5
    assert engine.verify() == []


def test_queries_go_on_while_another_thread_indexes(tmp_path: Path) -> None:
    first, _ = small(tmp_path / "first", 3)
    second, _ = small(tmp_path / "second", 12)
    # Frames of one commit each, and views that publish each frame.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("govc_search.indexer.views._COMMIT_BYTES", 1)
        with govc_search.open(tmp_path / "data", settings={"frame_bytes": 1}) as engine:
            engine.index(first.path)
            done = threading.Event()
            seen: set[int] = set()
            errors: list[BaseException] = []

            def ask() -> None:
                try:
                    while not done.is_set():
                        # By the text index, by a scan, and by a count: all of one snapshot.
                        result = engine.query(
                            "SELECT (SELECT count(*) FROM commits WHERE MATCH(subject, 'add')),"
                            " (SELECT count(*) FROM commits WHERE MATCH(lower(subject), 'add')),"
                            " (SELECT count(*) FROM commits), (SELECT max(position) FROM commits)"
                        )
                        indexed, scanned, count, last = next(iter(result))
                        assert indexed == scanned == count
                        assert (last or 0) <= result.as_of
                        seen.add(count)
                except BaseException as error:  # noqa: BLE001 - told to the test
                    errors.append(error)

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            engine.index(second.path)
            engine.rebuild("table")
            done.set()
            for thread in threads:
                thread.join()
            assert errors == []
            assert len(seen) > 1
            assert column(engine, "SELECT count(*) FROM commits") == [15]
            assert engine.verify() == []


def test_a_deadline_ends_the_query_and_not_the_engine(filled: Engine) -> None:
    heavy = (
        "SELECT count(*) FROM lines a, lines b, lines c, lines d, lines e, lines f, lines g,"
        " lines h, lines i WHERE a.text || b.text || c.text || d.text || e.text || f.text"
        " || g.text || h.text || i.text LIKE '%no such%'"
    )
    for indexes in (True, False):
        with pytest.raises(DeadlineError) as caught:
            filled.query(heavy, timeout=0.01, indexes=indexes)
        assert caught.value.code == "deadline_exceeded"
    assert column(filled, "SELECT count(*) FROM commits") == [5]


# What an answer is


def test_results(filled: Engine) -> None:
    result = filled.query("SELECT path, change_id FROM changes ORDER BY change_id LIMIT 2")
    assert [(c.name, c.type) for c in result.columns] == [
        ("path", "TEXT"),
        ("change_id", "INTEGER"),
    ]
    assert len(result) == 2
    assert list(result) == list(zip(*result.to_arrow().to_pydict().values(), strict=True))
    assert isinstance(result.to_arrow(), pa.Table)
    assert result.as_of == filled.as_of == filled.status().as_of == filled.status().last_position
    assert result.elapsed > 0
    assert result.truncated is False
    assert "changes" in result.explain()
    explained = filled.query("EXPLAIN SELECT path FROM changes")
    assert "\n".join(row[0] for row in explained) == explained.explain()
    assert list(filled.query("SELECT path FROM changes WHERE FALSE")) == []
    assert [c.name for c in filled.search("needle1").columns]
    assert len(filled.search("hay")) == 4
    assert len(filled.search("hay", limit=2)) == 2


def test_pandas_is_asked_for_where_it_is_missing(
    filled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError) as caught:
        filled.query("SELECT 1").to_pandas()
    assert caught.value.code == "pandas_missing"
    assert "govc-search[pandas]" in (caught.value.hint or "")


def test_data_frames(filled: Engine) -> None:
    pytest.importorskip("pandas")
    frame = filled.query("SELECT path FROM changes ORDER BY path").to_pandas()
    assert list(frame["path"]) == column(filled, "SELECT path FROM changes ORDER BY path")


def test_as_of_is_what_a_query_saw(tmp_path: Path, engine: Engine) -> None:
    assert engine.as_of == 0
    assert column(engine, "SELECT count(*) FROM commits") == [0]
    repo, _ = small(tmp_path / "repo", 2)
    engine.index(repo.path)
    before = engine.query(HASHES)
    grow(repo, "more.txt")
    report = engine.index(repo.path)
    after = engine.query(HASHES)
    assert before.as_of < after.as_of == report.last_position
    assert len(after) == len(before) + 1


def test_parameters(filled: Engine) -> None:
    by_name = "SELECT path FROM changes WHERE path = $path"
    assert column(filled, by_name, {"path": "file2.txt"}) == ["file2.txt"]
    by_place = "SELECT path FROM changes WHERE path IN (?, ?) ORDER BY path"
    assert column(filled, by_place, ["file2.txt", "file0.txt"]) == ["file0.txt", "file2.txt"]
    assert len(column(filled, "SELECT hash FROM changes WHERE ADDED($n)", {"n": "needle1"})) == 2
    for params in (None, {}, {"other": 1}, {"path": object()}):
        with pytest.raises(QueryError):
            filled.query(by_name, params)


# Life


def test_a_closed_engine_says_so(tmp_path: Path) -> None:
    repo, _ = small(tmp_path / "repo", 1)
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path)
    engine.close()
    calls: list[Callable[[], object]] = [
        lambda: engine.query("SELECT 1"),
        lambda: engine.search("x"),
        lambda: engine.commit("main"),
        lambda: engine.index(repo.path),
        engine.status,
        engine.verify,
        engine.rebuild,
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "engine_closed"
    with govc_search.open(tmp_path / "data") as engine:
        assert len(engine.query(HASHES)) == 1


def test_what_cannot_be_opened_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").write_text("x")
    for name in ("file", "full"):
        with pytest.raises(GovcSearchError) as caught:
            govc_search.open(tmp_path / name)
        assert caught.value.code == "not_a_data_directory"
    with pytest.raises(StoreError):
        govc_search.open(tmp_path / "missing", create=False)
    assert not (tmp_path / "missing").exists()
    with govc_search.open(tmp_path / "data"):
        pass
    (tmp_path / "data" / "log" / "broken.log").write_text("x")
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            govc_search.open(tmp_path / "data")
        assert caught.value.code == "log_damaged"
    (tmp_path / "data" / "log" / "broken.log").unlink()
    with govc_search.open(tmp_path / "data") as engine:
        assert engine.as_of == 0
