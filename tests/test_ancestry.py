"""What queries ask the commit graph is answered as git answers it, in each repository."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fixtures.indexed import column, rows
from fixtures.repositories import Builder
from fixtures.tangle import fast_import

import govc_search
from govc_search import Engine
from govc_search.errors import QueryError

VERSIONS = [
    *("v0.9", "v1.0-rc1", "v1.1-rc1", "v1.1", "v1.2.0-alpha.1", "v1.2.0", "v1.3.0-dev", "1.4b2"),
    *("REL_1_5", "lib-1.6", "v2", "nightly", "v1.7-build", "v1.8", "v1.9-pre3", "2019-06-01"),
]
FINAL = re.compile(r"\d+([._-]\d+)+$")
BEFORE_FINAL = re.compile(r"\d+([._-]\d+)+[._-]?(alpha|rc|dev|b|pre)\.?\d*$")


@dataclass
class Place:
    """Two repositories with nothing in common, in one engine, and the first of them in git."""

    repo: Builder
    engine: Engine
    hashes: list[str]

    def git(self, *arguments: str) -> list[str]:
        return self.repo.git(*arguments).decode().split()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path = tmp_path_factory.mktemp("ancestry")
    repo = Builder(path / "tangle", bare=True)
    repo.git("fast-import", "--quiet", stdin=fast_import(random.Random(3), 300, VERSIONS))
    other = Builder(path / "other", bare=True)
    other.git("fast-import", "--quiet", stdin=fast_import(random.Random(4), 40, ["v1.0"]))
    with govc_search.open(path / "data") as engine:
        engine.index(repo.path, name="tangle", jobs=1)
        engine.index(other.path, name="other", jobs=1)
        hashes = repo.git("rev-list", "--all").decode().split()
        yield Place(repo, engine, hashes)


def is_ancestor(place: Place, a: str, b: str) -> bool:
    return not place.git("rev-list", "-1", a, f"^{b}", "--")


def test_ancestors_and_descendants(place: Place) -> None:
    rng = random.Random(1)
    for one in [*rng.sample(place.hashes, 6), "main", "v1.8~2", "annotated"]:
        ours = column(place.engine, f"SELECT hash FROM commits WHERE ANCESTOR_OF('{one}')")
        if len(one) < 40:
            ours = column(
                place.engine,
                f"SELECT hash FROM commits WHERE ANCESTOR_OF('{one}') AND repo = 'tangle'",
            )
        assert sorted(ours) == sorted(place.git("rev-list", one, "--"))
        full = place.git("rev-parse", f"{one}^{{commit}}")[0]
        below = [full, *place.git("rev-list", "--all", "--ancestry-path", f"^{full}")]
        found = f"SELECT hash FROM commits WHERE DESCENDANT_OF('{full}')"
        assert sorted(column(place.engine, found)) == sorted(set(below))
        tags = column(
            place.engine,
            "SELECT t.name FROM tags t JOIN commits c ON c.repo = t.repo AND c.hash = t.peeled"
            f" WHERE DESCENDANT_OF(c, '{full}')",
        )
        assert sorted(tags) == sorted(place.git("tag", "--contains", full))


def test_pairs_of_commits(place: Place) -> None:
    rng = random.Random(2)
    pairs = [rng.sample(place.hashes, 2) for _ in range(40)]
    pairs += [[h, h] for h in place.hashes[:2]]
    values = ", ".join(f"('{a}', '{b}')" for a, b in pairs)
    found = rows(
        place.engine,
        "SELECT p.a, p.b, IS_ANCESTOR(p.a, p.b), MERGE_BASE(p.a, p.b), MERGE_BASE(c.hash, p.b)"
        f" FROM (VALUES {values}) AS p(a, b) JOIN commits c ON c.hash = p.a",
    )
    assert len(found) == len(pairs)
    bases = 0
    for a, b, below, base, same in found:
        assert below == is_ancestor(place, a, b)
        assert base == same == (merge_base(place, a, b) or [None])[0]
        bases += base not in (None, a, b)
    assert bases > 5


def merge_base(place: Place, a: str, b: str) -> list[str]:
    try:
        return place.git("merge-base", a, b)
    except AssertionError:
        return []


def test_one_side_may_be_a_revision(place: Place) -> None:
    reach = set(place.git("rev-list", "main"))
    got = rows(
        place.engine,
        "SELECT hash, IS_ANCESTOR(hash, 'main'), IS_ANCESTOR('main', hash), MERGE_BASE('main', hash)"
        " FROM commits WHERE repo = 'tangle'",
    )
    main = place.git("rev-parse", "main")[0]
    assert {h for h, below, *_ in got if below} == reach
    assert {h for h, _, above, _ in got if above} == {
        h for h in place.hashes if is_ancestor(place, main, h)
    }
    assert {h for h, *_, base in got if base == main} >= {main}
    assert all(base == h for h, below, _, base in got if below)


def reference(place: Place, pattern: str = "") -> dict[str, str | None]:
    """Returns the first tag of each commit, from `git tag --contains` and dates alone."""
    dates = {}
    for tag in place.git("tag"):
        if re.match(pattern, tag) and (FINAL.search(tag) or BEFORE_FINAL.search(tag)):
            (when,) = place.git("log", "-1", "--format=%ct", tag, "--")
            dates[tag] = (not FINAL.search(tag), int(when), tag)
    out: dict[str, str | None] = {}
    for one in place.hashes:
        holding = [dates[t] for t in place.git("tag", "--contains", one) if t in dates]
        out[one] = min(holding)[2] if holding else None
    return out


@pytest.mark.parametrize(("glob", "pattern"), [("", ""), (", 'v*'", "v"), (", '*-rc?'", ".*-rc.$")])
def test_first_tags(place: Place, glob: str, pattern: str) -> None:
    asked = f"SELECT hash, FIRST_TAG(hash{glob}) FROM commits WHERE repo = 'tangle'"
    expected = reference(place, pattern)
    assert dict(rows(place.engine, asked)) == expected
    assert len(set(expected.values())) > (2 if "rc" in glob else 5)


def test_first_tags_are_grouped_and_joined(place: Place) -> None:
    counted = dict(
        rows(
            place.engine,
            "SELECT FIRST_TAG(hash) AS tag, count(*) FROM commits WHERE repo = 'tangle' GROUP BY tag",
        )
    )
    assert counted == Counter(reference(place).values())
    # In a sub-query without a repository all that hold the commit are asked.
    bare = rows(place.engine, "SELECT h, FIRST_TAG(h) FROM (SELECT hash AS h FROM commits) AS s")
    assert dict(rows(place.engine, "SELECT hash, FIRST_TAG(hash) FROM commits")) == dict(bare)
    # Where a join found no row, the repository is that of the other side.
    either = rows(
        place.engine,
        "SELECT b.hash, FIRST_TAG(coalesce(a.hash, b.hash)) FROM commits a"
        " RIGHT JOIN commits b ON a.position = b.position AND a.is_merge WHERE b.repo = 'tangle'",
    )
    assert dict(either) == reference(place)


def test_what_a_ref_reaches(place: Place) -> None:
    everything = {
        (ref, h)
        for ref in place.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags")
        for h in place.git("rev-list", ref, "--")
    }
    result = place.engine.query("SELECT ref, hash FROM ref_commits WHERE repo = 'tangle'")
    assert set(result) == everything
    assert len(result) == len(everything)
    assert any("branches and tags" in w for w in result.warnings)
    both = {"refs/heads/both", "refs/tags/v1.8"}
    for condition, wanted in (
        ("name = 'main'", lambda ref: ref == "refs/heads/main"),
        ("'refs/heads/main' = ref", lambda ref: ref == "refs/heads/main"),
        ("ref IN ('refs/tags/v1.8', 'refs/heads/both')", lambda ref: ref in both),
        ("ref GLOB 'refs/tags/v1.1*'", lambda ref: ref.startswith("refs/tags/v1.1")),
        ("name LIKE 'v1.%' AND ref LIKE 'refs/tags/%'", lambda ref: ref.startswith("refs/tags/v1.")),
        ("(name = 'v1.8' OR ref ~ 'heads/both$')", lambda ref: ref in both),
    ):  # fmt: skip
        answer = place.engine.query(
            f"SELECT ref, hash FROM ref_commits WHERE {condition} AND repo = 'tangle'"
        )
        assert set(answer) == {pair for pair in everything if wanted(pair[0])}, condition
        assert not answer.warnings, condition
    notes = "SELECT hash FROM ref_commits WHERE ref = 'refs/notes/x' AND repo = 'tangle'"
    assert sorted(column(place.engine, notes)) == sorted(place.git("rev-list", "refs/notes/x"))


def test_what_a_ref_reaches_is_joined(place: Place) -> None:
    reach = sorted(place.git("rev-list", "main"))
    one = reach[7]
    engine = place.engine
    refs = set(place.git("for-each-ref", "--contains", one, "--format=%(refname)"))
    refs &= set(column(engine, "SELECT full_name FROM refs"))
    for gql in (
        f"SELECT ref FROM ref_commits WHERE hash = '{one}'",
        f"SELECT r.ref FROM commits c JOIN ref_commits r USING (hash) WHERE c.hash = '{one}'",
        f"SELECT r.ref FROM ref_commits r, commits c WHERE r.position = c.position AND c.hash IN ('{one}')",
    ):
        result = engine.query(gql)
        assert {ref for (ref,) in result} == refs
        assert not result.warnings
    on_main = "r.name = 'main' AND r.repo = 'tangle'"
    inner = f"SELECT c.hash FROM commits c JOIN ref_commits r USING (hash) WHERE {on_main}"
    semi = f"SELECT c.hash FROM commits c SEMI JOIN ref_commits r ON r.position = c.position AND {on_main}"
    exists = (
        "SELECT c.hash FROM commits c WHERE EXISTS (SELECT 1 FROM ref_commits r"
        f" WHERE r.hash = c.hash AND {on_main})"
    )
    for gql in (inner, semi, exists):
        assert sorted(column(engine, gql)) == reach, gql
        assert not engine.query(gql).warnings
    outer = (
        "SELECT c.hash, r.ref FROM commits c LEFT JOIN ref_commits r"
        f" ON r.position = c.position AND {on_main} WHERE c.repo = 'tangle'"
    )
    expected = {(h, "refs/heads/main" if h in reach else None) for h in place.hashes}
    assert set(rows(engine, outer)) == expected
    anti = f"SELECT c.hash FROM commits c ANTI JOIN ref_commits r ON r.position = c.position AND {on_main} WHERE c.repo = 'tangle'"
    assert set(column(engine, anti)) == set(place.hashes) - set(reach)
    # Read several times in one statement.
    twice = (
        "WITH m AS (SELECT hash FROM ref_commits WHERE name = 'main' AND repo = 'tangle')"
        " SELECT count(*) FROM m a JOIN m b ON a.hash = b.hash JOIN m c ON c.hash = a.hash"
    )
    assert column(engine, twice) == [len(reach)]


def test_a_condition_that_a_row_without_a_ref_meets_does_not_choose_refs(place: Place) -> None:
    gql = (
        "SELECT count(*) FROM commits c LEFT JOIN ref_commits r USING (hash)"
        " WHERE c.repo = 'tangle' AND coalesce(r.name, 'main') = 'main'"
    )
    reach = set(place.git("rev-list", "main"))
    held = set(place.git("rev-list", "--branches", "--tags"))
    assert column(place.engine, gql) == [len(reach) + len(set(place.hashes) - held)]


def test_each_repository_is_asked_for_its_own(place: Place) -> None:
    engine = place.engine
    mains = dict(rows(engine, "SELECT repo, RESOLVE('main') FROM repos"))
    assert mains["tangle"] == place.git("rev-parse", "main")[0] != mains["other"]
    assert rows(engine, "SELECT RESOLVE('main', repo => 'other')") == [(mains["other"],)]
    assert rows(engine, "SELECT RESOLVE('v1.0', repo => repo) FROM repos WHERE repo = 'other'")
    own = rows(
        engine, "SELECT repo, count(*) FROM commits WHERE IS_ANCESTOR(hash, 'main') GROUP BY ALL"
    )
    assert dict(own)["tangle"] == len(place.git("rev-list", "main"))
    # A commit of one repository is none of the other's.
    assert rows(engine, f"SELECT IS_ANCESTOR('{place.hashes[0]}', 'HEAD', repo => 'tangle')")
    assert rows(
        engine, f"SELECT RESOLVE(h, repo => 'other') FROM (VALUES ('{place.hashes[0]}')) AS s(h)"
    ) == [(None,)]
    lacking = engine.query("SELECT hash FROM commits WHERE hash = RESOLVE('v0.9')")
    assert [w for w in lacking.warnings if "other" in w]
    assert column(engine, "SELECT hash FROM commits WHERE hash = RESOLVE('v0.9')") == place.git(
        "rev-parse", "v0.9"
    )


@pytest.mark.parametrize(
    ("gql", "code", "place_of"),
    [
        ("SELECT RESOLVE('mian')", "unknown_revision", "'mian'"),
        ("SELECT RESOLVE('main')", "ambiguous_revision", "'main'"),
        ("SELECT MERGE_BASE('main', 'a..b') FROM repos", "invalid_revision", "'a..b'"),
        ("SELECT IS_ANCESTOR(hash, 1) FROM commits", "type_mismatch", "1"),
        ("SELECT IS_ANCESTOR(hash) FROM commits", "argument_count", "IS_ANCESTOR(hash)"),
        ("SELECT RESOLVE('main', repo => 'none')", "unknown_repository", "'none'"),
        ("SELECT RESOLVE('main', at => 'x')", "unknown_argument", "at => 'x'"),
        ("SELECT upper('a', repo => 'x')", "unknown_argument", "repo => 'x'"),
        ("SELECT ADDED('a', repo => 'x') FROM commits", "unknown_argument", "repo => 'x'"),
        ("SELECT 1 FROM commits WHERE DESCENDANT_OF('main..')", "invalid_revision", "'main..'"),
        ("SELECT 1 FROM commits WHERE ANCESTOR_OF('nowhere')", "unknown_revision", "'nowhere'"),
        ("SELECT 1 FROM refs WHERE ANCESTOR_OF(refs, 'main')", "no_subject", "ANCESTOR_OF(refs, 'main')"),
        ("SELECT 1 FROM trailers t WHERE HISTORY_OF(t, 'a')", "no_subject", "HISTORY_OF(t, 'a')"),
        ("SELECT 1 FROM changes WHERE HISTORY_OF('/')", "empty_pattern", "'/'"),
        ("SELECT 1 FROM commits a, commits b WHERE a.hash = RESOLVE('HEAD')", "ambiguous_predicate", "RESOLVE('HEAD')"),
        ("SELECT FIRST_TAG(hash, '[') FROM commits", "invalid_pattern", "'['"),
    ],
)  # fmt: skip
def test_errors_point_at_what_is_wrong(place: Place, gql: str, code: str, place_of: str) -> None:
    with pytest.raises(QueryError) as caught:
        place.engine.query(gql)
    error = caught.value
    assert error.code == code
    assert error.span is not None
    assert gql[error.span.start : error.span.end] == place_of
