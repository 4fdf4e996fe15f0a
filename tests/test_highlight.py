"""What is marked is what matched, in code points of the text as given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from govc_search.errors import QueryError
from govc_search.highlight import highlight, passage, snippet
from govc_search.textquery import (
    And,
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
    matches,
    spans,
)

F = ("text",)


@pytest.mark.parametrize(
    ("node", "text", "expected"),
    [
        (Term(F, "name"), "getFileName name", "getFile[Name] [name]"),
        (Term(F, "cafe"), "a cafe\u0301.", "a [cafe\u0301]."),
        (Term(F, "fine"), "ﬁne", "[ﬁne]"),
        (Term(F, "字仮"), "漢字仮名", "漢[字仮]名"),
        (Phrase(F, ("strbuf", "addf")), "x strbuf_addf(y)", "x [strbuf_addf](y)"),
        (
            Phrase(F, ("use", "free"), 1),
            "use after free; use it now, free",
            "[use after free]; use it now, free",
        ),
        (Prefix(F, "mem"), "memory, Memmove, men", "[memory], [Memmove], men"),
        (
            Fuzzy(F, "memory", 2),
            "memmory memroy Memory mental",
            "[memmory] [memroy] [Memory] mental",
        ),
        (Fuzzy(F, "cat", 1), "cat bat cta", "[cat] [bat] [cta]"),
        (Fuzzy(F, "cat", 1, same_first=True), "cat bat cta", "[cat] bat [cta]"),
        (TermRegex(F, "[a-c]at"), "cat hat bats", "[cat] hat bats"),
        (Substring(F, "aa"), "aaaaa AA", "[aa][aa]a AA"),
        (Substring(F, "İx", ignore_case=True), "ßİX x", "ß[İX] x"),
        (Regex(F, r"(?m)^a+"), "aab\naa é ba", "[aa]b\n[aa] é ba"),
        (Regex(F, "É|b*", ignore_case=True), "éabb", "[é]a[bb]"),
        (And((Term(F, "a"), Not(Term(F, "b")), Or((Term(F, "c"),)))), "a b c", "[a] b [c]"),
        (Or((Substring(F, "bc"), Substring(F, "cd"))), "abcde", "a[bcd]e"),
        (Term(("other",), "a"), "a", "a"),
    ],
)
def test_marks(node: Node, text: str, expected: str) -> None:
    assert highlight(text, node, "[", "]") == expected


@pytest.mark.parametrize(
    ("node", "text", "expected"),
    [
        (Phrase(F, ("a", "b"), 1), "b a", False),
        (Phrase(F, ("a", "b", "c"), 1), "a x b x c", False),
        (Phrase(F, ("a", "b", "c"), 2), "a x b x c", True),
        (Phrase(F, ("a", "a")), "a b a", False),
        (Phrase(F, ("a", "a")), "a a", True),
        (Phrase(F, ("file", "x")), "getFileName x", True),
        (Fuzzy(F, "abcd", 2), "badc", True),
        (Fuzzy(F, "ca", 2), "abc", False),
        (TermRegex(F, "a|b"), "ab", False),
        (Regex(F, "^b"), "a\nb", False),
    ],
)
def test_matches(node: Node, text: str, *, expected: bool) -> None:
    assert matches(node, {"text": text}) is expected
    assert not matches(node, {"text": None})
    assert matches(Not(node), {})


def test_a_bad_pattern_is_the_askers_error() -> None:
    for call in (
        lambda: matches(Regex(F, "("), {"text": "x"}),
        lambda: spans(Regex(F, "("), "text", "x"),
    ):
        with pytest.raises(QueryError) as error:
            call()
        assert error.value.code == "invalid_pattern"


def test_the_best_passage_shows_the_most_different_matches() -> None:
    text = "alpha alpha alpha " + "x " * 100 + "the alpha and the beta are here " + "y " * 100
    node = Or((Term(F, "alpha"), Term(F, "beta")))
    assert snippet(text, node, 44, "[", "]") == "…x x the [alpha] and the [beta] are here y y y y…"
    assert snippet("short alpha", node, 80, "[", "]") == "short [alpha]"
    assert snippet("none\nof  these", node, 80, "[", "]") == "none of these"


@given(
    st.text("ab cé\n", max_size=200),
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=6),
    st.integers(1, 60),
)
def test_a_passage_has_its_length_and_marks_only_add(
    text: str, raw: list[tuple[int, int]], length: int
) -> None:
    found: list[tuple[int, int]] = []
    for start, size in sorted(raw):
        if start + size <= len(text) and (not found or found[-1][1] <= start):
            found.append((start, start + size))
    start, end = passage(text, found, length)
    assert 0 <= start <= end <= len(text)
    assert end - start <= length
    if found:
        assert any(a < end and b > start for a, b in found)
    marked = highlight(text, found, "<", ">")
    assert marked.replace("<", "").replace(">", "") == text
    assert marked.count("<") == len(found)


def test_a_text_of_private_characters_is_marked_too() -> None:
    text = "".join(map(chr, range(0xE000, 0xF900))) + "ab"
    assert spans(Regex(F, "b"), "text", text) == [(len(text) - 1, len(text))]
