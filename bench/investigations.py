"""The questions under bench/queries: what they ask, with which parameters, and what git says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final, Self

__all__ = ["QUERIES", "Investigation", "investigations", "parameters_of"]

QUERIES: Final = Path(__file__).parent / "queries"
_HEADER: Final = re.compile(r"^-- (git|parameters): (.*)$", re.MULTILINE)
_TITLE: Final = re.compile(r"-- (\d+)\. (\S.*[?.\"])\n")


@dataclass(frozen=True, slots=True)
class Investigation:
    """One file: its number, question, query and parameters; `git` answers it too, if not empty."""

    number: int
    title: str
    name: str
    gql: str
    parameters: dict[str, object]
    git: tuple[str, ...] = ()

    @classmethod
    def read(cls, file: Path) -> Self:
        """Returns the investigation of a file; raises ValueError if it does not say what it asks."""
        text = file.read_text("utf-8")
        title = _TITLE.match(text)
        if title is None or not file.name.startswith(f"{int(title[1]):02}-"):
            raise ValueError(f"{file} does not begin with its number and question")
        git = tuple(shlex.split(_headers(text).get("git", ""))[1:])
        return cls(int(title[1]), title[2], file.stem, text, parameters_of(text), git)

    def git_arguments(
        self, wanted: str, parameters: Mapping[str, object], refs: str = "--all"
    ) -> list[str]:
        """Returns arguments of git that list the commits of the answer in a format.

        Without a revision `refs` are walked. Patches are for the reader and left out.
        """
        given = [Template(a).substitute(parameters) for a in self.git]
        arguments = [a for a in given if a not in ("-p", "--all")]
        if "HEAD" not in arguments and not any(".." in a for a in arguments):
            arguments.insert(1, refs)
        if "--" not in arguments:
            arguments.append("--")
        return [arguments[0], "--abbrev=12", f"--format={wanted}", *arguments[1:]]


def parameters_of(gql: str) -> dict[str, object]:
    """Returns the parameters that the comments of a query give it."""
    words = shlex.shlex(_headers(gql).get("parameters", ""), posix=True)
    # A backslash belongs to the value.
    words.whitespace_split, words.escape, words.commenters = True, "", ""
    given: dict[str, object] = {}
    for word in words:
        name, _, given[name] = word.partition("=")
    return given


def _headers(gql: str) -> dict[str, str]:
    return dict(_HEADER.findall(gql))


def investigations() -> list[Investigation]:
    """Returns all of them by number."""
    return [Investigation.read(file) for file in sorted(QUERIES.glob("*.gql"))]
