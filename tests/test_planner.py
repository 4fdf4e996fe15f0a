"""What the planner chooses, and that it is the same answer: from the index, the table, or both."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from fixtures.repositories import Builder

import govc_search
from govc_search import Engine
from govc_search.ql import narrowing, ranking

WORDS = ("fix", "race", "leak", "docs", "test", "path", "lock", "table")
PEOPLE = ("Ada", "Grace", "Linus", "Ken")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("planner")
    repo, random = Builder(path / "demo"), Random(7)
    for i in range(240):
        words = random.choices(WORDS, range(len(WORDS), 0, -1), k=random.randint(1, 9))
        name = random.choices(PEOPLE, (60, 25, 12, 3))[0]
        lines = "".join(f"{random.choice(WORDS)} {random.choice(WORDS)}\n" for _ in range(i % 7))
        repo.write(f"{random.choice(WORDS)}/{i % 11}.txt", lines.encode())
        date = f"{1_500_000_000 + random.randint(0, 9) * 1000} +0000"
        repo.commit(
            f"{' '.join(words[:4])}\n\n{' '.join(words[4:])}\n",
            GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL=f"{name.lower()}@{name[0].lower()}.example",
            GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date,
        )  # fmt: skip
    with govc_search.open(path / "data") as opened, pytest.MonkeyPatch.context() as patch:
        # As if the history were long: few rows are enough to choose another way.
        patch.setattr(ranking, "_FEW_HITS", 2)
        patch.setattr(ranking, "_HITS_PER_ROW", 1)
        patch.setattr(narrowing, "_CANDIDATES_ALWAYS", 12)
        opened.index(path / "demo")
        yield opened


FACTS = (
    "author = 'Ken'",
    "author_email IN ('ken@k.example', 'ada@a.example', 'nobody')",
    "'Linus' = committer",
    "committer_date >= '2017-07-14T03:00:00'",
    "committer_date < '2017-07-14T03:00:00.5' AND author_date > '2017-07-14T02:56:40'",
    "author_date BETWEEN '2017-07-14T03:00' AND '2017-07-14T04:30'",
    "author_date = '2017-07-14T02:40:00.25'",
    "NOT is_merge AND insertions > 2",
    "is_root",
    "NOT is_root AND deletions <= 1",
    "files_changed = 1 AND 4 >= insertions",
    "repo = 'demo' AND position BETWEEN 20 AND 90",
    "repo = 'other'",
    "position = 17",
    "position < -1",
)
# What the index cannot tell.
OTHERS = (
    "author_domain = 'k.example'",
    "(author = 'Ken' OR FALSE)",
    "length(subject) > 18",
    "body = ''",
    "tree = 'x'",
)


@pytest.mark.parametrize("where", [*FACTS, *OTHERS])
def test_conditions_beside_words(engine: Engine, where: str) -> None:
    for asked in (where, f"MATCH(message, 'fix OR race') AND {where}"):
        for select in ("count(*)", "hash, subject, author_date", "author, insertions, message"):
            gql = f"SELECT {select} FROM commits WHERE {asked}"
            rows = list(engine.query(gql))
            assert sorted(rows) == sorted(engine.query(gql, indexes=False)), gql
            assert engine.query(gql).explain() == engine.query(gql).explain()
        # No page of the whole differs from the whole.
        order = "committer_date DESC, position"
        whole = list(engine.query(f"SELECT hash FROM commits WHERE {asked} ORDER BY {order}"))
        page = f"SELECT hash FROM commits WHERE {asked} ORDER BY {order} LIMIT 3 OFFSET 1"
        assert list(engine.query(page)) == whole[1:4]


@pytest.mark.parametrize("where", [*FACTS, *OTHERS])
@pytest.mark.parametrize("order", ["", ", committer_date", ", author, position DESC"])
def test_ranked_pages_are_the_first_of_all(engine: Engine, where: str, order: str) -> None:
    conditions = f"MATCH(message, 'fix OR lock') AND {where}"
    for select in ("hash, subject, SCORE()", "subject, insertions, body"):
        gql = f"SELECT {select} FROM commits WHERE {conditions} ORDER BY SCORE() DESC{order}"
        whole = list(engine.query(gql))
        for limit, offset in ((3, 0), (2, 4), (40, 1), (500, 0), (0, 0)):
            page = engine.query(f"{gql} LIMIT {limit} OFFSET {offset}")
            assert list(page) == whole[offset : offset + limit]
    exact = where in FACTS
    assert exact or "more of it until" in engine.query(f"{gql} LIMIT 3").explain()


@pytest.mark.parametrize(
    ("select", "where", "served"),
    [
        ("c.hash FROM commits c", "c.author = 'Ken' AND ADDED(c, 'race')", "in commits of x1"),
        ("c.hash FROM commits c", "c.hash = 'absent' AND ADDED(c, 'race')", "in commits of x1"),
        ("c.hash FROM commits c", "MATCH(c.message, 'table') AND c.author = 'Ken' AND CHANGED_RE(c, '.')", "in commits of"),
        ("f.path FROM commits c JOIN changes f USING (hash)", "c.author = 'Ken' AND ADDED(f, 'race')", "in commits of"),
        ("f.path FROM commits c LEFT JOIN changes f USING (hash)", "c.author = 'Ken' AND ADDED(f, 'race')", "in commits of"),
        ("l.text FROM commits c JOIN lines l USING (hash)", "c.author = 'Ken' AND l.text CONTAINS 'race'", "in commits of"),
        ("f.hash, f.path FROM changes f", "f.path GLOB 'table/7.*' AND PICKAXE(f, 'race')", "within (path:"),
        ("h.hash, h.added FROM hunks h", "MATCH(h.heading, 'absent') AND h.added CONTAINS 'race'", "within heading:"),
        ("c.hash FROM commits c", "NOT (c.author = 'Ken' AND ADDED(c, 'race'))", "scanned:"),
    ],
)  # fmt: skip
def test_few_rows_are_asked_of_their_lines(
    engine: Engine, select: str, where: str, served: str
) -> None:
    result = engine.query(f"SELECT {select} WHERE {where}")
    assert served in result.explain()
    assert sorted(result) == sorted(engine.query(f"SELECT {select} WHERE {where}", indexes=False))
    assert list(result) or "absent" in where


@pytest.mark.parametrize(
    ("gql", "chosen"),
    [
        ("SELECT count(*) FROM commits WHERE MATCH(message, 'fix') AND insertions > 1", "count of x1 by the index"),
        ("SELECT count(*) FROM commits WHERE MATCH(message, 'fix') OR is_root", "aggregate by ()"),
        ("SELECT hash FROM commits WHERE author = 'Ken'", "rows of x1 by the index"),
        ("SELECT tree FROM commits WHERE author = 'Ken'", "candidates from x1"),
        ("SELECT tree FROM commits WHERE author = 'Ada'", "  scan commits"),
        ("SELECT hash FROM commits WHERE MATCH(message, 'fix') AND author = 'Ada' ORDER BY SCORE() DESC LIMIT 2", "top-k by score: 2 rows from x1"),
    ],
)  # fmt: skip
def test_what_is_chosen(engine: Engine, gql: str, chosen: str) -> None:
    assert chosen in engine.query(gql).explain()
    assert engine.query(gql).explain() == engine.query(f"EXPLAIN {gql}").explain()
