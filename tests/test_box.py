import pytest
from hypothesis import given
from hypothesis import strategies as st

from govc_search.errors import QueryError
from govc_search.ql import parser
from govc_search.ql.box import QUALIFIERS, Term, parse_box, to_gql


def where(box: str) -> list[str]:
    lines = to_gql(box, literals=True)[0].split("\n")
    return [x.removeprefix("WHERE ").removeprefix("  AND ") for x in lines[2:-2]]


def test_a_box_is_words_phrases_and_qualifiers() -> None:
    box = 'author:linus path:drivers/** "use after free" -is:merge after:2024-01-01 race'
    assert to_gql(box, 20) == (
        (
            "SELECT c.repo, c.hash, c.short_hash, c.author_date, c.author,"
            " HIGHLIGHT(c.subject) AS subject, SCORE() AS score\n"
            "FROM commits c\n"
            "WHERE SEARCH(c, $words)\n"
            "  AND TOUCHES(c, $path)\n"
            "  AND MATCH(c.message, $words_2)\n"
            "  AND NOT c.is_merge\n"
            "  AND c.committer_date >= TIMESTAMP '2024-01-01 00:00:00'\n"
            "  AND (c.author_mapped ILIKE $author ESCAPE '\\'"
            " OR c.author_email_mapped ILIKE $author ESCAPE '\\')\n"
            "ORDER BY SCORE() DESC, c.position DESC\n"
            "LIMIT 20"
        ),
        {
            "words": "race",
            "words_2": '"use after free"',
            "path": "drivers/**",
            "author": "%linus%",
        },
    )


@pytest.mark.parametrize(
    ("box", "condition"),
    [
        ("race leak", "SEARCH(c, 'race leak')"),
        ("it's", "SEARCH(c, 'it''s')"),
        # What has a colon is not always a qualifier.
        ("mm: std::move https://x.y 12:30", "SEARCH(c, 'mm: std::move https://x.y 12:30')"),
        ("Subject:Race", "MATCH(c.subject, '\"Race\"')"),
        ('message:"a ""b"" c"', r"""MATCH(c.message, '"a \"b\" c"')"""),
        ('message:"->"', "CONTAINS(c.message, '->')"),
        ("-race", "NOT MATCH(c.message, '\"race\"')"),
        ("ext:.c++", "TOUCHES(c, '*.c++')"),
        ("ext:{x}", r"TOUCHES(c, '*.\{x\}')"),
        ("path:*.py", "TOUCHES(c, '*.py')"),
        ("path:net/", "TOUCHES(c, 'net/**')"),
        ("path:net/core", "(TOUCHES(c, 'net/core') OR TOUCHES(c, 'net/core/**'))"),
        ("-path:a", "NOT (TOUCHES(c, '**/a') OR TOUCHES(c, '**/a/**'))"),
        ("added:/x", "ADDED(c, '/x')"),
        ("added::x", "ADDED(c, ':x')"),
        ("added:x", "ADDED(c, 'x')"),
        ('removed:"x y"', "REMOVED(c, 'x y')"),
        ("-changed:x", "NOT CHANGED(c, 'x')"),
        ("ref:v1", "REACHABLE_FROM(c, 'v1')"),
        ("range:a..b", "IN_RANGE(c, 'a..b')"),
        ("hash:ABC1", "c.hash LIKE 'abc1%'"),
        ("hash:" + "a" * 40, f"c.hash = '{'a' * 40}'"),
        ("repo:git", "c.repo = 'git'"),
        ("repo:g_*", r"c.repo LIKE 'g\_%' ESCAPE '\'"),
        ("is:merge", "c.is_merge"),
        ("is:Revert", "c.is_revert"),
        ("is:bot", "c.is_bot"),
        (
            "lang:py",
            (
                "EXISTS (SELECT 1 FROM changes f WHERE f.repo = c.repo AND f.hash = c.hash"
                " AND f.language = 'Python')"
            ),
        ),
        ("before:2024", "c.committer_date < TIMESTAMP '2024-01-01 00:00:00'"),
        ("after:2024-06", "c.committer_date >= TIMESTAMP '2024-06-01 00:00:00'"),
        (
            "after:2024-06-30T12:00+02:00",
            "c.committer_date >= TIMESTAMP '2024-06-30 10:00:00'",
        ),
        ("after:2weeks", "c.committer_date >= AGO('2 weeks')"),
        ("after:3.days.ago", "c.committer_date >= AGO('3 days')"),
        ("before:yesterday", "c.committer_date < DATE_TRUNC('day', AGO('1 day'))"),
        (
            "has:trailer",
            "EXISTS (SELECT 1 FROM trailers t WHERE t.repo = c.repo AND t.hash = c.hash)",
        ),
        (
            'trailer:Reviewed-by="A B"',
            (
                "EXISTS (SELECT 1 FROM trailers t WHERE t.repo = c.repo AND t.hash = c.hash"
                r" AND t.key ILIKE 'Reviewed-by' ESCAPE '\' AND t.value ILIKE '%A B%' ESCAPE '\')"
            ),
        ),
        (
            "email:100%_",
            (
                r"(c.author_email ILIKE '%100\%\_%' ESCAPE '\'"
                r" OR c.author_email_mapped ILIKE '%100\%\_%' ESCAPE '\')"
            ),
        ),
    ],
)
def test_each_qualifier_has_its_condition(box: str, condition: str) -> None:
    assert where(box) == [condition]
    parser.parse(to_gql(box, literals=True)[0])
    parser.parse(to_gql(box)[0])


def test_repeated_qualifiers_mean_either_where_a_commit_has_one() -> None:
    assert where("repo:a repo:b") == ["(c.repo = 'a' OR c.repo = 'b')"]
    assert where("added:a added:b") == ["ADDED(c, 'a')", "ADDED(c, 'b')"]
    assert where("-repo:a -repo:b") == ["NOT c.repo = 'a'", "NOT c.repo = 'b'"]
    assert to_gql("repo:a repo:b -repo:c")[1] == {"repo": "a", "repo_2": "b", "repo_3": "c"}


@pytest.mark.parametrize(
    ("box", "order"),
    [
        ("race", "SCORE() DESC"),
        ('"a race"', "SCORE() DESC"),
        ("subject:race", "SCORE() DESC"),
        ("race sort:newest", "c.committer_date DESC"),
        ("sort:oldest race", "c.committer_date ASC"),
        ("race sort:relevance", "SCORE() DESC"),
        ("is:merge", "c.committer_date DESC"),
        ("-race", "c.committer_date DESC"),
        ('message:"->"', "c.committer_date DESC"),
    ],
)
def test_words_rank_and_all_else_is_newest_first(box: str, order: str) -> None:
    gql = to_gql(box)[0]
    assert f"ORDER BY {order}" in gql
    assert ("SCORE() AS score" in gql) == ("race" in box and box[0] != "-")


@pytest.mark.parametrize(
    ("box", "code", "place", "hint"),
    [
        ("x autor:y", "unknown_qualifier", "autor", 'did you mean "author:"?'),
        ("since:2024", "unknown_qualifier", "since", 'did you mean "after:"?'),
        ("author-date:2024", "unknown_qualifier", "author-date", 'did you mean "after:"?'),
        ("zzz:y", "unknown_qualifier", "zzz", "quotes"),
        ("a author: b", "missing_value", "author:", "author:linus"),
        ('a "b', "unclosed_quote", '"', "close it"),
        ("a is:merg", "invalid_value", "merg", 'did you mean "merge"?'),
        ("is:foo", "invalid_value", "foo", "it takes merge"),
        ("language:c", "unknown_qualifier", "language", 'did you mean "lang:"?'),
        ("has:x", "invalid_value", "x", "trailer"),
        ("hash:xyz", "invalid_value", "xyz", "ref:"),
        ("after:20", "invalid_value", "20", "2024"),
        ("after:2024-02-30", "invalid_value", "2024-02-30", "2024"),
        ("-lang:pyton", "invalid_value", "pyton", 'did you mean "python"?'),
        ("is:rovert", "invalid_value", "rovert", 'did you mean "revert"?'),
        ("is:root", "invalid_value", "root", "merge or revert or bot"),
        ("sort:newest x sort:oldest", "duplicate_qualifier", "oldest", None),
        ("-sort:newest", "invalid_value", "newest", None),
        ("is:merge sort:relevance", "nothing_to_rank", "relevance", "sort:newest"),
        ("path:/", "invalid_value", "/", "path:"),
        ("trailer:=x", "invalid_value", "=x", "trailer:"),
    ],
)
def test_errors_show_the_place(box: str, code: str, place: str, hint: str | None) -> None:
    with pytest.raises(QueryError) as caught:
        to_gql(box)
    error = caught.value
    assert error.code == code
    assert error.span is not None
    assert error.source == box
    assert box[error.span.start : error.span.end] == place
    assert hint is None or hint in (error.hint or "")


def test_an_empty_box_asks_nothing() -> None:
    with pytest.raises(QueryError, match="nothing to search for"):
        to_gql("  ")


def test_every_qualifier_is_documented_by_an_example_that_works() -> None:
    for qualifier in QUALIFIERS:
        (term,) = parse_box(qualifier.example)
        assert term.qualifier == qualifier.name
        to_gql("words " + qualifier.example)


@given(st.text(max_size=60))
def test_any_text_is_gql_or_an_error_with_a_place(box: str) -> None:
    try:
        literal, none = to_gql(box, literals=True)
    except QueryError as error:
        error.render()
        return
    assert none == {}
    parser.parse(literal)
    bound, params = to_gql(box)
    parser.parse(bound)
    assert all(f"${name}" in bound for name in params)


@given(st.sampled_from([q.name for q in QUALIFIERS]), st.text(min_size=1, max_size=20))
def test_a_quoted_value_arrives_as_written(name: str, value: str) -> None:
    quoted = '"' + value.replace('"', '""') + '"'
    if "\\" in value:
        return
    assert parse_box(f"-{name}:{quoted}") == (Term(name, value, quoted=True, negated=True),)
