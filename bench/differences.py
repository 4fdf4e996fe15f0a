"""Tells differences from git that docs/git.md describes from those that are mistakes.

A difference is documented only where git itself shows, for the very commit, that it falls under
a rule; everything else is a mistake until someone finds out otherwise.
"""

from __future__ import annotations

import re

from bench.gitview import GitFailedError, GitView
from bench.question import Question

__all__ = ["BINARY", "DATES", "POSIX", "UNMAPPED", "documented"]

BINARY = "-S inside binary files"
POSIX = "POSIX against RE2"
UNMAPPED = "--committer as recorded where the author is not in the mailmap"
DATES = "dates before 1970, which git cannot print"
_PRINTED = {"message": "%B", "author": "%aN <%aE>", "committer": "%cN <%cE>"}


def documented(view: GitView, question: Question, commit: str, *, git_only: bool) -> str | None:
    """Returns the documented kind of a difference in one commit, or None."""
    try:
        return _documented(view, question, commit, git_only=git_only)
    except GitFailedError:
        # A commit that git does not have, say: nothing speaks for it.
        return None


def _documented(view: GitView, question: Question, commit: str, *, git_only: bool) -> str | None:
    match question.explain:
        case "binary":
            found = git_only and _only_in_binary(view, question.pattern, commit)
            return BINARY if found else None
        case "regex":
            lines = _changed_lines(view, commit)
            return None if _matches_anyhow(question.pattern, lines) else POSIX
        case "committer" if _left_unmapped(view, question.pattern, commit, git_only=git_only):
            return UNMAPPED
        case "message" | "author" | "committer":
            what = _PRINTED[question.explain]
            lines = _printed(view, what, commit).split(b"\n")
            return None if _matches_anyhow(question.pattern, lines) else POSIX
        case "dates":
            return DATES if b"" in _printed(view, "%at %ct", commit).split(b" ") else None
    return None


def _printed(view: GitView, what: str, commit: str) -> bytes:
    return view.run(["log", "--no-walk", f"--format={what}", commit]).output.rstrip(b"\n")


def _left_unmapped(view: GitView, pattern: str, commit: str, *, git_only: bool) -> bool:
    """Returns whether git asked the recorded committer, though it prints the mapped one.

    It ends mapping at an author that the mailmap does not change; mended in git 2.51.
    """
    printed = _printed(view, "%cn <%ce>%n%cN <%cE>%n%an <%ae>%n%aN <%aE>", commit)
    recorded, mapped, author, mapped_author = printed.split(b"\n")
    found = [_matches_anyhow(pattern, [text]) for text in (recorded, mapped)]
    return author == mapped_author and found == [git_only, not git_only]


def _only_in_binary(view: GitView, needle: str, commit: str) -> bool:
    """Returns whether every file in which git finds the needle is one it takes for binary."""
    found = view.run(
        ["diff-tree", "--root", "-r", "-M", "--numstat", "--format=", f"-S{needle}", commit]
    )
    lines = found.output.splitlines()
    return bool(lines) and all(line.startswith(b"-\t-\t") for line in lines)


def _changed_lines(view: GitView, commit: str) -> list[bytes]:
    patch = view.run(
        [
            *("diff-tree", "--root", "-r", "-M", "-p", "-U0", "--no-ext-diff", "--no-textconv"),
            *("--format=", commit),
        ]
    )
    # A file's name counts as a line here, which can only make a difference look worse.
    return [line[1:] for line in patch.output.split(b"\n") if line[:1] in (b"+", b"-")]


_CLASSES = {
    "[:blank:]": r" \t",
    "[:space:]": r"\s",
    "[:digit:]": "0-9",
    "[:alpha:]": "A-Za-z",
    "[:alnum:]": "A-Za-z0-9",
}


def _matches_anyhow(pattern: str, lines: list[bytes]) -> bool:
    """Returns whether a line matches whatever an engine takes for a letter beyond ASCII.

    Lines that are not UTF-8 do not count: POSIX has no characters there, RE2 sees U+FFFD.
    """
    for name, members in _CLASSES.items():
        pattern = pattern.replace(name, members)
    pattern = pattern.replace(r"\<", r"\b").replace(r"\>", r"\b")
    narrow, wide = re.compile(pattern, re.ASCII), re.compile(pattern)
    for line in lines:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            continue
        if narrow.search(text) and wide.search(text):
            return True
    return False
