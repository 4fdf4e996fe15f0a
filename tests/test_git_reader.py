"""What is read of a repository is what git says of it, odd cases and broken ones included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fixtures.reading import Row, read, tips
from fixtures.repositories import (
    LATIN,
    Builder,
    damaged_commit,
    hostile,
    missing_object,
    shallow_clone,
    sharing,
    tagged,
)

from govc_search.indexer.git_process import run_git
from govc_search.indexer.reader_pool import ReaderPool
from govc_search.indexer.repository import Repository
from govc_search.settings import Settings


@pytest.fixture(scope="module")
def rows(odd: tuple[Repository, dict[str, str]]) -> dict[str, Row]:
    source, made = odd
    found, failures = read(source)
    assert not failures
    assert set(made.values()) <= set(found)
    return {name: found[value] for name, value in made.items()}


def git(source: Repository, *arguments: str, stdin: bytes = b"") -> bytes:
    done = run_git(source.view, arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def blob(source: Repository, name: str | None, mode: str | None) -> bytes:
    if name is None:
        return b""
    if mode == "160000":
        return b"Subproject commit %s\n" % name.encode()
    return git(source, "cat-file", "blob", name)


def lines(content: bytes) -> list[bytes]:
    found = content.split(b"\n")
    return found[:-1] if found[-1] == b"" else found


def check_hunks(source: Repository, change: Row) -> None:
    """Applies the hunks to the old blob and compares the outcome with the new one."""
    old = lines(blob(source, change["old_blob"], change["old_mode"]))
    new = lines(blob(source, change["new_blob"], change["new_mode"]))
    built: list[bytes] = []
    at = 0
    for hunk in change["hunks"]:
        removed = [] if hunk["removed"] is None else hunk["removed"].split(b"\n")
        added = [] if hunk["added"] is None else hunk["added"].split(b"\n")
        assert (len(removed), len(added)) == (hunk["old_lines"], hunk["new_lines"])
        assert removed or added
        begin = hunk["old_start"] - 1 if removed else hunk["old_start"]
        assert begin >= at
        built += old[at:begin]
        assert old[begin : begin + len(removed)] == removed
        assert hunk["new_start"] == len(built) + (1 if added else 0)
        built += added
        at = begin + len(removed)
    assert built + old[at:] == new


def expected_changes(source: Repository, name: str, *options: str) -> list[tuple[Any, ...]]:
    """Returns what `git diff-tree` says of a commit: raw entries with their numstat."""
    words = git(
        source, "diff-tree", "--root", "-r", "-M", "--no-commit-id", "--raw", "--numstat",
        "-z", "--full-index", *options, name,
    ).split(b"\0")  # fmt: skip
    entries: list[tuple[Any, ...]] = []
    counts: list[tuple[int | None, int | None]] = []
    at = 0
    while words[at]:
        word = words[at]
        if word.startswith(b":"):
            old_mode, new_mode, old, new, status = word[1:].decode().split(" ")
            renamed = status[0] in "RC"
            old_path = words[at + 1] if renamed else None
            at += 3 if renamed else 2
            score = int(status[1:]) if status[1:] else None
            gone, fresh = status[0] == "D", status[0] == "A"
            entries.append((
                words[at - 1], old_path, status[0], score,
                None if fresh else old_mode, None if gone else new_mode,
                None if fresh else old, None if gone else new,
            ))  # fmt: skip
        else:
            added, removed, path = word.split(b"\t", 2)
            at += 1 if path else 3
            known = added != b"-"
            counts.append((int(added), int(removed)) if known else (None, None))
    return [e + c for e, c in zip(entries, counts, strict=True)]


CHANGE_FIELDS = (
    "path", "old_path", "change_type", "similarity", "old_mode", "new_mode", "old_blob",
    "new_blob", "insertions", "deletions",
)  # fmt: skip


def check_changes(source: Repository, row: Row, *options: str) -> None:
    found = [tuple(change[f] for f in CHANGE_FIELDS) for change in row["changes"]]
    assert found == expected_changes(source, row["hash"], *options)
    for change in row["changes"]:
        assert change["is_binary"] == (change["insertions"] is None)
        assert (change["hunks"] is None) == change["is_binary"]
        if change["hunks"] is not None:
            assert sum(h["new_lines"] for h in change["hunks"]) == change["insertions"]
            assert sum(h["old_lines"] for h in change["hunks"]) == change["deletions"]
            if change["change_type"] != "T":
                check_hunks(source, change)


def test_every_change_is_what_git_says(
    odd: tuple[Repository, dict[str, str]], rows: dict[str, Row]
) -> None:
    compared = 0
    for row in rows.values():
        assert row["depth"] == "full"
        assert row["incomplete"] is None
        if len(row["parents"]) < 2:
            check_changes(odd[0], row)
            compared += len(row["changes"])
    assert compared > 40


def test_every_text_is_what_git_says(
    odd: tuple[Repository, dict[str, str]], rows: dict[str, Row]
) -> None:
    source, _ = odd
    for row in rows.values():
        form = "%T%x00%P%x00%an%x00%ae%x00%cn%x00%ce%x00%e%x00%B"
        told = git(
            source, "log", "-1", "--encoding=UTF-8", f"--format=tformat:{form}", row["hash"]
        )[:-1].split(b"\0")
        assert [
            row["tree"].encode(), " ".join(row["parents"]).encode(), row["author"],
            row["author_email"], row["committer"], row["committer_email"],
            (row["encoding"] or "").encode(), row["message"],
        ] == told  # fmt: skip
        trailers = git(
            source, "interpret-trailers", "--parse", "--no-divider", stdin=row["message"]
        )
        assert trailers == b"".join(
            b"%(key)s: %(value)s\n" % {b"key": t["key"], b"value": t["value"]}
            for t in row["trailers"]
        )


def test_merges(odd: tuple[Repository, dict[str, str]], rows: dict[str, Row]) -> None:
    source, made = odd
    for name, parents in (("merge", 2), ("octopus", 3)):
        assert len(rows[name]["parents"]) == parents
        assert rows[name]["changes"] is None
    compared, _ = read(source, [made["merge"], made["octopus"]], merges="first-parent")
    for row in compared.values():
        assert row["changes"]
        check_changes(source, row, "--diff-merges=first-parent")


def test_changes_of_every_kind(rows: dict[str, Row]) -> None:
    assert [rows[n]["changes"] for n in ("empty", "no message")] == [[], []]
    assert rows["no message"]["message"] == b""
    assert rows["root"]["parents"] == []
    by_path = {c["path"]: c for c in rows["root"]["changes"]}
    assert by_path[b"empty"]["hunks"] == []
    (rename,) = rows["rename"]["changes"]
    assert (rename["old_path"], rename["similarity"], rename["hunks"]) == (b"a.txt", 100, [])
    assert rename["insertions"] == rename["deletions"] == 0
    assert rows["rename edit"]["changes"][0]["change_type"] == "R"
    assert rows["rename edit"]["changes"][0]["insertions"] == 3
    assert rows["copy"]["changes"][0]["change_type"] == "A"
    (mode,) = rows["mode"]["changes"]
    assert (mode["old_mode"], mode["new_mode"], mode["hunks"]) == ("100644", "100755", [])
    assert rows["symlink"]["changes"][0]["new_mode"] == "120000"
    (kind,) = rows["type"]["changes"]
    assert kind["change_type"] == "T"
    assert [(h["old_lines"], h["new_lines"]) for h in kind["hunks"]] == [(40, 0), (0, 1)]
    assert kind["hunks"][1]["added"] == b"moved.txt"
    assert rows["binary"]["changes"][0]["is_binary"]
    for name in ("binary rename", "binary mode", "binary mode back"):
        (moved,) = rows[name]["changes"]
        assert (moved["is_binary"], moved["hunks"]) == (True, None)
    beside, binary = rows["binary edit"]["changes"]
    assert (binary["is_binary"], beside["hunks"][0]["added"]) == (True, b"text beside it")
    (binary_type,) = rows["binary type"]["changes"]
    assert (binary_type["is_binary"], binary_type["hunks"]) == (True, None)
    assert rows["late nul"]["changes"][0]["hunks"][0]["added"].endswith(b"nul \0 here\nend")
    (module,) = rows["submodule"]["changes"]
    assert module["new_mode"] == "160000"
    assert module["hunks"][0]["added"] == b"Subproject commit " + module["new_blob"].encode()
    (crlf,) = rows["crlf edit"]["changes"]
    assert crlf["hunks"][0]["removed"] == b"two\r\nbare\rreturn\r"
    assert crlf["hunks"][0]["added"] == b"TWO\r\nbare\rreturn"


def test_hunks_are_split_at_context_and_keep_their_heading(rows: dict[str, Row]) -> None:
    (change,) = rows["runs"]["changes"]
    assert [
        (h["old_start"], h["old_lines"], h["new_start"], h["new_lines"], h["removed"], h["added"])
        for h in change["hunks"]
    ] == [(1, 1, 1, 1, b"one", b"ONE"), (3, 1, 3, 2, b"four", b"FOUR\n")]
    text = rows["edit"]["changes"][0]
    assert [h["heading"] for h in text["hunks"]] == [b"line 1", b"line 18"]
    assert text["hunks"][1]["old_start"] == 21
    assert (text["hunks"][1]["new_start"], text["hunks"][1]["added"]) == (20, None)


def test_texts_dates_and_signatures(rows: dict[str, Row]) -> None:
    utf8 = LATIN.decode("latin-1").encode()
    declared, undeclared = rows["latin declared"], rows["latin undeclared"]
    assert (declared["author"], declared["message"]) == (utf8, utf8 + b"\n\nbody\n")
    assert (undeclared["author"], undeclared["message"]) == (LATIN, LATIN + b"\n")
    assert rows["unknown encoding"]["message"] == LATIN + b"\n"
    assert rows["edit"]["trailers"] == [
        {"key": b"Signed-off-by", "value": b"Ada Lovelace <ada@example.com>"},
        {"key": b"Fixes", "value": b"#12 folded"},
    ]

    def date(name: str) -> tuple[Any, ...]:
        return tuple(rows[name][f"author_{f}"] for f in ("time", "tz", "date_raw"))

    assert date("edit")[1:] == (120, None)
    assert date("before 1970") == (-86400, 0, b"-86400 +0000")
    assert date("after 2100") == (4_200_000_000, -90, None)
    assert date("far future") == (99_999_999_999_999, 0, None)
    assert date("no time") == (None, None, b"99999999999999999999 +0000")
    assert date("no date") == (None, None, b"yesterday")
    assert date("absurd zone") == (1_600_000_000, None, b"1600000000 +051800")
    assert date("odd zone") == (1_600_000_000, 0, b"1600000000 -0000")
    assert date("odd person") == (1_600_000_000, 330, None)
    kinds = {n: rows[n]["signature"] for n in ("gpg", "ssh", "x509", "mergetag", "edit")}
    assert kinds == {"gpg": "gpg", "ssh": "ssh", "x509": "x509", "mergetag": None, "edit": None}


@pytest.mark.parametrize("depth", ["none", "paths"])
def test_depths(odd: tuple[Repository, dict[str, str]], rows: dict[str, Row], depth: str) -> None:
    found, failures = read(odd[0], depth=depth)
    assert not failures
    for row in rows.values():
        shallow = found[row["hash"]]
        for field in set(row) - {"depth", "changes", "indexed_at"}:
            assert shallow[field] == row[field]
        if depth == "none" or row["changes"] is None:
            assert shallow["changes"] is None
        else:
            for now, full in zip(shallow["changes"], row["changes"], strict=True):
                assert (now["path"], now["new_blob"]) == (full["path"], full["new_blob"])
                assert (now["insertions"], now["deletions"], now["hunks"]) == (None, None, None)


def test_workers_give_the_same_in_the_same_order(
    odd: tuple[Repository, dict[str, str]], rows: dict[str, Row]
) -> None:
    source, made = odd
    hashes = (list(made.values()) * 5)[:200]
    # Tiny frames: many batches for each request.
    settings = Settings({"frame_bytes": 1000})
    seen: list[Row] = []
    stamps: list[int] = []
    with ReaderPool(source, "r", jobs=3, settings=settings) as pool:
        for part in pool.read(hashes):
            seen += part.batch.to_pylist()
            stamps.append(part.batch.column("indexed_at")[0].as_py())
            assert part.payload.rows == part.commits == part.asked
        again = sum(part.commits for part in pool.read(hashes))
    assert [row.pop("hash") for row in seen] == hashes
    assert stamps == sorted(stamps)
    assert again == len(hashes)
    by_hash = {row["hash"]: row for row in rows.values()}
    for name, row in zip(hashes, seen, strict=True):
        assert row | {"hash": name, "indexed_at": 0} == by_hash[name] | {"indexed_at": 0}


def test_a_commit_above_the_limit_keeps_its_change_list(
    odd: tuple[Repository, dict[str, str]], rows: dict[str, Row]
) -> None:
    source, made = odd
    names = ["crlf", "big", "after big", "side", "big", "empty"]
    found: list[Row] = []
    with ReaderPool(source, "r", settings=Settings({"commit_patch_bytes": 20_000})) as pool:
        for part in pool.read([made[n] for n in names]):
            found += part.batch.to_pylist()
    assert [row["hash"] for row in found] == [made[n] for n in names]
    big = "too_large: more than 20000 bytes of patch"
    assert [row["incomplete"] for row in found] == [None, big, big, None, big, None]
    assert [c["path"] for c in found[1]["changes"]] == [b"big.txt", b"small.txt"]
    assert {(c["hunks"], c["insertions"]) for c in found[1]["changes"]} == {(None, None)}
    assert found[3]["changes"] == rows["side"]["changes"]


def test_many_short_lines_are_as_large_as_long_ones(tmp_path: Path) -> None:
    repo = Builder(tmp_path / "r")
    hashes = []
    for count in (300, 1000):
        repo.write("a", b"x\n" * count)
        hashes.append(repo.commit(f"{count} lines"))
    with Repository.open(repo.path) as source:
        found, _ = read(source, settings=Settings({"commit_patch_bytes": 16_000}))
    assert [found[h]["incomplete"] for h in hashes] == [
        None,
        "too_large: more than 16000 bytes of patch",
    ]


@pytest.mark.parametrize("what", ["blob", "tree"])
@pytest.mark.parametrize("jobs", [0, 2])
def test_a_missing_object_costs_one_commit(tmp_path: Path, what: str, jobs: int) -> None:
    hashes, index, name = missing_object(tmp_path / "r", what)
    with Repository.open(tmp_path / "r") as source:
        wanted = hashes if not jobs else hashes * 20
        found, failures = read(source, wanted, jobs=jobs)
        assert not failures
        reasons = [found[h]["incomplete"] for h in hashes]
        assert reasons == [
            f"missing object {name}" if i == index else None for i in range(len(hashes))
        ]
        changes = found[hashes[index]]["changes"]
        if what == "tree":
            assert changes is None
        else:
            # Which files changed is in the trees: only their lines cannot be read.
            assert changes
            assert all(c["hunks"] is None and c["insertions"] is None for c in changes)
        assert found[hashes[index]]["message"] == f"commit {index}".encode()
        assert all(found[h]["changes"] for i, h in enumerate(hashes) if i != index)


@pytest.mark.parametrize("missing", [False, True])
def test_a_damaged_commit_is_a_failure(tmp_path: Path, missing: bool) -> None:
    hashes, index = damaged_commit(tmp_path / "r", missing=missing)
    with Repository.open(tmp_path / "r") as source:
        # What lies behind it cannot be found, but what was asked for by hash can be read.
        assert source.rev_list(tips(source)) == hashes[index:]
        found, failures = read(source, hashes)
        assert [name for name, _ in failures] == [hashes[index]]
        assert hashes[index] in failures[0][1]
        assert sorted(found) == sorted(h for h in hashes if h != hashes[index])
        # Its child is compared with a parent that is not there.
        assert (found[hashes[index + 1]]["incomplete"] or "").endswith(f"object {hashes[index]}")
        assert all(found[h]["incomplete"] is None for h in hashes[:index])


def test_what_is_no_commit_is_a_failure(tmp_path: Path) -> None:
    made = tagged(tmp_path / "r")
    nothing = "0" * 39 + "1"
    with Repository.open(tmp_path / "r") as source:
        found, failures = read(source, [made["blob"], made["commit"], nothing])
    assert failures == [
        (made["blob"], "not a commit but a blob"), (nothing, f"missing object {nothing}"),
    ]  # fmt: skip
    assert list(found) == [made["commit"]]


def test_a_shallow_clone_has_a_boundary_that_is_no_root(tmp_path: Path) -> None:
    hashes, kept = shallow_clone(tmp_path / "r")
    with Repository.open(tmp_path / "r") as source:
        assert source.rev_list(tips(source)) == hashes[-kept:]
        for depth in ("full", "none"):
            found, failures = read(source, depth=depth)
            boundary = found[hashes[-2]]
            assert not failures
            assert (boundary["incomplete"], boundary["changes"]) == ("shallow", None)
            assert boundary["parents"] == [hashes[-3]]
            assert found[hashes[-1]]["incomplete"] is None
        check_changes(source, read(source)[0][hashes[-1]])


def test_a_hostile_repository_has_no_effect(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    hashes = hostile(tmp_path / "r", evidence)
    with Repository.open(tmp_path / "r") as source:
        assert source.head().branch == b"refs/heads/main"
        found, failures = read(source)
        source.mailmap()
        assert source.is_ancestor(hashes[0], hashes[-1])
    assert not failures
    assert not evidence.exists()
    # Neither the graft, the replacement nor the attributes are seen.
    assert list(found) == hashes
    assert found[hashes[-1]]["parents"] == [hashes[-2]]
    assert found[hashes[1]]["message"] == b"commit 1"
    edit = next(c for c in found[hashes[-2]]["changes"] if c["path"] == b"all.txt")
    assert (edit["is_binary"], edit["insertions"], edit["deletions"]) == (False, 1, 6)


def test_shared_commits_are_the_same(tmp_path: Path) -> None:
    shared = sharing(tmp_path / "first", tmp_path / "second")
    found = []
    for name in ("first", "second"):
        with Repository.open(tmp_path / name) as source:
            found.append(read(source)[0])
    assert set(found[0]) & set(found[1]) == set(shared)
    for name in shared:
        assert found[0][name] | {"indexed_at": 0} == found[1][name] | {"indexed_at": 0}
