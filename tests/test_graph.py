"""The graph answers as git does, on a random history that was indexed out of order."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from fixtures.tangle import fast_import

from govc_search.errors import QueryError
from govc_search.records import COMMIT, KINDS, REF_UPDATE, REPOSITORY
from govc_search.store.graph import CommitGraph, Graphs
from govc_search.store.log import Entry
from govc_search.store.table import Table

COMMITS, _, REFS, REPOSITORIES = KINDS
ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "TZ": "UTC",
}


@dataclass
class Fixture:
    path: Path
    table: Table
    position: dict[str, int]
    hashes: list[str]

    def git(self, *arguments: str) -> str | None:
        run = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            capture_output=True,
            check=False,
            text=True,
            env=ENVIRONMENT,
        )
        return run.stdout if run.returncode == 0 else None

    def rev_list(self, *arguments: str) -> list[int]:
        out = self.git("rev-list", *arguments, "--")
        assert out is not None, arguments
        return sorted(self.position[h] for h in out.split())


def commit_batch(rows: list[dict[str, object]]) -> pa.RecordBatch:
    who = dict.fromkeys(("author", "author_email", "committer", "committer_email"), b"x")
    rest = {"repo": "r", "message": b"m", "trailers": [], "depth": "none", "indexed_at": 0}
    return pa.RecordBatch.from_pylist([who | rest | row for row in rows], schema=COMMIT)


def indexed(path: Path, table: Table, rng: random.Random) -> dict[str, int]:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(path), *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=ENVIRONMENT,
        ).stdout

    rows: list[dict[str, object]] = []
    for line in git("log", "--all", "--format=%H %ct %P").splitlines():
        hash_, when, *parents = line.split()
        rows.append({"hash": hash_, "parents": parents, "committer_time": int(when)})
    rng.shuffle(rows)
    position = 0
    positions: dict[str, int] = {}
    while position < len(rows):
        part = rows[position : position + rng.randint(1, 200)]
        table.apply(position, [Entry(COMMITS, position + 1, commit_batch(part))])
        for i, row in enumerate(part):
            positions[str(row["hash"])] = position + 1 + i
        position += len(part)
    refs = []
    listed = git("for-each-ref", "--format=%(refname) %(objectname) %(objecttype) %(*objectname)")
    for line in listed.splitlines():
        name, object_, kind, *peeled = line.split()
        ref = {"repo": "r", "ref": name.encode(), "new_hash": object_, "forced": False, "at": 0}
        refs.append(ref | {"peeled": peeled[0] if peeled else object_, "object_type": kind})
    batch = pa.RecordBatch.from_pylist(refs, schema=REF_UPDATE)
    table.apply(position, [Entry(REFS, position + 1, batch)])
    position += len(refs)
    state = {
        "repo": "r",
        "event": "added",
        "url": "u",
        "object_format": "sha1",
        "diffs": "none",
        "merges": "none",
        "refs": [],
        "complete": True,
        "at": 0,
        "default_branch": b"refs/heads/main",
        "head": git("rev-parse", "main").strip(),
    }
    repository = pa.RecordBatch.from_pylist([state], schema=REPOSITORY)
    table.apply(position, [Entry(REPOSITORIES, position + 1, repository)])
    table.commit()
    return positions


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fixture]:
    path = tmp_path_factory.mktemp("graph")
    rng = random.Random(7)
    init = ["git", "init", "-q", "--bare", "-b", "main", str(path / "r")]
    subprocess.run(init, check=True, env=ENVIRONMENT)
    subprocess.run(
        ["git", "-C", str(path / "r"), "fast-import", "--quiet"],
        input=fast_import(rng, 2500),
        check=True,
        env=ENVIRONMENT,
    )
    # Commits that no ref reaches would make short hashes ambiguous to git alone.
    repack = ["git", "-C", str(path / "r"), "repack", "-a", "-d", "-q"]
    subprocess.run(repack, check=True, env=ENVIRONMENT)
    with Table.open(path / "table") as table:
        positions = indexed(path / "r", table, rng)
        yield Fixture(path / "r", table, positions, sorted(positions))


@pytest.fixture(scope="module")
def graph(fixture: Fixture) -> CommitGraph:
    return Graphs(fixture.table).at(fixture.table.checkpoint)


def test_reachability(fixture: Fixture, graph: CommitGraph) -> None:
    rng = random.Random(1)
    for n in (1, 1, 1, 2, 5, 30):
        tips = rng.sample(fixture.hashes, n)
        found = graph.reachable("r", [fixture.position[t] for t in tips])
        assert found.tolist() == fixture.rev_list(*tips)
    everything = graph.reachable("r", fixture.position.values())
    assert everything.tolist() == sorted(fixture.position.values())
    assert graph.reachable("r", []).tolist() == []


def test_descendants_and_ancestors(fixture: Fixture, graph: CommitGraph) -> None:
    rng = random.Random(2)
    for one in rng.sample(fixture.hashes, 8):
        down = graph.descendants("r", fixture.position[one]).tolist()
        expected = fixture.rev_list("--all", "--ancestry-path", f"^{one}")
        assert set(down) - {fixture.position[one]} == set(expected)
        for other in rng.sample(fixture.hashes, 5):
            a, b = fixture.position[one], fixture.position[other]
            is_ancestor = fixture.git("merge-base", "--is-ancestor", one, other) is not None
            assert graph.is_ancestor("r", a, b) == is_ancestor == (b in down)


def test_the_order_of_git_log(fixture: Fixture, graph: CommitGraph) -> None:
    skewed = 0
    for one in random.Random(3).sample(fixture.hashes, 30):
        log = fixture.git("log", "--format=%ct %H", "--no-merges", one, "--")
        assert log is not None
        dates = {fixture.position[h]: int(d) for d, h in map(str.split, log.splitlines())}
        expected = list(dates.values())
        skewed += expected != sorted(expected, reverse=True)
        found = graph.log_order("r", graph.resolve("r", one)).tolist()
        # Commits of one second may change places.
        assert [dates[p] for p in found] == expected
    assert skewed > 10


def test_ranges(fixture: Fixture, graph: CommitGraph) -> None:
    rng = random.Random(3)
    names = ["main", "topic/a", "v1.0", "annotated", "HEAD", "@", "main~5", "v2.0^", "origin"]

    def one() -> str:
        return rng.choice(names) if rng.random() < 0.3 else rng.choice(fixture.hashes)

    expressions = ["main..", "..topic/a", "main...", "...main", "main^!", "main^@", "main^-"]
    expressions += ["^main", "main..main", "^main..topic/a", "^v1.0...v2.0 main HEAD"]
    for _ in range(15):
        expressions += [
            f"{one()}..{one()}",
            f"{one()}...{one()}",
            f"^{one()} {one()} ^{one()} {one()}",
            f"{one()} {one()}..{one()} ^{one()}^",
        ]
    tested = 0
    for expression in expressions:
        words = expression.split()
        if fixture.git("rev-list", "--count", *words, "--") is None:
            # Without anything positive git prints how it is used; without a parent it fails.
            continue
        assert graph.range("r", expression).tolist() == fixture.rev_list(*words), expression
        tested += 1
    assert tested > 40
    assert graph.range("r", "^main").tolist() == []


def test_merge_bases(fixture: Fixture, graph: CommitGraph) -> None:
    rng = random.Random(4)
    several = 0
    for _ in range(60):
        a, b = rng.sample(fixture.hashes, 2)
        out = fixture.git("merge-base", "--all", a, b)
        expected = [fixture.position[h] for h in (out or "").split()]
        found = graph.merge_bases("r", fixture.position[a], fixture.position[b])
        assert sorted(found) == sorted(expected)
        first = graph.merge_base("r", fixture.position[a], fixture.position[b])
        assert first == (expected[0] if expected else None)
        several += len(expected) > 1
    assert several


def test_revisions(fixture: Fixture, graph: CommitGraph) -> None:
    rng = random.Random(5)
    some = rng.sample(fixture.hashes, 40)
    names = ["main", "heads/main", "refs/heads/main", "both", "heads/both", "topic/a", "v1.0"]
    names += ["tags/v1.0", "v2.0", "annotated", "origin", "origin/far", "remotes/origin", "HEAD"]
    names += ["@", "notes/x", "refs/tags/odd", "topic", "none", "heads", fixture.hashes[3].upper()]
    names += [h[:n] for h in some for n in (4, 6, 9, 39)]
    names += [f"v1.0-3-g{some[0][:8]}", f"x-g{some[1][:12]}", "v1.0-3-g12", "annotated^{}"]
    tag = fixture.git("rev-parse", "annotated")
    assert tag is not None
    names += [tag.strip(), tag[:10]]
    ends = [
        "~",
        "^",
        "~3",
        "^2",
        "^0",
        "~0",
        "^{}",
        "^{commit}",
        "^^",
        "~2^2~1",
        "^3",
        "^9",
        "~999",
    ]
    names += [rng.choice([*names[:16], *some]) + rng.choice(ends) for _ in range(200)]
    failed = 0
    for name in names:
        out = fixture.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if out is None:
            failed += 1
            with pytest.raises(QueryError) as caught:
                pytest.fail(f"{name} is {graph.resolve('r', name)}")
            assert caught.value.code in ("unknown_revision", "ambiguous_revision"), name
        else:
            assert graph.resolve("r", name) == fixture.position[out.strip()], name
    assert 5 < failed < len(names) / 2


def test_errors_say_what_is_wrong(fixture: Fixture, graph: CommitGraph) -> None:
    with pytest.raises(QueryError) as caught:
        graph.resolve("r", "mian")
    assert caught.value.code == "unknown_revision"
    assert '"main"' in str(caught.value.hint)
    prefixes = [h[:4] for h in fixture.hashes]
    double = next(p for p in prefixes if prefixes.count(p) > 1)
    with pytest.raises(QueryError) as caught:
        graph.resolve("r", double)
    assert caught.value.code == "ambiguous_revision"
    for bad in ("", ":/m", "main@{1}", "HEAD:x", "main^{tree}", "-x", "main~99999999999", "a^b"):
        with pytest.raises(QueryError) as caught:
            graph.resolve("r", bad)
        assert caught.value.code in ("unsupported_revision", "unknown_revision"), bad
    for bad in ("", "  ", "--all", "main..--all"):
        with pytest.raises(QueryError):
            graph.range("r", bad)
    with pytest.raises(QueryError):
        graph.reachable("r", [10**9])
    with pytest.raises(QueryError):
        graph.resolve("other", "main")


def test_a_graph_grows_with_the_table_and_keeps_its_snapshot(fixture: Fixture) -> None:
    graphs = Graphs(fixture.table)
    checkpoint = fixture.table.checkpoint
    tips = [max(fixture.position.values())]
    assert len(fixture.position) > 600
    for as_of in (1, 150, 300, 450, checkpoint):
        grown = graphs.at(as_of)
        fresh = CommitGraph(fixture.table, as_of)
        for tip in (1, as_of // 2 + 1, min(as_of, tips[0])):
            if tip > tips[0]:
                continue
            assert grown.reachable("r", [tip]).tolist() == fresh.reachable("r", [tip]).tolist()
            assert grown.descendants("r", tip).tolist() == fresh.descendants("r", tip).tolist()
            assert grown.reachable("r", [tip]).max() <= as_of
    assert graphs.at(checkpoint) is graphs.at(checkpoint)
    fifth = next(h for h, p in fixture.position.items() if p == 5)
    assert graphs.at(300).resolve("r", fifth) == 5
    for as_of, unknown in ((4, fifth), (tips[0], "main")):
        with pytest.raises(QueryError):
            graphs.at(as_of).resolve("r", unknown)


def test_a_parent_that_is_not_indexed(tmp_path: Path) -> None:
    a, b, c = "a" * 40, "b" * 40, "c" * 40
    with Table.open(tmp_path) as table:
        rows: list[dict[str, object]] = [
            {"hash": c, "parents": [b]},
            {"hash": a, "parents": []},
        ]
        table.apply(0, [Entry(COMMITS, 1, commit_batch(rows))])
        table.commit()
        graphs = Graphs(table)
        shallow = graphs.at(2)
        assert shallow.reachable("r", [1]).tolist() == [1]
        with pytest.raises(QueryError, match="not indexed"):
            shallow.resolve("r", "cccc^")
        # Fetched later, it joins the two ends.
        table.apply(2, [Entry(COMMITS, 3, commit_batch([{"hash": b, "parents": [a]}]))])
        table.commit()
        assert graphs.at(3).reachable("r", [1]).tolist() == [1, 2, 3]
        assert graphs.at(3).resolve("r", "cccc~2") == 2
        assert shallow.reachable("r", [1]).tolist() == [1]
