"""The commands of the shell: which there are, and what may be written after them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from govc_search.cli.render import FORMATS, is_binary
from govc_search.cli.terminal import escape
from govc_search.errors import UsageError

if TYPE_CHECKING:
    from govc_search.engine import Candidate, Indexed

__all__ = ["COMMANDS", "SESSION_FORMATS", "Command", "candidates", "is_command", "split"]

# Those of which one file or terminal holds several results.
SESSION_FORMATS: Final = tuple(f for f in FORMATS if not is_binary(f))


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its name, what it takes, and one line of help."""

    name: str
    takes: str
    help: str


COMMANDS: Final[tuple[Command, ...]] = (
    Command("\\?", "", "list these commands"),
    Command("\\d", "[TABLE]", "list the tables, or the columns of one"),
    Command("\\df", "[NAME]", "list the functions, or those with NAME in theirs"),
    Command("\\s", "WORDS", "search commits as `govc-search search` does"),
    Command("\\show", "HASH", "show a commit with its message and patch"),
    Command("\\explain", "[on|off|GQL]", "show the plan of a query, or of each before its rows"),
    Command(
        "\\set", "NAME VALUE", "give $NAME a value: 'text', 42, 1.5, true, NULL, DATE '2024-01-31'"
    ),
    Command("\\unset", "[NAME]", "take the value of $NAME back; without NAME, all of them"),
    Command("\\params", "", "list the parameters that have a value"),
    Command("\\timing", "[on|off]", "say how long queries take, or do not"),
    Command("\\format", "[NAME]", "show or change the output format"),
    Command("\\o", "[FILE]", "write the next result to a file; without FILE, do not"),
    Command("\\i", "FILE", "run the statements and commands of a file"),
    Command("\\q", "", "leave; so do exit, quit and Ctrl-D"),
)

_BY_NAME: Final = {c.name: c for c in COMMANDS}
# Words that people try.
_WORDS: Final = {"exit": "\\q", "quit": "\\q", "help": "\\?"}
# What people know from psql and sqlite3.
_ELSEWHERE: Final = {
    "\\dt": "did you mean \\d?", "\\dv": "did you mean \\d?", "\\l": "SELECT * FROM repos lists what is indexed",
    "\\x": "rows that are too wide are shown one value a line", "\\pset": "did you mean \\format?",
    "\\e": "Up brings the last statement back, in all its lines", "\\copy": "did you mean \\o?", "\\g": "end it with ;",
    "\\c": "--data DIR chooses the directory", "\\watch": "the shell does not repeat", "\\h": "did you mean \\??",
}  # fmt: skip
_SWITCH: Final = ("on", "off")


def is_command(line: str) -> bool:
    """Returns whether a line is a command, known or not."""
    return line.lstrip().startswith("\\") or _word(line) in _WORDS


def _word(line: str) -> str:
    return line.strip().rstrip("; ").lower()


def split(line: str) -> tuple[str, str]:
    """Returns the name of a command and its argument. Raises UsageError `unknown_command`."""
    if _word(line) in _WORDS:
        return _WORDS[_word(line)], ""
    name, argument = (*line.split(maxsplit=1), "")[:2]
    # People end everything with it.
    name = name.rstrip(";")
    if name not in _BY_NAME:
        near = difflib.get_close_matches(name, _BY_NAME, 1, 0.5)
        raise UsageError(
            "unknown_command",
            f'no command "{name}"',
            hint=_ELSEWHERE.get(name) or (f"did you mean {near[0]}?" if near else "\\? lists them"),
        )
    return name, argument.strip()


def candidates(line: str, cursor: int, indexed: Indexed) -> list[Candidate]:
    """Returns what may stand at `cursor` in a line that begins with a command."""
    from govc_search.engine import Candidate, complete, complete_words

    name, blank, _ = line[:cursor].partition(" ")
    if not blank:
        return [
            Candidate(c.name, 0, "command", f"{c.takes} {c.help}".strip())
            for c in COMMANDS
            if c.name.startswith(name) and c.name != name
        ]
    start = len(name) + 1
    argument, at = line[start:], cursor - start

    def among(values: Iterable[str]) -> list[Candidate]:
        typed = argument[:at].lstrip()
        return [
            Candidate(v, cursor - len(typed), "value")
            for v in values
            if v.startswith(typed) and v != typed
        ]

    def moved(found: Iterable[Candidate]) -> list[Candidate]:
        return [Candidate(c.text, c.start + start, c.kind, c.help) for c in found]

    match name:
        case "\\d":
            shown = "DESCRIBE "
            return [
                Candidate(c.text, c.start + start - len(shown), c.kind, c.help)
                for c in complete(shown + argument, at + len(shown), indexed)
            ]
        case "\\df":
            functions = [c for c in complete("SELECT ", 7, indexed) if c.kind == "function"]
            return among(c.text.partition("(")[0] for c in functions)
        case "\\s":
            return moved(complete_words(argument, at, indexed))
        case "\\show":
            return among(indexed.revisions())
        case "\\explain":
            return among(_SWITCH) + moved(complete(argument, at, indexed))
        case "\\timing":
            return among(_SWITCH)
        case "\\format":
            return among(SESSION_FORMATS)
        case "\\o" | "\\i":
            return among(_paths(argument[:at].lstrip()))
    return []


def _paths(typed: str) -> list[str]:
    """Returns the files and directories whose path begins as typed."""
    head, tail = os.path.split(typed)
    try:
        entries = sorted(Path(head or ".").expanduser().iterdir())
    except (OSError, RuntimeError):
        return []
    hidden = tail.startswith(".")
    return [
        os.path.join(head, e.name) + "/" * e.is_dir()  # noqa: PTH118 - "./" stays as typed
        for e in entries
        if e.name.startswith(tail) and (hidden or not e.name.startswith("."))
        # A name that would harm the terminal is typed by hand.
        if escape(e.name) == e.name
    ]
