from __future__ import annotations

import json
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fixtures.answers import error_of, rows_of
from fixtures.golden import Block, check
from fixtures.history import HOSTILE, history

import govc_search
from govc_search import Engine, catalog
from govc_search.errors import GovcSearchError, QueryError
from govc_search.ql import parser
from govc_search.ql.binder import Binder
from govc_search.ql.compiler import compile_plan
from govc_search.ql.planner import plan
from govc_search.settings import Settings

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("history")
    history(path / "demo")
    with govc_search.open(path / "data") as opened:
        opened.index(path / "demo")
        yield opened


def shown(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case float():
            return f"{value:.4g}"
        case datetime():
            return value.isoformat(" ")
        case date():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(shown, value))}]"
        case bool() | int() | str():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def text_of(engine: Engine, gql: str, params: Any, **options: Any) -> list[str]:
    result = engine.query(gql, params, **options)
    names = ", ".join(c.name for c in result.columns)
    types = ", ".join(c.type for c in result.columns)
    rows = [" | ".join(map(shown, row)) for row in result]
    return [*(f"warning: {w}" for w in result.warnings), f"{names} ({types})", *rows]


def params_of(block: Block) -> Any:
    """Returns the parameters that a title ends in, as JSON."""
    given = re.search(r" with ([\[{].*)$", block.title)
    return json.loads(given[1]) if given else None


def test_queries(engine: Engine, update_golden: bool) -> None:
    def answer(block: Block) -> dict[str, str]:
        params = params_of(block)
        rows = text_of(engine, block.query, params)
        parts = {"rows": "\n".join(rows)}
        explained = engine.query(block.query, params).explain()
        if explained and not block.query.upper().startswith("EXPLAIN"):
            parts = {"plan": explained, **parts}
        if "SCORE" not in block.query and "plan (" not in rows[0]:
            # Only an index knows which words there are to look for in place of others.
            same = [row for row in rows if " occurs nowhere: looked for " not in row]
            assert text_of(engine, block.query, params, indexes=False) == same, block
        return parts

    check(GOLDEN / "queries.txt", answer, update=update_golden)


def test_errors(engine: Engine, update_golden: bool) -> None:
    def answer(block: Block) -> dict[str, str]:
        with pytest.raises(GovcSearchError) as caught:
            engine.query(block.query, params_of(block))
        return {"error": caught.value.render()}

    check(GOLDEN / "errors.txt", answer, update=update_golden)


# What has broken out of quotes, formats and patterns elsewhere; MARK shows if a byte gets through.
MARK = "Zq9Mark"
HOSTILE_TEXTS = [
    f"'{MARK}",
    f"''; DROP TABLE commits; --{MARK}",
    f'"{MARK}"; --',
    f"{{0}}{{{MARK}}}{{}}",
    f"$p0 $as_of $now ?{MARK}",
    f"\\'{MARK}\\",
    f"{MARK}\0null",
    f"/*{MARK}*/ -- x",
    f"%s%({MARK})d`{MARK}`",
    f"{MARK}\u2028\ufeff\U0001f600 ünï",
    f"t1.c0 AS {MARK}) UNION SELECT 1",
]
# {text} is the value in quotes, {name} the value as a quoted name, $v the value as a parameter.
PLACES = [
    "SELECT {text} AS x",
    "SELECT $v AS x",
    "SELECT 1 AS {name}",
    "SELECT {name}.subject FROM commits {name} WHERE {name}.is_root",
    "SELECT x.{name} FROM (SELECT 1 AS {name}) AS x ORDER BY {name}",
    "WITH {name}({name}) AS (SELECT 1) SELECT {name} FROM {name} GROUP BY {name} HAVING {name} = 1",
    "SELECT s.* FROM (VALUES (1)) AS s({name})",
    "SELECT {text} AS k, count(*) FROM commits GROUP BY k",
    "SELECT [{text}], CASE WHEN subject = {text} THEN $v END FROM commits WHERE is_root",
    "SELECT count(*) FROM commits WHERE subject IN ({text}, $v) OR CONTAINS(subject, {text})",
    "SELECT count(*) FROM commits WHERE subject LIKE {text} OR subject ILIKE $v ESCAPE '!'",
    "SELECT count(*) FROM lines WHERE text CONTAINS {text} OR MATCH(text, $v) ",
    "SELECT count(*) FROM lines WHERE text CONTAINS {text} AND starts_with(text, $v)",
    "SELECT count(*) FROM commits WHERE ADDED({text}) OR REMOVED($v) OR PICKAXE({text})",
    "SELECT count(*) FROM changes WHERE TOUCHES({text}) OR path GLOB $v OR ADDED_RE({text})",
    "SELECT count(*) FROM commits WHERE subject ~ {text} OR subject !~* $v",
    "SELECT HIGHLIGHT(subject, {text}, $v) FROM commits WHERE PHRASE(subject, {text})",
    "SELECT count(*) FROM commits WHERE SEARCH({text}) OR MATCH(subject, $v)",
    "SELECT count(*) FROM commits WHERE IN_RANGE({text}) OR REACHABLE_FROM($v)",
    "SELECT HISTORY_OF({text}), FIRST_TAG(hash, $v), FIRST_TAG({text} || hash) FROM changes",
    "SELECT count(*) FROM ref_commits WHERE name = {text} OR ref LIKE $v",
    "SELECT MERGE_BASE(hash || {text}, $v, repo => {name}.repo) FROM commits {name}",
    "SELECT strftime(author_date, {text}), string_agg(author, $v) FROM commits GROUP BY 1",
    "SELECT split_part(subject, {text}, 1), lpad(subject, 9, {text}) FROM commits",
    "SELECT regexp_replace(subject, {text}, {text}) FROM commits",
    "SELECT CAST({text} AS TEXT) || {text} || author AS a FROM commits ORDER BY {text} || author",
]


REFUSED_PATTERNS = {
    "invalid_pattern",
    "empty_pattern",
    "syntax_error",
    "unknown_column",
    "invalid_argument",
}


def statement_of(engine: Engine, gql: str, params: Any) -> Any:
    """Returns what would be sent to DuckDB."""
    settings, as_of = Settings(), engine.as_of
    binder = Binder(gql, params, settings)
    query = binder.query(parser.parse(gql), None)
    made = plan(query, engine._text.snapshot(as_of), as_of)
    return compile_plan(made, as_of, datetime(2020, 1, 1))


@pytest.mark.parametrize("value", HOSTILE_TEXTS)
def test_no_byte_of_the_user_reaches_sql(engine: Engine, value: str) -> None:
    names = {
        "text": "'" + value.replace("'", "''") + "'",
        "name": '"' + value.replace('"', '""') + '"',
    }
    before = rows_of(engine, "SELECT count(*) FROM commits")
    for place in PLACES:
        gql = place
        for key, text in names.items():
            gql = gql.replace(f"{{{key}}}", text)
        params = {"v": value} if "$v" in place else None
        code = error_of(engine, gql, params)
        if code in REFUSED_PATTERNS:
            refusing = ("~", "GLOB", "MATCH", "SEARCH", "PHRASE", "_replace", "strftime")
            assert any(w in place for w in refusing)
            continue
        assert code in {None, "unknown_revision", "invalid_revision"}, place
        sql = statement_of(engine, gql, params).sql
        assert sql.isascii()
        assert not any(byte in sql for byte in (MARK, "DROP", "\0"))
    assert rows_of(engine, "SELECT count(*) FROM commits") == before


@pytest.mark.parametrize("value", HOSTILE_TEXTS)
def test_hostile_values_come_back_as_they_are(engine: Engine, value: str) -> None:
    text, name = "'" + value.replace("'", "''") + "'", '"' + value.replace('"', '""') + '"'
    result = engine.query(
        f"SELECT {text} AS {name}, $v, {text} || $v FROM commits WHERE is_root", {"v": value}
    )
    assert result.columns[0].name == value
    assert list(result) == [(value, value, value + value)]
    assert rows_of(engine, f"SELECT x FROM (SELECT {text} AS x) WHERE x = $v", {"v": value}) == [
        (value,)
    ]


def test_hostile_history_is_found_by_its_text(engine: Engine) -> None:
    assert rows_of(engine, "SELECT count(*) FROM commits WHERE subject = $s", {"s": HOSTILE}) == [
        (1,)
    ]
    for place in ("CONTAINS(subject, $s)", "subject ~ $q", "starts_with(subject, $s)"):
        params = {"s": HOSTILE} if "$s" in place else {"q": "^\\Q" + HOSTILE + "\\E$"}
        assert rows_of(engine, f"SELECT count(*) FROM commits WHERE {place}", params) == [(1,)], (
            place
        )
    line = "'; DROP TABLE commits; -- {0} $p0"
    for place in ("ADDED($s)", "CHANGED($s)", "PICKAXE($s)"):
        assert rows_of(engine, f"SELECT count(*) FROM commits WHERE {place}", {"s": line}) == [
            (1,)
        ], place
    assert rows_of(engine, "SELECT count(*) FROM lines WHERE text CONTAINS $s", {"s": line}) == [
        (1,)
    ]
    assert rows_of(engine, "SELECT path FROM changes WHERE TOUCHES('data/with space.txt')") == [
        ("data/with space.txt",)
    ]


def test_sql_cannot_be_reached_through_functions_or_types(engine: Engine) -> None:
    for gql in (
        "SELECT read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM information_schema.tables",
        "SELECT getenv('HOME')",
        "SELECT current_setting('memory_limit')",
        "SELECT gql_words_0('x')",
        "SELECT * FROM repositories",
        "SELECT * FROM identities",
        "SELECT CAST(1 AS STRUCT(a INTEGER))",
        "SELECT b.position FROM commits",
        "SELECT _key FROM commits",
        "SELECT repeat('a', 500000000)",
        "SELECT levenshtein(repeat('a', 50000), repeat('b', 50000))",
        "SELECT jaro_winkler_similarity(repeat('a', 5000), subject || repeat('b', 500)) FROM commits",
        "INSERT INTO commits VALUES (1)",
        "PRAGMA database_list",
        "COPY commits TO '/tmp/x'",
        "SET memory_limit = '1GB'",
    ):
        with pytest.raises(QueryError) as caught:
            engine.query(gql)
        assert caught.value.code in {
            "syntax_error",
            "unknown_function",
            "unknown_table",
            "unknown_column",
            "unknown_type",
            "invalid_argument",
        }


# Parameters


def test_parameters_keep_their_types(engine: Engine) -> None:
    values = [1, True, 1.0, "1", None, 0, False, 0.0, -0.0, "", 2**70, -(2**63), 1e308]
    for value in values:
        [(found,)] = rows_of(engine, "SELECT $v", {"v": value})
        assert found == value, value
        assert (type(found) is type(value)) or abs(int(value)) > 2**63, value
        [(again,)] = rows_of(engine, "SELECT ?", [value])
        assert again == found
        assert str(again) == str(found)


def test_a_long_list_is_the_same_as_a_short_one(engine: Engine) -> None:
    hashes = [
        row[0] for row in rows_of(engine, "SELECT hash FROM commits ORDER BY position LIMIT 7")
    ]
    long = [*hashes, *(f"{i:040x}" for i in range(5_000))]
    for place in (
        "SELECT hash FROM commits WHERE hash {}IN $h",
        "SELECT author, count(*) FILTER (WHERE hash {}IN $h) FROM commits GROUP BY ALL",
        "SELECT c.hash, f.path FROM commits c LEFT JOIN changes f ON f.hash = c.hash AND c.hash {}IN $h",
        "SELECT author FROM commits GROUP BY author HAVING bool_and(hash {}IN $h)",
    ):
        for word in ("", "NOT "):
            gql = place.format(word) + " ORDER BY ALL"
            assert rows_of(engine, gql, {"h": long}) == rows_of(engine, gql, {"h": hashes}), gql
    assert not rows_of(engine, "SELECT 1 FROM commits WHERE hash NOT IN $h", {"h": [*long, None]})


def test_parameters_may_be_dates(engine: Engine) -> None:
    zone = timezone(timedelta(hours=2))
    for value in (datetime(2019, 1, 15, 13, tzinfo=UTC), datetime(2019, 1, 15, 15, tzinfo=zone)):
        found = rows_of(engine, "SELECT subject FROM commits WHERE author_date = $d", {"d": value})
        assert found == [("Initial import",)]
    found = rows_of(
        engine, "SELECT count(*) FROM commits WHERE author_date < ?", [date(2019, 6, 1)]
    )
    assert found == [(1,)]


@pytest.mark.parametrize("value", [b"x", object(), {"a": 1}, [[1]], (b"x",), 1j])
def test_other_parameters_are_refused(engine: Engine, value: object) -> None:
    with pytest.raises(QueryError) as caught:
        engine.query("SELECT $v", {"v": value})
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize("value", ["\ud800", "x\udfffy"])
def test_half_characters_are_refused(engine: Engine, value: str) -> None:
    for gql, params in (
        ("SELECT $v", {"v": value}),
        (f"SELECT '{value}'", None),
        ("SELECT $v", {value: 1}),
    ):
        with pytest.raises(QueryError) as caught:
            engine.query(gql, params)
        assert caught.value.code in {"invalid_text", "missing_parameter"}


def test_many_threads_may_ask(engine: Engine) -> None:
    asked = [
        "SELECT count(*) FROM commits WHERE MATCH(upper(subject), 'race')",
        "SELECT count(*) FROM commits WHERE MATCH(upper(subject), 'needles')",
        "SELECT count(*) FROM commits WHERE MATCH(subject, 'race') AND NOT ADDED('x')",
        "SELECT count(*) FROM changes WHERE REACHABLE_FROM('v1.0') AND MATCH(path, 'c')",
        "SELECT hash, MERGE_BASE(hash, 'v1.1~1^2'), FIRST_TAG(tree || '') FROM commits ORDER BY position",
        "SELECT name, count(*) FROM ref_commits WHERE name LIKE 'v1%' GROUP BY name ORDER BY name",
    ]
    wanted = [rows_of(engine, q) for q in asked]
    wrong: list[str] = []

    def ask(start: int) -> None:
        for i in range(start, start + 12):
            q = asked[i % len(asked)]
            if rows_of(engine, q, indexes=i % 3 != 0) != wanted[i % len(asked)]:
                wrong.append(q)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


# Functions

ARGUMENTS = {
    "TEXT": "subject", "INTEGER": "2", "DOUBLE": "insertions", "BOOLEAN": "is_merge", "TIMESTAMP": "author_date",
    "INTERVAL": "'2 weeks'", "LIST": "parents", "ANY": "author", "PART": "'month'", "PATTERN": "'a(.)'",
    "COLUMN": "subject", "ALIAS": "commits", "DATE": "author_date", "DIGITS": "1", "GROUP": "1",
    "FORMAT": "'%Y'", "SEPARATOR": "'; '", "FLAGS": "'gi'", "SHARE": "0.5", "TEXT|LIST": "parents", "TEXT|INTEGER": "position",
    "COUNT": "2", "WIDTH": "20", "MAP": "histogram(author)", "STEP": "1", "SOME": "author",
}  # fmt: skip
SPECIAL = {
    "strftime": "strftime(author_date, '%Y')", "unnest": "unnest(parents)", "mod": "mod(insertions, 3)",
    "quantile": "quantile(insertions, 0.5)", "score": "score()", "len": "len(parents)",
    "list_contains": "list_contains(parents, hash)", "list_position": "list_position(parents, hash)",
    "in_range": "in_range('v1.0')", "reachable_from": "reachable_from(commits, 'HEAD')",
    "ancestor_of": "ancestor_of('v1.0')", "descendant_of": "descendant_of(commits, 'v1.0')",
    "count": "count(author)", "array_to_string": "array_to_string(parents, ',')", "match": "match(subject, 'x')",
    "split_part": "split_part(subject, ' ', 1)", "lpad": "lpad(subject, 9, '.')",
    "rpad": "rpad(subject, 9, '.')", "highlight": "highlight(subject)", "snippet": "snippet(subject, 20)",
    "fuzzy": "fuzzy(subject, 'race', 1)", "string_agg": "string_agg(author, '; ')", "if": "if(is_merge, 1, 2)",
    "generate_series": "generate_series(1, 3)", "range": "range(1, 3, 1)", "flatten": "flatten([parents])",
    "list_append": "list_append(parents, hash)", "list_sum": "list_sum([position])", "chr": "chr(65)",
    "list_avg": "list_avg([insertions])", "make_date": "make_date(2020, 2, 29)", "repeat": "repeat(subject, 2)",
    "make_timestamp": "make_timestamp(2020, 2, 29, 12, 30, 1.5)", "list_has_any": "list_has_any(parents, [hash])",
    "strptime": "strptime('2020-02', '%Y-%m')", "try_strptime": "try_strptime('2020-02', '%Y-%m')",
    "hamming": "hamming(author, author)", "regexp_extract_all": "regexp_extract_all(subject, 'a(.)', 1)",
    "parse_filename": "parse_filename(subject, TRUE)", "bar": "bar(insertions, 0, 60, 10)", "gcd": "gcd(4, 6)",
    "snippet_offsets": "snippet_offsets(subject, 20)", "lcm": "lcm(4, 6)", "bit_count": "bit_count(position)", "grouping": "grouping(author)",
}  # fmt: skip


@pytest.mark.parametrize("function", catalog.FUNCTIONS, ids=lambda f: f.name)
def test_every_function_runs_and_is_of_its_type(engine: Engine, function: catalog.Function) -> None:
    call = (
        SPECIAL.get(function.name)
        or f"{function.name}({', '.join(ARGUMENTS[a] for a in function.args)})"
    )
    if function.kind == "window":
        call += " OVER (ORDER BY position)"
    calls = [call, *(call.replace(function.name, a, 1) for a in function.aliases)]
    tail = " GROUP BY author" if function.name == "grouping" else ""
    result = engine.query(f"SELECT {', '.join(calls)} FROM commits WHERE is_root{tail}")
    wanted = function.returns
    kinds = {c.type for c in result.columns}
    assert len(kinds) == 1
    if (
        function.kind != "text"
        and wanted[0] != "="
        and wanted not in ("ANY", "LIST", catalog.ITEM, catalog.LISTED)
    ):
        assert kinds <= {wanted, "INTEGER"} or (wanted == "INTEGER" and kinds == {"DOUBLE"}), kinds


def test_show_functions_lists_all(engine: Engine) -> None:
    rows = rows_of(engine, "SHOW FUNCTIONS")
    assert [r[0] for r in rows] == [f.name for f in catalog.FUNCTIONS]
    assert all(help_ and signature for _, _, signature, help_ in rows)


def test_every_column_of_every_table_can_be_read(engine: Engine) -> None:
    for table in catalog.TABLES:
        for name in (table.name, *table.aliases):
            result = engine.query(f"SELECT * FROM {name}")
            assert [c.name for c in result.columns] == [c.name for c in table.columns]
            assert len(result) > 0, name
        declared = {c.name: c.type for c in table.columns}
        empty = {c.name for c in result.columns if c.type != declared[c.name]}
        assert not empty, f"{table.name}: {empty}"


_LINE_ROWS = "SELECT l.change_id, l.hunk, l.sign, l.old_line, l.new_line, l.text FROM {0} WHERE {1} ORDER BY ALL"
_EVERY_LINE = "(SELECT * FROM lines) l"


@pytest.mark.parametrize(
    "condition",
    [
        "l.path GLOB '*.c'",
        "l.sign > 0 AND l.path ~ 'net|drivers'",
        "l.old_line > 1",
        "l.new_line IS NULL AND l.repo = 'demo'",
        "l.text ~ '(return|static)' AND l.hunk = 0",
        "l.text !~ '(return|static)'",
        "(l.sign * l.hunk = 1 OR l.path LIKE '%.h')",
        "coalesce(l.old_line, l.new_line) = 1 AND l.sign < 0",
    ],
)
def test_conditions_on_lines_are_the_same_before_and_after_a_join(
    engine: Engine, condition: str
) -> None:
    joined = "{} JOIN commits c ON c.position = l.position"
    before = rows_of(engine, _LINE_ROWS.format(joined.format("lines l"), condition))
    assert before
    assert before == rows_of(engine, _LINE_ROWS.format(joined.format(_EVERY_LINE), condition))


def test_conditions_on_lines_that_are_not_there_are_asked_after_the_join(engine: Engine) -> None:
    without = "SELECT c.hash FROM commits c LEFT JOIN lines l ON l.position = c.position"
    assert sorted(rows_of(engine, f"{without} WHERE l.path IS NULL")) == sorted(
        rows_of(
            engine, "SELECT hash FROM commits WHERE position NOT IN (SELECT position FROM lines)"
        )
    )


def test_recursion_is_never_what_ends_a_query(engine: Engine) -> None:
    """As in a server or notebook, much of the stack may be used when a query begins."""

    def below(frames: int, gql: str) -> str | None:
        return below(frames - 1, gql) if frames else error_of(engine, gql)

    chain = "SELECT 1" + " + 1" * 99
    assert below(sys.getrecursionlimit() // 5, chain) is None
    for frames in range(0, sys.getrecursionlimit() - 150, 50):
        assert below(frames, chain) in {None, "query_too_deep"}


def test_hashes_alone_are_compared_with_a_warning(tmp_path: Path) -> None:
    history(tmp_path / "one")
    alone = "SELECT count(*) FROM commits c JOIN (SELECT hash, {} FROM changes) f USING (hash)"
    both = "SELECT count(*) FROM commits c JOIN changes f USING (hash)"
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(tmp_path / "one")
        assert engine.query(alone.format("path")).warnings == ()
        [(count,)] = rows_of(engine, both)
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        engine.index(tmp_path / "two")
        # Each repository holds every commit, and a join of hashes alone meets both.
        result = engine.query(alone.format("path"))
        assert list(result) == [(4 * count,)]
        assert any("USING (hash)" in w for w in result.warnings)
        for gql in (both, alone.format("repo"), both.replace("JOIN", "FULL JOIN") + " WHERE change_id IS NOT NULL"):  # fmt: skip
            result = engine.query(gql)
            assert list(result) == [(2 * count,)]
            assert result.warnings == ()
        assert rows_of(engine, both.replace("USING (hash)", "ON c.hash = f.hash")) == [(4 * count,)]
        stars = [c.name for c in engine.query(both.replace("count(*)", "*")).columns]
        assert stars.count("repo") == stars.count("hash") == stars.count("position") == 1


@pytest.mark.parametrize("step", ["n + 1 FROM t", "n * 2 FROM t", "n FROM t, (VALUES (1), (2)) v"])
def test_a_recursion_without_end_is_ended_by_the_deadline(engine: Engine, step: str) -> None:
    for read in ("count(*)", "*"):
        with pytest.raises(GovcSearchError) as caught:
            engine.query(
                f"WITH RECURSIVE t(n) AS (SELECT 1.5 UNION ALL SELECT {step}) SELECT {read} FROM t",
                timeout=0.3,
            )
        assert caught.value.code in {"deadline_exceeded", "out_of_memory"}
    assert rows_of(engine, "SELECT 1") == [(1,)]
