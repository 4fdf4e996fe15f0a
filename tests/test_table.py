"""The table holds exactly the rows of the log up to its checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fixtures.records import Writer, change, commit, hunk, state, update, utc

from govc_search.errors import DeadlineError, QueryError, StoreError
from govc_search.records import COMMIT, KINDS, change_id
from govc_search.store.known import Held, Known
from govc_search.store.log import Entry
from govc_search.store.manifest import FORMATS
from govc_search.store.rows import decode, split_message
from govc_search.store.table import Table

COMMITS, AMENDMENTS, REFS, REPOSITORIES = KINDS


@pytest.fixture
def table(tmp_path: Path) -> Any:
    with Table.open(tmp_path / "table", threads=1) as table:
        yield table


def ask(table: Table, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
    with table.cursor() as cursor:
        return [tuple(r.values()) for r in cursor.query(sql, parameters).to_pylist()]


def test_lines_that_were_not_read_are_not_counted(table: Table) -> None:
    counted = change(b"a", insertions=2, deletions=0, hunks=[])
    Writer(table).add(
        commit("a", changes=[counted, change(b"b")], incomplete="too_large"),
        commit("b", changes=[counted, change(b"b", is_binary=True)]),
    )
    sums = "SELECT files_changed, insertions, deletions FROM commits ORDER BY position"
    assert ask(table, sums) == [(2, None, None), (2, 2, 0)]


def test_every_row_of_a_commit(table: Table) -> None:
    Writer(table).add(
        commit("a", trailers=[{"key": b"Signed-off-by", "value": b"Ann B <ann@x>"}]),
        commit(
            "b",
            parents=["a" * 40, "c" * 40],
            signature="gpg",
            incomplete="a blob is missing",
            trailers=[{"key": b"Fixes", "value": b"#1"}, {"key": b"Cc", "value": b"<s@x> # v5"}],
            changes=[
                change(b"x\xff", insertions=3, deletions=1, hunks=[hunk(4, b"a\xe9", b"")]),
                change(b"bin", is_binary=True),
                change(
                    b"new", old_path=b"old", change_type="R", similarity=90, old_mode="100644",
                    new_mode="100755", old_blob="1" * 40, new_blob="2" * 40, insertions=4,
                    deletions=0, hunks=[hunk(1, None, b"\x00x\ny"), hunk(9, b"z", None)],
                ),
            ],
        ),
        commit("c", changes=None, depth="none", author_time=None, committer_time=2**60),
        commit("d", changes=[change(b"p")], depth="paths"),
        commit("e", author_time=-62_135_596_800, committer_time=253_402_300_799),
    )  # fmt: skip
    assert ask(table, "SELECT position, hash, parents, subject, body, message FROM commits LIMIT 2") == [
        (1, "a" * 40, [], "subject", "body\n", "subject\n\nbody\n"),
        (2, "b" * 40, ["a" * 40, "c" * 40], "subject", "body\n", "subject\n\nbody\n"),
    ]  # fmt: skip
    assert ask(
        table, "SELECT files_changed, insertions, deletions FROM commits ORDER BY position"
    ) == [(0, 0, 0), (3, 7, 1), (None, None, None), (1, None, None), (0, 0, 0)]
    assert ask(table, "SELECT author_date, committer_date, author_tz, committer_tz, indexed_at"
                      " FROM commits WHERE position IN (1, 3, 5) ORDER BY position") == [
        (utc(1970, 1, 1, 0, 16, 40), utc(1970, 1, 1, 0, 33, 20), 120, -90,
         utc(1970, 1, 1, 0, 0, 5)),
        (None, None, 120, -90, utc(1970, 1, 1, 0, 0, 5)),
        (utc(1, 1, 1), utc(9999, 12, 31, 23, 59, 59), 120, -90,
         utc(1970, 1, 1, 0, 0, 5)),
    ]  # fmt: skip
    assert ask(table, "SELECT signature, depth, incomplete FROM commits WHERE position = 2") == [
        ("gpg", "full", "a blob is missing")
    ]
    assert ask(table, "FROM commit_parents ORDER BY ordinal") == [
        (2, "r", "b" * 40, "a" * 40, 0),
        (2, "r", "b" * 40, "c" * 40, 1),
    ]
    nothing = (None,) * 5
    assert ask(table, "FROM changes ORDER BY change_id") == [
        (change_id(2, 0), 2, "r", "b" * 40, "x\ufffd", None, "M", *nothing, 3, 1, False),
        (change_id(2, 1), 2, "r", "b" * 40, "bin", None, "M", *nothing, None, None, True),
        (change_id(2, 2), 2, "r", "b" * 40, "new", "old", "R", 90, "100644", "100755",
         "1" * 40, "2" * 40, 4, 0, False),
        (change_id(4, 0), 4, "r", "d" * 40, "p", None, "M", *nothing, None, None, False),
    ]  # fmt: skip
    assert ask(table, "FROM hunks ORDER BY change_id, hunk") == [
        (change_id(2, 0), 0, 4, 4, 4, 4, "f()", "a\ufffd", ""),
        (change_id(2, 2), 0, 1, 1, 1, 1, "f()", None, "\x00x\ny"),
        (change_id(2, 2), 1, 9, 9, 9, 9, "f()", "z", None),
    ]
    assert ask(table, "SELECT position, key, value, name, email, ordinal FROM trailers") == [
        (1, "Signed-off-by", "Ann B <ann@x>", "Ann B", "ann@x", 0),
        (2, "Fixes", "#1", None, None, 0),
        (2, "Cc", "<s@x> # v5", "", "s@x", 1),
    ]


MESSAGES = [
    b"subject\n", b"subject", b"", b"\n", b"\n\n", b"a\n\nb\n", b"a\nb\n\nc\n\nd", b"\n\n a \t\n\nb",
    b"a  \n  b \n \nc\n", b"a\n \t\n\n\n  c\n", b"a\n\n\n", b"  \n\t\nx\n\n\ny", b"a\r\nb\r\n\r\nc\r\n",
    b"a\n\n  \n\nb\n\n", "\u00e4\n\n\u00fc\u20ac \U0001f600\n".encode(), b"a\x0bb \x0b\n\x0c\nc\n", b"x\n\x0c\n\ny",
    b" lead\n\n trail ", b"a\n\n\xff bad",
]  # fmt: skip


def test_subject_and_body_as_git_has_them(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    subprocess.run(["git", "init", "-q", "--bare", tmp_path], check=True, env=environment)
    empty = subprocess.run(
        ["git", "-C", tmp_path, "hash-object", "-t", "tree", "-w", os.devnull],
        capture_output=True, check=True, env=environment,
    ).stdout.strip()  # fmt: skip
    for message in MESSAGES:
        person = b"A <a@x> 1 +0000"
        raw = b"tree %s\nauthor %s\ncommitter %s\n\n%s" % (empty, person, person, message)
        hash_ = subprocess.run(
            ["git", "-C", tmp_path, "hash-object", "-t", "commit", "-w", "--stdin"],
            input=raw, capture_output=True, check=True, env=environment,
        ).stdout.strip()  # fmt: skip
        out = subprocess.run(
            ["git", "-C", tmp_path, "log", "-1", "--format=%s%x00%b%x00%B%x00", hash_.decode()],
            capture_output=True, check=True, env=environment,
        ).stdout.decode("utf-8", "replace").split("\0")  # fmt: skip
        text = message.decode("utf-8", "replace")
        subject, body = split_message(text)
        assert [subject, text[body:], text] == out[:3], message


def test_messages_in_other_encodings_and_with_nul(table: Table) -> None:
    Writer(table).add(
        commit("a", message=b"caf\xe9\n", encoding="ISO-8859-1", author=b"Ren\xe9"),
        commit("b", message="\u65e5\u672c\n".encode("euc_jp"), encoding="EUC-JP"),
        commit("c", message=b"caf\xe9 \xc3\xa9", encoding="no-such-thing"),
        commit("d", message=b"\xff\xfe", encoding="EUC-JP"),
        commit("e", message="\u00e9".encode(), encoding="UTF-8"),
        commit("f", message=b"before\0after"),
        commit("0", message="\u00e9 by git".encode(), encoding="ISO-8859-1"),
    )
    assert ask(table, "SELECT message, author FROM commits ORDER BY position") == [
        ("caf\u00e9\n", "Ren\u00e9"),
        ("\u65e5\u672c\n", "Ann"),
        ("caf\ufffd \u00e9", "Ann"),
        ("\ufffd\ufffd", "Ann"),
        ("\u00e9", "Ann"),
        ("before", "Ann"),
        ("\u00e9 by git", "Ann"),
    ]


def test_decoding_finds_each_bad_row() -> None:
    rng = np.random.default_rng(3)
    values: list[bytes | None] = [b"text %d" % i for i in range(5000)]
    for i in rng.integers(0, 5000, 40):
        values[i] = bytes(rng.integers(0, 256, 12, dtype=np.uint8))
    values[77] = None
    expected = [None if v is None else v.decode("utf-8", "replace") for v in values]
    for kind in (pa.binary(), pa.large_binary()):
        array = pa.array(values, kind)
        assert decode(array).to_pylist() == expected
        assert decode(array.slice(70, 100)).to_pylist() == expected[70:170]
        assert len(decode(array.slice(0, 0))) == 0


def test_sliced_batches_give_the_same_rows(table: Table, tmp_path: Path) -> None:
    rows = [
        commit(c, parents=["0" * 40], changes=[change(b"p", hunks=[hunk(i, b"x", b"y" * i)])] * i)
        for i, c in enumerate("abcdef")
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=COMMIT)
    for start in range(0, 6, 2):
        table.apply(start, [Entry(COMMITS, start + 1, batch.slice(start, 2))])
    table.commit()
    with Table.open(tmp_path / "other") as other:
        other.apply(0, [Entry(COMMITS, 1, batch)])
        other.commit()
        assert other.digest() == table.digest()


def test_the_checkpoint_moves_with_the_rows(table: Table) -> None:
    writer = Writer(table)
    writer.add(commit("a"))
    writer.add(commit("b"), commit=False)
    assert table.checkpoint == 1
    assert ask(table, "SELECT count(*) FROM commits") == [(1,)]
    assert list(Known(table).commits("r")) == ["a" * 40]
    entry = Entry(COMMITS, 3, pa.RecordBatch.from_pylist([commit("c")], schema=COMMIT))
    for from_, wrong in ((1, entry), (2, Entry(COMMITS, 4, entry.batch))):
        with pytest.raises(StoreError) as caught:
            table.apply(from_, [wrong])
        assert caught.value.code == "view_out_of_step"
    table.rollback()
    assert table.checkpoint == 1
    assert list(Known(table).commits("r")) == ["a" * 40]
    assert ask(table, "SELECT count(*) FROM identities") == [(2,)]
    table.apply(1, [Entry(COMMITS, 2, entry.batch)])
    assert table.commit() == 2 == ask(table, "SELECT checkpoint FROM view")[0][0]
    assert Known(table).commits("r")["c" * 40] == Held(2, "full", None, bare=False)
    assert Known(table).commits("q") == {}


def test_an_amendment_takes_the_place_of_a_commit(table: Table, tmp_path: Path) -> None:
    writer = Writer(table)
    writer.add(
        commit("a", changes=None, depth="none", incomplete="shallow"),
        commit("b", changes=[change(b"kept", hunks=[hunk(1, b"k", b"l")])]),
    )
    more = [change(b"p", hunks=[hunk(1, b"x", b"y")], insertions=1, deletions=1)]
    rewrites = table.rewrites
    first = {"amends": 1, "parents": ["e" * 40], "indexed_at": 9_000_000}
    writer.add(
        commit("a", **first, changes=more * 3),
        commit("a", **first, changes=more),
        commit("z", amends=99),
    )
    assert table.rewrites == rewrites + 1
    assert ask(table, "SELECT position, files_changed, depth, incomplete, parents FROM commits"
                      " ORDER BY position") == [
        (1, 1, "full", None, ["e" * 40]), (2, 1, "full", None, [])
    ]  # fmt: skip
    assert ask(table, "SELECT indexed_at FROM commits WHERE position = 1") == [
        (utc(1970, 1, 1, 0, 0, 5),)
    ]
    assert ask(table, "SELECT change_id, hash, path FROM changes ORDER BY change_id") == [
        (change_id(1, 0), "a" * 40, "p"),
        (change_id(2, 0), "b" * 40, "kept"),
    ]
    assert ask(table, "SELECT change_id, added FROM hunks ORDER BY change_id") == [
        (change_id(1, 0), "y"),
        (change_id(2, 0), "l"),
    ]
    assert ask(table, "SELECT parent FROM commit_parents") == [("e" * 40,)]
    assert table.checkpoint == 5
    assert writer.rebuilt(tmp_path / "again") == table.digest()


def test_refs_are_intervals(table: Table, tmp_path: Path) -> None:
    writer = Writer(table)
    writer.add(update(b"refs/heads/main", "a"), update(b"refs/heads/x", "b"))
    writer.add(
        update(b"refs/heads/main", "b", old_hash="a" * 40),
        update(b"refs/heads/main", "c", old_hash="b" * 40, forced=True),
        update(b"refs/heads/x", None, old_hash="b" * 40),
        update(b"refs/tags/t", "d", tagger=b"T\xff", tagger_email=b"t@x", tagger_time=60,
               tagger_tz=60, message=b"tag", object_type="tag", peeled="c" * 40),
    )  # fmt: skip

    def at(as_of: int) -> dict[str, str]:
        return dict(
            ask(table, "SELECT full_name, hash[1] FROM refs WHERE from_position <= $p"
                       " AND (to_position IS NULL OR to_position > $p)", p=as_of)
        )  # fmt: skip

    main, x, tag = "refs/heads/main", "refs/heads/x", "refs/tags/t"
    assert at(0) == {}
    assert at(1) == {main: "a"}
    assert at(2) == {main: "a", x: "b"}
    assert at(3) == {main: "b", x: "b"}
    assert at(4) == {main: "c", x: "b"}
    assert at(6) == {main: "c", tag: "d"}
    assert ask(table, 'SELECT position, ref, old_hash[1], new_hash[1], forced, "at"'
                      " FROM ref_updates WHERE position > 3 ORDER BY position") == [
        (4, main, "b", "c", True, utc(1970, 1, 1, 0, 0, 8)),
        (5, x, "b", None, False, utc(1970, 1, 1, 0, 0, 8)),
        (6, tag, None, "d", False, utc(1970, 1, 1, 0, 0, 8)),
    ]  # fmt: skip
    assert ask(table, "SELECT tagger, tagger_email, tagged_at, tagger_tz, message, object_type,"
                      " peeled[1] FROM refs WHERE full_name = 'refs/tags/t'") == [
        ("T\ufffd", "t@x", utc(1970, 1, 1, 0, 1), 60, "tag", "tag", "c")
    ]  # fmt: skip
    assert writer.rebuilt(tmp_path / "again") == table.digest()


def test_mailmaps_map_people_again(table: Table, tmp_path: Path) -> None:
    writer = Writer(table)
    writer.add(state(mailmap=b"Ann Proper <ann@proper> <ann@x>\n"))
    writer.add(commit("a"), commit("b", author=b"", author_email=b""), commit("c", repo="q"))
    query = "SELECT repo, name, email, mapped_name, mapped_email FROM identities ORDER BY ALL"
    assert ask(table, query) == [
        ("q", "Ann", "ann@x", "Ann", "ann@x"),
        ("q", "Cy", "cy@x", "Cy", "cy@x"),
        ("r", "", "", "", ""),
        ("r", "Ann", "ann@x", "Ann Proper", "ann@proper"),
        ("r", "Cy", "cy@x", "Cy", "cy@x"),
    ]
    writer.add(state(event="changed", mailmap=b"<ANN@X> <cy@X>\n"))
    writer.add(commit("d", author=b"cy", author_email=b"CY@x"))
    assert ask(table, query)[3:] == [
        ("r", "Ann", "ann@x", "Ann", "ann@x"),
        ("r", "Cy", "cy@x", "Cy", "ANN@X"),
        ("r", "cy", "CY@x", "cy", "ANN@X"),
    ]
    ids = ask(table, "SELECT DISTINCT author_id FROM identities WHERE name <> ''")
    assert sorted(ids) == sorted(
        ask(table, "SELECT DISTINCT md5(x)[:16] FROM (VALUES ('ann@x'), ('cy@x')) t(x)")
    )
    table.close()
    with Table.open(tmp_path / "table") as reopened:
        entry = Entry(COMMITS, writer.at + 1, writer.entries[-1].batch)
        reopened.apply(writer.at, [entry])
        reopened.commit()
        assert len(ask(reopened, query)) == 6


def test_a_removed_repository_leaves_nothing_behind(table: Table, tmp_path: Path) -> None:
    writer = Writer(table)
    writer.add(state("q"), state("r"), commit=False)
    changes = [change(b"p", hunks=[hunk(1, b"x", b"y")])]
    both = [commit(h, repo, changes=changes, parents=["e" * 40]) for h in "ab" for repo in "qr"]
    writer.add(*both, commit=False)
    writer.add(update(b"refs/heads/main", "a"), update(b"refs/heads/main", "a", repo="q"))
    before = table.digest()
    writer.add(state("r", event="removed"), state("q", event="changed", url="/q2"))
    tables = ("commits", "commit_parents", "changes", "refs", "ref_updates", "identities")
    for name in tables:
        assert ask(table, f"SELECT DISTINCT repo FROM {name}") == [("q",)], name
    assert table.digest()["hunks"][0] == before["hunks"][0] // 2
    at = table.checkpoint
    assert ask(table, "SELECT repo, url, from_position, to_position FROM repositories"
                      " ORDER BY ALL") == [
        ("q", "/q2", at, None), ("q", "/r", 1, at), ("r", "/r", 2, at - 1)
    ]  # fmt: skip
    assert Known(table).commits("r") == {}
    writer.add(state("r"), commit=False)
    writer.add(*[c for c in both if c["repo"] == "r"])
    assert table.digest()["hunks"][0] == before["hunks"][0]
    assert writer.rebuilt(tmp_path / "again") == table.digest()


def test_digests_tell_contents_apart(table: Table, tmp_path: Path) -> None:
    rows = [commit("a", changes=[change(b"p", hunks=[hunk(1, b"x", b"y")])]), commit("b")]
    Writer(table).add(*rows)

    def other(name: str, *changed: dict[str, Any]) -> Table:
        second = Table.open(tmp_path / name)
        Writer(second).add(*changed)
        return second

    with other("swapped", rows[1], rows[0] | {"indexed_at": 1}) as swapped:
        assert swapped.digest() != table.digest()
        assert swapped.digest(content=True) == table.digest(content=True)
    line = [change(b"p", hunks=[hunk(1, b"x", b"z")])]
    with other("line", rows[0] | {"changes": line}, rows[1]) as line_changed:
        differ = line_changed.digest(content=True)
        same = {n for n, d in table.digest(content=True).items() if differ[n] == d}
        assert "hunks" not in same
        assert "commits" in same


def test_functions_over_arrow_arrays(table: Table) -> None:
    Writer(table).add(commit("a", message=b"needle"), commit("b"), commit("c", tree=None))

    def holds(texts: pa.Array) -> pa.Array:
        return pa.array(["needle" in t for t in texts.to_pylist()], pa.bool_())

    for _ in range(2):
        table.register_scalar("holds", holds, ["VARCHAR"], "BOOLEAN")
        assert ask(table, "SELECT position FROM commits WHERE holds(message)") == [(1,)]
        assert ask(table, "SELECT holds(tree) FROM commits WHERE position = 3") == [(None,)]
    table.unregister_scalar("holds")
    table.unregister_scalar("holds")
    with pytest.raises(QueryError):
        ask(table, "SELECT holds(message) FROM commits")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY commits TO '/tmp/out.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET threads = 1",
        "SELECT * FROM table",
        "DELETE FROM commits",
        "CREATE TABLE mine (a INTEGER)",
        "UPDATE view SET checkpoint = 0",
    ],
)
def test_queries_only_read_the_tables(table: Table, sql: str) -> None:
    Writer(table).add(commit("a"))
    with pytest.raises((QueryError, StoreError)):
        ask(table, sql)
    assert ask(table, "SELECT count(*) FROM commits") == [(1,)]


def test_relations_and_errors(table: Table) -> None:
    ids = pa.table({"id": pa.array([2, 4], pa.uint64())})
    with table.cursor() as cursor:
        for _ in range(2):
            got = cursor.query("SELECT id + $d AS x FROM given_1", {"d": 1}, {"given_1": ids})
            assert got.column("x").to_pylist() == [3, 5]
        # What a text says is no sign of an interrupt.
        for bad in ("SELECT 'INTERRUPT'::INTEGER", "SELECT nothing", "SELECT error('no')"):
            with pytest.raises(QueryError) as caught:
                cursor.query(bad)
            assert caught.value.code == "evaluation_failed"
        assert cursor.query("SELECT 1 AS a").to_pylist() == [{"a": 1}]


def test_interrupting_a_query(table: Table) -> None:
    with table.cursor() as cursor:
        timer = threading.Timer(0.2, cursor.interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            cursor.query(
                "SELECT count(*) FROM range(300000) a, range(300000) b WHERE a.range+b.range=7"
            )
        assert time.monotonic() - started < 5
        timer.join()
        assert cursor.query("SELECT 1 AS a").num_rows == 1


def test_ctrl_c_stops_a_statement_at_once(table: Table) -> None:
    running = threading.Event()

    def seen(rows: pa.Array) -> pa.Array:
        running.set()
        return pa.array([True] * len(rows))

    def press() -> None:
        assert running.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    table.register_scalar("seen", seen, ["BIGINT"], "BOOLEAN")
    for _ in range(2):
        running.clear()
        presser = threading.Thread(target=press)
        with table.cursor() as cursor:
            presser.start()
            # It would take hours, and the database asks nobody meanwhile.
            with pytest.raises(KeyboardInterrupt):
                cursor.query(
                    "SELECT count(*) FROM (SELECT r.range FROM range(300000) r WHERE seen(r.range)) a,"
                    " range(300000) b, range(300000) c WHERE a.range + b.range = c.range * 7 - 5"
                )
        presser.join()
        with table.cursor() as cursor:
            assert cursor.query("SELECT 1 AS a").num_rows == 1
    table.unregister_scalar("seen")


def test_readers_see_one_state_while_rows_are_written(table: Table) -> None:
    writer = Writer(table)
    writer.add(*[commit(c) for c in "abc"])
    with table.cursor() as cursor:
        writer.add(commit("d"), commit=False)
        assert cursor.query("SELECT count(*) AS n FROM commits").to_pylist() == [{"n": 3}]
        table.commit()
        assert cursor.query("SELECT count(*) AS n FROM commits").to_pylist() == [{"n": 4}]


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    with Table.open(tmp_path) as table:
        Writer(table).add(commit("a"))
    file = tmp_path / "table.duckdb"
    damaged = b"not a database" * 1000
    for n in (1, 2):
        file.write_bytes(damaged)
        with pytest.raises(StoreError) as caught:
            Table.open(tmp_path)
        assert caught.value.code == "table_damaged"
        assert (tmp_path / f"table.duckdb.damaged-{n}").read_bytes() == damaged
        with Table.open(tmp_path) as table:
            assert table.checkpoint == 0


def test_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Table.open(tmp_path) as table:
        Writer(table).add(commit("a"))
    module = sys.modules[Table.__module__]
    monkeypatch.setattr(module, "_FORMAT", 0)
    with pytest.raises(StoreError) as caught:
        Table.open(tmp_path)
    assert caught.value.code == "format_too_new"
    monkeypatch.setattr(module, "_FORMAT", FORMATS["table"] + 1)
    with Table.open(tmp_path) as table:
        assert table.checkpoint == 0
        assert len(table.warnings) == 1


WRITER = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from test_table import *
with Table.open({path!r}) as table:
    writer = Writer(table)
    for i in range(100_000):
        body = b"line %d\\n" % i * 300
        changes = [change(b"p%d" % j, hunks=[hunk(j, body, body)]) for j in range(20)]
        rows = [commit("a", hash=f"{{5 * i + j:040x}}", changes=changes) for j in range(5)]
        print(writer.add(*rows), flush=True)
"""


def test_kill_9_keeps_rows_and_checkpoint_together(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    code = WRITER.format(tests=str(tests), root=str(tests.parent), path=str(tmp_path))
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(25):
        last = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    with Table.open(tmp_path) as table:
        checkpoint = table.checkpoint
        assert checkpoint >= last + 4
        assert checkpoint % 5 == 0
        counts = {name: rows for name, (rows, _) in table.digest().items()}
        assert counts["commits"] == checkpoint
        assert counts["changes"] == counts["hunks"] == checkpoint * 20
        assert ask(table, "SELECT max(position) FROM commits") == [(checkpoint,)]
