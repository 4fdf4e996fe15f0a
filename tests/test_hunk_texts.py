"""Lines of hunks from beside the text index: byte for byte those of the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.indexed import rows
from fixtures.repositories import Builder, missing_object, odd_cases

import govc_search
from govc_search import Engine
from govc_search.errors import StoreError
from govc_search.indexer import changed_text
from govc_search.indexer.changed_text import ChangedText
from govc_search.ql import hunk_texts

ODD_LINES = (
    b"\n",
    b"\n\n\n",
    b"no end",
    b"bad \xff\xfe bytes\ncut \xe2\x82\n\xac\n",
    b"one\r\ntwo\rthree\n\r\n",
    b"sep \xe2\x80\xa8 here\x85\x0b\x0c\n",
    b"x" * 300_000 + b"\n" + b"y" * 300_000,
    b"".join(b"%d\n" % i for i in range(3000)),
    b"".join(b"%d\n\n" % (i // 3) for i in range(3000)),
    b"",
)
# What holds for every line, asked of all changes of one repository.
OF_REPO = "USING (repo, hash) WHERE c.repo = $repo"
ALL = (
    *(
        "SELECT change_id, hunk, old_start, old_lines, new_start, new_lines, heading, removed, added"
        f" FROM commits c JOIN hunks h {OF_REPO} AND h.{side} ~ '^' ORDER BY change_id, hunk"
        for side in ("removed", "added")
    ),
    (
        "SELECT change_id, hunk, path, sign, old_line, new_line, text FROM commits c JOIN lines l"
        f" {OF_REPO} AND l.text ~ '^' ORDER BY change_id, hunk, sign, old_line, new_line"
    ),
)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    # Many groups, that end between any two changes.
    monkeypatch.setattr(changed_text, "_GROUP_BYTES", 99)
    return govc_search.open(tmp_path / "data")


def plan_of(engine: Engine, gql: str, repo: str) -> str:
    return "\n".join(str(line) for (line,) in rows(engine, f"EXPLAIN {gql}", {"repo": repo}))


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_every_hunk_is_that_of_the_table(
    tmp_path: Path, engine: Engine, object_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_cases(tmp_path / "odd", object_format=object_format)
    missing_object(tmp_path / "missing", "blob")
    repo = Builder(tmp_path / "texts", object_format=object_format)
    for i, text in enumerate((*ODD_LINES, *ODD_LINES[::2])):
        repo.write("a", text)
        repo.write(f"{i}.bin", b"\0" + text)
        repo.commit("odd lines")
    with engine:
        for name in ("odd", "missing", "texts"):
            engine.index(tmp_path / name)
            for gql in ALL:
                assert "hunks from h" in plan_of(engine, gql, name)
                found = list(engine.query(gql, {"repo": name}))
                assert found == list(engine.query(gql, {"repo": name}, indexes=False))
                assert found or (name == "missing" and "removed" in gql)
                with monkeypatch.context() as patch:
                    patch.setattr(hunk_texts, "MOST_BYTES", 0)
                    assert found == list(engine.query(gql, {"repo": name}))
        texts = {t for *_, old, new in engine.query(ALL[1], {"repo": "texts"}) for t in (old, new)}
        assert any("\ufffd" in t for t in texts if t)
        assert {None, "", "one\r\ntwo\rthree\n\r"} <= texts


def test_conditions_are_asked_of_the_changes_that_all_searches_find(
    tmp_path: Path, engine: Engine
) -> None:
    repo = Builder(tmp_path / "repo")
    for i in range(60):
        repo.write("a.c", f"alpha {i}\n\nbeta {i % 7}\n{'gamma' if i % 3 else 'delta'}\n".encode())
        repo.write("b.c", f"beta {i}\nalpha_{i % 5}\n".encode())
        repo.commit("lines")
    with engine:
        engine.index(tmp_path / "repo")
        for gql in (
            "SELECT change_id, hunk FROM hunks WHERE MATCH(added, 'alpha') AND removed CONTAINS 'beta 3'",
            "SELECT change_id, hunk FROM hunks h WHERE ADDED(h, 'gamma') AND NOT MATCH(removed, 'delta')",
            "SELECT path, text FROM lines WHERE MATCH(text, 'alpha 12') OR text = 'beta'",
            "SELECT count(*) FROM lines WHERE text ~ 'beta [12]' AND sign = 1 AND text CONTAINS 'eta'",
            (
                "SELECT c.position, h.added FROM commits c LEFT JOIN hunks h ON h.hash = c.hash"
                " AND h.repo = c.repo WHERE h.added CONTAINS 'gamma'"
            ),
            "SELECT change_id, SCORE() FROM hunks WHERE MATCH(added, 'delta') AND old_lines > 1",
            "SELECT hunk, heading FROM hunks WHERE MATCH(added, 'delta') AND heading = ''",
            "SELECT text FROM lines WHERE MATCH(text, 'nowhere')",
        ):
            shown = sorted(map(repr, engine.query(gql)))
            if "SCORE" in gql:
                assert shown
            else:
                assert shown == sorted(map(repr, engine.query(gql, indexes=False)))


def test_hunks_are_read_where_lines_are(tmp_path: Path, engine: Engine) -> None:
    repo = Builder(tmp_path / "repo")
    repo.write("a.c", b"alpha\nbeta\n")
    repo.commit("lines")
    with engine:
        engine.index(tmp_path / "repo")
        for gql, read in (
            ("SELECT hunk FROM hunks WHERE ADDED('alpha')", True),
            ("SELECT hunk FROM hunks WHERE MATCH(heading, 'alpha')", False),
            ("SELECT text FROM lines WHERE NOT text CONTAINS 'alpha'", False),
        ):
            plan = "\n".join(line for (line,) in rows(engine, f"EXPLAIN {gql}"))
            assert ("hunks from h" in plan) == read, gql
            assert rows(engine, gql) == list(engine.query(gql, indexes=False))


def test_hunks_that_do_not_fit_their_change_are_no_answer(tmp_path: Path) -> None:
    file = ChangedText(tmp_path)
    ids = np.array([1, 2], np.uint64)
    texts = [b"a\nbb" + b"c", b"d\n\n"]
    file.add(ids, texts, np.array([4, -1]), np.array([1, 3]))
    file.commit()
    of = np.array([1, 1, 2, 2], np.uint64)
    removed, added = changed_text.hunks(
        file.frames(), of, np.array([1, 1, 0, 0]), np.array([0, 1, 1, 2])
    )
    assert removed.to_pylist() == ["a", "bb", None, None]
    assert added.to_pylist() == [None, "c", "d", "\n"]
    for old, new, wrong in (
        ([2, 1, 0, 0], [0, 1, 1, 2], 1),
        ([1, 1, 0, 0], [0, 2, 1, 1], 1),
        ([1, 1, 0, 1], [0, 1, 1, 2], 2),
        ([0, 0, 0, 0], [0, 1, 1, 2], 1),
    ):
        with pytest.raises(StoreError, match=f"the lines of change {wrong} ") as raised:
            changed_text.hunks(file.frames(), of, np.array(old), np.array(new))
        assert raised.value.code == "text_damaged"

    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        changed_text.hunks(file.frames(), of, np.array([1, 1, 0, 0]), np.array([0, 1, 1, 2]), stop)
