"""One process holds a data directory; the others ask it, and take over when it leaves."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from fixtures.history import history
from fixtures.repositories import Builder

import govc_search
from govc_search import Engine, Progress
from govc_search.cli import main
from govc_search.errors import EXIT_STATUS, BusyError, QueryError
from govc_search.holder import asking, frames, listener
from govc_search.holder.asking import SharedDirectory
from govc_search.holder.listener import Listener
from govc_search.settings import Settings

PROGRAM = [sys.executable, "-m", "govc_search"]
ROWS = "SELECT hash, subject, author_date FROM commits ORDER BY position"
# It ends only when it is stopped.
HEAVY = (
    "SELECT count(*) FROM lines a, lines b, lines c, lines d, lines e, lines f, lines g, lines h"
    " WHERE a.text || b.text || c.text || d.text || e.text || f.text || g.text || h.text"
    " LIKE '%no such%'"
)
HEAD = struct.Struct("!4sIQ")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("holder")
    history(path / "repo")
    with govc_search.open(path / "data") as engine:
        engine.index(path / "repo")
    return path


@pytest.fixture
def data(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home / "data", tmp_path / "data"))


class Holder:
    """A process that has a directory open; `prepare` is run there with `engine` and `say`."""

    def __init__(self, data: Path, prepare: str = "") -> None:
        code = (
            "import sys, threading, govc_search\nfrom govc_search import scope\n"
            "say = lambda text: print(text, flush=True)\n"
            "engine = govc_search.open(sys.argv[1])\nstream, index = engine.stream, engine.index\n"
            f"{prepare}\nsay('open')\nsys.stdin.read()\nengine.close()\nsay('closed')\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, data],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.hears("open")

    def hears(self, word: str) -> None:
        out = self.process.stdout
        assert out is not None
        assert out.readline().strip() == word

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout, self.process.stderr as errors:
            complaints = errors.read()
        self.process.wait()
        # Whatever is asked of it, a holder's own terminal stays as it is.
        assert complaints == ""


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def ask(data: Path, **overrides: int) -> SharedDirectory:
    def refuse() -> Engine:
        raise BusyError("data_directory_busy", "this was to be asked of the holder")

    return SharedDirectory(data, overrides, refuse, contextlib.nullcontext, lambda _: None)


# The same, whoever holds the directory

COMMANDS: list[list[str]] = [
    *(["query", ROWS, "-F", f] for f in ("table", "json", "ndjson", "csv", "tsv", "markdown")),
    *(["query", ROWS, "-o", f"out.{f}"] for f in ("parquet", "arrow")),
    *(["query", "SELECT hash FROM commits WHERE FALSE", "-o", f"out.{f}"] for f in ("parquet", "arrow")),
    ["query", "SELECT a.hash, b.hash, $x AS x, NULL AS n, 1.5 AS d FROM commits a, commits b", "-p", "x=ä"],
    ["query", "SELECT subject FROM commits WHERE IN_RANGE('nowhere..main')"],
    ["query", "SELECT HIGHLIGHT(subject, '[', ']') AS s FROM commits WHERE SEARCH('race')", "-q"],
    ["query", "SELECT hash,\n\tautor FROM commits"],
    ["query", "SELECT CAST('x' AS INTEGER)"],
    ["query", "SELECT ((1))", "--set", "query_nesting=1"],
    ["query", ROWS, "--set", "query_bytes=10"],
    ["query", HEAVY, "--timeout", "0.01"],
    ["query", HEAVY, "--set", "deadline_seconds=0.02"],
    ["query", "EXPLAIN SELECT hash FROM commits WHERE MATCH(subject, 'race')"],
    ["query", "SHOW TABLES", "-F", "csv"],
    ["search", "race", "-F", "json"],
    ["show", "main"],
    ["show", "main~1", "-F", "json"],
    ["show", "nothing"],
    ["status"],
    ["status", "-F", "json"],
    ["verify"],
    ["index", "missing"],
    ["index", "REPO"],
    ["rebuild", "table"],
    ["rebuild"],
]  # fmt: skip


def test_answers_are_the_same_whoever_holds_the_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def outcome(arguments: list[str]) -> tuple[Any, ...]:
        filled = [str(home / "repo") if a == "REPO" else a for a in arguments]
        capfd.readouterr()
        status = main([*filled, "--data", "data"])
        out, err = capfd.readouterr()
        err = re.sub(r"[\d.]+ m?s\b", "TIME", err)
        return status, out, err, {f.name: f.read_bytes() for f in tmp_path.glob("out.*")}

    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "data", "data")
    alone = [outcome(c) for c in COMMANDS]
    for file in tmp_path.glob("out.*"):
        file.unlink()
    seen: list[str] = []
    asked = SharedDirectory._converse

    def note(self: SharedDirectory, request: Any, *rest: Any, **more: Any) -> Any:
        seen.append(request["ask"])
        return asked(self, request, *rest, **more)

    monkeypatch.setattr(SharedDirectory, "_converse", note)
    with Holder(tmp_path / "data"):
        for command, (status, out, err, files) in zip(COMMANDS, alone, strict=True):
            again = outcome(command)
            if "status" not in command:  # a rebuilt table has another size
                assert again[1] == out, command
            assert (again[0], again[2], again[3]) == (status, err, files), command
    assert set(seen) == {"query", "commit", "status", "verify", "index", "rebuild"}
    assert {status for status, *_ in alone} == {0, 3, 4, 8}


def test_processes_at_once_all_answer(data: Path) -> None:
    many = [start("-q", "query", ROWS, "-F", "csv", "--data", data) for _ in range(8)]
    found = [said(process) for process in many]
    assert found[0][:2] == (0, found[0][1])
    assert found[0][1].count("\n") > 10
    assert set(found) == {(0, found[0][1], "")}
    assert not (data / "server.json").exists()


def test_a_query_runs_while_a_repository_is_indexed(data: Path, home: Path) -> None:
    wait = (
        "def slow(path, progress, **rest):\n"
        "    def tell(step):\n"
        "        if step.phase == 'commits':\n            say('indexing'); sys.stdin.readline()\n"
        "    return index(path, progress=tell, **rest)\n"
        "threading.Thread(target=slow, args=(%r, None), kwargs={'name': 'again'}).start()\n"
    )
    copy = shutil.copytree(home / "repo", data.parent / "again")
    with Holder(data, wait % str(copy)) as holder:
        status, out, _ = said(start("query", "SELECT count(*) FROM commits", "--data", data))
        assert status == 0, out
        assert holder.process.stdin is not None
        holder.process.stdin.write("\n" * 9)


def test_the_python_interface_is_told_who_holds_and_what_to_do(data: Path) -> None:
    with Holder(data) as holder, pytest.raises(BusyError) as caught:
        govc_search.open(data)
    assert str(holder.process.pid) in caught.value.message
    assert "govc-search query" in str(caught.value.hint)


# Long work


def test_a_repository_is_indexed_through_the_holder(data: Path, tmp_path: Path) -> None:
    repo = Builder(tmp_path / "other")
    for i in range(5):
        repo.write("file", b"%d\n" % i)
        repo.commit(f"number {i}")
    steps: list[Progress] = []
    with Holder(data):
        report = ask(data).index(repo.path, progress=steps.append)
        again = ask(data).query("SELECT count(*) AS n FROM commits WHERE repo = 'other'")
    assert (report.commits_added, report.interrupted, report.failures) == (5, False, [])
    assert list(again) == [(5,)]
    assert ("commits", 5, 5) in [(s.phase, s.done, s.total) for s in steps]
    assert "hash" not in again.explain()
    assert "commits" in again.explain()


# In the holder: indexing that waits at its first commits until it is stopped.
WAITING = (
    "def waiting(path, progress, **rest):\n"
    "    def tell(step):\n"
    "        if step.phase == 'commits' and not step.done:\n"
    "            stopped = threading.Event()\n"
    "            with scope.current().stopping(stopped.set):\n"
    "                say('asked'); stopped.wait()\n"
    "        progress(step)\n"
    "    return index(path, progress=tell, **rest)\n"
    "engine.index = waiting\n"
)


def test_ctrl_c_ends_indexing_in_the_holder_cleanly(data: Path, tmp_path: Path) -> None:
    repo = Builder(tmp_path / "other")
    repo.write("file", b"one\n")
    repo.commit("one")
    with Holder(data, WAITING) as holder:
        asker = start("index", repo.path, "--data", data)
        holder.hears("asked")
        asker.send_signal(signal.SIGINT)
        status, out, err = said(asker)
        assert (status, out) == (EXIT_STATUS["interrupted"], "")
        assert "interrupted; what was read is kept" in err
        assert ask(data).verify() == []
    assert said(start("index", repo.path, "--data", data))[0] == 0


def test_a_holder_that_closes_hands_indexing_back(data: Path, tmp_path: Path) -> None:
    repo = Builder(tmp_path / "other")
    repo.write("file", b"one\n")
    repo.commit("one")
    with Holder(data, WAITING) as holder:
        asker = start("index", repo.path, "--data", data)
        holder.hears("asked")
        holder.leave()
        holder.hears("closed")
        status, _, err = said(asker)
        assert status == 0, err
        assert "1 commits added" in err


# Ends on either side

SPEAKING = (
    "def speaking(gql, *rest, **more):\n"
    "    say('asked')\n"
    "    try: return stream(gql, *rest, **more)\n"
    "    except govc_search.GovcSearchError as error:\n        say(error.code)\n        raise\n"
    "engine.stream = speaking\n"
)


def test_whoever_asked_a_killed_holder_goes_on_alone(data: Path) -> None:
    stuck = "def stuck(*_, **__): say('asked'); threading.Event().wait()\nengine.stream = stuck"
    with Holder(data, stuck) as holder:
        askers = [start("-q", "query", ROWS, "-F", "csv", "--data", data) for _ in range(2)]
        for _ in askers:
            holder.hears("asked")
        holder.process.kill()
        found = [said(process) for process in askers]
    # What the killed one left does no harm: nobody listens there.
    assert found[0] == found[1]
    assert (found[0][0], found[0][2]) == (0, "")
    assert found[0][1].count("\n") > 10
    assert not {"server.json", "server.sock"} & {p.name for p in data.iterdir()}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_query_of_one_that_leaves_is_interrupted(data: Path, how: signal.Signals) -> None:
    with Holder(data, SPEAKING) as holder:
        asker = start("query", HEAVY, "--timeout", "600", "--data", data)
        holder.hears("asked")
        asker.send_signal(how)
        status, _, err = said(asker)
        holder.hears("interrupted")
        if how == signal.SIGINT:
            assert (status, err.strip()) == (EXIT_STATUS["interrupted"], "interrupted")
        assert list(ask(data).query("SELECT 1")) == [(1,)]


def test_a_holder_that_closes_waits_for_no_query_for_ever(data: Path) -> None:
    with Holder(data, SPEAKING) as holder:
        asker = start("query", HEAVY, "--timeout", "3", "--data", data)
        holder.hears("asked")
        holder.leave()
        holder.hears("interrupted")
        holder.hears("closed")
    # It was asked again, here.
    assert said(asker)[0] == EXIT_STATUS["deadline"]


def test_an_engine_that_is_not_closed_neither_stays_nor_leaves_anything(data: Path) -> None:
    code = "import sys, govc_search; engine = govc_search.open(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, data], check=True, timeout=60)
    assert not {"server.json", "server.sock"} & {p.name for p in data.iterdir()}


def test_a_dropped_engine_stops_listening(data: Path) -> None:
    engine = govc_search.open(data)
    listening = engine._listener
    home = engine._home
    del engine
    gc.collect()
    assert listening.closed
    assert not (data / "server.json").exists()
    home.close()


def test_a_forked_child_does_not_listen(data: Path) -> None:
    with govc_search.open(data) as engine:
        listening = engine._listener._socket
        assert listening is not None
        number = listening.fileno()
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                engine._listener.close()
                try:
                    os.fstat(number)
                except OSError:
                    status = 0
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert list(ask(data).query("SELECT 1")) == [(1,)]


# Who may ask, where, and what


def test_only_the_same_user_may_ask(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert frames.same_user(one, os.geteuid())
        assert not frames.same_user(one, os.geteuid() + 1)
    with govc_search.open(data):
        assert (data / "server.sock").stat().st_mode & 0o777 == 0o600
        mine = os.geteuid()
        monkeypatch.setattr(listener.os, "geteuid", lambda: mine + 1)
        asker = start("query", "SELECT 1", "--data", data)
        status, out, err = said(asker)
    assert (status, out) == (EXIT_STATUS["busy"], "")
    assert err.startswith("error[other_user]")


def test_another_release_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with govc_search.open(data):
        monkeypatch.setattr(govc_search, "__version__", "99.1")
        status, _, err = said(start("query", "SELECT 1", "--data", data))
    assert status == EXIT_STATUS["busy"]
    assert "error[other_release]" in err
    assert "99.1" in err


def connect(data: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(data / json.loads((data / "server.json").read_text())["socket"]))
    assert frames.receive(connection)[0]["protocol"] == 1
    assert "ready" in frames.receive(connection)[0]
    return connection


def packed(header: bytes) -> bytes:
    return HEAD.pack(b"govc", len(header), 0) + header


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD.pack(b"govc", 1 << 30, 0),
        HEAD.pack(b"govc", 2, 1 << 60) + b"{}",
        packed(b"\xff\xfe"),
        packed(b"[" * 100_000),
        packed(b"[]"),
        packed(b'{"ask": ["query"], "arguments": {}, "settings": {}}'),
        packed(b'{"ask": "close", "arguments": {}, "settings": {}}'),
        packed(b'{"ask": "query", "arguments": {"gql": "SELECT 1"}}'),
        packed(b'{"ask": "query", "arguments": {}, "settings": {"frame_bytes": {}}}'),
        packed(b'{"ask": "query", "arguments": {}, "settings": {"frame_bytes": 1e999}}'),
        packed(b'{"ask": "query", "arguments": {"gql": 5}, "settings": {}}'),
        packed(b'{"ask": "query", "arguments": {"sql": "x"}, "settings": {}}'),
        packed(b'{"ask": "index", "arguments": {"path": null, "progress": 1}, "settings": {}}'),
        b"govc",
        b"",
    ],
)
def test_a_malformed_request_gets_an_error_and_ends_nothing(
    sent: bytes, module_engine: Engine
) -> None:
    with connect(module_engine.directory) as connection:
        connection.sendall(sent)
        if len(sent) < HEAD.size:
            # It may still become one.
            connection.shutdown(socket.SHUT_WR)
            with pytest.raises(EOFError):
                frames.receive(connection)
        else:
            error = frames.receive(connection)[0]["error"]
            assert error.get("code") == "malformed_request" or "fault" in error
    assert list(ask(module_engine.directory).query("SELECT 1")) == [(1,)]


@pytest.fixture(scope="module")
def module_engine(home: Path) -> Iterator[Engine]:
    shutil.copytree(home / "data", home / "asked")
    with govc_search.open(home / "asked") as engine:
        yield engine


def test_a_request_that_is_too_large_is_refused_though_it_is_still_sent(
    module_engine: Engine,
) -> None:
    with pytest.raises(govc_search.GovcSearchError) as caught:
        ask(module_engine.directory).query("SELECT 1 -- " + "x" * (17 << 20))
    assert caught.value.code == "malformed_request"


def test_settings_are_those_of_who_asks(module_engine: Engine) -> None:
    nested = "SELECT ((((1))))"
    directory = module_engine.directory
    warned: list[str] = []
    assert list(ask(directory).query(nested)) == [(1,)]
    with pytest.raises(QueryError) as caught:
        ask(directory, query_nesting=2).query(nested)
    assert caught.value.code == "query_too_deep"
    many = "SELECT count(*) FROM commits WHERE is_merge OR is_root OR is_merge OR parent_count = 7"
    ask(directory).query(many)
    # Nor does a plan that was made under others count.
    with pytest.raises(QueryError) as caught:
        ask(directory, query_leaves=1).query(many)
    assert caught.value.code == "too_many_leaves"

    def in_force(**_: object) -> list[str]:
        return [str(module_engine.settings[n]) for n in ("expansions", "table_memory_bytes")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_engine, "verify", in_force)
        shared = ask(directory, expansions=7, table_memory_bytes=1 << 30)
        assert shared.verify() == ["7", str(384 << 20)]
    fixed = {"text_heap_bytes": 32 << 20, "deadline_seconds": 3}
    SharedDirectory(
        directory, fixed, lambda: module_engine, contextlib.nullcontext, warned.append
    ).close()
    assert len(warned) == 1
    assert "text_heap_bytes" in warned[0]


def test_a_path_too_long_for_a_socket_gets_another_place(home: Path, tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20) / ("path" * 20)
    shutil.copytree(home / "data", long)
    with Holder(long) as holder:
        place = Path(json.loads((long / "server.json").read_text())["socket"])
        assert place.is_absolute()
        assert place.parent.stat().st_mode & 0o777 == 0o700
        assert place.stat().st_mode & 0o777 == 0o600
        assert list(ask(long).query("SELECT 1")) == [(1,)]
        holder.process.kill()
    assert place.exists()
    with govc_search.open(long):
        # The next one removes what a killed one left.
        assert not place.parent.exists()
        other = Path(json.loads((long / "server.json").read_text())["socket"])
        assert other.exists()
    assert not other.parent.exists()


def test_where_sockets_are_forbidden_the_engine_says_so_and_works(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(listener.socket, "socket", forbidden)
    with govc_search.open(data) as engine:
        assert any("operation not permitted" in w for w in engine.warnings)
        assert list(engine.query("SELECT 1")) == [(1,)]
        assert not (data / "server.json").exists()
        monkeypatch.setattr(asking, "_PATIENCE", 0.1)
        with pytest.raises(BusyError):
            ask(data)


def test_who_asks_while_the_holder_opens_is_told_how_far_it_is(tmp_path: Path) -> None:
    steps: list[Progress] = []
    heard = threading.Event()

    def hear(step: Progress) -> None:
        steps.append(step)
        heard.set()

    found: list[SharedDirectory] = []
    with Listener(tmp_path, Settings()) as listening, govc_search.open(tmp_path / "data") as engine:
        tell = listening.opening(None)
        assert tell is not None
        tell(Progress("views", 1, 2, "records"))
        thread = threading.Thread(
            target=lambda: found.append(
                SharedDirectory(
                    tmp_path, {}, lambda: engine, lambda: contextlib.nullcontext(hear), str
                )
            )
        )
        thread.start()
        assert heard.wait(30)
        assert not found
        listening.serve(engine)
        thread.join(30)
        assert steps == [Progress("views", 1, 2, "records")]
        assert list(found[0].query("SELECT 1")) == [(1,)]
