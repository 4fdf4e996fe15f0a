import errno
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest

from govc_search.cli import main
from govc_search.cli.commands import cli
from govc_search.cli.options import parameters
from govc_search.errors import EXIT_STATUS, UsageError

DOCS = Path(__file__).parent.parent / "docs" / "cli.md"
PROGRAM = [sys.executable, "-c", "import sys; from govc_search.cli import main; sys.exit(main())"]


def git(where: Path, *arguments: str, day: int = 1, message: str | None = None) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    for who in ("AUTHOR", "COMMITTER"):
        environment[f"GIT_{who}_NAME"] = "Ann Öl"
        environment[f"GIT_{who}_EMAIL"] = "ann@example.org"
        environment[f"GIT_{who}_DATE"] = f"2024-01-{day:02d}T12:00:00+0100"
    subprocess.run(
        ["git", "-C", where, *arguments],
        check=True,
        env=environment,
        input=message.encode() if message else None,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "toy"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    (path / "a.c").write_text("one\ntwo\n")
    git(path, "add", ".")
    git(path, "commit", "-qF", "-", message="add a race\n\nThe body of the race.\n\nFixes: abc\n")
    (path / "a.c").write_text("one\nthree\n")
    git(path, "commit", "-qaF", "-", day=2, message="evil \x1b[31mred\x9b \u202e race\n")
    return path


@pytest.fixture(scope="module")
def data(repository: Path) -> Path:
    directory = repository.parent / "data"
    assert main(["--quiet", "index", str(repository), "--data", str(directory)]) == 0
    return directory


@pytest.fixture
def run(
    data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("GOVC_SEARCH_DATA", str(data))

    def run_command(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(arguments)
        out, err = capfd.readouterr()
        return status, out, err

    return run_command


Run = Callable[..., tuple[int, str, str]]


def on_terminal(*arguments: str, data: Path, columns: int = 80, **environment: str) -> str:
    """Returns what the program writes when all its streams are one terminal."""
    leader, follower = pty.openpty()
    env = {"PATH": os.environ["PATH"], "GOVC_SEARCH_DATA": str(data), "COLUMNS": str(columns)}
    env |= {"PYTHONPATH": str(Path(__file__).parent.parent), "TERM": "xterm", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        env=env | environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    out = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError as error:
            # Linux says so when the last writer is gone.
            if error.errno != errno.EIO:
                raise
            break
        if not piece:
            break
        out += piece
    os.close(leader)
    assert process.wait() == 0, out.decode()
    return out.decode()


def test_query_writes_data_to_output_and_the_rest_to_error(run: Run) -> None:
    status, out, err = run(
        "query", "SELECT subject, author_date FROM commits ORDER BY position", "-F", "csv"
    )
    assert status == 0
    assert out == (
        "subject,author_date\r\nadd a race,2024-01-01T11:00:00Z\r\n"
        "evil \x1b[31mred\x9b \u202e race,2024-01-02T11:00:00Z\r\n"
    )
    assert re.fullmatch(r"2 rows in [\d.]+ m?s, as of position \d+\n", err)


def test_quiet_says_nothing(run: Run) -> None:
    assert run("query", "SELECT 1 AS one", "-q", "-F", "ndjson") == (0, '{"one": 1}\n', "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-F", "json", "query", "-- a comment\nSELECT 1 AS a"],
        ["query", "--format", "json", "--a=b\nSELECT 1 AS a"],
        ["query", "-- first -- second\nSELECT 1 AS a", "-F", "json"],
        ["query", "-F", "csv", "SELECT 1 AS a", "-Fjson"],
        ["-F", "csv", "query", "SELECT 1 AS a", "--format=json"],
        ["query", "-Fjson", "--", "--comment\nSELECT 1 AS a"],
    ],
)
def test_options_stand_anywhere_and_comments_are_no_options(run: Run, arguments: list[str]) -> None:
    status, out, _ = run(*arguments)
    assert (status, json.loads(out)) == (0, [{"a": 1}])


def test_a_query_comes_from_a_file_or_standard_input(run: Run, tmp_path: Path, data: Path) -> None:
    file = tmp_path / "q.gql"
    file.write_text("\ufeff-- comment\nSELECT 'é' AS a;\n")
    assert run("query", "-qf", str(file), "-F", "csv")[1] == "a\r\né\r\n"
    for arguments in (["-"], ["-f", "-"]):
        done = subprocess.run(
            [*PROGRAM, "query", *arguments, "-q", "-F", "csv", "--data", str(data)],
            input="SELECT 'é' AS a".encode(),
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode() == "a\r\né\r\n"
    assert run("query")[0] == EXIT_STATUS["usage"]
    assert run("query", "SELECT 1", "-f", str(file))[0] == EXIT_STATUS["usage"]
    status, _, err = run("query", "-f", str(tmp_path / "none"))
    assert (status, "cannot read" in err) == (EXIT_STATUS["usage"], True)


def test_parameters_are_typed() -> None:
    assert parameters(
        ["a=1", "b=-1.5", "c=true", "d=NULL", "e=x=y", "f='12'", "$g=2024-01-01", "h=", "i=1e3", "j=1."]
    ) == {
        "a": 1, "b": -1.5, "c": True, "d": None, "e": "x=y", "f": "12", "g": "2024-01-01",
        "h": "", "i": 1000.0, "j": 1.0,
    }  # fmt: skip
    assert type(parameters(["a=1"])["a"]) is int
    assert parameters(["2=b", "1=7"]) == [7, "b"]
    for wrong in (["a"], ["=1"], ["a b=1"], ["a=1", "a=2"], ["1=a", "3=b"]):
        with pytest.raises(UsageError):
            parameters(wrong)


def test_parameters_may_be_lists() -> None:
    assert parameters(['a=[1, "x", null]', "b=[drop] it", "c='[1]'", "d=[[1]]"]) == {
        "a": [1, "x", None], "b": "[drop] it", "c": "[1]", "d": "[[1]]",
    }  # fmt: skip


def test_parameters_are_bound(run: Run) -> None:
    query = "SELECT count(*) AS n FROM commits WHERE subject LIKE $s AND files_changed = $n"
    assert run("query", "-q", "-Fcsv", query, "-p", "s=add%", "-p", "n=1")[1] == "n\r\n1\r\n"
    assert (
        run("query", "-q", "-Fcsv", "SELECT ? AS a, ? AS b", "-p1=x", "-p", "2=3")[1]
        == "a,b\r\nx,3\r\n"
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "shown"),
    [
        (["query", "SELECT autor FROM commits"], "query", "^^^^^"),
        (["query", "SELECT 1", "--formt", "csv"], "usage", "--formt"),
        (["query", "SELECT 1", "-F", "xml"], "usage", "parquet"),
        (["query", "SELECT 1", "--set", "deadlin=3"], "usage", "unknown_setting"),
        (["query", "SELECT 1", "--set", "deadline"], "usage", "name=value"),
        (["frob"], "usage", "frob"),
        (["search", "autor:x"], "query", 'did you mean "author:"?'),
        (["search", "race ref:nowhere"], "query", "  race ref:nowhere\n           ^^^^^^^"),
        (["show", "nothing-of-the-kind"], "query", "unknown_revision"),
        (["index", "/nowhere/at/all"], "source", "/nowhere/at/all"),
        (["index", "a", "b", "--name", "x"], "usage", "--name"),
        (["rebuild", "log"], "usage", "table"),
        (["completion", "tcsh"], "usage", "bash"),
    ],
)
def test_errors_go_to_error_with_their_status(
    run: Run, arguments: list[str], kind: str, shown: str
) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (EXIT_STATUS[kind], "")
    assert err.startswith("error[")
    assert shown in err
    assert "Traceback" not in err


def test_reading_makes_no_data_directory(run: Run, tmp_path: Path) -> None:
    for command in (
        ["query", "SELECT 1"], ["search", "x"], ["show", "HEAD"], ["status"], ["verify"], ["rebuild"],
    ):  # fmt: skip
        status, out, err = run(*command, "--data", str(tmp_path / "none"))
        assert (status, out) == (EXIT_STATUS["store"], "")
        assert "no_data_directory" in err
        assert "index PATH" in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_and_named_by_its_format(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    status, out, _ = run("query", "SELECT hash FROM commits", "-o", str(file))
    assert (status, out) == (0, "")
    assert pq.read_table(file).num_rows == 2
    assert run("query", "SELECT nothing FROM commits", "-o", str(file))[0] == EXIT_STATUS["query"]
    assert pq.read_table(file).num_rows == 2
    assert run("query", "SELECT 1 AS a", "-o", str(tmp_path / "x.txt"), "-F", "csv")[0] == 0
    assert (tmp_path / "x.txt").read_bytes() == b"a\r\n1\r\n"
    status, _, err = run("query", "SELECT 1", "-o", str(tmp_path / "no" / "x.csv"))
    assert (status, "cannot_write" in err) == (EXIT_STATUS["usage"], True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.parquet", "x.txt"]


def test_explain_is_plain_lines(run: Run) -> None:
    _, out, _ = run(
        "query", "-- why\nEXPLAIN SELECT hash FROM commits WHERE MATCH(subject, 'race')"
    )
    assert "plan\n----" not in out
    assert out.strip()


def test_search_speaks_box_and_shows_its_gql(run: Run) -> None:
    status, out, _ = run("search", "race", "-subject:evil", "-F", "json", "--limit", "5")
    assert [r["subject"] for r in json.loads(out)] == ["add a race"]
    assert status == 0
    # "-other" is a word to exclude, not a file to write.
    assert len(json.loads(run("search", "race", "-other", "-o", "-", "-F", "json")[1])) == 2
    _, gql, err = run("search", "race author:O'Neil", "--gql", "-n", "3")
    assert err == ""
    assert "SEARCH(c, 'race')" in gql
    assert "'%O''Neil%'" in gql
    assert gql.endswith("LIMIT 3\n")
    assert run("query", gql)[0] == 0


def test_show_prints_message_and_patch(run: Run) -> None:
    _, out, _ = run("show", "main~1")
    assert "    add a race\n\n    The body of the race.\n" in out
    assert "a.c  (added, +2 -0)\n@@ -0,0 +1,2 @@\n+one\n+two\n" in out
    (commit,) = json.loads(run("show", "main", "--repo", "toy", "-F", "json")[1])
    assert commit["changes"][0]["hunks"][0]["added"] == "three"
    assert commit["author_date"] == "2024-01-02T11:00:00Z"


def test_status_names_repositories(run: Run) -> None:
    _, out, _ = run("status")
    assert re.search(r"^toy +2 +1 +full +true", out, re.MULTILINE)
    (found,) = json.loads(run("status", "-F", "json")[1])
    assert found["repositories"][0]["commits"] == 2
    assert found["as_of"] == found["last_position"]


def test_verify_is_silent_when_all_is_sound_and_rebuild_keeps_it_so(run: Run) -> None:
    for _ in range(2):
        status, out, err = run("verify")
        assert (status, out) == (0, "")
        assert "sound" in err
        assert run("rebuild", "table")[0] == 0
    assert run("rebuild", "-q")[::2] == (0, "")
    assert json.loads(run("verify", "-F", "json")[1]) == []


def test_index_again_reads_nothing(run: Run, repository: Path) -> None:
    status, out, err = run("index", str(repository))
    assert (status, out) == (0, "")
    assert "0 commits added" in err
    (report,) = json.loads(run("index", str(repository), "-F", "json")[1])
    assert (report["repo"], report["commits_added"], report["failures"]) == ("toy", 0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--refs", "main", "REPO"],
        ["REPO", "--refs", "main", "nothing*"],
        ["--refs", "main", "--refs", "nothing*", "REPO", "--jobs", "1"],
        ["REPO", "--refs=nothing*", "main", "--name", "other"],
    ],
)
def test_refs_takes_several(
    run: Run, repository: Path, tmp_path: Path, arguments: list[str]
) -> None:
    git(repository, "branch", "-f", "side", "main~1")
    filled = [str(repository) if a == "REPO" else a for a in arguments]
    assert run("index", *filled, "--data", str(tmp_path / "d"))[0] == 0
    found = run("query", "-q", "-Fcsv", "SELECT full_name FROM refs", "--data", str(tmp_path / "d"))
    assert found[1].split() == ["full_name", "refs/heads/main"]


def test_a_bad_repository_does_not_stop_the_others(
    run: Run, repository: Path, tmp_path: Path
) -> None:
    status, _, err = run(
        "index", str(tmp_path / "none"), str(repository), "--data", str(tmp_path / "d")
    )
    assert status == EXIT_STATUS["source"]
    assert "none" in err
    assert "2 commits added" in err


def test_a_missing_object_is_told_by_message_and_status(
    run: Run, repository: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(repository), str(copy)], check=True)
    for loose in (copy / ".git/objects").glob("??/*"):
        kind = subprocess.run(
            ["git", "-C", str(copy), "cat-file", "-t", loose.parent.name + loose.name],
            check=True, capture_output=True,
        ).stdout  # fmt: skip
        if kind == b"blob\n":
            loose.unlink()
    for _ in range(2):
        status, _, err = run("index", str(copy), "--data", str(tmp_path / "d"))
        assert status == EXIT_STATUS["incomplete"]
        assert "incomplete" in err


def test_settings_shows_what_is_in_force(run: Run) -> None:
    rows = json.loads(run("settings", "--set", "deadline_seconds=2.5", "-F", "json")[1])
    found = next(r for r in rows if r["name"] == "deadline_seconds")
    assert (found["value"], found["default"]) == (2.5, 30.0)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    status, out, _ = run("completion", shell)
    assert status == 0
    assert "_GOVC_SEARCH_COMPLETE" in out


def test_completion_knows_commands_and_formats() -> None:
    def complete(words: str) -> str:
        env = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
        env["_GOVC_SEARCH_COMPLETE"] = "bash_complete"
        done = subprocess.run(PROGRAM, env=env, capture_output=True, text=True, check=True)
        return done.stdout

    assert "plain,query" in complete("govc-search")
    assert "plain,parquet" in complete("govc-search query -F")


def test_a_reader_that_leaves_is_no_error(data: Path) -> None:
    joins = " ".join(f"CROSS JOIN commits b{i}" for i in range(12))
    query = f"SELECT a.message FROM commits a {joins}"
    process = subprocess.Popen(
        [*PROGRAM, "query", query, "-F", "csv", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_a_terminal_sees_colours_but_nothing_harmful(data: Path) -> None:
    painted = re.compile(r"\x1b\[[0-9;]*m")
    for arguments in (
        ["search", "race"],
        ["show", "main"],
        ["query", "SELECT subject FROM commits"],
        ["query", "SELECT subject FROM commits", "-F", "csv"],
        ["query", "SELECT subject FROM commits", "-F", "json"],
        ["query", 'SELECT subject AS "a\x1b[31m" FROM commits', "-F", "tsv"],
    ):
        shown = on_terminal(*arguments, data=data)
        assert "evil" in shown
        assert not set(painted.sub("", shown)) & {"\x1b", "\x9b", "\u202e", "\x02", "\x03"}
        # The commit's own colour is text.
        assert "\x1b[31mred" not in shown
    shown = on_terminal("search", "race", data=data)
    assert "\x1b[1;31mrace\x1b[0m" in shown
    assert "\x1b" not in on_terminal("search", "race", data=data, NO_COLOR="1")
    assert "\x1b" not in on_terminal("--no-color", "show", "main", data=data)
    narrow = on_terminal("query", "SELECT hash, message FROM commits", "-q", data=data, columns=40)
    assert max(len(painted.sub("", line).rstrip("\r")) for line in narrow.split("\n")) <= 40


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    from govc_search.engine import Engine

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "stream", interrupt)
    status, out, err = run("query", "SELECT 1")
    assert (status, out, err.strip()) == (130, "", "interrupted")


def test_a_fault_of_ours_is_one_line_unless_debugged(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    from govc_search.engine import Engine

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh \x1b[2J\nmore")

    monkeypatch.setattr(Engine, "stream", fail)
    status, _, err = run("query", "SELECT 1")
    assert status == EXIT_STATUS["internal"]
    assert err.startswith("error[internal]: ZeroDivisionError: oh \\x1b[2J\n")
    assert "Traceback" not in err
    assert "Traceback" in run("query", "SELECT 1", "--debug")[2]


def test_every_command_and_option_is_documented() -> None:
    text = DOCS.read_text()
    sections = {
        m[1]: m[2]
        for m in re.finditer(r"^## `govc-search (\w+)[^`]*`\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    }
    context = click.Context(cli)
    assert set(sections) == set(cli.list_commands(context))
    shared = {o for p in cli.params for o in p.opts}
    for option in shared:
        assert f"`{option}" in text, option
    for name, section in sections.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help
        for param in command.params:
            if isinstance(param, click.Option):
                assert param.help
                for option in set(param.opts) - shared:
                    assert f"`{option}" in section, (name, option)
    for kind, status in EXIT_STATUS.items():
        assert re.search(rf"^\| {status} \| ", text, re.M), kind


def test_every_command_takes_the_shared_options() -> None:
    shared = {o for p in cli.params for o in p.opts} - {"--version"}
    for name, command in cli.commands.items():
        assert shared <= {o for p in command.params for o in p.opts}, name


# The program


def test_the_module_is_the_program_and_without_arguments_shows_its_help() -> None:
    done = [
        subprocess.run(
            [sys.executable, "-m", "govc_search", *more],
            check=True, capture_output=True, text=True,
        )
        for more in ([], ["--help"])
    ]  # fmt: skip
    assert done[0].stdout == done[1].stdout
    assert done[0].stdout.startswith("Usage: govc-search ")
    assert [d.stderr for d in done] == ["", ""]


def test_an_empty_directory_is_told_how_to_be_filled(run: Run, tmp_path: Path) -> None:
    for name in ("missing", "empty"):
        status, _, err = run("query", "SELECT 1", "--data", str(tmp_path / name))
        assert status == EXIT_STATUS["store"]
        assert err.startswith("error[no_data_directory]: nothing is indexed in ")
        assert "`govc-search index PATH`" in err
        (tmp_path / "empty").mkdir(exist_ok=True)
    assert not (tmp_path / "missing").exists()
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_device_is_the_same_error_by_name_and_as_standard_output(data: Path) -> None:
    command = [*PROGRAM, "query", "SELECT hash FROM commits", "--data", data]
    with Path("/dev/full").open("wb") as full:
        found = [
            subprocess.run(
                [*command, *more], check=False, stdout=out, stderr=subprocess.PIPE, text=True
            )
            for more, out in ((["-o", "/dev/full"], None), ([], full))
        ]
    assert [f.returncode for f in found] == [EXIT_STATUS["usage"]] * 2
    shown = [re.sub("/dev/full|standard output", "OUT", f.stderr) for f in found]
    assert shown == ["error[cannot_write]: cannot write OUT: no space left on device\n"] * 2


def test_a_torn_log_is_told_once(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "torn")
    (segment,) = (copy / "log").glob("*.log")
    with segment.open("ab") as file:
        file.write(segment.read_bytes()[:100])
    done = subprocess.run(
        [*PROGRAM, "query", "SELECT 1", "-q", "--data", copy],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr.count("of a write that was not finished") == 1
    assert done.stderr.startswith("warning: ")
