"""The text index must agree with the reference evaluation, on any text and query."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from govc_search import fragments, textquery
from govc_search.errors import QueryError, StoreError
from govc_search.indexer.documents import FIELDS
from govc_search.indexer.text import TextIndex
from govc_search.indexer.text_search import Exactness, TextSnapshot
from govc_search.records import AMENDMENT, COMMIT, KINDS, REF_UPDATE, REPOSITORY, change_id
from govc_search.store.log import Entry
from govc_search.textquery import (
    And,
    AtLeast,
    Boost,
    Fuzzy,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Regex,
    Substring,
    Term,
    TermRegex,
)

HEAP = 64 << 20
KIND = {kind.name: kind for kind in KINDS}
LONG = "x" * 150 + "Y" * 150

PIECES = (
    "get", "getFileName", "HTTPServer", "strbuf_addf", "strbuf", "addf", "name", "file", "a", "b",
    "use", "after", "free", "café", "cafe\u0301", "CAFÉ", "straße", "漢字仮名", "字", "한국어", "naïveCase",
    "K\u0301x", "memory", "memmory", "memroy", "i2c", "x86Foo", LONG, "0", "if", "ret", "ﬁle", "İx",
)  # fmt: skip
GLUE = (" ", " ", " ", "_", "(", "\n", ", ", "-", "", "é", "\t", "=\u0338", " \u0301", "'", "->")


def text(rng: random.Random, most: int = 8) -> str:
    return "".join(rng.choice(PIECES) + rng.choice(GLUE) for _ in range(rng.randrange(most)))


def hunk(rng: random.Random) -> dict[str, Any]:
    lines = {side: text(rng) if rng.random() < 0.8 else None for side in ("removed", "added")}
    return {
        "old_start": 1, "old_lines": 1, "new_start": 1, "new_lines": 1,
        "heading": text(rng, 3).replace("\n", " ").encode(),
        **{side: None if t is None else t.encode() for side, t in lines.items()},
    }  # fmt: skip


def change(rng: random.Random) -> dict[str, Any]:
    return {
        "path": text(rng, 4).encode() or b"a/b.c",
        "old_path": text(rng, 3).encode() if rng.random() < 0.3 else None,
        "change_type": "M", "is_binary": False,
        "hunks": None if rng.random() < 0.1 else [hunk(rng) for _ in range(rng.randrange(4))],
    }  # fmt: skip


def commit(rng: random.Random, number: int, repo: str = "r") -> dict[str, Any]:
    person = {}
    for who in ("author", "committer"):
        person |= {who: text(rng, 3).encode(), f"{who}_email": b"me@Example.org"}
        person |= {f"{who}_time": number, f"{who}_tz": 0}
    return {
        "repo": repo, "hash": f"{number:040x}", "parents": [], **person,
        "message": f"{text(rng, 5)}\n\n{text(rng)}".encode(),
        "trailers": [{"key": b"Reviewed-by", "value": text(rng, 2).encode()}],
        "depth": "full", "indexed_at": 0,
        "changes": None if rng.random() < 0.1 else [change(rng) for _ in range(rng.randrange(3))],
    }  # fmt: skip


def entry(kind: str, first: int, rows: list[dict[str, Any]]) -> Entry:
    schema = {"commit": COMMIT, "amendment": AMENDMENT, "ref_update": REF_UPDATE}.get(
        kind, REPOSITORY
    )
    return Entry(KIND[kind], first, pa.RecordBatch.from_pylist(rows, schema))


def decoded(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def documents(rows: dict[int, dict[str, Any]]) -> dict[str, dict[int, dict[str, str]]]:
    """What the reference is asked about, by table and key."""
    from govc_search.store.rows import split_message

    out: dict[str, dict[int, dict[str, str]]] = {"commits": {}, "changes": {}}
    for position, row in rows.items():
        message = decoded(row["message"])
        subject, start = split_message(message)
        paths = [
            "\n".join(decoded(p) for p in (c["path"], c["old_path"]) if p is not None)
            for c in row["changes"] or []
        ]
        out["commits"][position] = {
            "subject": subject,
            "body": message[start:],
            "author": f"{decoded(row['author'])} {decoded(row['author_email'])}",
            "committer": f"{decoded(row['committer'])} {decoded(row['committer_email'])}",
            "path": "\n".join(paths),
        }
        for i, c in enumerate(row["changes"] or []):
            hunks = c["hunks"] or []
            out["changes"][change_id(position, i)] = {
                "path": paths[i],
                **{
                    side: "\n".join(decoded(h[side]) for h in hunks if h[side] is not None)
                    for side in ("heading", "removed", "added")
                },
            }
    return out


WORDS = (
    "get", "getfilename", "file", "name", "http", "server", "httpserver", "strbuf", "addf", "café", "cafe",
    "strasse", "漢字", "字", "字仮", "국어", "memory", "free", "a", "if", "nosuch", "x", "me", "org", "reviewed",
    "naïve", "naive", "case", LONG.lower()[:255], "0", "ret",
)  # fmt: skip
NEEDLES = (
    "strbuf_addf", "(ret", "e_g", "getFile", "FileName", "é", "->", "if (ret", "afe", "漢字", "xY", "Y" * 120,
    "_addf(", " use ", "use after", "memory\nuse", "K", ", a, ", "0", "\tif-", "é(get", "x" * 140, "İx",
)  # fmt: skip
PATTERNS = (
    r"(?m)^get", r"strbuf_\w+\(", r"use|free", r"(?i)CAF(e|é)", r"[gG]et(File)?N", r"a{2,}", r"\bif\b.*ret",
    r"(?m)name$", r"x+Y", r"(ret)?0", r"\.org", r"(?m)^a, b", r"memm?o?ry", r"[^a]", r"\Qa_b\E", r"字.*名",
)  # fmt: skip


def node(rng: random.Random, table: str, depth: int = 0) -> Node:
    fields = tuple(rng.sample(FIELDS[table], rng.choice((1, 1, 2, len(FIELDS[table])))))
    if depth < 3 and rng.random() < 0.4:
        below = tuple(node(rng, table, depth + 1) for _ in range(rng.randrange(1, 4)))
        return rng.choice(
            (And(below), Or(below), Not(below[0]), Boost(below[0], 2.0), AtLeast(2, below))
        )
    word = rng.choice(WORDS)
    return rng.choice(
        (
            Term(fields, word),
            Phrase(fields, tuple(rng.choice(WORDS) for _ in range(2)), rng.choice((0, 0, 1, 3))),
            Prefix(fields, word[:2]),
            Fuzzy(fields, word, rng.randrange(3), rng.random() < 0.5),
            TermRegex(fields, word[:1] + ".*" + word[-1:]),
            Substring(fields, rng.choice(NEEDLES), rng.random() < 0.3),
            Regex(fields, rng.choice(PATTERNS), rng.random() < 0.3),
        )
    )


def assert_agrees(
    snapshot: TextSnapshot, expected: dict[str, dict[int, dict[str, str]]], table: str, query: Node
) -> Exactness:
    matching = {k for k, doc in expected[table].items() if textquery.matches(query, doc)}
    served = snapshot.serve(table, query)
    if served.exactness is Exactness.UNSUPPORTED:
        return served.exactness
    hits = snapshot.search(table, query, limit=None, as_of=snapshot.checkpoint, scored=False)
    found = set(hits.ids.tolist())
    assert len(found) == len(hits.ids)
    assert hits.ids.tolist() == sorted(found)
    assert found <= set(expected[table])
    assert matching <= found, (query, [expected[table][k] for k in list(matching - found)[:1]])
    if served.exactness is Exactness.EXACT:
        assert found == matching, (query, [expected[table][k] for k in list(found - matching)[:1]])
    assert len(found) <= served.estimate
    assert snapshot.count(table, query, snapshot.checkpoint) == len(found)
    scored = snapshot.search(table, query, limit=None, as_of=snapshot.checkpoint, scored=True)
    assert set(scored.ids.tolist()) == found
    assert scored.scores is not None
    order = list(zip((-scored.scores).tolist(), scored.ids.tolist(), strict=True))
    assert order == sorted(order)
    top = snapshot.search(table, query, limit=3, as_of=snapshot.checkpoint, scored=True)
    assert top.ids.tolist() == scored.ids[:3].tolist()
    return served.exactness


@pytest.mark.parametrize("seed", range(3))
def test_hits_equal_the_reference(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = {p: commit(rng, p) for p in range(1, 121)}
    index = TextIndex.open(tmp_path, HEAP)
    for first in (1, 41, 81):
        index.apply(
            first - 1, [entry("commit", first, [rows[p] for p in range(first, first + 40)])]
        )
        assert index.commit() == first + 39
    expected = documents(rows)
    assert index.keys("changes") == sorted(expected["changes"])
    kinds = set()
    for _ in range(250):
        table = rng.choice(("commits", "changes"))
        kinds.add(assert_agrees(index.snapshot(), expected, table, node(rng, table)))
    assert kinds == set(Exactness)
    index.close()


def small(tmp_path: Path, messages: list[str]) -> TextIndex:
    rng = random.Random(0)
    rows = [commit(rng, i) | {"message": m.encode()} for i, m in enumerate(messages)]
    index = TextIndex.open(tmp_path, HEAP)
    index.apply(0, [entry("commit", 1, rows)])
    index.commit()
    return index


def ids(index: TextIndex, query: Node, **options: Any) -> list[int]:
    as_of = options.pop("as_of", index.checkpoint)
    hits = index.snapshot().search(
        "commits",
        query,
        limit=options.get("limit"),
        as_of=as_of,
        scored=options.get("scored", False),
    )
    return hits.ids.tolist()


def test_a_glance_at_letters_passes_what_matches() -> None:
    rng = random.Random(7)
    rows = {p: commit(rng, p) for p in range(1, 121)}
    found = 0
    for table, docs in documents(rows).items():
        names = (
            "\uff47\uff45\uff54 it",
            "GetFileName",
            "na\u00efve",
            "nai\u0308ve",
            "HTTPServer",
            "",
        )
        held = [*docs.values(), *(dict.fromkeys(FIELDS[table], name) for name in names)]
        texts = {f: pa.array([doc.get(f) for doc in held], pa.string()) for f in FIELDS[table]}
        for _ in range(300):
            query = node(rng, table)
            mask = textquery.matching(query, texts).tolist()
            found += sum(mask)
            assert mask == [textquery.matches(query, doc) for doc in held], query
    assert found > 1_000


def test_exact_words_rank_before_corrected_ones(tmp_path: Path) -> None:
    # The misspelt words are rare, which plain BM25 would reward.
    index = small(tmp_path, ["memory leak"] * 6 + ["memmory leaks", "memroy leek", "other words"])
    both = ("subject", "body")
    query = And(
        tuple(Fuzzy(both, w, textquery.default_distance(w), True) for w in ("memory", "leak"))
    )
    assert ids(index, query, limit=9, scored=True) == [1, 2, 3, 4, 5, 6, 7, 8]
    typo = Fuzzy(both, "memorry", 2, True)
    assert ids(index, typo, limit=2, scored=True) == [1, 2]
    assert index.snapshot().corrections("commits", typo) == {
        "memorry": ("memory", "memmory", "memroy")
    }
    index.close()


def test_subject_ranks_before_body(tmp_path: Path) -> None:
    index = small(tmp_path, ["other words\n\nrebase", "rebase words\n\nother", "third thing"])
    assert ids(index, Term(("subject", "body"), "rebase"), limit=5, scored=True) == [2, 1]
    index.close()


def test_rows_after_as_of_are_invisible(tmp_path: Path) -> None:
    index = small(tmp_path, ["alpha"] * 5)
    query = Term(("subject",), "alpha")
    assert ids(index, query, as_of=3) == [1, 2, 3]
    assert ids(index, query, as_of=3, limit=2, scored=True) == [1, 2]
    assert index.snapshot().count("commits", query, 2) == 2
    index.close()


def test_a_snapshot_stays_while_the_index_moves_on(tmp_path: Path) -> None:
    index = small(tmp_path, ["alpha one"])
    before = index.snapshot()
    rng = random.Random(1)
    index.apply(1, [entry("commit", 2, [commit(rng, 2) | {"message": b"alpha twofold"}])])
    index.commit()
    assert before.count("commits", Term(("subject",), "alpha")) == 1
    assert index.snapshot().count("commits", Term(("subject",), "alpha")) == 2
    assert ids(index, Substring(("subject",), "wofol")) == [2]
    after = index.snapshot()
    hits = after.search("commits", Term(("subject",), "twofold"), limit=5, as_of=2, scored=True)
    (page,) = after.pages(hits.ids.tolist(), hits.addresses)
    assert (page.subject, page.position) == ("alpha twofold", 2)
    index.close()


def test_amendments_replace_and_removals_delete(tmp_path: Path) -> None:
    rng = random.Random(2)
    rows = {p: commit(rng, p, "keep" if p % 2 else "drop") for p in range(1, 9)}
    amended = commit(rng, 100, "keep")
    index = TextIndex.open(tmp_path, HEAP)
    index.apply(0, [entry("commit", 1, list(rows.values()))])
    index.commit()
    removal = {
        "repo": "drop", "event": "removed", "url": "", "object_format": "sha1", "diffs": "full",
        "merges": "none", "refs": [], "complete": True, "at": 0,
    }  # fmt: skip
    index.apply(
        8,
        [
            entry(
                "amendment", 9, [commit(rng, 101, "keep") | {"amends": 3}, amended | {"amends": 3}]
            ),
            entry("repository", 11, [removal]),
        ],
    )
    index.commit()
    left = {p: row for p, row in rows.items() if row["repo"] == "keep"} | {3: amended}
    expected = documents(left)
    for table in expected:
        assert index.keys(table) == sorted(expected[table])
    for _ in range(60):
        table = rng.choice(("commits", "changes"))
        assert_agrees(index.snapshot(), expected, table, node(rng, table))
    index.close()


def test_applies_only_what_fits_and_only_once(tmp_path: Path) -> None:
    rng = random.Random(3)
    rows = [commit(rng, p) for p in range(1, 21)]
    index = TextIndex.open(tmp_path, HEAP)
    with pytest.raises(StoreError, match="stands at 0, not at 5"):
        index.apply(5, [entry("commit", 6, rows[5:])])
    index.apply(0, [entry("commit", 1, rows[:10])])
    index.commit()
    # A crash between the two commits: one index is ahead of the other.
    index.apply(10, [entry("commit", 11, rows[10:])])
    index.changes.commit()
    index.close()
    index = TextIndex.open(tmp_path, HEAP)
    assert (index.commits.checkpoint, index.changes.checkpoint, index.checkpoint) == (10, 20, 10)
    index.apply(10, [entry("commit", 11, rows[10:15]), entry("commit", 16, rows[15:])])
    assert index.commit() == 20
    expected = documents(dict(enumerate(rows, 1)))
    for table in expected:
        assert index.keys(table) == sorted(expected[table])
    index.close()


def test_rollback_drops_what_was_not_committed(tmp_path: Path) -> None:
    rng = random.Random(4)
    index = TextIndex.open(tmp_path, HEAP)
    index.apply(0, [entry("commit", 1, [commit(rng, 1)])])
    index.commit()
    index.apply(1, [entry("commit", 2, [commit(rng, 2)])])
    index.rollback()
    index.apply(1, [entry("ref_update", 2, [{"repo": "r", "ref": b"x", "forced": False, "at": 0}])])
    assert index.commit() == 2
    assert index.keys("commits") == [1]
    index.close()
    assert TextIndex.open(tmp_path, HEAP).checkpoint == 2


@pytest.mark.parametrize("damage", ["lost", "torn", "old", "intact"])
def test_the_dictionary_is_mended(tmp_path: Path, damage: str) -> None:
    index = small(tmp_path, ["alpha unmistakable"])
    file = tmp_path / "commits.terms"
    rng = random.Random(5)
    old = file.read_bytes()
    index.apply(1, [entry("commit", 2, [commit(rng, 2) | {"message": b"incomparable"}])])
    index.commit()
    index.close()
    if damage == "lost":
        file.unlink()
    elif damage == "torn":
        file.write_bytes(file.read_bytes()[:-3])
    elif damage == "old":
        file.write_bytes(old)
    for _ in range(2):
        index = TextIndex.open(tmp_path, HEAP)
        assert ids(index, Substring(("subject",), "mistak")) == [1]
        assert ids(index, Substring(("subject",), "compar")) == [2]
        index.close()


def test_what_widens_too_far_is_an_error(tmp_path: Path) -> None:
    index = small(tmp_path, [f"word{i}" for i in range(30)])
    snapshot = index.snapshot(expansions=10)
    for query in (
        Prefix(("subject",), "word"),
        TermRegex(("body", "subject"), "w.*"),
        Fuzzy(("subject",), "word1", 2),
    ):
        with pytest.raises(QueryError) as error:
            snapshot.serve("commits", query)
        assert error.value.code == "too_many_expansions"
    index.close()


def test_limits_and_empty_answers(tmp_path: Path) -> None:
    index = small(tmp_path, ["alpha"] * 3)
    nothing = Phrase(("subject",), ("no", "such"))
    assert ids(index, Term(("subject",), "alpha"), limit=0, scored=True) == []
    assert ids(index, nothing, scored=True) == []
    assert ids(index, Not(nothing)) == [1, 2, 3]
    assert ids(index, Term(("subject",), "alpha"), limit=10**12, scored=True) == [1, 2, 3]
    assert (
        index.snapshot().serve("commits", Term(("nofield",), "x")).exactness
        is Exactness.UNSUPPORTED
    )
    index.close()


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        (r"(?m)\b(TODO|FIXME)\b", ("TODO", "FIXME")),
        (r"BEGIN [A-Z ]*PRIVATE KEY", ("PRIVATE KEY",)),
        (r"(foo){2}|barr+s", ("foo", "bar")),
        (r"\Qa.b\E\.(c|d)", ("a.b.",)),
        (r"colou?rs [Tt]he", ("colo",)),
        (r"(abc|)def?", ()),
        (r"(?i)todo|(?i:fixme)", ()),
        (r"abcd|ab", ()),
    ],
)
def test_texts_that_a_pattern_cannot_match_without(pattern: str, texts: tuple[str, ...]) -> None:
    assert fragments.texts_of(pattern) == texts


def test_fragments_of_patterns_know_their_limits() -> None:
    known = fragments.of_pattern
    for pattern in (
        "a?",
        "x*",
        "(a|)",
        r"(a|b*)",
        ".",
        r"\d+",
        "a|[bc]",
        r"\p{L}",
        "(?P<n",
        r"\Qa\E*",
        "(" * 2000,
    ):
        assert known(pattern) is None, pattern
    assert known(r"(?m)^static int foo\(") == fragments.Words(("static", "int", "foo"))
    assert known("[Ff]oo|BAR") == fragments.AnyOf(
        (fragments.Fragment("foo", "infix"), fragments.Fragment("bar", "infix"))
    )
    assert known("(ab)+c") == fragments.AllOf(
        (fragments.Fragment("ab", "infix"), fragments.Fragment("c", "infix"))
    )


def test_necessary_drops_what_only_a_part_can_lack() -> None:
    a, b = Term(("f",), "a"), Term(("f",), "b")
    assert textquery.necessary(And((a, Not(b)))) == And((a,))
    assert textquery.necessary(Or((a, Not(b)))) is None
    assert textquery.necessary(AtLeast(2, (a, b, Not(b)))) == AtLeast(1, (a, b))


def test_keys_are_whole_numbers(tmp_path: Path) -> None:
    index = small(tmp_path, ["alpha"])
    hits = index.snapshot().search(
        "commits", Term(("subject",), "alpha"), limit=5, as_of=1, scored=True
    )
    assert hits.ids.dtype == np.uint64
    assert hits.scores is not None
    assert hits.scores.dtype == np.float32
    index.close()
