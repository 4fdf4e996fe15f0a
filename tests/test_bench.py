"""The benchmark tells its misses, keeps what it found, and watches whole process trees."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fixtures.repositories import Builder

import govc_search
from bench.gitview import GitView
from bench.investigations import investigations
from bench.measure_clickhouse import measure_clickhouse
from bench.measure_investigations import measure_investigations
from bench.measure_questions import measure_questions
from bench.measure_ranking import measure_ranking
from bench.measure_sqlite import measure_sqlite
from bench.memory import Watch
from bench.report import Report, Section, machine, repository_name


def report() -> Report:
    section = Section("Speed", ("what", "measured", "target"), notes=["How it was had."])
    section.add("one | two", "1 ms", "<= 2 ms", met=True)
    section.add("slow", "9 ms", "<= 2 ms", met=False)
    section.add("plain", "5 s", "")
    return Report("thing", datetime(2026, 1, 2, 3, 4, tzinfo=UTC), {"processor": "x"}, [section])


def test_a_page_tells_every_figure_and_the_misses_first() -> None:
    page = report().markdown()
    assert "1 of 2 targets met" in page
    assert page.index("- Speed: slow: 9 ms: <= 2 ms") < page.index("## Speed")
    assert "one \\| two" in page
    assert "| **MISSED** |" in page
    assert page.count("| met ") == 1
    assert "How it was had." in page
    widths = {len(line) for line in page.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_a_kept_page_is_never_written_over(tmp_path: Path) -> None:
    first, second = report().keep(tmp_path), report().keep(tmp_path)
    assert first.name == "2026-01-02-thing.md"
    assert second.name == "2026-01-02-thing-2.md"
    assert first.read_text() == second.read_text()


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/linux.git", "linux"), ("/a/thing/.git", "thing"), ("/a/x+y/repo", "x-y")],
)
def test_a_result_is_named_after_the_repository(path: str, name: str) -> None:
    assert repository_name(Path(path)) == name


def test_the_machine_is_described_without_its_name() -> None:
    told = machine()
    assert told["Python"] == sys.version.split()[0]
    assert "duckdb" in told["libraries"]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs smaps_rollup")
def test_memory_of_children_counts(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    inner = f"x = bytearray(b'1' * 60_000_000); open({str(ready)!r}, 'w').close(); input()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE) as child:
        with Watch(child.pid) as watch:
            until = time.monotonic() + 20
            while not ready.exists() and time.monotonic() < until:
                time.sleep(0.02)
            # The sample that is under way may have begun before.
            seen = watch.peak.samples
            while watch.peak.samples < seen + 2 and time.monotonic() < until:
                time.sleep(0.02)
        child.communicate(b"\n")
    assert watch.peak.processes == 2
    assert 60_000_000 < watch.peak.anonymous <= watch.peak.private < 400_000_000


def test_questions_and_ranking_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure_questions._BUDGET", 0)
    monkeypatch.setattr("bench.measure_ranking._RUNS", 3)
    repo = Builder(tmp_path / "repo")
    for i in range(6):
        repo.write(f"dir/file{i % 3}.c", b"alpha_%d(beta);\nreturn gamma_%d;\n" % (i, i % 2))
        repo.commit(f"area: improve thing {i}\n\nBecause of gamma.\n")
    said: list[str] = []
    with GitView(repo.path) as view, govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, refs=["HEAD"], jobs=1)
        sections = measure_questions(view, engine, 1, said.append)
        sections += measure_ranking(view, engine, 1, said.append)
        sections.append(measure_investigations(view, engine, said.append))
    cells = [" ".join(f.cells) for s in sections for f in s.figures]
    assert not [c for c in cells if "OTHER" in c]
    asked = (
        "PICKAXE",
        "CHANGED(",
        "message ~",
        "TOUCHES",
        "author_mapped",
        "hash, subject",
        f"all {len(investigations())}",
    )
    assert not [a for a in asked if not any(a in c for c in cells)]
    assert said


def grown(path: Path) -> Builder:
    """A history with two authors, a rename, a removal, a rewriting and lines that come again."""
    repo = Builder(path)
    grace = {"GIT_AUTHOR_NAME": "Grace Hopper", "GIT_AUTHOR_EMAIL": "grace@example.com"}
    lines = [b"\tcalled_%d(thing);\n" % i for i in range(60)]
    repo.write("src/first.c", b"".join(lines))
    repo.write("docs/guide.md", b"# How to\n\nsome words\n")
    repo.commit("area: begin with the thing\n\nIt has some words.\n")
    repo.write("src/first.c", b"// a comment\n" + b"".join(reversed(lines)))
    repo.write("t/check.sh", b"called_1\n\n}\n  called_2 identical\n")
    repo.commit("area: turn the thing around\n", **grace)
    repo.clock += 500_000
    repo.git("mv", "src/first.c", "src/second.c")
    repo.remove("t/check.sh")
    repo.commit("area: rename, and improve some words of the thing\n")
    repo.write("src/second.c", b"".join(b"  other_%d();\n" % i for i in range(70)))
    repo.write("t/check.sh", b"identical words follow here\n" * 2)
    repo.commit("area: write the thing anew\n", **grace)
    return repo


def test_clickhouse_gives_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("chdb", reason="chdb is for benchmarks alone: `make beside` installs it")
    monkeypatch.setattr("bench.race._BUDGET", 0)
    repo = grown(tmp_path / "repo")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with GitView(repo.path) as view, govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, refs=["HEAD"], jobs=1)
        (section,) = measure_clickhouse(view, engine, scratch, 1, lambda _: None)
    cells = [f.cells for f in section.figures]
    assert not [c[0] for c in cells if "OTHER" in c[0] or "FAILED" in c[0]]
    # Equal because nothing was found would prove little.
    empty = [c[0] for c in cells if c[1] == "0"]
    assert len(empty) <= 5, empty


def test_fts5_is_asked_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(":memory:") as connection:
        if not connection.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0]:
            pytest.skip("this SQLite has no FTS5")
    connection.close()
    monkeypatch.setattr("bench.race._BUDGET", 0)
    repo = grown(tmp_path / "repo")
    with GitView(repo.path) as view, govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, refs=["HEAD"], jobs=1)
        (section,) = measure_sqlite(view, engine, tmp_path, 1, lambda _: None)
    cells = [f.cells for f in section.figures]
    assert not [c[0] for c in cells if "there" in c[0]]
    kinds = ("match", "count", "ranked", "phrase", "ranked phrase", "prefix", "count of a prefix")
    asked = [f"{kind} of `" for kind in kinds]
    assert not [
        (a, t) for a in asked for t in ("messages", "lines")
        if not any(c[0].startswith(a) and f"in {t}" in c[0] and c[1] != "0" for c in cells)
    ]  # fmt: skip
