"""One definition of a word, and every fast path equal to it."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from govc_search import analysis, fragments, textquery

LONG = "x" * 300

TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["getFileName", "HTTPServer", "strbuf_addf(", "caf\u00e9", "cafe\u0301", "\u00c5", "A\u030a", "\ufb01le",
             "漢字仮名", "한국어", "ㄱㅏㄴ", "ﾡￂ", "\u1112\u1161\u11ab", "ｶﾞ", "ß", "İ", "\u0130x", "K\u0301", "\ufffd", "\n", " ", "=\u0338", "é\n",
             "x" * 150, "Y" * 110, "ä" * 127, "ก" * 90, "❤\ufe0f", "1\u20e3", "नमस्ते", "½", "①", "ſ", "ŉ", "-", "_"]
        ),
        st.text(max_size=6),
        st.text("abAB09 _-(\n\u0301é", max_size=8),
    ),
    max_size=8,
).map("".join).map(lambda t: re.sub("[\ud800-\udfff]", "?", t))  # fmt: skip


def words(text: str) -> list[tuple[str, int]]:
    return [(t.text, t.position) for t in analysis.tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("getFileName x", [("getfilename", 0), ("get", 0), ("file", 0), ("name", 0), ("x", 1)]),
        ("HTTPServer2Go", [("httpserver2go", 0), ("http", 0), ("server2", 0), ("go", 0)]),
        ("strbuf_addf(SHA1)", [("strbuf", 0), ("addf", 1), ("sha1", 2)]),
        ("Café", [("café", 0), ("cafe", 0)]),
        ("Straße", [("strasse", 0)]),
        ("ﬁle ①½", [("file", 0), ("11", 1), ("2", 2)]),
        (
            "a漢字仮b",
            [("a", 0), ("漢字", 1), ("漢", 1), ("字仮", 2), ("字", 2), ("仮", 2), ("b", 3)],
        ),
        ("字", [("字", 0)]),
        ("Привет йод", [("привет", 0), ("йод", 1), ("иод", 1)]),
        ("_ -> !", []),
    ],
)
def test_words(text: str, expected: list[tuple[str, int]]) -> None:
    assert words(text) == expected


def test_a_query_word_is_the_run_without_its_variants() -> None:
    assert analysis.query_tokens("strbuf_addf") == ["strbuf", "addf"]
    assert analysis.query_tokens("GetFile Café 漢字仮") == ["getfile", "café", "漢字", "字仮"]
    assert analysis.query_tokens("->") == []


def test_offsets_are_those_of_the_text_as_given() -> None:
    text = "ﬁne cafe\u0301 ｶﾞｷ getName \U0001d400b"
    found = {t.text: text[t.start : t.end] for t in analysis.tokens(text)}
    assert found["fine"] == "ﬁne"
    assert found["café"] == "cafe\u0301"
    assert found["ガキ"] == "ｶﾞｷ"
    assert found["name"] == "Name"
    assert found["ab"] == "\U0001d400b"


def test_whatever_may_combine_with_what_stands_before_is_taken_together_with_it() -> None:
    def normal(text: str) -> str:
        return unicodedata.normalize("NFKC", text)

    # Each character that canonical composition takes as a second one, by what it composes with.
    before = {chr(code): "\u1100" for code in range(0x1161, 0x1176)}
    before |= {chr(code): "\uac00" for code in range(0x11A8, 0x11C3)}
    for code in range(0x110000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            first, second = (chr(int(part, 16)) for part in parts)
            if normal(first + second) == normal(chr(code)) != first + second:
                before[second] = first
    assert len(before) > 100
    for code in range(0x110000):
        char = chr(code)
        first = before.get(unicodedata.normalize("NFKD", char)[0])
        if first is not None:
            text = first + char
            assert analysis._normalized(text)[0] == normal(text), hex(code)


def test_tokens_are_cut_at_255_bytes() -> None:
    assert [len(t.text) for t in analysis.tokens(LONG)] == [255]
    assert len(analysis.tokens("ก" * 100)[0].text.encode()) == 255
    assert analysis.tokens("a" + "é" * 200)[0].text == "a" + "é" * 127
    assert analysis.query_tokens(LONG.upper()) == ["x" * 255]
    assert analysis.positions(f"a {LONG}")[1]
    assert analysis.positions("ä" * 128)[1]
    assert not analysis.positions("ä" * 127)[1]
    assert not analysis.positions("漢" * 500)[1]


def test_no_folded_character_breaks_a_word() -> None:
    run = re.compile(r"\S+")
    beginning = re.compile(r"[\x00-\x7f]*")
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.category(char)[0] not in "LN":
            continue
        letters = analysis.plain_letters(f"a{char}b")
        for token in analysis.tokens(f"a{char}b"):
            assert beginning.match(token.text)[0] in letters, hex(code)
            assert run.fullmatch(token.text), hex(code)
            assert len(token.text.encode()) <= analysis.MAX_BYTES


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_every_path_gives_the_same_words(text: str) -> None:
    tokens = words(text)
    assert analysis.positions(text)[0] == tokens
    firsts = {p: w for w, p in reversed(tokens)}
    assert analysis.query_tokens(text) == [firsts[p] for p in sorted(firsts)]
    bag, long = analysis.bag(text.encode())
    assert set(bag.split()) == {w for w, _ in tokens}
    assert long == analysis.positions(text)[1]
    letters = analysis.plain_letters(text)
    assert [w for w, _ in tokens if re.match(r"[\x00-\x7f]*", w)[0] not in letters] == []
    if analysis.is_plain(text):
        assert [(w, i) for i, w in enumerate(analysis.plain(text).split())] == tokens


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.data())
def test_a_word_is_found_without_making_all_words(text: str, data: st.DataObject) -> None:
    found = {w for w, _ in words(text)}
    word = data.draw(st.sampled_from(sorted(found | {"file", "caf", "e", "11", "字"})))
    start = word[: data.draw(st.integers(1, len(word)))]
    document = {"t": text}
    assert textquery.matches(textquery.Term(("t",), word), document) == (word in found)
    starting = any(w.startswith(start) for w in found)
    assert textquery.matches(textquery.Prefix(("t",), start), document) == starting
    phrase = tuple(analysis.query_tokens(text)[:2])
    assert not phrase or textquery.matches(textquery.Phrase(("t",), phrase), document)


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_many_texts_at_once_give_what_each_gives(texts: list[str]) -> None:
    ended = [f"{text}\n".encode() for text in texts]
    offsets = [sum(map(len, ended[:i])) for i in range(len(ended) + 1)]
    found = list(analysis.bags(b"".join(ended), offsets))
    assert len(found) == len(texts)
    for text, (bag, long) in zip(texts, found, strict=True):
        assert set(bag.split()) == {w for w, _ in words(text)}
        assert long == analysis.positions(text)[1]


def test_invalid_bytes_are_replaced() -> None:
    data = b"caf\xe9 Makefile \xff\nplain Words\n"
    bag, _ = analysis.bag(data)
    assert set(bag.split()) == {"caf", "makefile", "plain", "words"}
    assert [set(b.split()) for b, _ in analysis.bags(data, [0, len(data)])] == [set(bag.split())]


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.data())
def test_what_a_needle_requires_every_text_with_it_holds(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    needle = text[start : data.draw(st.integers(start, len(text)))]
    if analysis.positions(text)[1]:
        return
    bag, _ = analysis.bag(text.encode())
    tokens = bag.split()

    def held(requirement: fragments.Requirement) -> bool:
        match requirement:
            case fragments.Words(side_by_side):
                n = len(side_by_side)
                return any(tuple(tokens[i : i + n]) == side_by_side for i in range(len(tokens)))
            case fragments.Fragment(fragment, "prefix"):
                return any(t.startswith(fragment) for t in tokens)
            case fragments.Fragment(fragment, "suffix"):
                return any(t.endswith(fragment) for t in tokens)
            case fragments.Fragment(fragment):
                return any(fragment in t for t in tokens)
            case fragments.AllOf(parts):
                return all(map(held, parts))
            case fragments.AnyOf(parts):
                return any(map(held, parts))

    requirement = fragments.of_needle(needle)
    assert requirement is None or held(requirement), (needle, requirement)
    quoted = fragments.of_pattern(re.escape(needle).replace("\\\n", "\n"))
    assert quoted is None or held(quoted), (needle, quoted)
