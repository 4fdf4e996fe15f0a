"""The reference of the language: its examples run, show what comes out, and leave nothing out.

In a page a block ```sql is a query and a block ```search a line of the search box; both are asked
of the repository `fixtures.kettle`. A block ```text right behind one is its answer, an error with
its caret too; `make docs` writes it. One without an answer has to run.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lark
import pytest
from fixtures.functions import EXAMPLES
from fixtures.kettle import kettle

import govc_search
from bench.cookbook import PAGE as COOKBOOK
from bench.cookbook import QUERIES as FILES
from bench.cookbook import SECTION, included
from govc_search.catalog import FUNCTIONS, TABLES
from govc_search.cli.answers import is_explain
from govc_search.cli.options import parameters
from govc_search.cli.render import render
from govc_search.cli.terminal import Target
from govc_search.engine import Engine, errors_in_box, to_gql
from govc_search.errors import GovcSearchError
from govc_search.grammar_files import read_grammar
from govc_search.ql.box import QUALIFIERS
from govc_search.ql.result import Result
from govc_search.ql.tokens import tokens

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "gql.md"
# The cookbook's queries are the files of bench/queries, which tests/test_investigations.py runs.
PAGES = [p for p in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))] if p.name != "cookbook.md"]
WIDTH = 96

_EXAMPLE = re.compile(r"^```(sql|search)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)


@dataclass(frozen=True)
class Example:
    """A query or a line of the search box as a page has it, with the answer shown behind it."""

    page: Path
    line: int
    language: str
    text: str
    shown: str | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def is_refused(self) -> bool:
        return self.shown is not None and self.shown.startswith("error[")


def examples(page: Path) -> list[Example]:
    text = page.read_text("utf-8")
    return [
        Example(page, text.count("\n", 0, m.start()) + 1, m[1], m[2], m[3])
        for m in _EXAMPLE.finditer(text)
    ]


ALL = [example for page in PAGES for example in examples(page)]
# What the binder refuses is shown as well, so the grammar takes more than QUERIES.
SHOWN = [e for e in ALL if e.page == REFERENCE]
QUERIES = [e.text for e in SHOWN if e.language == "sql" and not e.is_refused]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("reference")
    kettle(home / "kettle")
    with govc_search.open(home / "data") as engine:
        engine.index(home / "kettle", jobs=1)
        yield engine


def answer(engine: Engine, example: Example) -> str:
    """Returns what a terminal would show, times left out. Raises GovcSearchError."""
    if example.language == "search":
        words = example.text.strip()
        gql, params = to_gql(words, marks=("[", "]"))
        with errors_in_box(words, gql):
            result = engine.query(gql, params)
        shown = drawn(result, "short_hash", "author", "subject")
    else:
        given = re.search(r"^-- parameters: (.*)$", example.text, re.M)
        result = engine.query(example.text, parameters(given[1].split("; ") if given else []))
        if is_explain(example.text):
            shown = re.sub(r"\d+\.\d ms", "… ms", "".join(f"{line}\n" for (line,) in result))
        else:
            shown = drawn(result)
    return shown + "".join(f"warning: {w}\n" for w in result.warnings)


def drawn(result: Result, *columns: str) -> str:
    table = result.to_arrow()
    out = bytearray()
    render(
        table.select(columns) if columns else table, "table", Target(out.extend, True, False, WIDTH)
    )
    return out.decode()


@pytest.mark.parametrize("page", [p for p in PAGES if examples(p)], ids=lambda p: p.name)
def test_examples_answer_as_shown(page: Path, engine: Engine, update_docs: bool) -> None:
    wrong = []
    fresh = page.read_text("utf-8")
    for example in examples(page):
        try:
            given = answer(engine, example)
        except GovcSearchError as error:
            given = error.render() + "\n"
            if not example.is_refused:
                wrong.append(f"{example} {given}")
                continue
        if example.shown is None or example.shown == given:
            continue
        if example.is_refused and not given.startswith("error["):
            wrong.append(f"{example} is not refused")
        elif update_docs:
            head = f"```{example.language}\n{example.text}```\n\n```text\n"
            fresh = fresh.replace(f"{head}{example.shown}```\n", f"{head}{given}```\n", 1)
        else:
            wrong.append(f"{example} shows\n{example.shown}and gives\n{given}")
    if update_docs:
        page.write_text(fresh, "utf-8")
    assert not wrong, "\n".join(wrong)


# The cookbook


def test_the_cookbook_has_every_query_as_its_file_has_it() -> None:
    page = COOKBOOK.read_text("utf-8")
    sections = {m[1]: m for m in SECTION.finditer(page)}
    names = {"about", *(file.stem for file in FILES)}
    assert names == set(sections), "run `python -m bench.cookbook --data DIR`"
    for file in FILES:
        section = sections[file.stem]
        assert included(file.read_text("utf-8")) in section[3], f"{file.stem} is out of date"
        answered = re.search(r"^```text\n\S.*?^```$", section[3], re.M | re.S)
        assert answered, f"{file.stem} has no answer"
        told = re.match(r"\n(?!#)(?!<!)\S", page[section.end() :])
        assert told, f"nothing says how to read the answer of {file.stem}"
    people = re.findall(r"[\w.+-]+@[\w-]+\.\w+", page)
    assert not people


# Nothing is left out


def used_and_all(
    grammar: str, texts: list[str]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Returns which parts of which rules some text uses, and all that the grammar has.

    A part is a symbol of a rule or of a named alternative of it, so a keyword that may be left out
    counts as much as one that chooses.
    """

    def parts(rule: lark.grammar.Rule) -> set[tuple[str, str]]:
        name = rule.origin.name
        if rule.alias:
            name = f"{name} -> {rule.alias}"
        symbols = {s.name for s in rule.expansion} - {rule.origin.name}
        return {(name, symbol) for symbol in symbols or {"nothing"}}

    parser = lark.Lark(read_grammar(grammar), parser="lalr", maybe_placeholders=False)
    met: set[lark.grammar.Rule] = set()
    callbacks = parser.parser.parser.parser.callbacks
    for rule in callbacks:
        callbacks[rule] = lambda _, rule=rule: met.add(rule)
    for text in texts:
        with contextlib.suppress(lark.exceptions.UnexpectedInput):
            parser.parse(text)
    return {p for rule in met for p in parts(rule)}, {
        p for rule in parser.rules for p in parts(rule)
    }


def test_the_reference_uses_all_of_the_grammar() -> None:
    used, all_ = used_and_all("gql.lark", [e.text for e in SHOWN if e.language == "sql"])
    assert len(all_) > 300
    missing = sorted(f"{rule}: {part}" for rule, part in all_ - used)
    assert not missing, "no example in docs/gql.md has\n" + "\n".join(missing)


def test_the_reference_uses_every_comparison() -> None:
    line = re.search(r"^COMPARE\S* (.*)$", read_grammar("gql.lark"), re.M)
    assert line
    written = {q[t.start : t.end] for q in QUERIES for t in tokens(q) if t.type == "COMPARE"}
    assert set(re.findall(r'"([^"]+)"', line[1])) == written


def test_the_reference_uses_all_of_the_match_language() -> None:
    found = [
        m[1].replace("''", "'")
        for q in QUERIES
        for m in re.finditer(r"\bMATCH\s*(?:\([\w.]+,)?\s*'((?:[^']|'')*)'", q, re.I)
    ]
    used, all_ = used_and_all("match.lark", found)
    missing = sorted(f"{rule}: {part}" for rule, part in all_ - used)
    assert not missing, "no pattern in docs/gql.md has\n" + "\n".join(missing)


def called(texts: list[str]) -> set[str]:
    return {name.lower() for text in texts for name in re.findall(r"\b(\w+)\s*\(", text)}


def test_every_function_has_an_example() -> None:
    assert not {f.name for f in FUNCTIONS} - called([*EXAMPLES.values(), *QUERIES])
    # What is special about the language is shown in its reference.
    special = {f.name for f in FUNCTIONS if f.kind in {"text", "graph", "window"}}
    assert not special - called(QUERIES)


def test_every_table_has_an_example() -> None:
    names = {name for t in TABLES for name in (t.name, *t.aliases)}
    read = {m.lower() for q in QUERIES for m in re.findall(r"(?:FROM|JOIN|,)\s+(\w+)", q)}
    assert not sorted(names - read)
    assert len(names) > 15


def test_every_qualifier_of_the_search_box_has_an_example() -> None:
    boxes = " ".join(e.text for e in SHOWN if e.language == "search" and not e.is_refused)
    assert not {q.name for q in QUALIFIERS} - set(re.findall(r"(?<!\w)-?(\w+):", boxes))
    assert re.search(r"(?<!\S)-\w+:", boxes)


def test_limits_are_named() -> None:
    text = REFERENCE.read_text("utf-8")
    named = ("query_bytes", "query_nesting", "query_leaves", "fuzzy_words", "pattern_length",
             "expansions", "deadline_seconds", "content_bytes")  # fmt: skip
    assert not [name for name in named if f"`{name}`" not in text]
