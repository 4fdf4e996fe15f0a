"""Conditions on text that the index narrows: the same rows as a scan, whatever stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fixtures.repositories import Builder, header
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import govc_search
from govc_search import Engine
from govc_search.errors import QueryError
from govc_search.indexer import text_plan

LONG = "x" * 300
# What words, lines, cuts and folding can do to a text.
MESSAGES = (
    "subject one\nsubject two\n\nbody one\n  body two  \n\n\nbody three\n",
    "Fix the Kelvin bug: 300 \u212a, \u017fegfault, \u0130stanbul \u01c5\n",
    "cafe\u0301 na\u00efve co\u0308operate \uff21\uff22\uff23 \ufb01nd x\u00b2 a\u200db e\u0301tat\n",
    f"long word\n\n{LONG}needle{LONG} and a-needle_b\n",
    "camelCase HTTPServer snake_case_word dot.ted a=b;c\n\nTrailer-One: Value <a@b.example>\n",
    "\n\n  \nleading blank lines\nsecond line\n\n\u5185\u5b58abc\u6cc4\u6f0f def\u3042ghi\n",
    "tab\there, carriage\rreturn, form\ffeed\n\nvertical\vtab\u2028separator\u0085next\n",
    "percent 100% under_score back\\slash [bracket] (paren) {brace} star* q? a|b ^caret $dollar\n",
    "word\n\nword word words sword\nWORD Word\n",
    "",
)
OPERATORS = ("CONTAINS", "LIKE", "ILIKE", "~", "~*", "STARTS_WITH", "ENDS_WITH", "GLOB")
COLUMNS = ("message", "subject", "body", "author", "author_email", "committer_email")
PEOPLE = ("Ada L\u00f6velace", "ada.love@example.com"), ("\u5f20 San-Feng", "San_Feng@Mail.example")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("candidates")
    repo = Builder(path / "demo")
    for i, message in enumerate(MESSAGES):
        name, email = PEOPLE[i % 2]
        repo.commit(message, GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL=email)
    repo.raw_commit(
        message="gr\u00fc\u00dfe aus latin\n\nStra\u00dfe\0hidden nowhere\n".encode("latin-1"),
        headers=header(b"encoding", b"ISO-8859-1"),
    )
    with govc_search.open(path / "data") as opened, pytest.MonkeyPatch.context() as patch:
        # Else the first word that few commits hold is all that is looked up.
        patch.setattr(text_plan, "_FEW", 0)
        opened.index(path / "demo")
        yield opened


@pytest.fixture(scope="module")
def texts(engine: Engine) -> list[str]:
    return [
        text for row in engine.query(f"SELECT {', '.join(COLUMNS)} FROM commits") for text in row
    ]


def found(engine: Engine, where: str, parameters: dict[str, str], **options: bool) -> list[int]:
    gql = f"SELECT position FROM commits WHERE {where} ORDER BY position"
    return [p for (p,) in engine.query(gql, parameters, **options)]


def condition(operator: str, column: str, parameter: str) -> str:
    if operator.endswith("_WITH"):
        return f"{operator}({column}, ${parameter})"
    return f"{column} {operator} ${parameter}"


@st.composite
def needles(draw: st.DrawFn) -> tuple[int, int, int, bool]:
    """Draws where to cut a needle from a text, and whether to change its case."""
    return (
        draw(st.integers(0, 200)),
        draw(st.integers(0, 700)),
        draw(st.integers(1, 30)),
        draw(st.booleans()),
    )


@settings(max_examples=400, derandomize=True)
@given(needles(), st.sampled_from(OPERATORS), st.sampled_from(COLUMNS), st.integers(0, 5))
@example((0, 0, 40, False), "CONTAINS", "message", 0)
def test_candidates_hold_what_a_scan_finds(
    engine: Engine,
    texts: list[str],
    cut: tuple[int, int, int, bool],
    operator: str,
    column: str,
    form: int,
) -> None:
    which, start, length, swapped = cut
    # The column's own texts three times of four.
    own = [t for t in texts[COLUMNS.index(column) :: len(COLUMNS)] if t] if which % 4 else texts
    text = own[which % len(own)]
    assume(text)
    start %= len(text)
    needle = text[start : start + length]
    needle = needle.swapcase() if swapped else needle
    if operator in ("~", "~*"):
        pattern = re.escape(needle)
        pattern = [pattern, f"^{pattern}", f"{pattern}$", f"(?:zzz|{pattern})+", f"{pattern}.*e",
                   f"x?{pattern}[^a-z]*"][form]  # fmt: skip
    elif operator in ("LIKE", "ILIKE"):
        pattern = [f"%{needle}%", f"{needle}%", f"%{needle}", f"%{needle[:-1]}_%",
                   f"%{needle[:3]}%{needle[3:]}%", f"%{needle}_%"][form]  # fmt: skip
    elif operator == "GLOB":
        pattern = f"*{re.sub(r'([^A-Za-z0-9 ])', '?', needle)}*"
    else:
        pattern = needle
    where = condition(operator, column, "a")
    try:
        narrowed = found(engine, where, {"a": pattern})
    except QueryError as e:
        assume(e.code not in ("invalid_pattern", "invalid_text"))
        raise
    assert narrowed == found(engine, where, {"a": pattern}, indexes=False)
    if operator == "CONTAINS" and which % 4 and not swapped:
        assert narrowed


@pytest.mark.parametrize(
    ("where", "served"),
    [
        ("message ~ 'segfault'", True),
        ("message ~ 'word' AND author CONTAINS 'Ada'", True),
        ("subject LIKE '%word%' OR body ILIKE '%word%'", True),
        ("message ~ 'word' OR insertions > 3", False),
        ("NOT message ~ 'word'", False),
        ("message ~ '[a-z]+'", False),
        ("upper(message) CONTAINS 'WORD'", False),
    ],
)
def test_what_is_served_and_what_is_scanned(engine: Engine, where: str, *, served: bool) -> None:
    plan = engine.query(f"SELECT body, hash FROM commits WHERE {where} ORDER BY position").explain()
    assert ("candidates from x1" in plan) is served, plan
    rows = f"SELECT body, hash FROM commits WHERE {where} ORDER BY position"
    assert list(engine.query(rows)) == list(engine.query(rows, indexes=False))


def test_candidates_under_outer_joins(engine: Engine) -> None:
    for kind in ("LEFT", "RIGHT", "FULL"):
        gql = (
            f"SELECT a.position, b.message FROM commits a {kind} JOIN commits b"
            " ON a.position = b.position + 1 WHERE b.message ~ 'word' AND a.message ~* 'e'"
            " ORDER BY ALL"
        )
        assert list(engine.query(gql)) == list(engine.query(gql, indexes=False))
