"""The questions under bench/queries: what they ask, with which parameters, and what git says."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

__all__ = ["QUERIES", "Investigation", "investigations"]

QUERIES: Final = Path(__file__).parent / "queries"
_HEADER: Final = re.compile(r"^-- (git|parameters): (.*)$", re.MULTILINE)
_TITLE: Final = re.compile(r"-- (\d+)\. (\S.*[?.\"])\n")


@dataclass(frozen=True, slots=True)
class Investigation:
    """One file: `git` are the arguments of the git command that answers it too, if any does."""

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
        headers = dict(_HEADER.findall(text))
        # A backslash belongs to the value.
        words = shlex.shlex(headers.get("parameters", ""), posix=True, punctuation_chars=False)
        words.whitespace_split, words.escape, words.commenters = True, "", ""
        given: dict[str, object] = {}
        for word in words:
            name, _, given[name] = word.partition("=")
        git = tuple(shlex.split(headers.get("git", ""))[1:])
        return cls(int(title[1]), title[2], file.stem, text, given, git)


def investigations() -> list[Investigation]:
    """Returns all of them by number."""
    return [Investigation.read(file) for file in sorted(QUERIES.glob("*.gql"))]
