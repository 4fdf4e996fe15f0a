# ruff: noqa: SIM905 - a list of conditions reads best as a line of them
"""What must hold for any condition that the grammar can make, over the history of the fixture."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from fixtures.history import history
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import govc_search
from govc_search import Engine
from govc_search.errors import GovcSearchError, QueryError
from govc_search.store import table


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("history")
    history(path / "demo")
    with govc_search.open(path / "data") as opened:
        opened.index(path / "demo")
        yield opened


@pytest.fixture(scope="module")
def plain(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The same rows, and statements run as they are written."""
    path = tmp_path_factory.mktemp("plain") / "data"
    shutil.copytree(engine.directory, path, ignore=shutil.ignore_patterns("lock", "server.*"))
    with duckdb.connect() as connection:
        found = connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "_DISABLED_OPTIMIZERS", ",".join(name for (name,) in found))
        with govc_search.open(path) as opened:
            yield opened


def examples(count: int) -> settings:
    """Returns how many examples are tried: the same ones in every run, many new with --thorough."""
    if settings.get_current_profile_name() == "thorough":
        return settings(max_examples=50 * count)
    return settings(max_examples=count, derandomize=True)


def rows_of(engine: Engine, gql: str, params: Any = None, **options: Any) -> list[tuple[Any, ...]]:
    return list(engine.query(gql, params, **options))


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# Conditions. Words, needles and patterns that occur, nearly occur, or do not.

NEEDLES = st.sampled_from(
    ["aa", "a", "aaa", "race", "Race", "strbuf_addf", "tcp", "return", "number 2", "number", "12", "close(fd)",
     "%_d", "'; DROP", " ", "  b", "\t", ";", "();", "ü", "ße", "内存", "nowhere", "x", "int main(void)", "42;", "foo", "bar e"]
)  # fmt: skip
PATTERNS = st.sampled_from(
    [r"^a+$", r"ret.rn", r"^\s+tab", r"[^x]foo", r"foo[^x]", r"\bint\b", r"(race|free)", r"\d+;$", r"^$", r"^.?$", r"\S\s\S",
     r"[[:space:]]$", r"n\w+ \d", r"a{2,3}", r"(?i)RACE", r"x*", r"^[^a-z]+$", r"number 2[0-9]?$", r"\<main\>", r"\W{3}", r"用|内"]
)  # fmt: skip
MATCHES = st.sampled_from(
    ["race", "race OR needles", "race -fast", '"use after free"', '"free use"~1', "fuzz*", "rase~", "strbuf_addf", "raceCondition",
     "HTTPServer", "/r.*e/", "(race OR drop) -net", "größe", "grosse", "内存", "aa aaa", "number", "number -929", "main OR -int", "c^2", "nowhere",
     "return 42", "tcp stream", "fast", '"number 1 number"']
)  # fmt: skip
GLOBS = st.sampled_from(
    [
        "*.c",
        "src/**",
        "src/*",
        "**/net/*.c",
        "*.{txt,md}",
        "README.md",
        "[a-m]*",
        "data/*",
        "?????*.c",
        "**",
    ]
)
REVISIONS = st.sampled_from(
    ["main", "v1.0", "v1.0..v1.1", "main...old", "^v0.1 old", "HEAD~2", "topic/fast", "v1.1^2"]
)
DATES = st.sampled_from(["2019", "2019-06", "2020-02-29T14:00:00+01:00", "2100"])
NUMBERS = st.sampled_from(["0", "1", "2", "5", "40"])
COMPARISONS = st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"])


def text_leaf(*columns: str, match: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Returns conditions on text columns; `match` are those with words in an index."""
    column = st.sampled_from(columns)
    words = st.sampled_from(match or columns)
    return st.one_of(
        st.builds("{} CONTAINS {}".format, column, NEEDLES.map(quoted)),
        st.builds("{} LIKE {}".format, column, NEEDLES.map(lambda n: quoted(f"%{n}%"))),
        st.builds(
            "{} {} {}".format, column, st.sampled_from(["~", "!~", "~*"]), PATTERNS.map(quoted)
        ),
        st.builds("MATCH({}, {})".format, words, MATCHES.map(quoted)),
        st.builds("{} IS NULL".format, column),
        st.builds("{} GLOB {}".format, column, GLOBS.map(quoted)),
        st.builds("{} {} {}".format, column, COMPARISONS, NEEDLES.map(quoted)),
    )


def lines_leaf(*names: str) -> st.SearchStrategy[str]:
    """Returns conditions on changed lines."""
    return st.one_of(
        st.builds("{}({})".format, st.sampled_from(names), NEEDLES.map(quoted)),
        st.builds(
            "{}_RE({})".format,
            st.sampled_from([n for n in names if n != "PICKAXE"]),
            PATTERNS.map(quoted),
        ),
    )


RANGES = st.one_of(
    st.builds(
        lambda r: (
            f"IN_RANGE({quoted(r)})"
            if {".", "^", " "} & set(r) and "~" not in r
            else f"REACHABLE_FROM({quoted(r)})"
        ),
        REVISIONS.filter(lambda r: r != "v1.1^2"),
    ),
    st.builds(
        "{}({})".format,
        st.sampled_from(["ANCESTOR_OF", "DESCENDANT_OF"]),
        st.sampled_from(["main", "v1.0", "HEAD~2", "topic/fast", "old"]).map(quoted),
    ),
    st.sampled_from(["src/net/stream.c", "src/net/tcp.c", "README.md", "nowhere"]).map(
        lambda path: f"HISTORY_OF({quoted(path)})"
    ),
)
HASHES = st.sampled_from([
        "IS_ANCESTOR(hash, 'v1.0')", "IS_ANCESTOR('v1.0', hash || '')", "FIRST_TAG(hash) = 'v1.0'",
        "FIRST_TAG(hash || '', '*1') IS NULL", "MERGE_BASE(hash, 'old') = RESOLVE('old^')",
        "hash IN (SELECT r.hash FROM ref_commits r WHERE r.name = 'topic/fast')",
])  # fmt: skip
SEARCHES = st.sampled_from(
    ["race", "rase fuzing", "strbuf numbers nowhere", "return", "tcp_close free"]
).map(lambda w: f"SEARCH({quoted(w)})")
EVERY_LINE = ("ADDED", "REMOVED", "CHANGED")
LEAVES = {
    "commits": st.one_of(
        text_leaf("subject", "body", "message", "author", "author_email", "signature",
                  match=("subject", "body", "message", "author", "committer", "upper(subject)")),
        lines_leaf(*EVERY_LINE, "PICKAXE"),
        st.builds("TOUCHES({})".format, GLOBS.map(quoted)),
        RANGES, SEARCHES, HASHES,
        st.builds("author_date {} {}".format, COMPARISONS, DATES.map(quoted)),
        st.builds("insertions {} {}".format, COMPARISONS, NUMBERS),
        st.sampled_from(["is_merge", "parent_count IN (0, 2)", "insertions BETWEEN 1 AND 6", "deletions / insertions > 0"]),
        st.builds("EXISTS (SELECT 1 FROM changes f WHERE f.hash = commits.hash AND {})".format,
                  st.sampled_from(["ADDED(f, 'a')", "MATCH(commits.subject, 'race')", "MATCH(f.path, 'c')", "ADDED(commits, 'aa')"])),
    ),
    "changes": st.one_of(
        text_leaf("path", "old_path", "name", "extension", "dir", match=("path", "old_path", "path || ' ' || change_type")),
        lines_leaf(*EVERY_LINE, "PICKAXE"),
        st.builds("TOUCHES({})".format, GLOBS.map(quoted)),
        RANGES, SEARCHES, HASHES,
        st.builds("insertions {} {}".format, COMPARISONS, NUMBERS),
        st.sampled_from(["change_type IN ('A', 'R')", "is_binary", "similarity > 90"]),
    ),
    "hunks": st.one_of(
        text_leaf("added", "removed", "heading", "path", match=("added", "removed", "heading")),
        lines_leaf(*EVERY_LINE), RANGES,
        st.builds("new_lines {} {}".format, COMPARISONS, NUMBERS),
    ),
    "lines": st.one_of(
        text_leaf("text", match=("text",)), RANGES,
        st.sampled_from(["sign = 1", "old_line IS NULL", "new_line < 5"]),
    ),
}  # fmt: skip
KEYS = {
    "commits": "position", "changes": "change_id", "hunks": "change_id, hunk",
    "lines": "change_id, hunk, sign, old_line, new_line",
}  # fmt: skip


def condition(table: str) -> st.SearchStrategy[str]:
    return st.recursive(
        LEAVES[table],
        lambda inner: st.one_of(
            st.builds("NOT ({})".format, inner),
            st.lists(inner, min_size=2, max_size=3).map(lambda c: f"({' AND '.join(c)})"),
            st.lists(inner, min_size=2, max_size=3).map(lambda c: f"({' OR '.join(c)})"),
            st.builds("({}) IS NOT TRUE".format, inner),
            st.builds("CASE WHEN {} THEN {} ELSE {} END".format, inner, inner, inner),
        ),
        max_leaves=4,
    )


TABLES = st.sampled_from(sorted(LEAVES))
CONDITIONS = TABLES.flatmap(lambda t: st.tuples(st.just(t), condition(t)))


@examples(80)
@given(CONDITIONS)
@example(("hunks", "MATCH(added, 'number -929')"))
@example(("lines", "text GLOB '*tab*'"))
@example(("lines", "MATCH(text, 'main OR -int')"))
@example(("commits", "MATCH(author, 'ada -example')"))
def test_indexes_never_change_an_answer(engine: Engine, asked: tuple[str, str]) -> None:
    table, where = asked
    gql = f"SELECT {KEYS[table]} FROM {table} WHERE {where} ORDER BY ALL"
    assert rows_of(engine, gql) == rows_of(engine, gql, indexes=False)


@examples(40)
@given(CONDITIONS)
def test_a_condition_is_true_false_or_null(engine: Engine, asked: tuple[str, str]) -> None:
    table, where = asked
    counted = [
        rows_of(engine, f"SELECT count(*) FROM {table} WHERE {c}")[0][0]
        for c in (where, f"NOT ({where})", f"({where}) IS NULL", "TRUE")
    ]
    assert sum(counted[:3]) == counted[3]
    [filtered] = rows_of(
        engine,
        f"SELECT count(*) FILTER (WHERE {where}), count(*) FILTER (WHERE NOT ({where})),"
        f" count(*) FILTER (WHERE ({where}) IS NULL), count(*) FROM {table}",
    )
    assert list(filtered) == counted


@examples(40)
@given(
    condition("commits"),
    condition("changes"),
    st.sampled_from(["LEFT JOIN", "JOIN", "FULL JOIN", "RIGHT JOIN", "SEMI JOIN", "ANTI JOIN"]),
)
def test_indexes_never_change_a_join(engine: Engine, left: str, right: str, join: str) -> None:
    # Each condition is bound where its table is alone, and then stands in the join.
    left, right = (
        re.sub(r"commits\.", "c.", qualify(w, a, t))
        for w, a, t in ((left, "c", "commits"), (right, "f", "changes"))
    )
    shown = "c.position" if join in {"SEMI JOIN", "ANTI JOIN"} else "c.position, f.change_id"
    where = "" if join in {"SEMI JOIN", "ANTI JOIN"} else f" WHERE NOT ({right}) OR {left}"
    how = "ON c.position = f.position" if join == "FULL JOIN" else "USING (hash)"
    for gql in (
        f"SELECT {shown} FROM commits c {join} changes f ON f.position = c.position AND {right} ORDER BY ALL",
        f"SELECT {shown} FROM commits c {join} changes f {how}{where} ORDER BY ALL",
    ):
        assert rows_of(engine, gql) == rows_of(engine, gql, indexes=False), gql


def qualify(where: str, alias: str, table: str) -> str:
    """Returns a condition with its columns and predicates said of an alias."""
    columns = {
        "commits": "subject body message author_email author_date author committer signature insertions deletions is_merge parent_count",
        "changes": "path old_path name extension dir change_type insertions is_binary similarity",
    }[table]
    parts = re.split(r"('(?:[^']|'')*'|EXISTS \(.*?\)\))", where)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(
            rf"(?<!\.)\b({'|'.join(columns.split())}|hash)\b", rf"{alias}.\1", parts[i]
        )
        parts[i] = re.sub(
            r"\b(ADDED|REMOVED|CHANGED|ADDED_RE|REMOVED_RE|CHANGED_RE|PICKAXE|TOUCHES|IN_RANGE|REACHABLE_FROM|ANCESTOR_OF|DESCENDANT_OF|HISTORY_OF|SEARCH)\(",
            rf"\1({alias}, ", parts[i],
        )  # fmt: skip
    for i in range(1, len(parts), 2):
        if parts[i].startswith("EXISTS"):
            parts[i] = "c.parent_count = 1"
    return "".join(parts)


ORDERS = {
    "commits": ["author", "author DESC, insertions", "insertions DESC NULLS FIRST", "is_merge", "subject DESC", "committer", "SCORE() DESC", "SCORE() DESC, author"],
    "changes": ["path", "extension NULLS FIRST", "change_type DESC, path", "insertions DESC", "is_binary"],
    "hunks": ["path", "new_lines DESC", "heading", "old_start, new_start"],
    "lines": ["text", "sign", "path, sign DESC", "length(text) DESC"],
}  # fmt: skip


@examples(40)
@given(st.data(), TABLES, st.integers(1, 9))
def test_pages_are_the_whole(engine: Engine, data: st.DataObject, table: str, size: int) -> None:
    where = data.draw(condition(table))
    order = data.draw(st.sampled_from(ORDERS[table]))
    if "SCORE" in order:
        where = data.draw(
            st.sampled_from(
                [
                    f"MATCH(message, 'race OR a OR net OR needles') AND {where}",
                    "MATCH(message, 'a OR needles')",
                ]
            )
        )
    gql = (
        f"SELECT {KEYS[table]}, path FROM {table}"
        if table != "commits"
        else "SELECT position, subject FROM commits"
    )
    gql += f" WHERE {where} ORDER BY {order}"
    whole = rows_of(engine, gql)[:60]
    paged = []
    for offset in range(0, len(whole), size):
        paged += rows_of(engine, f"{gql} LIMIT {size} OFFSET {offset}")
    assert paged[: len(whole)] == whole


@examples(25)
@given(
    st.sampled_from(["author", "author, is_merge", "EXTRACT(year FROM author_date)", "insertions"]),
    st.integers(1, 3),
)
def test_pages_of_groups_are_the_whole(engine: Engine, key: str, size: int) -> None:
    gql = f"SELECT {key}, count(*) AS n FROM commits GROUP BY ALL ORDER BY n DESC"
    whole = rows_of(engine, gql)
    paged = [
        r
        for o in range(0, len(whole), size)
        for r in rows_of(engine, f"{gql} LIMIT {size} OFFSET {o}")
    ]
    assert paged == whole


# Whole queries. `where` says them of columns that every shape has.

ON_COMMITS = condition("commits").map(lambda w: qualify(w, "c", "commits"))
ON_CHANGES = condition("changes").map(lambda w: qualify(w, "f", "changes"))
ORDERINGS = st.sampled_from(["c.author", "c.insertions DESC", "c.is_merge, c.author DESC", "c.committer_date", "length(c.subject)"])  # fmt: skip
SHAPES = [
    # Sub-queries
    "SELECT c.position FROM commits c WHERE c.position {NOT} IN (SELECT f.position FROM changes f WHERE {f}) AND {c}",
    "SELECT c.position, (SELECT count(*) FROM changes f WHERE f.position = c.position AND ({f})) FROM commits c WHERE {c}",
    "SELECT c.position FROM commits c WHERE {NOT} EXISTS (SELECT 1 FROM changes f WHERE f.position = c.position AND {f}) OR {c}",
    "SELECT c.position FROM commits c WHERE c.insertions >= ALL (SELECT f.insertions FROM changes f WHERE f.position <= c.position AND {f})",
    "SELECT s.author, sum(s.n) FROM (SELECT c.author, c.position, count(*) AS n FROM commits c WHERE {c} GROUP BY ALL) AS s GROUP BY s.author",
    "SELECT c.position, l.n FROM commits c, LATERAL (SELECT count(*) AS n FROM changes f WHERE f.position = c.position AND {f}) AS l WHERE {c}",
    # Joins
    "SELECT c.position, f.change_id, t.key FROM commits c {JOIN} changes f USING (hash) LEFT JOIN trailers t USING (hash) WHERE {c} OR {f}",
    "SELECT c.position, d.position FROM commits c {JOIN} commits d ON d.author = c.author AND {c}",
    "SELECT c.position, s.path FROM commits c {JOIN} (SELECT f.position, f.path FROM changes f WHERE {f}) AS s ON s.position = c.position AND {c}",
    "SELECT c.position, h.change_id, h.hunk FROM commits c JOIN changes f USING (hash) JOIN hunks h ON h.change_id = f.change_id WHERE {c} AND {f}",
    "SELECT hash, count(*) FROM commits c FULL JOIN changes f USING (hash) WHERE {c} IS NOT FALSE GROUP BY hash",
    # Set operations
    "SELECT c.position FROM commits c WHERE {c} {SET} SELECT f.position FROM changes f WHERE {f}",
    "(SELECT c.author FROM commits c WHERE {c} ORDER BY c.position LIMIT 4) {SET} (SELECT c.author FROM commits c WHERE {c2} ORDER BY c.position LIMIT 3)",
    # Groups
    "SELECT {c} AS p, c.author, count(*), min(c.position), grouping(p, c.author) FROM commits c GROUP BY {SETS} (p, c.author)",
    "SELECT c.author, count(*) FROM commits c GROUP BY c.author HAVING bool_or({c}) AND count(*) FILTER (WHERE {c2}) < 3",
    "SELECT f.extension, count(*) FILTER (WHERE {f}), sum(CASE WHEN {f2} THEN 1 ELSE 0 END) FROM changes f GROUP BY ROLLUP (f.extension) HAVING grouping(f.extension) = 0 OR count(*) > 1",
    "SELECT c.author, list(c.position), string_agg(DISTINCT c.committer, ','), first(c.subject) FROM commits c WHERE {c} GROUP BY c.author",
    "SELECT DISTINCT {c}, {c2}, c.is_merge FROM commits c",
    "SELECT DISTINCT ON (c.author) c.author, c.position FROM commits c WHERE {c} ORDER BY {ORDER}",
    # Windows
    "SELECT c.position, row_number() OVER (PARTITION BY {c} ORDER BY {ORDER}), lag(c.position) OVER w, count(*) FILTER (WHERE {c2}) OVER w FROM commits c WINDOW w AS (ORDER BY {ORDER})",
    "SELECT c.position, sum(c.insertions) OVER (ORDER BY {ORDER} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), first_value(c.subject) OVER (ORDER BY {ORDER}) FROM commits c WHERE {c}",
    "SELECT c.position, last_value(c.subject) OVER w, nth_value(c.subject, 2) OVER w, list(c.position) OVER w, string_agg(c.author, ',') OVER w FROM commits c WHERE {c} WINDOW w AS (ORDER BY {ORDER})",
    "SELECT c.position FROM commits c WHERE {c} QUALIFY rank() OVER (PARTITION BY c.author ORDER BY {ORDER}) = 1 AND ({c2}) IS NOT FALSE",
    # Common tables
    "WITH t AS (SELECT c.position, c.author FROM commits c WHERE {c}) SELECT t.position, u.position FROM t LEFT JOIN t u ON u.author = t.author AND u.position > t.position",
    "WITH RECURSIVE r(p, n) AS (SELECT c.position, 0 FROM commits c WHERE {c} UNION SELECT c.position, r.n + 1 FROM r JOIN commits c ON c.position = r.p + 1 WHERE r.n < 3 AND {c2}) SELECT r.n, r.p, count(f.change_id) FROM r LEFT JOIN changes f ON f.position = r.p AND {f} GROUP BY ALL",
    # Values
    "SELECT c.position, CASE WHEN {c} THEN 'yes' WHEN NOT ({c2}) THEN 'no' END, coalesce({c2}, c.is_merge) FROM commits c",
]  # fmt: skip


@st.composite
def whole_query(draw: st.DrawFn) -> str:
    holes = {
        "{c}": ON_COMMITS, "{c2}": ON_COMMITS, "{f}": ON_CHANGES, "{f2}": ON_CHANGES, "{ORDER}": ORDERINGS,
        "{NOT}": st.sampled_from(["", "NOT"]), "{SETS}": st.sampled_from(["ROLLUP", "CUBE", "GROUPING SETS"]),
        "{JOIN}": st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN"]),
        "{SET}": st.sampled_from([f"{op}{all_}" for op in ("UNION", "INTERSECT", "EXCEPT") for all_ in ("", " ALL")]),
    }  # fmt: skip
    shape = draw(st.sampled_from(SHAPES))
    chosen = {
        hole: f"({text})" if "c" in hole or "f" in hole else text
        for hole, strategy in holes.items()
        if hole in shape
        for text in (draw(strategy),)
    }
    return re.sub(r"\{\w+\}", lambda m: chosen[m[0]], shape)


@examples(200)
@given(whole_query())
def test_indexes_never_change_a_query(engine: Engine, gql: str) -> None:
    def rows(**options: Any) -> list[str]:
        try:
            return sorted(map(repr, rows_of(engine, gql, **options)))
        except QueryError as refused:
            # A predicate that speaks of one table may speak of two in a join.
            assert refused.code == "ambiguous_predicate"  # noqa: PT017 - there may be no error
            return [refused.code]

    assert rows() == rows(indexes=False)


@examples(60)
@given(whole_query())
def test_the_optimiser_never_changes_a_query(engine: Engine, plain: Engine, gql: str) -> None:
    def rows(engine: Engine) -> list[str]:
        try:
            return sorted(map(repr, rows_of(engine, gql)))
        except QueryError as refused:
            assert refused.code == "ambiguous_predicate"  # noqa: PT017 - there may be no error
            return [refused.code]

    assert rows(engine) == rows(plain)


@examples(12)
@given(ON_COMMITS, ON_CHANGES, st.sampled_from(["JOIN", "LEFT JOIN", "RIGHT JOIN"]))
def test_a_condition_divides_the_rows_of_a_join(
    engine: Engine, left: str, right: str, join: str
) -> None:
    source = f"commits c {join} changes f ON f.position = c.position AND {right}"
    for condition_ in (left, f"({left}) OR ({right})"):
        counted = [
            rows_of(engine, f"SELECT count(*) FROM {source} WHERE {c}")[0][0]
            for c in (condition_, f"NOT ({condition_})", f"({condition_}) IS NULL", "TRUE")
        ]
        assert sum(counted[:3]) == counted[3]
    groups = f"SELECT c.author FROM {source} GROUP BY c.author HAVING "
    having = f"bool_or({left})"
    divided = [
        repr(row)
        for h in (having, f"NOT {having}", f"{having} IS NULL")
        for row in rows_of(engine, groups + h)
    ]
    assert sorted(divided) == sorted(map(repr, rows_of(engine, groups + "TRUE")))


@examples(20)
@given(ON_COMMITS, st.integers(1, 4))
def test_the_best_are_the_first_of_all(engine: Engine, where: str, size: int) -> None:
    words = "MATCH(c.message, 'race OR a OR net OR needles')"
    gql = (
        f"SELECT c.position, SCORE(c) AS s FROM commits c WHERE {words} AND {where} ORDER BY s DESC"
    )
    whole = rows_of(engine, gql)
    assert [s for _, s in whole] == sorted((s for _, s in whole), reverse=True)
    assert rows_of(engine, f"{gql} LIMIT {size}") == whole[:size]
    unranked = rows_of(engine, gql, indexes=False)
    assert sorted(p for p, _ in unranked) == sorted(p for p, _ in whole)


PAGED = [
    "SELECT c.author, f.extension FROM commits c JOIN changes f USING (hash) WHERE {c} ORDER BY 1",
    "SELECT c.author, c.position FROM commits c WHERE {c} UNION ALL SELECT c.committer, c.position FROM commits c ORDER BY 1",
    "SELECT c.author, c.is_merge, count(*) FROM commits c WHERE {c} GROUP BY CUBE (c.author, c.is_merge) ORDER BY 3",
    "SELECT s.author, s.position FROM (SELECT c.author, c.position FROM commits c WHERE {c}) AS s ORDER BY s.author",
    "SELECT DISTINCT ON (c.committer, c.author) c.committer, c.author FROM commits c WHERE {c} ORDER BY c.committer",
    "SELECT c.position, row_number() OVER (ORDER BY c.author) AS r FROM commits c WHERE {c} ORDER BY c.is_merge",
]  # fmt: skip


@examples(25)
@given(st.sampled_from(PAGED), ON_COMMITS, st.integers(1, 7))
def test_pages_of_any_query_are_the_whole(
    engine: Engine, shape: str, where: str, size: int
) -> None:
    gql = shape.replace("{c}", f"({where})")
    whole = rows_of(engine, gql)
    paged = []
    for offset in range(0, len(whole) + 1, size):
        paged += rows_of(engine, f"{gql} LIMIT {size} OFFSET {offset}")
    assert paged == whole


# Against other judges


@pytest.fixture(scope="module")
def lines(engine: Engine) -> dict[tuple[int, int], list[str]]:
    """The changed lines by change and sign."""
    found: dict[tuple[int, int], list[str]] = {}
    for change, sign, text in rows_of(engine, "SELECT change_id, sign, text FROM lines"):
        found.setdefault((change, sign), []).append(text)
    return found


# What RE2 and Python's re agree on, within ASCII and one line.
ATOMS = ["a", "b", "foo", "bar", "end", " ", "\\t", "[^x]", "[^\\w]", "\\s", "\\S", "\\W", "\\w", "\\d", "\\D", ".", "[a-f]",
         "[\\x00-\\x20]", "[\\t-\\r]", "[^a-z]", "^", "$", "\\b", "(a|b)", "(?:foo|^)", "[\\s\\d]", "[^\\s]", "[\\W]", "[\\D]", "%", "\\A"]  # fmt: skip
REGEX = st.lists(
    st.builds(
        "{}{}".format, st.sampled_from(ATOMS), st.sampled_from(["", "", "", "+", "*", "?", "{2}"])
    ),
    min_size=1,
    max_size=5,
).map("".join)


@examples(80)
@given(REGEX, st.booleans())
def test_regular_expressions_match_line_by_line(
    engine: Engine, lines: dict[tuple[int, int], list[str]], pattern: str, ignore: bool
) -> None:
    try:
        compiled = re.compile(pattern, (re.IGNORECASE if ignore else 0) | re.ASCII)
        gql = "SELECT change_id FROM changes WHERE ADDED_RE($p) OR REMOVED_RE($p) ORDER BY 1"
        found = rows_of(engine, gql, {"p": f"(?i){pattern}" if ignore else pattern})
    except (re.error, QueryError):
        assume(False)
    hits = {c for (c, _), texts in lines.items() if any(compiled.search(t) for t in texts)}
    assert {c for (c,) in found} == hits
    op = "~*" if ignore else "~"
    for column, sign in (("added", 1), ("removed", -1)):
        found = rows_of(
            engine, f"SELECT DISTINCT change_id FROM hunks WHERE {column} {op} $p", {"p": pattern}
        )
        wanted = {
            c for (c, s), texts in lines.items() if s == sign and any(map(compiled.search, texts))
        }
        assert {c for (c,) in found} == wanted
    found = rows_of(
        engine, f"SELECT DISTINCT change_id FROM lines WHERE text {op} $p", {"p": pattern}
    )
    assert {c for (c,) in found} == hits
    messages = dict(rows_of(engine, "SELECT position, message FROM commits"))
    found = rows_of(engine, f"SELECT position FROM commits WHERE message {op} $p", {"p": pattern})
    wanted = {p for p, m in messages.items() if any(map(compiled.search, m.split("\n")))}
    assert {p for (p,) in found} == wanted


@examples(60)
@given(st.one_of(NEEDLES, st.text("ab \t%;u", min_size=1, max_size=3)))
def test_needles_are_found_as_python_finds_them(
    engine: Engine, lines: dict[tuple[int, int], list[str]], needle: str
) -> None:
    asked = {"ADDED": (1,), "REMOVED": (-1,), "CHANGED": (1, -1)}
    for name, signs in asked.items():
        found = rows_of(engine, f"SELECT change_id FROM changes WHERE {name}($n)", {"n": needle})
        assert {c for (c,) in found} == {
            c for (c, s), t in lines.items() if s in signs and any(needle in x for x in t)
        }
    count = {key: sum(t.count(needle) for t in texts) for key, texts in lines.items()}
    changes = {c for c, _ in lines}
    found = rows_of(engine, "SELECT change_id FROM changes WHERE PICKAXE($n)", {"n": needle})
    assert {c for (c,) in found} == {
        c for c in changes if count.get((c, 1), 0) != count.get((c, -1), 0)
    }


# Robustness

TOKENS = """
( ) [ ] , . ; * + - / % = < > <> ~ ~* || :: ? $p ' " '' -- 1 2.5 NULL TRUE 'a' '2019' 'main' "x"
SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET JOIN LEFT ON USING AND OR NOT IN IS LIKE BETWEEN
CASE WHEN THEN END DISTINCT UNION EXISTS CAST AS OVER FILTER ANY ALL QUALIFY VALUES WITH INTERVAL DATE
EXTRACT commits changes hunks lines refs c f hash subject author path position parents insertions
author_date text added count lower MATCH SEARCH SCORE HIGHLIGHT SNIPPET ADDED PICKAXE TOUCHES IN_RANGE
sum max row_number unnest AGO TEXT INTEGER[]
""".split()
VALID = [
    "SELECT c.author, count(*) AS n FROM commits c JOIN changes f USING (hash) WHERE MATCH(c.message, 'race~1') GROUP BY 1 HAVING count(*) > 0 ORDER BY n DESC LIMIT 3",
    "SELECT subject, SCORE() FROM commits WHERE SEARCH('race fast') AND NOT ADDED('x') OR TOUCHES('*.c') ORDER BY SCORE() DESC, position LIMIT 5 OFFSET 1",
    "SELECT path, CASE WHEN insertions > 1 THEN 'a' ELSE change_type END, CAST(insertions AS TEXT) FROM changes WHERE path GLOB '**/*.c' AND change_id IN (SELECT change_id FROM lines WHERE text ~ '^a')",
    "WITH t(a, b) AS (SELECT author, max(author_date) FROM commits GROUP BY author) SELECT a, b - INTERVAL '1 day', row_number() OVER (PARTITION BY a ORDER BY b) FROM t WHERE b > AGO('20 years') UNION SELECT 'x', NULL, 1",
    "SELECT HIGHLIGHT(subject), SNIPPET(body, 20), parents[1], EXTRACT(year FROM author_date), author_date::DATE FROM commits WHERE MATCH(message, 'race OR \"use after\"') AND IN_RANGE('v0.1..main')",
]


@examples(120)
@given(st.data())
def test_broken_queries_are_refused_and_never_break(engine: Engine, data: st.DataObject) -> None:
    tokens = re.findall(r"'(?:[^']|'')*'|\w+|\S", data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(tokens) - 1))
        tokens[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.lists(st.sampled_from(TOKENS), max_size=2)
        )
        assume(tokens)
    gql = " ".join(tokens)
    error = None
    try:
        result = engine.query(gql, timeout=5)
    except GovcSearchError as e:
        error = e
    if error is None:
        assert len(list(result)) == len(result)
        assert len(result.columns) == result.to_arrow().num_columns
        return
    assert error.render().startswith(f"error[{error.code}]: {error.message}")
    assert error.code != "evaluation_failed", f"{gql}\n{error.__cause__}"
    if error.span is not None:
        assert error.source == gql
        assert 0 <= error.span.start <= error.span.end <= len(gql)
