"""What a name means: a column, else what SELECT calls so, else a column by another name of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures.answers import rows_of
from fixtures.history import history

import govc_search
from govc_search import Engine, catalog
from govc_search.errors import QueryError

OTHER_NAMES = [(t.name, alias) for t in catalog.TABLES for c in t.columns for alias in c.aliases]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("names")
    history(path / "demo")
    with govc_search.open(path / "data") as opened:
        opened.index(path / "demo")
        yield opened


@pytest.mark.parametrize(("table", "name"), OTHER_NAMES)
def test_what_select_calls_so_comes_before_another_name(
    engine: Engine, table: str, name: str
) -> None:
    column = "name" if table == "authors" else "repo"
    item = f"left({column}, 0) || 'demos' AS {name}, count(*) AS n"
    whole = rows_of(engine, f"SELECT {item} FROM {table} GROUP BY 1")
    assert [row[0] for row in whole] == ["demos"]
    for rest in (
        f"GROUP BY {name}",
        f"GROUP BY ROLLUP ({name}) HAVING {name} = 'demos'",
        f"WHERE {name} = 'demos' GROUP BY 1",
        f"GROUP BY 1 HAVING {name} LIKE '%s'",
        f"GROUP BY 1 QUALIFY {name} = min({name}) OVER ()",
        f"GROUP BY 1 ORDER BY lower({name})",
    ):
        assert rows_of(engine, f"SELECT {item} FROM {table} {rest}") == whole, rest


def test_a_column_comes_before_what_select_calls_so(engine: Engine) -> None:
    by_subject = sorted(engine.query("SELECT count(*) FROM commits c GROUP BY c.subject"))
    assert len(by_subject) > 2
    titles = "(SELECT repo, subject AS title FROM commits) x"
    for gql in (
        "SELECT any_value(repo) AS subject, count(*) AS n FROM commits GROUP BY subject",
        f"SELECT any_value(x.repo) AS title, count(*) AS n FROM {titles} GROUP BY title",
    ):
        assert sorted(row[1:] for row in engine.query(gql)) == by_subject, gql


def test_an_item_with_its_own_name_in_it_means_the_column(engine: Engine) -> None:
    (rows,) = engine.query("SELECT count(*) FROM commits")
    gql = "SELECT lower(title) AS title FROM commits WHERE title = lower(subject)"
    assert len(list(engine.query(gql))) == rows[0]


def test_a_column_comes_before_another_name_of_a_column_beside_it(engine: Engine) -> None:
    gql = "SELECT DISTINCT title FROM commits CROSS JOIN (SELECT 'mine' AS title) x"
    assert rows_of(engine, gql) == [("mine",)]
    with pytest.raises(QueryError) as caught:
        engine.query("SELECT title FROM commits a CROSS JOIN commits b")
    assert caught.value.code == "ambiguous_column"
