"""The shell: statements and commands, one after another, typed or from a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from govc_search import __version__
from govc_search.cli import backslash
from govc_search.cli.answers import is_explain, question, show_commits, show_hits, show_rows
from govc_search.cli.options import Invocation, value_of
from govc_search.cli.output import Output, ReaderLeftError
from govc_search.cli.render import format_of, is_binary
from govc_search.cli.report import report
from govc_search.cli.terminal import escape, has_colour, say
from govc_search.errors import GovcSearchError, UsageError

if TYPE_CHECKING:
    from govc_search import Result, Stream
    from govc_search.engine import Candidate, Indexed

__all__ = ["Shell"]

_HITS: Final = 10
# Files that run files that run files.
_NESTED: Final = 16
_REF_TYPES: Final = ("branch", "tag", "remote")


class Asked(Protocol):
    """Whatever answers: an engine, or who asks one."""

    def query(
        self, gql: str, params: Mapping[str, object] | Sequence[object] | None = None
    ) -> Result: ...

    def stream(self, gql: str, params: Mapping[str, object] | None = None) -> Stream: ...

    def commit(self, revision: str) -> list[dict[str, Any]]: ...


class _LeaveError(Exception):
    """Nothing more is to be done."""


class Shell:
    """One session: what was set in it, and how what is typed becomes an answer."""

    def __init__(self, invocation: Invocation) -> None:
        if invocation.output is not None:
            raise UsageError(
                "invalid_usage",
                "-o is for one result, and a session has many",
                hint="\\o FILE writes the next result to a file",
            )
        if invocation.format is not None and is_binary(invocation.format):
            raise _one_result_a_file(invocation.format)
        self._engine: Asked
        self._invocation = invocation
        self._format = invocation.format
        self._file: Path | None = None
        self._timing = True
        self._explaining = False
        self._params: dict[str, object] = {}
        self._depth = 0
        self._indexed: Indexed | None = None
        self._as_of: int | None = None
        has_terminal = any(s is not None and s.isatty() for s in (sys.stdout, sys.stderr))
        self._interactive = sys.stdin is not None and sys.stdin.isatty() and has_terminal

    def run(self, engine: Asked) -> None:
        """Runs the session: at a prompt on a terminal, else standard input up to the first error."""
        self._engine = engine
        try:
            if self._interactive:
                self._talk()
            elif sys.stdin is not None:
                self._run("standard input", _decoded(sys.stdin.buffer, "standard input"))
        except _LeaveError:
            pass

    # At the prompt

    def _talk(self) -> None:
        from govc_search.cli.prompt import Prompt
        from govc_search.engine import tokens

        self._learn()
        colour = has_colour(
            sys.stdout if sys.stdout.isatty() else sys.stderr, allowed=self._invocation.colour
        )
        prompt = Prompt(self._candidates, _is_whole, tokens, colour=colour)
        self._say(
            f"govc-search {__version__}: a statement ends with a semicolon, \\? lists commands"
        )
        while True:
            try:
                text = prompt.read()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            try:
                self._run(None, text.splitlines(keepends=True))
            except (_LeaveError, ReaderLeftError):
                raise
            except KeyboardInterrupt:
                say("interrupted")
            except BaseException as error:  # noqa: BLE001 - panics of the text index are no Exception
                report(error, self._invocation)

    def _candidates(self, text: str, cursor: int) -> list[Candidate]:
        from govc_search.engine import Indexed, complete

        indexed = self._indexed or Indexed()
        if text.lstrip().startswith("\\"):
            lead = len(text) - len(text.lstrip())
            found = backslash.candidates(text[lead:], cursor - lead, indexed)
            return [replace(c, start=c.start + lead) for c in found]
        return complete(text, cursor, indexed)

    def _learn(self) -> None:
        """Reads the names of repositories and refs, for completion."""
        from govc_search.engine import Indexed

        try:
            repos = self._engine.query("SELECT repo FROM repos ORDER BY repo")
            refs = self._engine.query("SELECT name, full_name, type FROM refs ORDER BY name")
        except GovcSearchError:
            # What a query of theirs meets as well, they are told then.
            return
        kinds = {kind: i for i, kind in enumerate(_REF_TYPES)}
        named = sorted(refs, key=lambda ref: kinds.get(ref[2], len(kinds)))
        # A name that would harm the terminal is typed by hand.
        self._indexed = Indexed(
            tuple(str(repo) for (repo,) in repos if escape(repo) == repo),
            tuple((n, full, kind) for n, full, kind in named if escape(full) == full),
        )
        self._as_of = refs.as_of

    def _say(self, text: str) -> None:
        if not self._invocation.quiet:
            say(text)

    # Statements and commands

    def _run(self, source: str | None, lines: Iterable[str]) -> None:
        """Runs the statements and commands of a text; `source` is the name of its file."""
        for number, text in _entries(lines):
            try:
                if backslash.is_command(text):
                    self._command(*backslash.split(text))
                else:
                    self._query(text)
            except GovcSearchError as error:
                if source is not None:
                    say(f"{source}, line {number + (error.line or 1) - 1}:")
                raise

    def _output(self) -> Output:
        format_ = self._format
        if self._file is not None and format_of(self._file.suffix) is not None:
            format_ = None
        told = replace(self._invocation, format=format_, output=self._file)
        return Output(told, paged=self._interactive)

    def _query(self, gql: str) -> None:
        output = self._output()
        with self._engine.stream(gql, self._named_in(gql)) as rows:
            if self._explaining and not is_explain(gql) and (plan := rows.explain()):
                say(plan, "dim", colour=has_colour(sys.stderr, allowed=self._invocation.colour))
            show_rows(gql, rows, output)
        self._end(rows, output)

    def _named_in(self, gql: str) -> dict[str, object]:
        """Returns the parameters that a query names: one that it does not name is an error."""
        from govc_search.engine import tokens

        named = {gql[t.start + 1 : t.end] for t in tokens(gql) if t.kind == "parameter"}
        return {name: value for name, value in self._params.items() if name in named}

    def _end(self, result: Result | Stream, output: Output) -> None:
        self._file = None
        output.footer(result, timing=self._timing)
        if self._interactive and result.as_of != self._as_of:
            self._learn()

    def _command(self, name: str, argument: str) -> None:
        match name:
            case "\\?":
                self._help()
            case "\\d":
                self._describe(argument)
            case "\\df":
                self._functions(argument)
            case "\\s":
                self._search(argument)
            case "\\show":
                self._show(argument)
            case "\\explain":
                self._explain(argument)
            case "\\set":
                self._set(argument)
            case "\\unset":
                self._unset(argument)
            case "\\params":
                self._list_params()
            case "\\timing":
                self._timing = _switched(argument, self._timing)
                self._say(f"timing is {'on' if self._timing else 'off'}")
            case "\\format":
                self._choose_format(argument)
            case "\\o":
                self._file = Path(argument).expanduser() if argument else None
                self._say(f"the next result goes to {self._file or 'standard output'}")
            case "\\i":
                self._run_file(argument)
            case "\\q":
                raise _LeaveError

    def _help(self) -> None:
        width = max(len(f"{c.name} {c.takes}") for c in backslash.COMMANDS)
        for c in backslash.COMMANDS:
            say(f"{f'{c.name} {c.takes}':{width}}  {c.help}")

    def _describe(self, argument: str) -> None:
        name = argument.rstrip("; ")
        quoted = name.strip('"').replace('"', '""')
        self._query(f'DESCRIBE "{quoted}"' if name else "SHOW TABLES")

    def _functions(self, argument: str) -> None:
        import pyarrow.compute as pc

        part = argument.rstrip("; ").lower()
        output = self._output()
        found = self._engine.query("SHOW FUNCTIONS").to_arrow()
        pattern = part.replace("_", "\\_").replace("*", "%") if "*" in part else f"%{part}%"
        found = found.filter(pc.match_like(found.column("function"), pattern))
        output.table(found)
        self._file = None
        output.say(f"{found.num_rows:,} function{'' if found.num_rows == 1 else 's'}")

    def _search(self, words: str) -> None:
        from govc_search.engine import errors_in_box

        if not words:
            raise UsageError("invalid_usage", "\\s takes words to search for")
        output = self._output()
        compiled, params = question(words, _HITS, output)
        with errors_in_box(words, compiled):
            result = self._engine.query(compiled, params)
        show_hits(result, output)
        self._end(result, output)

    def _show(self, revision: str) -> None:
        if not revision:
            raise UsageError("invalid_usage", "\\show takes a commit, by hash or any other name")
        output = self._output()
        show_commits(self._engine.commit(revision.rstrip("; ")), output)
        self._file = None

    def _explain(self, argument: str) -> None:
        if argument and argument.rstrip("; ").lower() not in _SWITCH:
            self._query(f"EXPLAIN {argument}")
            return
        self._explaining = _switched(argument, self._explaining)
        self._say(f"plans are {'' if self._explaining else 'not '}shown before rows")

    def _set(self, argument: str) -> None:
        name, value = (*argument.removeprefix("$").split(maxsplit=1), "", "")[:2]
        # People end everything with it, and some write what the command line takes.
        value = value.rstrip("; ").removeprefix("= ")
        if not _NAME.fullmatch(name) or not value:
            raise UsageError(
                "invalid_usage",
                "\\set takes a name and a value",
                hint="as in \\set since DATE '2024-01-31'",
            )
        self._params[name] = value_of(value)
        self._say(f"${name} is {_written(self._params[name])}")

    def _unset(self, argument: str) -> None:
        name = argument.rstrip("; ").removeprefix("$")
        if name and name not in self._params:
            raise UsageError(
                "invalid_usage", f"${name} has no value", hint="\\params lists those that have one"
            )
        for one in [name] if name else list(self._params):
            del self._params[one]

    def _list_params(self) -> None:
        for name, value in sorted(self._params.items()):
            say(f"${name} = {_written(value)}")
        if not self._params:
            self._say("no parameter has a value; \\set NAME VALUE gives one")

    def _choose_format(self, argument: str) -> None:
        name = argument.rstrip("; ").lower()
        if is_binary(name):
            raise _one_result_a_file(name)
        if name and name not in backslash.SESSION_FORMATS:
            raise UsageError(
                "invalid_usage",
                f'no format "{name}"',
                hint=f"{', '.join(backslash.SESSION_FORMATS)}",
            )
        self._format = name or self._format
        self._say(f"the format is {self._format or 'table'}")

    def _run_file(self, argument: str) -> None:
        if not argument:
            raise UsageError("invalid_usage", "\\i takes the name of a file")
        if self._depth >= _NESTED:
            raise UsageError(
                "invalid_usage", f"files run files {_NESTED} deep", hint="one of them runs itself"
            )
        try:
            file = Path(argument).expanduser().open("rb")
        except OSError as error:
            raise UsageError(
                "cannot_read", f"cannot read {argument}: {str(error.strerror).lower()}"
            ) from None
        self._depth += 1
        try:
            with file:
                self._run(argument, _decoded(file, argument))
        finally:
            self._depth -= 1


_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def _written(value: object) -> str:
    """Returns a value as GQL has it."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case datetime():
            return f"TIMESTAMP '{value.isoformat(' ')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case str():
            return "'" + value.replace("'", "''") + "'"
    return str(value)


_SWITCH: Final = {"on": True, "off": False}


def _switched(argument: str, before: bool) -> bool:
    """Returns what a switch is set to; without a word it changes."""
    word = argument.rstrip("; ").lower()
    if word and word not in _SWITCH:
        raise UsageError("invalid_usage", f"on or off is expected, not {argument!r}")
    return _SWITCH.get(word, not before)


def _one_result_a_file(format_: str) -> UsageError:
    return UsageError(
        "invalid_usage",
        f"{format_} holds one result, and a session has many",
        hint=f"\\o FILE.{format_} writes the next one",
    )


def _is_whole(text: str) -> bool:
    """Returns whether Enter ends what was typed."""
    from govc_search.engine import cut

    # Whoever wants a command has forgotten the semicolon before it, and hears so.
    late = text.rpartition("\n")[2].lstrip().startswith("\\") and text.count("'") % 2 == 0
    return late or backslash.is_command(text) or not cut(text)[-1].strip()


def _entries(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yields statements and commands, each with the number of its first line.

    A command is a line; the last statement need not end with ";".
    """
    from govc_search.engine import cut

    pending, first = "", 1
    for number, line in enumerate(lines, 1):
        if backslash.is_command(line) and not (pending and cut(pending)[-1]):
            yield number, line.strip()
            pending = ""
            continue
        if not pending:
            first = number
        pending += line
        if ";" not in line:
            continue
        *statements, rest = cut(pending)
        for statement in statements:
            yield first + _lead(statement), statement.strip()
            first += statement.count("\n")
        pending = rest
    if pending and cut(pending)[-1]:
        yield first + _lead(pending), pending.strip()


def _lead(text: str) -> int:
    """Returns how many lines stand before the first that is not blank."""
    return text[: len(text) - len(text.lstrip())].count("\n")


def _decoded(lines: Iterable[bytes], source: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise UsageError("cannot_read", f"{source}, line {number}: not UTF-8") from None
