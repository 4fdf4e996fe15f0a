"""The shell as a process of its own: at a terminal, and with statements from a pipe."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.repositories import Builder
from fixtures.terminal import Terminal

from govc_search.cli import backslash, main
from govc_search.cli.shell import _entries
from govc_search.engine import Indexed
from govc_search.errors import EXIT_STATUS, UsageError

PROGRAM = [sys.executable, "-c", "import sys; from govc_search.cli import main; sys.exit(main())"]
MANY = "VALUES " + ", ".join(f"({n})" for n in range(5000))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shell")
    repository = Builder(root / "toy")
    repository.write("a.c", b"int main(void)\n")
    repository.commit("add a race")
    repository.git("tag", "v1.0")
    repository.write("a.c", b"int main(int n)\n")
    repository.commit("evil \x1b[31mred\x1b[0m")
    assert main(["--quiet", "index", str(root / "toy"), "--data", str(root / "data")]) == 0
    return root / "data"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def terminal(data: Path, home: Path) -> Callable[..., Terminal]:
    def start(*arguments: str, rows: int = 24, **environment: str) -> Terminal:
        env = {"GOVC_SEARCH_DATA": str(data), "XDG_STATE_HOME": str(home), "PAGER": "cat"}
        return Terminal("shell", *arguments, env={**env, **environment}, rows=rows)

    return start


Start = Callable[..., Terminal]


@pytest.fixture
def piped(
    data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def run(text: str, *arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        status = main(["shell", "--data", str(data), *arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return run


Piped = Callable[..., tuple[int, str, str]]


# At a terminal


def test_a_session(terminal: Start, home: Path) -> None:
    with terminal() as t:
        t.prompt()
        t.type("SELECT 40 + 2 AS answer;\r")
        assert "answer\n──────\n    42\n" in t.expect("1 row in .*\n")
        t.type("SELECT count(*) AS n\r")
        t.expect("  ->")
        t.type("FROM commits\rWHERE is_root; SELECT 'second' AS two;\r")
        shown = t.expect("second\n")
        assert "n\n─\n1\n" in shown
        t.prompt()
        t.type("SELECT autor\rFROM commits;\r")
        shown = t.expect('did you mean "author"')
        assert "error[unknown_column]" in shown
        assert "\n  SELECT autor\n         ^^^^^ " in shown
        t.prompt()
        t.type("SELECT 1\r\\d\r")
        t.expect("after the ;")
        t.prompt()
        t.type("SELECT never")
        t.expect("never")
        t.type("\x03")
        t.prompt()
        t.type("  SELECT 'secret' AS s;\r")
        t.expect("secret\n")
        t.type("exit\r")
        assert t.end() == 0
    history = home / "govc-search" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    kept = history.read_text()
    assert "+SELECT count(*) AS n\n+FROM commits\n+WHERE is_root; SELECT 'second' AS two;\n" in kept
    assert "secret" not in kept
    assert "never" not in kept


def test_the_history_of_the_last_session_comes_back(terminal: Start) -> None:
    for keys in ("SELECT 'first' AS w;\r", "\x1b[A\r"):
        with terminal() as t:
            t.prompt()
            t.type(keys)
            t.expect("w\n─────\nfirst\n")
            t.prompt()
            t.type("\x04")
            assert t.end() == 0


@pytest.mark.parametrize(
    ("typed", "menu", "answer"),
    [
        ("SELECT count(*) AS n FROM ref_u", "ref_updates", "n\n─\n\\d\n"),
        ("SELECT count(*) AS n FROM commits WHERE repo = 'to", "toy'", "n\n─\n2\n"),
        ("SELECT count(*) AS n FROM commits WHERE IN_RANGE('v1.", "v1.0", ""),
        ("\\for", "\\\\format", "the format is table"),
    ],
)
def test_tab_completes(terminal: Start, typed: str, menu: str, answer: str) -> None:
    with terminal() as t:
        t.prompt()
        t.type(typed)
        # The menu opens by itself.
        t.expect(f" {menu} ")
        if "IN_RANGE" in typed:
            t.type("\t..HEAD');\r")
            t.expect("n\n─\n1\n")
        else:
            t.type("\t;\r")
            t.expect(answer)


def test_ctrl_c_ends_the_query_and_not_the_shell(terminal: Start, tmp_path: Path) -> None:
    endless = tmp_path / "endless.gql"
    endless.write_text(
        "SELECT 'begun' AS word;\n"
        f"WITH n AS ({MANY}) SELECT count(*) FROM n a, n b, n c"
        " WHERE a.col0 + b.col0 = c.col0 * 7 + 3;\n"
        "SELECT 'never' AS word;\n"
    )
    with terminal("--set", "deadline_seconds=1000") as t:
        t.prompt()
        t.type(f"\\i {endless}\r")
        t.expect("word\n─────\nbegun\n")
        t.type("\x03")
        assert "never" not in t.expect(r"interrupted\n(.|\n)*gql>\s*\Z")
        t.type("SELECT 'alive' AS word;\r")
        t.expect("word\n─────\nalive\n")


def test_two_shells_share_a_directory(terminal: Start) -> None:
    asking = "SELECT count(*) AS n FROM commits;\r"
    with terminal() as holder:
        holder.prompt()
        with terminal() as other:
            other.prompt()
            for t in (holder, other, holder):
                t.type(asking)
                t.expect("n\n─\n2\n")
                t.prompt()
            other.type("SELECT autor FROM commits;\r")
            other.expect(r"\^\^\^\^\^ did you mean")
            holder.type("\x04")
            assert holder.end() == 0
            other.type(asking)
            other.expect("n\n─\n2\n")


def test_what_is_longer_than_the_screen_goes_through_the_pager(
    terminal: Start, tmp_path: Path
) -> None:
    page = tmp_path / "page"
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\ncat > "{page}"\necho "paged by $1 with $LESS"\n')
    pager.chmod(0o700)
    with terminal(PAGER=f"'{pager}' 'a b'", rows=12) as t:
        t.prompt()
        t.type(f"VALUES {', '.join(f'({n})' for n in range(5))};\r")
        assert "paged" not in t.expect("5 rows in")
        t.type(f"VALUES {', '.join(f'({n})' for n in range(20))};\r")
        t.expect("paged by a b with FRX\n20 rows in")
    assert page.read_text().split()[-3:] == ["17", "18", "19"]


@pytest.mark.parametrize("pager", ["head -n 1", "/nonexistent/pager"])
def test_a_pager_that_leaves_or_is_missing_is_no_error(
    terminal: Start, tmp_path: Path, pager: str
) -> None:
    # More than a pipe holds.
    wide = f"WITH n AS ({MANY}) SELECT lpad('', 90, 'x') AS x FROM n"
    (tmp_path / "many.gql").write_text(wide)
    with terminal(PAGER=pager, rows=12) as t:
        t.prompt()
        t.type(f"\\i {tmp_path / 'many.gql'}\r")
        assert "error" not in t.expect(r"5,000 rows in(.|\n)*gql>\s*\Z")
        t.type("\x04")
        assert t.end() == 0


def test_nothing_from_a_repository_moves_the_cursor(terminal: Start) -> None:
    with terminal("-F", "csv") as t:
        t.prompt()
        t.type("SELECT subject FROM commits WHERE NOT is_root;\r")
        t.expect(r"evil \\x1b\[31mred")
        t.type("\\s evil\r")
        t.expect(r"evil \\x1b\[31mred")
    assert b"\x1b[31mred" not in t.raw


def test_colours_only_where_they_are_wanted(terminal: Start) -> None:
    for arguments, coloured in (((), True), (("--no-color",), False)):
        with terminal(*arguments) as t:
            t.prompt()
            t.type("SELECT 'x' AS a;\r")
            t.expect("1 row in")
            assert (b"\x1b[0;34;1mSELECT" in t.raw) is coloured, t.raw


def test_state_that_cannot_be_kept_is_no_obstacle(terminal: Start, home: Path) -> None:
    home.write_text("a file, where a directory should be")
    with terminal() as t:
        t.expect("warning: no history is kept")
        t.prompt()
        t.type("SELECT 'works' AS a;\r")
        t.expect("a\n─────\nworks\n")


# From a pipe


def test_statements_from_a_pipe_run_up_to_the_first_error(piped: Piped) -> None:
    text = "-- first\nSELECT 1 AS a;\n\n\nSELECT count(*) AS n,\n  autor\nFROM commits; SELECT 3;\n"
    status, out, err = piped(text, "-F", "csv", "-q")
    assert (status, out) == (EXIT_STATUS["query"], "a\r\n1\r\n")
    assert err.startswith("standard input, line 6:\nerror[unknown_column]")
    assert "\n    autor\n    ^^^^^" in err
    assert "gql>" not in out + err


def test_a_pipe_is_answered_as_it_is_written(data: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "shell", "-q", "-F", "ndjson", "--data", str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        for n in range(3):
            shell.stdin.write(f"SELECT {n} AS\n n;\n")
            shell.stdin.flush()
            assert json.loads(shell.stdout.readline()) == {"n": n}
        shell.stdin.write("SELECT x;")
        shell.stdin.close()
        assert shell.wait(60) == EXIT_STATUS["query"]


def test_everything_from_a_pipe(piped: Piped, tmp_path: Path) -> None:
    (tmp_path / "inner.gql").write_text("SELECT 'inner' AS a")
    out = tmp_path / "out.csv"
    text = (
        "\ufeff\\format ndjson\nSELECT ';' AS a; SELECT 2 AS a -- ;\n;\n"
        f"\\i {tmp_path / 'inner.gql'}\n\\o {out}\nSELECT 3 AS a;\nSELECT 4 AS a\n"
    )
    status, shown, err = piped(text, "-q")
    assert (status, err) == (0, "")
    assert [json.loads(line)["a"] for line in shown.splitlines()] == [";", 2, "inner", 4]
    assert out.read_bytes() == b"a\r\n3\r\n"


@pytest.mark.parametrize("command", backslash.COMMANDS, ids=lambda c: c.name)
def test_every_command_does_something(
    piped: Piped, tmp_path: Path, command: backslash.Command
) -> None:
    (tmp_path / "f").write_text("SELECT 'from a file' AS a;")
    given = {
        "\\?": ("", "", "\\explain [on|off|GQL]"),
        "\\d": ("tags", "tagger_email", ""),
        "\\df": ("date_d", "date_diff(part, timestamp, timestamp)", "1 function\n"),
        "\\s": ("race", "add a race", "1 row"),
        "\\show": ("v1.0", "+int main(void)", ""),
        "\\explain": ("SELECT hash FROM commits", "commits", ""),
        "\\set": ("n 'it''s'", "answer", "$n is 'it''s'"),
        "\\unset": ("", "answer", ""),
        "\\params": ("", "answer", "no parameter has a value"),
        "\\timing": ("off", "answer", "1 row, as of position"),
        "\\format": ("json", '[\n{"answer": 42}\n]', "the format is json"),
        "\\o": (str(tmp_path / "out"), "", f"the next result goes to {tmp_path / 'out'}"),
        "\\i": (str(tmp_path / "f"), "from a file", ""),
        "\\q": ("", "", ""),
    }
    argument, output, message = given[command.name]
    status, out, err = piped(f"{command.name} {argument}\nSELECT 42 AS answer;")
    assert status == 0
    assert output in out
    assert message in err
    assert ("42" in out) is (command.name not in {"\\q", "\\o"})


def test_functions_are_listed_by_a_pattern(piped: Piped) -> None:
    _, out, err = piped("\\df regexp_e*all\n\\df is_*")
    assert "regexp_extract_all" in out
    assert "regexp_replace" not in out
    assert "is_ancestor" in out
    assert "isnan" not in out
    assert "1 function\n" in err


def test_plans_before_rows(piped: Piped) -> None:
    text = "\\explain\nSELECT hash FROM commits WHERE MATCH(subject, 'race');\nEXPLAIN SELECT 1;"
    status, out, err = piped(text, "-q", "-F", "csv")
    assert status == 0
    assert "race" in err
    assert out.startswith("hash\r\n")
    assert err.count("one row") == 0


def test_parameters_have_types(piped: Piped) -> None:
    given = {
        "t": ("'it''s; $n'", "it's; $n"),
        "word": ("use after free", "use after free"),
        "n": ("42;", 42),
        "d": ("= -1.5e1", -15.0),
        "b": ("TRUE", True),
        "nothing": ("null", None),
        "day": ("DATE '2024-01-31'", "2024-01-31T00:00:00Z"),
        "at": ("timestamp '2024-01-31 12:00:00+02:00'", "2024-01-31T10:00:00Z"),
    }
    sets = "".join(f"\\set {name} {text}\n" for name, (text, _) in given.items())
    asked = ", ".join(f"${name} AS {name}" for name in given)
    text = f"{sets}SELECT {asked};\nSELECT '$t' AS t, $n + 1 AS more -- $d\n;\n\\params\n"
    status, out, err = piped(text, "-q", "-F", "ndjson")
    assert status == 0
    answers = [json.loads(line) for line in out.splitlines()]
    assert answers == [{name: v for name, (_, v) in given.items()}, {"t": "$t", "more": 43}]
    assert "$t = 'it''s; $n'\n" in err
    assert "$at = TIMESTAMP '2024-01-31 12:00:00+02:00'\n" in err
    assert "$day = DATE '2024-01-31'\n" in err
    status, out, err = piped(f"{sets}\\unset $n\n\\params\nSELECT $n AS n", "-q")
    assert status == EXIT_STATUS["query"]
    assert "$d = -15.0\n" in err
    assert "$n =" not in err
    assert "error[missing_parameter]" in err


def test_parameters_reach_the_shell_that_holds_the_directory(terminal: Start, piped: Piped) -> None:
    with terminal() as t:
        t.prompt()
        text = "\\set day DATE '2024-01-31'\nSELECT $day + INTERVAL '1 day' AS next"
        status, out, _ = piped(text, "-F", "csv")
        assert status == 0
        assert out == "next\r\n2024-02-01T00:00:00Z\r\n"
        t.type("\x04")
        assert t.end() == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("\\fromat json", "did you mean \\format?"),
        ("\\x", "one value a line"),
        ("\\l", "SELECT * FROM repos"),
        ("\\format xml", 'no format "xml"'),
        ("\\format parquet", "\\o FILE.parquet"),
        ("\\timing perhaps", "on or off is expected"),
        ("\\i /nonexistent", "cannot read /nonexistent"),
        ("\\s", "takes words"),
        ("\\d nope", 'no table "nope"'),
        ("\\set since", "takes a name and a value"),
        ("\\set 1st 2", "takes a name and a value"),
        ("\\set day DATE '2024-02-30'", 'not a date: "2024-02-30"'),
        ("\\unset since", "$since has no value"),
    ],
)
def test_commands_that_cannot_be_taken(piped: Piped, line: str, message: str) -> None:
    status, out, err = piped(line)
    assert status in {EXIT_STATUS["usage"], EXIT_STATUS["query"]}
    assert message in err
    assert not out


def test_a_file_that_runs_itself_ends(piped: Piped, tmp_path: Path) -> None:
    file = tmp_path / "self.gql"
    file.write_text(f"\\i {file}\n")
    status, _, err = piped(file.read_text())
    assert status == EXIT_STATUS["usage"]
    assert "one of them runs itself" in err


@pytest.mark.parametrize(
    ("arguments", "hint"), [(("-o", "x"), "\\o FILE"), (("-F", "parquet"), "\\o FILE.parquet")]
)
def test_options_for_one_result_are_refused(
    piped: Piped, arguments: tuple[str, ...], hint: str
) -> None:
    status, _, err = piped("SELECT 1;", *arguments)
    assert status == EXIT_STATUS["usage"]
    assert hint in err


# Its parts


def test_a_text_is_cut_into_statements_and_commands() -> None:
    text = """
-- about a
SELECT 1,
  2; SELECT '
\\d not a command
';  -- and
\\timing
  \\d x;
exit;
-- only a comment
\\q
SELECT
  3
"""
    assert list(_entries(text.splitlines(keepends=True))) == [
        (2, "-- about a\nSELECT 1,\n  2;"),
        (4, "SELECT '\n\\d not a command\n';"),
        (7, "\\timing"),
        (8, "\\d x;"),
        (9, "exit;"),
        (11, "\\q"),
        (12, "SELECT\n  3"),
    ]


def test_what_may_follow_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.gql").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "evil\x1b").touch()
    (tmp_path / "dir").mkdir()
    monkeypatch.chdir(tmp_path)
    indexed = Indexed(("git",), (("main", "refs/heads/main", "branch"),))

    def after(line: str) -> list[str]:
        found = backslash.candidates(line, len(line), indexed)
        return [line[: c.start] + c.text for c in found]

    assert after("\\t") == ["\\timing"]
    assert after("\\d tag") == ["\\d tags"]
    assert after("\\df date_d") == ["\\df date_diff", "\\df datediff"][:1]
    assert after("\\s race repo:g") == ["\\s race repo:git"]
    assert after("\\show m") == ["\\show main"]
    assert after("\\explain o") == ["\\explain on", "\\explain off"]
    assert after("\\explain SELECT sub") != []
    assert after("\\format c") == ["\\format csv"]
    assert after("\\i ") == ["\\i dir/", "\\i one.gql"]
    assert after("\\i ./o") == ["\\i ./one.gql"]
    assert after("\\i .h") == ["\\i .hidden"]
    assert after("\\q ") == []
    with pytest.raises(UsageError, match="no command"):
        backslash.split("\\nope")


def test_other_commands_start_without_the_prompt(data: Path) -> None:
    code = (
        "import sys; from govc_search.cli import main\n"
        "assert main(['query', '-q', 'SELECT 1']) == 0\n"
        "assert 'prompt_toolkit' not in sys.modules\n"
    )
    env = {**os.environ, "GOVC_SEARCH_DATA": str(data)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True)
