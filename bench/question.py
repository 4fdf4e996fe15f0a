"""One question in both languages, and how its answers are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Question", "Row", "hashes", "quoted", "with_repository"]

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One question in both languages.

    `command` are git's arguments, in which `--all` stands for what git is able to walk; its output
    goes through the git command `through`, if there is one. `read` turns what git printed into the
    same rows that the query gives, `convert` a row of the query into what can be compared. The
    first column of a row is a commit's hash unless `by_commit` is false. Of what is not `limited`,
    commits that the index could not read whole take part too. `source` asks the source itself
    instead of the view. `explain` names the rule by which a difference may be a documented one,
    and `pattern` is the needle or regular expression. `overlap` names two definitions that differ
    by intent: only how many rows both have is told. `scan` says that the query can be asked with
    indexes off too, `whole` that git can answer only where no object is missing.
    """

    group: str
    command: tuple[str, ...]
    gql: str
    read: Callable[[bytes], Iterable[Row]]
    convert: Callable[[Row], Row] = lambda row: row
    through: tuple[str, ...] = ()
    by_commit: bool = True
    limited: bool = True
    source: bool = False
    explain: str | None = None
    pattern: str = ""
    overlap: str = ""
    scan: bool = True
    whole: bool = False


def hashes(output: bytes) -> Iterable[Row]:
    """Yields one row for each line."""
    return ((line.decode(),) for line in output.splitlines())


def quoted(text: str) -> str:
    """Returns a text as GQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def with_repository(gql: str, repo: str | None) -> str:
    """Returns the query asked of one repository only; `repo` None leaves it as it is."""
    if repo is None:
        return gql
    joined = " JOIN " in gql
    condition = f"{'c.' if joined else ''}repo = {quoted(repo)}"
    head, group, tail = gql.partition(" GROUP BY ")
    return f"{head} {'AND' if ' WHERE ' in head else 'WHERE'} {condition}{group}{tail}"
