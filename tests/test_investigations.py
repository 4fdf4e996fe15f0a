"""The questions under bench/queries run as they stand, and answer as the git command they name."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.repositories import Builder

import govc_search
from bench.gitview import GitView
from govc_search.engine import Engine
from govc_search.ql.result import Result

FILES = sorted((Path(__file__).parent.parent / "bench" / "queries").glob("*.gql"))
# What the questions ask for, so that answers have rows.
CODE = b"int f(void)\n{\n\treturn 0;\n}\n"
SECRET = b"key = AKIA" + b"ABCDEFGH01234567\n"


def history(path: Path) -> None:
    """Builds a history with the names that the questions use, on two branches."""
    repo = Builder(path)
    repo.write("net/ipv4/tcp.c", CODE)
    repo.write("LICENSE", b"Copyright 2019 A\n")
    repo.commit("feat: first\n\nSigned-off-by: Ada <ada@example.com>\n")
    repo.git("tag", "v6.1")
    repo.git("tag", "v1.4")
    repo.write("net/ipv4/tcp.c", CODE + b"\tstrlcpy(a, b, 3);\n")
    repo.commit("fix(net): copy less\n\nFixes: JIRA-1234\n", GIT_AUTHOR_NAME="Grace Hopper")
    repo.write("net/ipv4/udp.c", SECRET)
    repo.write("LICENSE", b"Copyright 2020 A\n")
    repo.commit("feat!: key\n\nBREAKING CHANGE: all\nReviewed-by: A <a@b>\n")
    repo.git("tag", "v6.6")
    repo.git("tag", "v1.5")
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("topic.txt", b"text\n")
    repo.commit("topic: nothing else\n")
    repo.git("checkout", "-q", "-b", "next", "main")
    repo.write("net/ipv4/tcp.c", b"/* TODO: strlcpy(x, y, 1) */\n" + CODE)
    repo.commit("net: avoid a deadlock\n\nJIRA-12345 is another\n")
    repo.write("doc/usb.txt", b"text\n")
    repo.commit("usb: plug memory leak in gadget\n")
    repo.git("checkout", "-q", "main")
    repo.write("net/ipv4/tcp.c", CODE)
    repo.commit("Revert: deadlock on main\n")
    repo.clock += 3600
    repo.git("merge", "-q", "--no-ff", "-s", "ours", "-m", "merge a deadlock", "topic")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("investigations") / "repo"
    history(path)
    return path


@pytest.fixture(scope="module")
def engine(place: Path) -> Iterator[Engine]:
    with govc_search.open(place.parent / "data") as engine:
        engine.index(place, jobs=1)
        yield engine


def headers(text: str) -> dict[str, str]:
    found = re.findall(r"^-- (git|parameters): (.*)$", text, re.MULTILINE)
    return dict(found)


def parameters(text: str) -> dict[str, object]:
    return dict(pair.split("=", 1) for pair in headers(text).get("parameters", "").split())


def rows(result: Result) -> list[str]:
    """Returns the rows but for the score, which corpus statistics may change, and the order."""
    table = result.to_arrow()
    kept = [name for name in table.column_names if name != "score"]
    return sorted(map(str, table.select(kept).to_pylist()))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_says_what_it_answers_and_runs(file: Path, engine: Engine) -> None:
    text = file.read_text("utf-8")
    number = file.stem.split("-")[0].lstrip("0")
    assert re.match(rf"-- {number}\. \S.*[?.\"]\n", text)
    result = engine.query(text, parameters(text))
    assert not [w for w in result.warnings if " occurs nowhere: looked for " not in w]
    scanned = engine.query(text, parameters(text), indexes=False)
    assert rows(scanned) == rows(result)


ASKED_OF_GIT = [
    file
    for file in FILES
    if "git" in headers(file.read_text("utf-8")) and "AGO(" not in file.read_text("utf-8")
]


@pytest.mark.parametrize("file", ASKED_OF_GIT, ids=lambda file: file.stem)
def test_git_answers_the_same(file: Path, engine: Engine, place: Path) -> None:
    text = file.read_text("utf-8")
    result = engine.query(text, parameters(text))
    names = [column.name for column in result.columns]
    arguments = shlex.split(headers(text)["git"])[1:]
    # Patches are for the reader; what is compared are the commits.
    arguments = [a for a in arguments if a != "-p"]
    if not {"--all", "HEAD"} & set(arguments) and not any(".." in a for a in arguments):
        arguments.insert(1, "--all")
    if "--" not in arguments:
        arguments.append("--")
    wanted = "%aN" if names[0] == "author_mapped" else "%h"
    arguments[1:1] = ["--abbrev=12", f"--format={wanted}"]
    with GitView(place) as view:
        answer = view.run(arguments).output.decode().split("\n")[:-1]
    assert answer
    if names[0] == "author_mapped":
        assert {row[0]: row[1] for row in result} == Counter(answer)
    elif "LIMIT 1\n" in text:
        assert result.to_arrow().column("short_hash").to_pylist() == answer[:1]
    else:
        name = next(name for name in names if name in {"short_hash", "hash"})
        assert set(result.to_arrow().column(name).to_pylist()) == set(answer)


def test_fixes_that_were_carried_are_those_of_git_cherry(tmp_path: Path) -> None:
    repo = Builder(tmp_path / "repo")
    lines = [b"line %d\n" % i for i in range(40)]
    repo.write("a.c", b"".join(lines))
    repo.commit("first")
    repo.git("branch", "next")
    made = {}
    for at, name in ((3, "carried"), (13, "rewritten"), (23, "moved"), (33, "left")):
        lines[at] = b"%s\n" % name.encode()
        repo.write("a.c", b"".join(lines))
        made[name] = repo.commit(f"Fix what is {name}")
    repo.git("checkout", "-q", "next")
    repo.clock += 3600
    repo.git("cherry-pick", made["carried"])
    carried = repo.head
    repo.write("b.c", b"in another way\n")
    rewritten = repo.commit(f"by hand\n\n(cherry picked from commit {made['rewritten']})\n")
    # What stands beside the change is not the same here.
    text = (repo.path / "a.c").read_bytes().replace(b"line 22\n", b"other\n")
    repo.write("a.c", text)
    repo.commit("beside")
    repo.write("a.c", text.replace(b"line 23\n", b"moved\n"))
    moved = repo.commit("Fix what is moved")
    repo.git("tag", "v1.1")
    query = (FILES[0].parent / "09-carried-fixes.gql").read_text("utf-8")
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, jobs=1)
        table = engine.query(query, parameters(query)).to_arrow().to_pylist()
    assert [(r["subject"].split()[-1], r["same_patch"], r["cherry_pick"]) for r in table] == [
        ("moved", moved[:12], None),
        ("rewritten", None, rewritten[:12]),
        ("carried", carried[:12], None),
        ("left", None, None),
    ]
    assert [r["carried_since"] for r in table] == ["v1.1", "v1.1", "v1.1", None]
    # git asks for the same lines around it, too.
    marked = repo.git("cherry", "next", "main").decode().splitlines()
    assert {line[2:] for line in marked if line[0] == "-"} == {made["carried"]}
