"""Killed or interrupted at any moment, indexing ends with what an undisturbed run ends with."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fixtures import driver
from fixtures.repositories import Builder

import govc_search
from govc_search import Engine
from govc_search.indexer import views

ROOT = Path(__file__).parent.parent
COMMITS = 150
Point = tuple[str, int, str]


@pytest.fixture(scope="module", autouse=True)
def small_commits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "_COMMIT_BYTES", driver.VIEW_BYTES)
        yield


def stream(begin: int, end: int, parent: str | None) -> bytes:
    """Returns commits for git fast-import: edits, renames, side branches, merges and tags."""
    rng = random.Random(begin)
    out: list[bytes] = []
    at = parent
    for i in range(begin, end):
        name = f"src/file{i % 17}.c".encode()
        text = b"".join(b"line %d of %d word%d\n" % (j, i, rng.randrange(400)) for j in range(9))
        message = b"change %d: word%d\n\nbody of %d\n\nFixes: #%d\n" % (i, i % 31, i, i)
        person = b"Author %d <a%d@example.com> %d +0100" % (i % 5, i % 5, 1_600_000_000 + i * 60)
        side = i % 10 == 7
        branch = b"refs/heads/side" if side else b"refs/heads/main"
        out += [b"commit %b\nmark :%d\n" % (branch, i + 1)]
        out += [b"author %b\ncommitter %b\ndata %d\n%b" % (person, person, len(message), message)]
        if at is not None:
            out.append(b"from %b\n" % at.encode())
        if i % 10 == 9:
            out.append(b"merge :%d\n" % (i - 1))
        out.append(b"M 100644 inline %b\ndata %d\n%b\n" % (name, len(text), text))
        if i % 25 == 20:
            out.append(b"R src/file%d.c lib/moved%d.c\n" % ((i - 1) % 17, i))
        out.append(b"\n")
        if not side:
            at = f":{i + 1}"
        if i % 40 == 30:
            tag = b"tag %d\n" % i
            out.append(
                b"tag v%d\nfrom :%d\ntagger %b\ndata %d\n%b\n" % (i, i + 1, person, len(tag), tag)
            )
    return b"".join(out)


def history(path: Path) -> Builder:
    repo = Builder(path, bare=True)
    repo.git("fast-import", "--quiet", stdin=stream(0, COMMITS, None))
    return repo


def move_on(repo: Builder) -> None:
    """Rewrites the end of main, adds commits, tags and a branch, and deletes the other one."""
    base = repo.git("rev-parse", "main~20").decode()
    repo.git(*("fast-import", "--quiet", "--force"), stdin=stream(COMMITS, COMMITS + 90, base))
    repo.git("branch", "-D", "side")
    repo.git("branch", "release", "main~3")


@dataclass
class Run:
    """A process that indexes; `mark` is in the environment of all that it starts."""

    told: dict[str, Any]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(driver.__file__)), json.dumps(self.told)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ
            | {
                "GOVC_SEARCH_TEST": self.mark,
                "PYTHONPATH": str(ROOT),
                # Here it shows if a killed process leaves anything behind.
                "TMPDIR": str(Path(self.told["data"]).parent),
            },
        )

    def end(self) -> tuple[int, list[str], str]:
        """Returns exit status, remaining lines and errors, once nothing it started is left."""
        out, errors = self.process.communicate(timeout=60)
        deadline = time.monotonic() + 20
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, f"still running: {left}"
        return self.process.returncode, out.splitlines(), errors

    def left(self) -> list[str]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@contextmanager
def opened(data: Path) -> Iterator[Engine]:
    with govc_search.open(data, settings=driver.SETTINGS) as engine:
        yield engine


def records(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """Returns every record of the log, but for when it was written."""
    return [
        (entry.kind.name, {k: v for k, v in row.items() if k not in ("indexed_at", "at")})
        for entries in engine._log.read(0)
        for entry in entries
        for row in entry.batch.to_pylist()
    ]


QUESTIONS = (
    "SELECT hash FROM commits WHERE MATCH(subject, 'word7') ORDER BY position",
    "SELECT hash, path FROM changes WHERE ADDED('word12') ORDER BY change_id",
    "SELECT hash FROM commits WHERE REACHABLE_FROM('main') ORDER BY position",
    "SELECT full_name, hash FROM refs ORDER BY full_name",
)


def content(engine: Engine) -> dict[str, Any]:
    """Returns what an engine holds, after `verify` found nothing and indexes change no answer."""
    assert engine.verify() == []
    answers = [list(engine.query(q)) for q in QUESTIONS]
    assert answers == [list(engine.query(q, indexes=False)) for q in QUESTIONS]
    return {
        "records": records(engine),
        "table": engine._table.digest(content=True),
        "text": [engine._text.keys(part) for part in ("commits", "changes")],
        "answers": answers,
    }


def finish(data: Path, told: dict[str, Any], expected: dict[str, Any]) -> None:
    """Lets a run end undisturbed, and compares what there is then with what is expected."""
    found = index(data, Path(told["repo"]), **told["options"])
    assert found["table"] == expected["table"]
    assert found == expected
    assert not list(data.parent.glob("govc-search-*"))
    assert not (data / "scratch").exists()


def crash(told: dict[str, Any], points: Sequence[Point]) -> None:
    """Runs and dies at each point in turn, so that what recovers is killed too."""
    for point in points:
        status, _, errors = Run(told | {"point": point}).end()
        assert status == -signal.SIGKILL, (point, errors)


@dataclass(frozen=True)
class Undisturbed:
    """Where a run begins (a data directory, to be copied) and what it makes of it undisturbed."""

    told: dict[str, Any]
    content: dict[str, Any]
    begins: Path | None = None

    def start(self, data: Path) -> dict[str, Any]:
        if self.begins is not None:
            shutil.copytree(self.begins, data)
        return self.told | {"data": str(data)}


def fill(data: Path, repo: Path, **options: Any) -> None:
    with opened(data) as engine:
        engine.index(repo, **options)


def index(data: Path, repo: Path, **options: Any) -> dict[str, Any]:
    with opened(data) as engine:
        report = engine.index(repo, **options)
        assert not report.failures
        return content(engine)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("first")
    history(home / "repo")
    told = {"repo": str(home / "repo"), "options": {"jobs": 1}}
    return Undisturbed(told, index(home / "data", home / "repo"))


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("later")
    repo = history(home / "repo")
    fill(home / "data", repo.path)
    shutil.copytree(home / "data", home / "begins")
    move_on(repo)
    told = {"repo": str(repo.path), "options": {"jobs": 2}}
    made = index(home / "data", repo.path)
    assert any(kind == "ref_update" and row["forced"] for kind, row in made["records"])
    return Undisturbed(told, made, home / "begins")


@pytest.fixture(scope="module")
def deeper(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("deeper")
    history(home / "repo")
    fill(home / "data", home / "repo", diffs="none")
    shutil.copytree(home / "data", home / "begins")
    told = {"repo": str(home / "repo"), "options": {"jobs": 2, "diffs": "full"}}
    made = index(home / "data", home / "repo", diffs="full")
    assert sum(kind == "amendment" for kind, _ in made["records"]) == COMMITS
    return Undisturbed(told, made, home / "begins")


NAMED: dict[str, list[Point]] = {
    "at the start": [
        ("fsync", 1, "before"),
        ("rename", 1, "before"),
        ("rename", 1, "after"),
        ("roll", 1, "before"),
        ("roll", 1, "after"),
        ("append", 1, "before"),
        ("torn", 1, "before"),
    ],
    "in the log": [
        ("append", 1, "after"),
        ("torn", 2, "before"),
        ("fsync", 4, "before"),
        ("roll", 1, "after"),
        ("append", 3, "after"),
    ],
}

# How far each view is when another dies is a matter of luck: these are met from the start.
IN_THE_VIEWS: list[Point] = [
    ("table", 2, "before"),
    ("transaction", 2, "before"),
    ("transaction", 2, "after"),
    ("lines", 2, "before"),
    ("lines", 1, "after"),
    ("writer", 1, "before"),
    ("writer", 3, "after"),
    ("text", 2, "after"),
    ("terms", 3, "before"),
    ("replace", 1, "before"),
]


@pytest.mark.parametrize("points", NAMED.values(), ids=NAMED)
def test_killed_at_named_points(points: list[Point], first: Undisturbed, tmp_path: Path) -> None:
    told = first.start(tmp_path / "data")
    crash(told, points)
    finish(tmp_path / "data", told, first.content)


def test_killed_at_named_points_in_the_views(first: Undisturbed, tmp_path: Path) -> None:
    for i, point in enumerate(IN_THE_VIEWS):
        told = first.start(tmp_path / str(i))
        crash(told, [point])
        with opened(tmp_path / str(i)) as engine:
            assert engine.verify() == [], point
    finish(tmp_path / str(i), told, first.content)


def test_killed_while_new_commits_and_moved_refs_come_in(
    later: Undisturbed, tmp_path: Path
) -> None:
    told = later.start(tmp_path / "data")
    crash(told, [("append", 1, "after"), ("append", 4, "after"), ("writer", 1, "after")])
    finish(tmp_path / "data", told, later.content)


def test_killed_while_commits_are_amended(deeper: Undisturbed, tmp_path: Path) -> None:
    told = deeper.start(tmp_path / "data")
    crash(told, [("append", 3, "after"), ("table", 1, "after"), ("writer", 2, "after")])
    finish(tmp_path / "data", told, deeper.content)


def test_killed_between_deletions_and_their_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One commit of the views, so that what it leaves is still there.
    monkeypatch.setattr(views, "_COMMIT_BYTES", 1 << 30)
    repo = history(tmp_path / "repo")
    fill(tmp_path / "begin", repo.path)
    move_on(repo)
    # What the library writes before the commit that names it has the same name the next time.
    shutil.copytree(tmp_path / "begin", tmp_path / "other")
    fill(tmp_path / "other", repo.path)
    left = 0
    for part in ("commits", "changes"):
        begin = tmp_path / "begin" / "text" / part
        managed = json.loads((begin / ".managed.json").read_text())
        for file in (tmp_path / "other" / "text" / part).glob("*.del"):
            if not (begin / file.name).exists():
                shutil.copy(file, begin)
                managed.append(file.name)
                left += 1
        (begin / ".managed.json").write_text(json.dumps(managed))
    assert left
    fill(tmp_path / "begin", repo.path)
    with opened(tmp_path / "begin") as begun, opened(tmp_path / "other") as other:
        assert content(begun) == content(other)


def test_killed_while_a_view_is_rebuilt(deeper: Undisturbed, tmp_path: Path) -> None:
    told = deeper.start(tmp_path / "data")
    fill(tmp_path / "data", Path(told["repo"]), diffs="full")
    crash(
        told | {"rebuild": "both"},
        [
            ("rename", 1, "after"),
            ("unlink", 2, "after"),
            ("table", 1, "after"),
            ("writer", 1, "after"),
        ],
    )
    with opened(tmp_path / "data") as engine:
        assert content(engine) == deeper.content


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random(seed: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    rng = random.Random(seed)
    undisturbed: Undisturbed = request.getfixturevalue(("first", "later", "deeper")[seed])
    data = tmp_path / "data"
    told = undisturbed.start(data)
    for _ in range(2):
        run = Run(told)
        assert run.process.stdout is not None
        if rng.random() < 0.5:
            # The progress events of a whole run are about as many as this.
            for _ in range(rng.randrange(25)):
                run.process.stdout.readline()
        else:
            goal = size(data) + rng.randrange(90_000)
            while size(data) < goal and run.process.poll() is None:
                time.sleep(0.001)
        run.process.kill()
        run.end()
        if rng.random() < 0.5 and (data / "manifest.json").exists():
            with opened(data) as engine:
                assert engine.verify() == []
    finish(data, told, undisturbed.content)


def size(data: Path) -> int:
    return sum(path.stat().st_size for path in data.glob("log/*.log"))


def test_interrupted(first: Undisturbed, tmp_path: Path) -> None:
    data = tmp_path / "data"
    told = first.start(data)
    # Before the history is known, and while commits are read; once, and by the impatient.
    for events, times in ((1, 1), (5, 1), (7, 4)):
        run = Run(told)
        assert run.process.stdout is not None
        for _ in range(events):
            run.process.stdout.readline()
        for _ in range(times):
            os.killpg(run.process.pid, signal.SIGINT)
            time.sleep(0.003)
        status, lines, errors = run.end()
        if status == 0:
            report = json.loads(lines[-1])
            assert report["interrupted"], (events, report)
            assert not report["failures"]
        else:
            # Before there was anything to carry through, or more than once.
            assert errors.strip().endswith("KeyboardInterrupt"), errors
            assert times > 1 or events < 5
        with opened(data) as engine:
            assert engine.verify() == []
    finish(data, told, first.content)
