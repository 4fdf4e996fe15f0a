"""Commits pushed: the same as those read from git, each checked, none twice."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fixtures.history import history
from fixtures.indexed import column, rows

import govc_search
from govc_search import Engine
from govc_search.errors import UsageError
from govc_search.indexer import pushed
from govc_search.store import log as log_module

# What only git knows of a commit, or what differs by nature.
_PEOPLE = ", ".join(
    f"{who}_{what}" for who in ("author", "committer") for what in ("id", "mapped", "email_mapped")
)
_NOT_SENT = f"position, indexed_at, signature, {_PEOPLE}"
COMPARED = (
    f"SELECT * EXCLUDE ({_NOT_SENT}) FROM commits ORDER BY hash",
    "SELECT * EXCLUDE (change_id, similarity) FROM changes ORDER BY hash, path, change_type",
    "SELECT * EXCLUDE (change_id) FROM hunks ORDER BY hash, path, hunk",
    "SELECT * FROM trailers ORDER BY hash, ordinal",
    "SELECT * FROM commit_parents ORDER BY hash, ordinal",
    "SELECT hash FROM commits WHERE MATCH(message, 'the') ORDER BY hash",
    "SELECT hash, path FROM changes WHERE ADDED('a') ORDER BY hash, path",
)


def commit(n: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "repo": "svn", "hash": f"{n:040x}", "message": f"subject {n}\n\nbody\n",
        "author": "A", "author_date": "2024-06-01T12:00:00+02:00",
    } | more  # fmt: skip


def as_pushed(engine: Engine, path: Path) -> list[dict[str, Any]]:
    """Returns the commits of an engine as a client would push them, patches as git prints them."""
    changes: dict[str, list[dict[str, Any]]] = {}
    columns = "path, old_path, change_type, old_mode, new_mode, old_blob, new_blob"
    query = f"SELECT hash, {columns} FROM changes ORDER BY change_id"
    for row in engine.query(query).to_arrow().to_pylist():
        changes.setdefault(row.pop("hash"), []).append(row)
    for name, of_commit in changes.items():
        for change, patch in zip(of_commit, _patches(path, name), strict=True):
            change["patch"] = patch
    out = []
    for row in engine.query("SELECT * FROM commits ORDER BY position").to_arrow().to_pylist():
        names = "repo hash tree parents message author author_email committer committer_email"
        of_merge: dict[str, Any] = (
            {} if row["is_merge"] else {"changes": changes.get(row["hash"], [])}
        )
        dates = {f"{who}_date": _date(row, who) for who in ("author", "committer")}
        out.append({k: row[k] for k in names.split()} | dates | of_merge)
    return out


def _date(row: dict[str, Any], who: str) -> str:
    zone = timezone(timedelta(minutes=row[f"{who}_tz"]))
    return str(row[f"{who}_date"].replace(tzinfo=UTC).astimezone(zone).isoformat())


def _patches(path: Path, name: str) -> list[str]:
    shown = subprocess.run(
        ["git", "-C", str(path), "diff-tree", "--root", "-r", "-M", "-p", "-U1", "--no-commit-id",
         "--full-index", name],
        check=True, capture_output=True,
    ).stdout.decode("utf-8", "replace")  # fmt: skip
    return re.split(r"^(?=diff --git )", shown, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("at_once", [1, 3, 1_000])
def test_what_is_pushed_equals_what_git_holds(at_once: int, tmp_path: Path, engine: Engine) -> None:
    history(tmp_path / "source")
    with govc_search.open(tmp_path / "git") as read:
        read.index(tmp_path / "source", name="r")
        commits = as_pushed(read, tmp_path / "source")
        wanted = [rows(read, q) for q in COMPARED]
    reports = [engine.push(commits[i : i + at_once]) for i in range(0, len(commits), at_once)]
    assert [r.refused for r in reports] == [[] for _ in reports]
    assert sum(r.accepted for r in reports) == len(commits)
    for query, want in zip(COMPARED, wanted, strict=True):
        assert rows(engine, query) == want, query
    assert engine.verify() == []


def test_a_commit_sent_again_keeps_its_place(engine: Engine) -> None:
    first = engine.push([commit(1), commit(2), commit(1)])
    assert (first.accepted, first.duplicates) == (2, 1)
    assert first.positions[0] == first.positions[2] != first.positions[1]
    last = engine.as_of
    again = engine.push([commit(2)])
    assert (again.accepted, again.duplicates, again.amended) == (0, 1, 0)
    assert again.positions == [first.positions[1]]
    assert engine.as_of == last == again.last_position
    deeper = commit(
        1, changes=[{"path": "a", "change_type": "A", "patch": "@@ -0,0 +1 @@\n+needle\n"}]
    )
    more = engine.push([deeper, commit(3)])
    assert (more.accepted, more.duplicates, more.amended) == (1, 1, 1)
    assert more.positions[0] == first.positions[0]
    found = "SELECT position FROM commits WHERE ADDED('needle')"
    assert column(engine, found) == [first.positions[0]]
    assert column(engine, "SELECT hash FROM commits ORDER BY position") == [
        commit(n)["hash"] for n in (1, 2, 3)
    ]
    # Nothing is taken away by what says less.
    assert engine.push([commit(1)]).amended == 0
    assert engine.verify() == []


def test_refs_of_what_was_pushed(engine: Engine) -> None:
    a, b, c = (commit(n)["hash"] for n in (1, 2, 3))
    engine.push([commit(1), commit(2, parents=[a]), commit(3, parents=[a])])
    refs = {"refs/heads/main": b, "refs/tags/v1.0": a}
    assert engine.put_refs("svn", refs, head="refs/heads/main") == 2
    assert engine.put_refs("svn", refs, head="refs/heads/main") == 0
    assert rows(engine, "SELECT name, hash, is_head FROM refs ORDER BY name") == [
        ("main", b, True), ("v1.0", a, False),
    ]  # fmt: skip
    assert column(engine, "SELECT hash FROM commits WHERE IN_RANGE('v1.0..HEAD')") == [b]
    assert engine.put_refs("svn", {"refs/heads/main": c}) == 2
    assert rows(engine, "SELECT ref, old_hash, new_hash, forced FROM ref_updates ORDER BY position") == [
        ("refs/heads/main", None, b, False), ("refs/tags/v1.0", None, a, False),
        ("refs/heads/main", b, c, True), ("refs/tags/v1.0", a, None, False),
    ]  # fmt: skip
    for wrong, code in (
        ({"main": a}, "invalid_ref"), ({"refs/heads/a b": a}, "invalid_ref"),
        ({"refs/heads/x": "0" * 40}, "unknown_commit"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as raised:
            engine.put_refs("svn", wrong)
        assert raised.value.code == code
    with pytest.raises(UsageError, match="no repository"):
        engine.put_refs("other", {})
    assert engine.verify() == []


BAD = (
    ({"hash": "12"}, "invalid_hash"),
    ({"hash": "g" * 40}, "invalid_hash"),
    ({"hash": "0" * 64}, "invalid_hash"),
    ({"parents": ["0" * 64]}, "invalid_hash"),
    ({"parents": "0" * 40}, "invalid_field"),
    ({"message": None}, "missing_field"),
    ({"author_date": "yesterday"}, "invalid_date"),
    ({"author_date": 5}, "invalid_date"),
    ({"committer_date": "2024-13-01"}, "invalid_date"),
    ({"mesage": "x"}, "unknown_field"),
    ({"author": 7}, "invalid_field"),
    ({"author": "half \ud800"}, "invalid_field"),
    ({"message": "nul \0"}, "invalid_field"),
    ({"repo": ""}, "invalid_repo"),
    ({"changes": {}}, "invalid_field"),
    ({"changes": [7]}, "invalid_field"),
    ({"changes": [{}]}, "missing_field"),
    ({"changes": [{"path": "a", "change_type": "X"}]}, "invalid_field"),
    ({"changes": [{"path": "a", "change_type": "R"}]}, "invalid_field"),
    ({"changes": [{"path": "a", "old_path": "b", "change_type": "M"}]}, "invalid_field"),
    ({"changes": [{"path": "a", "new_mode": "644"}]}, "invalid_field"),
    ({"changes": [{"path": "a", "new_blob": "x"}]}, "invalid_hash"),
    ({"changes": [{"path": "a", "patch": "+no header\n"}]}, "invalid_patch"),
    ({"changes": [{"path": "a", "patch": "@@ -1 +1 @@\n+one\n+two\n"}]}, "invalid_patch"),
    ({"changes": [{"path": "a", "patch": "@@ -0,0 +1 @@\n+one\ndiff --git a b\n"}]}, "invalid_patch"),
    ({"changes": [{"path": "a", "patch": "@@ x @@\n"}]}, "invalid_patch"),
)  # fmt: skip


def test_a_bad_commit_is_refused_and_the_others_are_taken(engine: Engine) -> None:
    engine.push([commit(1_000)])
    pushed = [commit(0)] + [commit(n, **more) for n, (more, _) in enumerate(BAD, 1)] + [commit(99)]
    report = engine.push([*pushed, "no object"])
    refused = {r.index: r.code for r in report.refused}
    assert refused == dict(enumerate((code for _, code in BAD), 1)) | {len(pushed): "invalid_field"}
    assert report.accepted == 2
    assert [p is None for p in report.positions] == [i in refused for i in range(len(pushed) + 1)]
    assert len(column(engine, "SELECT hash FROM commits")) == 3


def test_all_or_nothing(engine: Engine) -> None:
    before = engine.push([commit(1)]).last_position
    report = engine.push([commit(2), commit(3, hash="x")], atomic=True)
    assert (report.accepted, report.positions, report.last_position) == (0, [None, None], before)
    assert column(engine, "SELECT hash FROM commits") == [commit(1)["hash"]]


def test_lines_of_a_patch_as_others_write_it(engine: Engine) -> None:
    patch = "--- a.txt\t2024-01-01\n+++ a.txt\t2024-01-02\n@@ -3,4 +3,4 @@ heading\n one\n\n-old\n+new\n two"
    engine.push([commit(1, changes=[{"path": "a.txt", "patch": patch}, {"path": "b"}])])
    assert rows(engine, "SELECT path, sign, old_line, new_line, text FROM lines ORDER BY sign") == [
        ("a.txt", -1, 5, None, "old"), ("a.txt", 1, None, 5, "new"),
    ]  # fmt: skip
    assert rows(engine, "SELECT path, change_type, insertions FROM changes ORDER BY path") == [
        ("a.txt", "M", 1), ("b", "M", None),
    ]  # fmt: skip


def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "push.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "push.md", "exec"), {})  # noqa: S102 - our own text
    assert "check the length first" in capsys.readouterr().out
    fields = set(re.findall(r"`(\w+)`", page))
    assert fields >= pushed._COMMIT_FIELDS | pushed._CHANGE_FIELDS
    source = Path(str(pushed.__file__)).read_text()
    assert set(re.findall(r'_RefusedError\(\s*"(\w+)"', source)) | {"invalid_patch"} <= fields


def test_pushes_at_the_same_time_take_each_commit_once(engine: Engine) -> None:
    reports: list[Any] = []
    start = threading.Barrier(8)

    def push(first: int) -> None:
        start.wait()
        for n in range(first, first + 40, 4):
            # Half of what each sends is sent by another too, some of it says more.
            more = {"changes": [{"path": f"{first}"}]} if n % 3 == 0 and first % 2 else {}
            reports.append(engine.push([commit(i, **more) for i in range(n, n + 4)], wait=False))

    threads = [threading.Thread(target=push, args=(20 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = {commit(n)["hash"] for n in range(180)}
    assert sum(r.accepted for r in reports) == len(wanted)
    engine.push([])
    assert column(engine, "SELECT hash FROM commits ORDER BY hash") == sorted(wanted)
    positions = dict(rows(engine, "SELECT hash, position FROM commits"))
    told = {p for r in reports for p in r.positions}
    assert told == set(positions.values())
    assert column(engine, "SELECT repo FROM repos") == ["svn"]
    assert {int(h, 16) % 3 for h in column(engine, "SELECT DISTINCT hash FROM changes")} <= {
        0,
        1,
        2,
    }
    assert engine.verify() == []


def test_pushes_share_what_makes_them_durable(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.push([commit(0)])
    synced = []
    real, first = os.fsync, threading.Event()

    def fsync(fd: int) -> None:
        if fd == engine._log._fd:
            synced.append(fd)
        # The first one waits until all others wait for it.
        if not first.is_set() and synced:
            first.set()
            while len(engine._log._queue) < 15:
                threading.Event().wait(0.001)
        real(fd)

    monkeypatch.setattr(log_module.os, "fsync", fsync)
    threads = [
        threading.Thread(target=engine.push, args=([commit(n)],), kwargs={"wait": False})
        for n in range(1, 17)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(synced) == 2
    engine.push([])
    assert len(column(engine, "SELECT hash FROM commits")) == 17
