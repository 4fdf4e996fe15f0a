"""Views are made anew from the log; what differs from it is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import tantivy
from fixtures.indexed import column, rows, small

import govc_search
from govc_search import Engine, Progress
from govc_search.errors import StoreError
from govc_search.store.table import Table

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


@pytest.mark.parametrize("part", ["table", "text", None])
def test_rebuilt_views_answer_the_same(part: str | None, filled: Engine) -> None:
    before = state(filled)
    events: list[Progress] = []
    filled.rebuild(part, events.append)
    assert state(filled) == before
    assert filled.verify() == []
    assert events[-1].done == events[-1].total
    assert sorted(p.name for p in filled.directory.iterdir()) == [
        *("lock", "log", "manifest.json", "server.json", "server.sock", "table", "text"),
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


@pytest.mark.parametrize("part", ["table", "text"])
def test_views_of_an_earlier_format_are_made_anew(part: str, filled: Engine) -> None:
    before = state(filled)
    filled.close()
    manifest = filled.directory / "manifest.json"
    held = json.loads(manifest.read_text())
    earlier = {**held["formats"], part: 1}
    manifest.write_text(json.dumps({**held, "formats": earlier}))
    left = filled.directory / part / "of an earlier format"
    left.touch()
    with govc_search.open(filled.directory) as again:
        assert state(again) == before
        assert again.warnings == [
            f"the {part} is in the earlier format 1 and is made anew from the log"
        ]
        assert not left.exists()
    assert json.loads(manifest.read_text()) == held
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
    "a byte of a message": (lambda e: _flip(e.directory / "text" / "commits.messages", 0.5), "the message of commit"),
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


def test_a_damaged_line_is_never_an_answer(filled: Engine) -> None:
    needle = "SELECT hash, path FROM changes WHERE ADDED('needle1') ORDER BY change_id"
    wanted = rows(filled, needle)
    assert len(wanted) == 2
    file = filled.directory / "text" / "changes.lines"
    sound = file.read_bytes()
    refused: list[StoreError] = []
    named: list[str] = []
    for at in range(len(sound)):
        data = bytearray(sound)
        data[at] ^= 1 << at % 8
        # In place: what has the file mapped is to see it.
        with file.open("r+b") as out:
            out.write(data)
        try:
            assert rows(filled, needle) == wanted
        except StoreError as error:
            refused.append(error)
            if len(refused) % 16 == 0:
                named += [d for d in filled.verify() if error.message in d]
    assert len(named) == len(refused) // 16 > 0
    assert {error.code for error in refused} == {"text_damaged"}
    assert all("rebuild text" in (error.hint or "") for error in refused)
    # Two of the five changes were looked at, all of their bytes but for a few that say nothing.
    assert len(refused) > len(sound) // 3
    filled.rebuild("text")
    assert rows(filled, needle) == wanted
    assert filled.verify() == []


LOST: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "manifest_missing"),
    "empty": (b"", "manifest_damaged"),
    "cut": (b'{"epoch": "1', "manifest_damaged"),
    "of another program": (b'{"name": "app", "manifest_version": 3}', "manifest_damaged"),
}


@pytest.mark.parametrize("case", LOST)
def test_a_lost_manifest_is_made_anew_when_asked(case: str, filled: Engine) -> None:
    content, code = LOST[case]
    before, epoch = state(filled), filled._home.epoch
    filled.close()
    manifest = filled.directory / "manifest.json"
    manifest.unlink()
    if content is not None:
        manifest.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            govc_search.open(filled.directory)
        assert caught.value.code == code
        assert "govc-search rebuild" in (caught.value.hint or "")
    assert manifest.exists() == (content is not None)
    with govc_search.open(filled.directory, mend=True) as again:
        fresh = again._home.epoch
        assert fresh != epoch
        assert any(fresh in warning for warning in again.warnings)
        again.rebuild()
        assert state(again) == before
        assert again.verify() == []
    with govc_search.open(filled.directory, mend=True) as again:
        assert (again._home.epoch, again.warnings) == (fresh, [])


def test_a_manifest_is_only_made_for_a_log_of_ours(filled: Engine, tmp_path: Path) -> None:
    filled.close()
    foreign = tmp_path / "foreign"
    (foreign / "log").mkdir(parents=True)
    (foreign / "log" / "00000000000000000001.log").write_bytes(b"GET / HTTP/1.1\n" * 20)
    for manifest in (None, b"{}"):
        if manifest is not None:
            (foreign / "manifest.json").write_bytes(manifest)
        before = sorted(foreign.rglob("*"))
        with pytest.raises(StoreError) as caught:
            govc_search.open(foreign, mend=True)
        assert caught.value.code == "not_a_data_directory"
        assert sorted(foreign.rglob("*")) == before
    # Views that hold more than the log are not given up on the way.
    (filled.directory / "manifest.json").unlink()
    (segment,) = (filled.directory / "log").glob("*.log")
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 10)
    with pytest.raises(StoreError) as caught:
        govc_search.open(filled.directory, mend=True)
    assert caught.value.code == "log_incomplete"


@pytest.mark.parametrize("part", ["commits", "changes"])
@pytest.mark.parametrize("suffix", ["term", "idx", "pos", "fast", "fieldnorm"])
def test_verify_names_damaged_files_of_the_text_index(
    part: str, suffix: str, filled: Engine
) -> None:
    assert filled.verify() == []
    filled.close()
    file = max((filled.directory / "text" / part).glob(f"*.{suffix}"), key=_size_of)
    _flip(file, 0)
    with govc_search.open(filled.directory) as again:
        (found,) = again.verify()
        assert file.name in found
        again.rebuild("text")
        assert again.verify() == []


def _size_of(file: Path) -> int:
    return file.stat().st_size


def test_a_table_with_a_damaged_block_is_named_and_made_anew(filled: Engine) -> None:
    before = state(filled)
    filled.close()
    file = filled.directory / "table" / "table.duckdb"
    data = bytearray(file.read_bytes())
    # Behind the headers, where the blocks of the tables are.
    data[12 << 10 :] = bytes(b ^ 0x55 for b in data[12 << 10 :])
    file.write_bytes(data)
    with govc_search.open(filled.directory) as again:
        if not again.warnings:
            with pytest.raises(StoreError) as caught:
                state(again)
            assert caught.value.code == "table_damaged"
            assert again.verify() != []
            again.rebuild("table")
        assert state(again) == before
        assert again.verify() == []


def test_a_table_that_cannot_be_written_is_no_fault_of_the_program(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, hashes = small(tmp_path / "repo")
    real = Table._insert

    def full(*_: Any) -> None:
        raise duckdb.TransactionException("TransactionContext Error: No space left on device")

    monkeypatch.setattr(Table, "_insert", full)
    with pytest.raises(StoreError) as caught:
        engine.index(repo.path)
    assert caught.value.code == "table_write_failed"
    assert "No space left" in caught.value.message
    monkeypatch.setattr(Table, "_insert", real)
    engine.index(repo.path)
    assert column(engine, "SELECT hash FROM commits ORDER BY position") == hashes
    assert engine.verify() == []
