"""The first release that holds a commit: every commit of a repository in one pass over the tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from govc_search.store.graph import NO_DATE, CommitGraph
from govc_search.store.history import Ints

__all__ = ["FirstTags", "first_tags"]

# Two or more numbers at the end, perhaps with the mark of a pre-release after them.
_VERSION: Final = re.compile(
    r"(?<!\d)\d+(?:[._-]\d+)+(?P<pre>[._-]?(?:alpha|beta|rc|pre(?:view)?|dev|[ab](?=\d))[._-]?\d*(?:\.\d+)*)?",
    re.IGNORECASE,
)
_PREFIX: Final = "refs/tags/"


@dataclass(frozen=True, slots=True)
class FirstTags:
    """The version tags of a repository, first ones first, and the place of each commit's.

    `order` says for each tag how it compares with those of other repositories.
    """

    names: tuple[str, ...]
    order: tuple[tuple[bool, int, str], ...]
    of: Ints


def first_tags(graph: CommitGraph, repo: str, pattern: str) -> FirstTags:
    """Returns the first version tag of every commit; `pattern` (RE2) chooses by short name.

    Tags are ordered by the committer dates of their commits, pre-releases after all others. Each
    takes what no earlier one took, so all tags together cost one walk over the history.
    """
    return graph.once(("first tags", repo, pattern), lambda: _first_tags(graph, repo, pattern))


def _first_tags(graph: CommitGraph, repo: str, pattern: str) -> FirstTags:
    tips = {
        n.removeprefix(_PREFIX): p for n, p in graph.refs(repo).items() if n.startswith(_PREFIX)
    }
    chosen = sorted(tips)
    if pattern:
        rows = graph.read(
            "SELECT name FROM (SELECT unnest($names) AS name) WHERE regexp_matches(name, $pattern)",
            {"names": chosen, "pattern": pattern},
        )
        chosen = rows.column(0).to_pylist()
    dates, history = graph.dates(repo), graph.history(repo)
    found = []
    for name in chosen:
        version = _ending(name)
        if version is not None:
            (number,) = history.numbers([tips[name]])
            # A release without a date is not the first as long as there is another.
            date = int(dates[number]) if dates[number] != NO_DATE else -NO_DATE
            found.append(((version["pre"] is not None, date, name), number))
    found.sort()
    order = tuple(key for key, _ in found)
    names = tuple(key[2] for key in order)
    return FirstTags(names, order, history.first_reached([number for _, number in found]))


def _ending(name: str) -> re.Match[str] | None:
    """Returns the version that a name ends in, or None."""
    return next((m for m in _VERSION.finditer(name) if m.end() == len(name)), None)
