"""Patches, dates and commit objects that keep no promise are found out."""

from __future__ import annotations

import pytest

from govc_search.indexer.commit_batch import CommitBatch, CommitText, Diff
from govc_search.indexer.commit_object import CommitObject, Date, parse_commit_object, parse_date
from govc_search.indexer.patch import parse_patches
from govc_search.indexer.reader_pool import ReadBatch

HEAD = b"diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n"
GOOD = HEAD + b"@@ -1,2 +1 @@ heading\n-one\n-two\n+ONE\n"


@pytest.mark.parametrize(
    "patch",
    [
        HEAD + b"@@ -1,3 +1 @@\n-one\n-two\n+ONE\n",
        HEAD + b"@@ -1,2 +1,2 @@\n-one\n-two\n+ONE\n",
        HEAD + b"@@ -1,2 +1 @@\n-one\n-two\n+ONE\nstray\n",
        HEAD + b"@@ -1,2 +1\n-one\n-two\n+ONE\n",
        HEAD + b"@@ -1,x +1 @@\n-one\n-two\n+ONE\n",
        HEAD + b"@@ -,2 +1 @@\n-one\n-two\n+ONE\n".replace(b"-,2", b"-1,2,3"),
    ],
)
def test_a_patch_that_breaks_its_promise_is_found(patch: bytes) -> None:
    assert parse_patches(GOOD + GOOD).sound.tolist() == [True, True]
    assert parse_patches(GOOD + patch + GOOD).sound.tolist() == [True, False, True]
    date = Date(0, 0, None)
    commit = CommitObject("0" * 40, [], date, date, None, None)
    text = CommitText(b"", b"", b"", b"", b"", [])
    batch = CommitBatch("r", "full")
    raw = b":100644 100644 " + b"1" * 40 + b" " + b"2" * 40 + b" M\0x\0"
    for number, lines_ in enumerate([GOOD, patch, GOOD, GOOD + GOOD, b"not a patch"]):
        batch.add(str(number) * 40, commit, text, Diff(raw, lines_), None)
    rows = batch.finish(0).to_pylist()
    bad = "patch not understood"
    assert [row["incomplete"] for row in rows] == [None, bad, None, bad, bad]
    assert [row["changes"][0]["insertions"] for row in rows] == [1, None, 1, None, None]
    assert rows[2]["changes"][0]["hunks"][0]["removed"] == b"one\ntwo"
    assert rows[2]["changes"][0]["hunks"][0]["heading"] == b"heading"


def test_an_empty_patch_text_has_no_hunks() -> None:
    parsed = parse_patches(b"")
    assert (len(parsed.starts), len(parsed.hunks)) == (0, 0)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (b"A <a> 5 +0000", Date(5, 0, None)),
        (b"A <a> 5 -0130", Date(5, -90, None)),
        (b"A <a>5 +0100", Date(5, 60, b"5 +0100")),
        (b"A <a> 5", Date(None, None, b"5")),
        (b"A <a> 2005-04-07 +0100", Date(None, None, b"2005-04-07 +0100")),
        (b"A <a> 5 +9999", Date(5, None, b"5 +9999")),
        (b"A <a> 5 +0060", Date(5, None, b"5 +0060")),
        (b"A <a> 5 +" + b"9" * 5000, Date(5, None, b"5 +" + b"9" * 5000)),
        (b"A <a> " + b"9" * 5000 + b" +0000", Date(None, None, b"9" * 5000 + b" +0000")),
        (b"A <a> > 5 +0100", Date(5, 60, None)),
        (b"nobody", Date(None, None, b"nobody")),
        (None, Date(None, None, None)),
    ],
)
def test_dates(text: bytes | None, date: Date) -> None:
    assert parse_date(text) == date


def test_what_is_no_commit_object_is_none() -> None:
    assert parse_commit_object(b"") is None
    assert parse_commit_object(b"parent 12\n") is None


def test_batches_are_typed() -> None:
    assert ReadBatch.__slots__
