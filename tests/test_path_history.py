"""HISTORY_OF follows a file through its renames, and no other file that had one of its names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.indexed import rows
from fixtures.repositories import Builder

import govc_search
from govc_search import Engine


def text(what: str) -> bytes:
    return b"".join(b"%s line %d\n" % (what.encode(), i) for i in range(30))


def build(path: Path) -> None:
    repo = Builder(path)

    def commit(subject: str, name: str | None = None, content: bytes | None = None) -> None:
        if name is not None and content is not None:
            repo.write(name, content)
        repo.commit(subject)

    # First another file of the name, long gone.
    commit("earlier a.c", "a.c", text("earlier"))
    repo.remove("a.c")
    commit("earlier a.c goes")
    commit("add a.c", "a.c", text("a"))
    commit("change a.c", "a.c", text("a") + b"more\n")
    repo.git("branch", "side")
    repo.git("branch", "unmerged")
    repo.git("mv", "a.c", "b.c")
    commit("a.c to b.c")
    commit("change b.c", "b.c", text("a") + b"more\nof b\n")
    repo.git("checkout", "-q", "side")
    commit("change a.c on the side", "a.c", b"first\n" + text("a") + b"more\n")
    repo.git("checkout", "-q", "unmerged")
    commit("change a.c elsewhere", "a.c", text("a") + b"else\n")
    repo.git("checkout", "-q", "main")
    repo.clock += 3600
    repo.git("merge", "-q", "--no-ff", "-m", "merge the side", "side")
    commit("later a.c", "a.c", text("later"))
    commit("change later a.c", "a.c", text("later") + b"more\n")
    repo.git("mv", "b.c", "c.c")
    commit("b.c to c.c")
    commit("change c.c", "c.c", b"again\n" + text("a"))
    repo.remove("c.c")
    commit("c.c goes")
    commit("later c.c", "c.c", text("other"))
    # There and back.
    commit("add x", "x", text("x"))
    commit("change x", "x", text("x") + b"more\n")
    repo.git("mv", "x", "w")
    commit("x to w")
    repo.git("mv", "w", "x")
    commit("w to x")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("paths")
    build(path / "repo")
    # The same names, and nothing else in common.
    other = Builder(path / "other")
    other.write("b.c", text("b"))
    other.commit("b.c of another repository")
    with govc_search.open(path / "data") as engine:
        engine.index(path / "repo", jobs=1)
        engine.index(path / "other", jobs=1)
        yield engine


A, B, C = (
    {"add a.c", "change a.c", "change a.c on the side"},
    {"a.c to b.c", "change b.c"},
    {"b.c to c.c", "change c.c", "c.c goes"},
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("b.c", A | B | C | {"b.c of another repository"}),
        ("c.c", A | B | C | {"later c.c"}),
        (
            "a.c",
            A | B | C
            | {"earlier a.c", "earlier a.c goes", "later a.c", "change later a.c", "change a.c elsewhere"},
        ),
        ("/x", {"add x", "change x", "x to w", "w to x"}),
        ("w", {"add x", "change x", "x to w", "w to x"}),
        ("nothing", set()),
    ],
)  # fmt: skip
def test_subjects(engine: Engine, path: str, expected: set[str]) -> None:
    found = rows(
        engine,
        "SELECT DISTINCT c.subject FROM changes f JOIN commits c USING (hash)"
        f" WHERE HISTORY_OF(f, '{path}')",
    )
    assert {subject for (subject,) in found} == expected
    commits = rows(engine, f"SELECT subject FROM commits WHERE HISTORY_OF('{path}')")
    assert {subject for (subject,) in commits} == expected


def test_hunks_and_lines_belong_to_their_changes(engine: Engine) -> None:
    for table in ("hunks", "lines"):
        found = rows(engine, f"SELECT DISTINCT change_id FROM {table} WHERE HISTORY_OF('b.c')")
        changes = rows(
            engine,
            "SELECT change_id FROM changes WHERE HISTORY_OF('b.c') AND insertions + deletions > 0",
        )
        assert set(found) == set(changes)
        assert changes


def test_one_repository_is_asked_where_one_is_named(engine: Engine) -> None:
    found = rows(
        engine, "SELECT repo, path FROM changes WHERE HISTORY_OF('b.c') AND repo = 'other'"
    )
    assert found == [("other", "b.c")]
