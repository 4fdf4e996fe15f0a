"""The questions under bench/queries run as they stand, and answer as git does, or as is known.

Two histories: one has the names that the questions use, for the git commands beside them; the
other is small enough to tell the answers by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fixtures.repositories import FIRST_DATE, Builder

import govc_search
from bench.gitview import GitView
from bench.investigations import Investigation, investigations
from govc_search.engine import Engine
from govc_search.ql.result import Result

ALL = {question.number: question for question in investigations()}
# What the questions ask for, so that answers have rows.
CODE = b"int f(void)\n{\n\treturn 0;\n}\n"
SECRET = b"key = AKIA" + b"ABCDEFGH01234567\n"
DAY = 86400


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


PEOPLE = {
    "Ada": {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@one.example"},
    "Grace": {"GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "grace@two.example"},
    "Konrad": {"GIT_AUTHOR_NAME": "Konrad", "GIT_AUTHOR_EMAIL": "konrad@two.example"},
    "Linus": {"GIT_AUTHOR_NAME": "Linus", "GIT_AUTHOR_EMAIL": "linus@two.example"},
    "bot": {"GIT_AUTHOR_NAME": "renovate[bot]", "GIT_AUTHOR_EMAIL": "bot@renovate.example"},
}


def functions(first: bytes, second: bytes) -> bytes:
    """Returns two functions, each long enough for hunks of its own, with one line of each given."""
    body = b"".join(b"\tstep(%d);\n" % i for i in range(6))
    return b"".join(
        b"int %s(int a)\n{\n%s%s%s\treturn a;\n}\n\n" % (name, body, line, body)
        for name, line in ((b"add", first), (b"add_all", second))
    )


def team(path: Path) -> dict[str, str]:
    """Builds a history of two years by five people and returns its commits by name."""
    repo = Builder(path)
    made: dict[str, str] = {}

    def commit(day: int, who: str, name: str, message: str = "") -> None:
        repo.clock = FIRST_DATE + day * DAY
        made[name] = repo.commit(message or f"{name}\n", **PEOPLE[who])

    repo.write("app.c", b"int one(void);\nint two(void);\nint three(void);\n}\n")
    repo.write("lib/util.c", b"utility one\nutility two\n")
    repo.write(".github/workflows/ci.yml", b"on: push\n")
    repo.write("calc.c", functions(b"", b""))
    commit(0, "Ada", "first", "feat: begin\n")
    repo.write("lib/old.c", b"obsolete\n")
    repo.write("lib/util.c", b"utility one\nutility two\nutility three\n")
    commit(1, "Konrad", "old")
    repo.write("lib/util.c", b"utility one\nutility two\nutility four\n")
    commit(2, "Konrad", "util", "fix(lib): four\n")
    repo.write("app.c", b"int one(void);\nint deux(void);\nint three(void);\n}\n")
    repo.write("logo.png", b"\0\1\2")
    commit(10, "Grace", "deux", "feat(app)!: speak French\n")
    (path / "src").mkdir()
    repo.git("mv", "app.c", "src/app.c")
    repo.write("calc.c", functions(b"\tadded();\n", b""))
    commit(20, "Ada", "inside", "docs: move\n")
    repo.git("tag", "v1.0")
    repo.git("mv", "calc.c", "sum.c")
    commit(21, "Ada", "moved")
    repo.write("src/app.c", b"int uno(void);\nint three(void);\n}\n")
    repo.write("config.txt", SECRET)
    commit(400, "Linus", "uno", f'uno\n\nFixes: {made["deux"][:8]} ("speak French")\n')
    repo.write(".github/workflows/ci.yml", b"on: [push]\n")
    repo.write("sum.c", functions(b"\tchanged();\n", b"\tadded();\n"))
    repo.write("tests/sum.sh", b"exit\n")
    commit(405, "Linus", "both")
    repo.write(".github/workflows/ci.yml", b"on: [push, pull_request]\n")
    commit(410, "Ada", "ci")
    repo.write("package.json", b"{}\n")
    commit(415, "bot", "update", "chore(deps): update\n")
    repo.write("src/app.c", b"int three(void);\nint uno(void);\n}\n")
    commit(420, "Grace", "three")
    repo.git("checkout", "-q", "-b", "without")
    repo.remove("config.txt")
    commit(421, "Ada", "without")
    repo.git("checkout", "-q", "-b", "elsewhere", "main")
    (path / "conf").mkdir()
    repo.git("mv", "config.txt", "conf/config.txt")
    commit(422, "Ada", "elsewhere")
    repo.git("checkout", "-q", "main")
    return made


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


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Path, dict[str, str]]]:
    path = tmp_path_factory.mktemp("crew") / "repo"
    made = team(path)
    with govc_search.open(path.parent / "data") as engine:
        engine.index(path, jobs=1)
        yield engine, path, made


def rows(result: Result) -> list[str]:
    """Returns the rows but for the score, which corpus statistics may change, and the order."""
    table = result.to_arrow()
    kept = [name for name in table.column_names if name != "score"]
    return sorted(map(str, table.select(kept).to_pylist()))


@pytest.mark.parametrize("question", ALL.values(), ids=lambda question: question.name)
def test_it_runs_and_answers_the_same_without_indexes(
    question: Investigation, engine: Engine
) -> None:
    result = engine.query(question.gql, question.parameters)
    assert not [w for w in result.warnings if " occurs nowhere: looked for " not in w]
    scanned = engine.query(question.gql, question.parameters, indexes=False)
    assert rows(scanned) == rows(result)


ASKED_OF_GIT = [q for q in ALL.values() if q.git and "AGO(" not in q.gql]


@pytest.mark.parametrize("question", ASKED_OF_GIT, ids=lambda question: question.name)
def test_git_answers_the_same(question: Investigation, engine: Engine, place: Path) -> None:
    result = engine.query(question.gql, question.parameters)
    names = [column.name for column in result.columns]
    wanted = "%aN" if names[0] == "author_mapped" else "%h"
    arguments = question.git_arguments(wanted, question.parameters)
    with GitView(place) as view:
        answer = view.run(arguments).output.decode().split("\n")[:-1]
    assert answer
    if names[0] == "author_mapped":
        assert {row[0]: row[1] for row in result} == Counter(answer)
    elif "LIMIT 1\n" in question.gql:
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
    with govc_search.open(tmp_path / "data") as engine:
        engine.index(repo.path, jobs=1)
        table = engine.query(ALL[9].gql, ALL[9].parameters).to_arrow().to_pylist()
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


def since(day: int) -> str:
    """Returns how long ago a day of the team's history was, as an interval."""
    return f"{int(datetime.now(UTC).timestamp()) - FIRST_DATE - day * DAY} seconds"


def short(made: dict[str, str], *names: str) -> list[str]:
    return [made[name][:12] for name in names]


Crew = tuple[Engine, Path, dict[str, str]]


def answer(crew: Crew, number: int, columns: str, **parameters: object) -> list[tuple[object, ...]]:
    """Returns these columns of the answer to a question about the team."""
    question = ALL[number]
    table = crew[0].query(question.gql, {**question.parameters, **parameters}).to_arrow()
    return list(zip(*(table.column(name).to_pylist() for name in columns.split()), strict=True))


def test_secrets_are_where_git_grep_finds_them(crew: Crew) -> None:
    _, path, _ = crew
    with GitView(path) as view:
        found = view.run(["grep", "-h", "-E", SECRET.decode().strip(), "main", "elsewhere"])
    assert found.output == 2 * SECRET
    assert answer(crew, 4, "branch text path") == [
        ("elsewhere", SECRET.decode().strip(), "config.txt"),
        ("main", SECRET.decode().strip(), "config.txt"),
    ]


def test_a_fix_names_a_commit_by_the_beginning_of_its_hash(crew: Crew) -> None:
    bad = crew[2]["deux"][:12]
    assert answer(crew, 11, "short_hash fixes files") == [(bad, 1, ["app.c", "logo.png"])]


def test_hours_and_weekdays_are_those_of_the_author(crew: Crew) -> None:
    _, path, _ = crew
    with GitView(path) as view:
        dates = ["log", "--all", "--format=%ad", "--date=format:%A %H"]
        said = Counter(view.run(dates).output.decode().splitlines())
    mine = {f"{w} {h:02}": n for w, h, n in answer(crew, 17, "weekday hour commits")}
    assert mine == said


def test_files_of_one_person(crew: Crew) -> None:
    assert answer(crew, 18, "path person changes", period=since(300)) == [
        ("config.txt", "Linus", 1),
        ("package.json", "renovate[bot]", 1),
        ("sum.c", "Linus", 1),
        ("tests/sum.sh", "Linus", 1),
    ]


def test_hotspots_leave_tests_out(crew: Crew) -> None:
    found = answer(crew, 19, "path changes churn people", period=since(300))
    assert found[:2] == [("src/app.c", 2, 5, 2), (".github/workflows/ci.yml", 2, 4, 2)]
    assert "tests/sum.sh" not in [row[0] for row in found]


def test_files_of_people_who_left(crew: Crew) -> None:
    assert answer(crew, 21, "path changes by_them percent", period=since(300)) == [
        ("lib/util.c", 3, 2, 67.0),
        ("lib/old.c", 1, 1, 100.0),
    ]


def test_removed_lines_are_those_of_who_added_them(crew: Crew) -> None:
    assert answer(crew, 22, "remover owner lines") == [
        ("Linus", "Ada", 2),
        ("Grace", "Ada", 1),
        ("Grace", "Linus", 1),
        ("Konrad", "Konrad", 1),
        ("Linus", "Grace", 1),
    ]


def test_lines_of_a_year_that_are_gone(crew: Crew) -> None:
    assert answer(crew, 23, "year dir added removed_since") == [
        (2020, "", 40, 4),
        (2020, "lib", 5, 1),
        (2021, "", 2, 0),
        (2021, "src", 2, 1),
        (2021, "tests", 1, 0),
    ]


def test_what_people_change_in_their_first_month(crew: Crew) -> None:
    found = answer(crew, 29, "short_hash path")
    assert found == [(h, ".github/workflows/ci.yml") for h in short(crew[2], "first", "both")]


def test_shares_of_organisations_add_up(crew: Crew) -> None:
    found = answer(crew, 31, "quarter domain commits percent_of_commits")
    with GitView(crew[1]) as view:
        count = int(view.run(["rev-list", "--count", "--all", "--no-merges"]).output)
    assert next(row for row in found if row[0] is None) == (None, None, count, 100.0)
    assert (None, "one.example", 6, 46.2) in found
    for quarter in {row[0] for row in found}:
        of_it = [row for row in found if row[0] == quarter]
        assert sum(row[2] for row in of_it if row[1]) == of_it[0][2]


def test_bots(crew: Crew) -> None:
    assert answer(crew, 32, "is_bot commits percent identities") == [
        (False, 12, 92.31, 4),
        (True, 1, 7.69, 1),
    ]


def test_release_notes_begin_with_what_breaks(crew: Crew) -> None:
    found = answer(crew, 33, "breaking type scope subject", range="v1.0~4..v1.0")
    assert found == [
        (True, "feat", "app", "feat(app)!: speak French"),
        (False, "docs", None, "docs: move"),
        (False, "fix", "lib", "fix(lib): four"),
        (False, None, None, "old"),
    ]


def test_changes_inside_a_function_and_not_its_neighbour(crew: Crew) -> None:
    found = answer(crew, 34, "short_hash path", path="sum.c", heading=r"\<add\(")
    assert found == list(zip(short(crew[2], "inside", "both"), ["calc.c", "sum.c"], strict=True))
    with GitView(crew[1]) as view:
        traced = ["log", "--format=%H", "--abbrev=12", "-s", "-L:^int add(:sum.c", "main"]
        said = view.run(traced).output.decode().split()
    # git counts the commit that made the function too.
    assert said[:-1] == [crew[2]["both"], crew[2]["inside"]]


def test_the_history_of_a_path_is_that_of_git(crew: Crew) -> None:
    with GitView(crew[1]) as view:
        said = view.run(["log", "--follow", "--abbrev=12", "--format=%h", "main", "--", "sum.c"])
    found = [row[0] for row in answer(crew, 35, "short_hash", path="sum.c")]
    assert found == said.output.decode().split()
