"""What is offered while a query is written, and the tokens of texts that are not whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.golden import Block, check, read
from hypothesis import given, settings
from hypothesis import strategies as st

from govc_search.ql.completion import Candidate, Indexed, complete, complete_words
from govc_search.ql.parser import parse
from govc_search.ql.tokens import cut, place, tokens

GOLDEN = Path(__file__).parent / "golden"
INDEXED = Indexed(
    ("git", "it's", "linux"),
    (
        ("main", "refs/heads/main", "branch"),
        ("v1.0", "refs/tags/v1.0", "tag"),
        ("v1.1", "refs/tags/v1.1", "tag"),
        ("origin/main", "refs/remotes/origin/main", "remote"),
    ),
)
CURSOR = "▌"
SHOWN = 8


def at_cursor(marked: str) -> list[Candidate]:
    text, cursor = marked.replace(CURSOR, ""), marked.index(CURSOR)
    complete_ = complete_words if text.startswith(r"\s ") else complete
    return complete_(text, cursor, INDEXED)


def show(block: Block) -> dict[str, str]:
    text, cursor = block.query.replace(CURSOR, ""), block.query.index(CURSOR)
    found = at_cursor(block.query)
    kinds = list(dict.fromkeys(c.kind for c in found))
    lines = []
    for kind in kinds:
        texts = [c.text for c in found if c.kind == kind]
        lines.append(f"{kind}: {'  '.join(texts[:SHOWN])}" + "  ..." * (len(texts) > SHOWN))
    replaced = {text[c.start : cursor] for c in found}
    assert len(replaced) <= 1, "all candidates replace one word"
    return {"candidates": "\n".join(lines) or "none"}


def test_candidates_at_a_cursor(update_golden: bool) -> None:
    check(GOLDEN / "completion.txt", show, update=update_golden)


def whole_queries() -> list[str]:
    blocks = read(GOLDEN / "queries.txt")
    return [b.query for b in blocks if not any(name == "error" for name, _ in b.parts)]


def is_offered(word: str, candidates: list[Candidate]) -> bool:
    texts = [c.text.lower() for c in candidates]
    return any(t.split("(")[0] == word or t.startswith(word + " ") for t in texts)


def test_whatever_stands_in_a_query_would_have_been_offered() -> None:
    missed, asked = [], 0
    for query in whole_queries()[::6]:
        for token in tokens(query):
            word = query[token.start : token.end]
            here = place(query[: token.start])
            assert here is not None
            known = here.meanings("NAME") & {"column", "function", "table_name", "describe", "type"}
            if len(word) == 1 or not (token.kind == "keyword" or (token.type == "NAME" and known)):
                continue
            asked += 1
            # Typed as far as its first letter, with all the rest there already.
            text = query[: token.start + 1] + query[token.end :]
            if not is_offered(word.lower(), complete(text, token.start + 1, Indexed())):
                missed.append(f"{word!r} at {token.start} of {query!r}")
    assert asked > 200
    assert not missed, "\n".join(missed)


def test_every_keyword_that_is_offered_can_stand_there() -> None:
    for query in whole_queries()[::12]:
        for token in tokens(query):
            before = query[: token.start]
            if before and not before[-1].isspace():
                continue
            for c in complete(before, len(before), Indexed()):
                if c.kind == "keyword":
                    written = before + c.text
                    here = place(before)
                    for word in tokens(written):
                        if word.start >= len(before):
                            assert here is not None, written
                            here = here.after(word.type)
                    assert here is not None, written


@pytest.mark.parametrize(
    ("marked", "word", "rest"),
    [
        ("SELECT DA▌", "DATE", " '2024-01-01'"),
        ("SELECT INT▌", "INTERVAL", " '1 day'"),
        ("SELECT TIME▌", "TIMESTAMP", " '2024-01-01 12:00'"),
        ("SHOW ▌", "FUNCTIONS", ""),
        ("SHOW ▌", "TABLES", ""),
    ],
)
def test_words_that_neither_grammar_nor_catalog_lists(marked: str, word: str, rest: str) -> None:
    (found,) = [c for c in at_cursor(marked) if c.text == word]
    parse(marked[: found.start] + found.text + rest)


# Texts that are not whole

PIECES = st.lists(
    st.sampled_from([
        "SELECT", "FROM", "commits", "c", "c.", "WHERE", "(", ")", ",", ";", "'", "''", '"', "a b",
        "--", "/*", "*/", "\n", " ", "= 'x'", "WITH", "AS", "x", "JOIN", "USING (", "§", "1.5", "$p",
        "ORDER BY", "IN_RANGE('", "repo = ", "LATERAL", "VALUES", "\\", "é", "MATCH", "END", "CASE",
    ]),
    max_size=25,
)  # fmt: skip


@settings(max_examples=60)
@given(PIECES, st.data())
def test_any_text_has_tokens_and_candidates(pieces: list[str], data: st.DataObject) -> None:
    text = " ".join(pieces) if data.draw(st.booleans()) else "".join(pieces)
    end = 0
    for token in tokens(text):
        assert not text[end : token.start].strip()
        assert token.start < token.end
        end = token.end
    assert not text[end:].strip()
    parts = cut(text)
    assert text.startswith("".join(parts))
    assert all(part.endswith(";") for part in parts[:-1])
    cursor = data.draw(st.integers(0, len(text)))
    for candidate in complete(text, cursor, INDEXED):
        assert candidate.start <= cursor
        assert candidate.text != text[candidate.start : cursor]
    complete_words(text, cursor, INDEXED)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT ';' ; -- no; \nSELECT \";\"; ", ["SELECT ';' ;", ' -- no; \nSELECT ";";', ""]),
        ("SELECT 1; -- the end", ["SELECT 1;", ""]),
        ("SELECT 1; /* ; ", ["SELECT 1;", " /* ; "]),
        ("SELECT (1; SELECT 'a;", ["SELECT (1;", " SELECT 'a;"]),
        (";;", [";", ";", ""]),
        ("-- nothing", [""]),
    ],
)
def test_statements_end_with_a_semicolon(text: str, parts: list[str]) -> None:
    assert cut(text) == parts


def test_kinds_of_tokens() -> None:
    text = """SELECT "a", first + 1.5 /* x */ FROM t WHERE b = $p AND FORM § 'open"""
    assert [(text[t.start : t.end], t.kind) for t in tokens(text)] == [
        ("SELECT", "keyword"),
        ('"a"', "name"),
        (",", "operator"),
        # A keyword only where the grammar can take it as one.
        ("first", "name"),
        ("+", "operator"),
        ("1.5", "number"),
        ("/* x */", "comment"),
        ("FROM", "keyword"),
        ("t", "name"),
        ("WHERE", "keyword"),
        ("b", "name"),
        ("=", "operator"),
        ("$p", "parameter"),
        ("AND", "keyword"),
        ("FORM", "name"),
        ("§", "unknown"),
        ("'open", "text"),
    ]
