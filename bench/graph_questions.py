"""Questions about refs, ranges, ancestry, the history of paths, and patches that were carried."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from bench.gitview import GitFailedError, GitView
from bench.question import Question, Row, hashes, quoted
from bench.sampling import Sample

__all__ = ["FOLLOW", "PATCHES", "PICKS", "graph_questions"]

FOLLOW: Final = "HISTORY_OF against --follow"
PATCHES: Final = "pairs by patch_id against git patch-id"
PICKS: Final = "carried by patch_id against --cherry-mark"
_RELEASE: Final = re.compile(rb"\d+(?:[._-]\d+)+$")
_BEFORE_RELEASE: Final = re.compile(rb"\d[._-]?(?:alpha|beta|rc|pre|dev|a\d|b\d)", re.IGNORECASE)


def graph_questions(view: GitView, sample: Sample, only: frozenset[str] | None) -> list[Question]:
    """Returns the questions in the order they are asked.

    `only` are the full names of the refs that were indexed, None where all were.
    """
    found = [*_refs(view, only), *(_range(r) for r in sample.ranges)]
    found += [_range_of_path(r, d) for r, d in zip(sample.ranges, sample.directories, strict=False)]
    pairs = [r.split("..") for r in sample.ranges if re.fullmatch(r"\S+[^.]\.\.[^.]\S*", r)]
    found += [q for a, b in pairs[:3] for q in _ancestry(view, a, b, only)]
    if view.head is not None:
        found += [_history(p) for p in sample.files if not re.search(r"[*?\[\\]", p)]
    sides = [r.split("...") for r in sample.ranges if "..." in r]
    return [*found, *(_carried(a, b) for a, b in sides), _patches()]


def _wanted(only: frozenset[str] | None) -> Callable[[bytes], bool]:
    return lambda name: only is None or name.decode("utf-8", "replace") in only


def _refs(view: GitView, only: frozenset[str] | None) -> list[Question]:
    wanted = _wanted(only)

    def listed(output: bytes) -> Iterable[Row]:
        for line in output.splitlines():
            hash_, _, name = line.partition(b" ")
            if wanted(name) and not name.endswith(b"^{}"):
                yield name.decode("utf-8", "replace"), hash_.decode()

    def peeled(output: bytes) -> Iterable[Row]:
        for line in output.splitlines():
            hash_, _, name = line.partition(b" ")
            if name.endswith(b"^{}") and wanted(name[:-3]):
                yield name[:-3].decode("utf-8", "replace"), hash_.decode()

    # For lack of any ref at all show-ref ends with an error.
    if not any(wanted(name) for name in view.refs):
        return []
    return [
        Question(
            "refs", ("for-each-ref", "--format=%(objectname) %(refname)"),
            "SELECT full_name, hash FROM refs", listed,
            by_commit=False, source=True, scan=False,
        ),
        Question(
            "refs", ("show-ref", "--dereference"),
            "SELECT full_name, peeled FROM refs WHERE peeled <> hash",
            peeled, by_commit=False, source=True, scan=False,
        ),
    ]  # fmt: skip


def _range(expression: str) -> Question:
    return Question(
        "ranges",
        ("rev-list", *expression.split()),
        f"SELECT hash FROM commits WHERE IN_RANGE({quoted(expression)})",
        hashes,
        limited=False,
        scan=False,
    )


def _range_of_path(expression: str, directory: str) -> Question:
    glob = re.sub(r"([*?\[{\\])", r"\\\1", directory) + "/**"
    return Question(
        "ranges",
        (
            *("--literal-pathspecs", "log", "--no-merges", "--full-history", "--format=%H"),
            *(*expression.split(), "--", f"{directory}/"),
        ),
        f"SELECT hash FROM commits WHERE NOT is_merge AND IN_RANGE({quoted(expression)})"
        f" AND TOUCHES({quoted(glob)})",
        hashes,
        whole=True,
    )


def _ancestry(view: GitView, a: str, b: str, only: frozenset[str] | None) -> list[Question]:
    wanted = _wanted(only)

    def named(output: bytes) -> Iterable[Row]:
        return (
            (line.decode("utf-8", "replace"),)
            for line in output.splitlines()
            if wanted(b"refs/tags/" + line)
        )

    def full(output: bytes) -> Iterable[Row]:
        # A detached HEAD is listed too, in words.
        lines = (line for line in output.splitlines() if line.startswith(b"refs/"))
        return ((line.decode("utf-8", "replace"),) for line in lines if wanted(line))

    def first(output: bytes) -> Iterable[Row]:
        dated = (line.split(b"\0") for line in output.splitlines())
        # Of a tag of a tag git may tell no date.
        releases = [
            (int(date), name) for name, date in dated if date and wanted(name) and _is_release(name)
        ]
        tag = min(releases)[1].removeprefix(b"refs/tags/").decode() if releases else None
        yield (tag,)

    def released(row: Row) -> Row:
        # Where no release has the commit, ours is a pre-release: git has no word for these.
        return row if _is_release(str(row[0]).encode()) else (None,)

    found = []
    for one in (a, b):
        commit = view.run(["rev-parse", "--verify", f"{one}^{{commit}}"]).output.decode().strip()
        found += [
            Question(
                "ancestry", ("rev-parse", "--verify", f"{one}^{{commit}}"),
                f"SELECT RESOLVE({quoted(one)}) FROM repos", hashes, limited=False, scan=False,
            ),
            Question(
                "ancestry", ("tag", "--contains", commit),
                "SELECT t.name FROM tags t JOIN commits c ON c.repo = t.repo AND c.hash = t.peeled"
                f" WHERE DESCENDANT_OF(c, {quoted(one)})",
                named, by_commit=False, scan=False,
            ),
            Question(
                "ancestry", ("tag", "--contains", commit),
                f"SELECT name FROM ref_commits WHERE hash = {quoted(commit)}"
                " AND ref LIKE 'refs/tags/%'",
                named, by_commit=False, scan=False,
            ),
            Question(
                "ancestry",
                ("branch", "-a", "--format=%(refname)", "--contains", commit),
                f"SELECT ref FROM ref_commits WHERE hash = {quoted(commit)}"
                " AND (ref LIKE 'refs/heads/%' OR ref LIKE 'refs/remotes/%')",
                full, by_commit=False, scan=False,
            ),
            Question(
                "ancestry", ("rev-list", one),
                f"SELECT hash FROM commits WHERE IS_ANCESTOR(hash, {quoted(one)})",
                hashes, limited=False, scan=False,
            ),
            Question(
                "ancestry", ("rev-list", "--no-merges", one),
                f"SELECT hash FROM commits WHERE ANCESTOR_OF({quoted(one)}) AND NOT is_merge",
                hashes, limited=False, scan=False,
            ),
            Question(
                "ancestry", ("rev-list", "--all", "--ancestry-path", f"^{one}"),
                f"SELECT hash FROM commits WHERE DESCENDANT_OF({quoted(one)})"
                f" AND hash <> {quoted(commit)}",
                hashes, limited=False, scan=False,
            ),
        ]  # fmt: skip
        if any(wanted(name) and _is_release(name) for name in view.refs):
            tags = ("tag", "--contains", commit, _DATED)
            gql = f"SELECT FIRST_TAG(hash) FROM commits WHERE hash = {quoted(commit)}"
            found.append(
                Question("ancestry", tags, gql, first, released, by_commit=False, scan=False)
            )
    try:
        view.run(["merge-base", a, b])
    except GitFailedError:
        # Without a common ancestor there is nothing to print.
        return found
    base = f"SELECT MERGE_BASE({quoted(a)}, {quoted(b)}) FROM repos"
    command = ("merge-base", a, b)
    return [*found, Question("ancestry", command, base, hashes, limited=False, scan=False)]


# Of a tag object the date is that of the commit it leads to.
_DATED: Final = "--format=%(refname)%00%(*committerdate:unix)%(committerdate:unix)"


def _is_release(name: bytes) -> bool:
    return bool(_RELEASE.search(name)) and not _BEFORE_RELEASE.search(name)


def _history(path: str) -> Question:
    return Question(
        "--follow",
        ("log", "HEAD", "--no-merges", "--format=%H", "--follow", "--", path),
        "SELECT hash FROM commits WHERE NOT is_merge AND REACHABLE_FROM('HEAD')"
        f" AND HISTORY_OF({quoted(path)})",
        hashes,
        overlap=FOLLOW,
        scan=False,
        whole=True,
    )


def _carried(a: str, b: str) -> Question:
    def marked(output: bytes) -> Iterable[Row]:
        return ((line[1:].decode(),) for line in output.splitlines() if line.startswith(b"="))

    return Question(
        "patches",
        ("rev-list", "--cherry-mark", "--right-only", "--no-merges", f"{a}...{b}"),
        f"SELECT hash FROM commits c WHERE IN_RANGE(c, {quoted(f'{a}..{b}')}) AND NOT c.is_merge"
        " AND EXISTS (SELECT 1 FROM commits o WHERE o.repo = c.repo AND o.patch_id = c.patch_id"
        f" AND NOT o.is_merge AND IN_RANGE(o, {quoted(f'{b}..{a}')}))",
        marked,
        overlap=PICKS,
        scan=False,
        whole=True,
    )


def _patches() -> Question:
    def pairs(output: bytes) -> Iterable[Row]:
        groups: dict[bytes, list[str]] = defaultdict(list)
        for line in output.splitlines():
            patch, _, commit = line.partition(b" ")
            groups[patch].append(commit.decode())
        for group in groups.values():
            yield from itertools.combinations(sorted(group), 2)

    return Question(
        "patches",
        ("log", "--all", "--no-merges", "-p", "--full-index", "--format=%H"),
        "SELECT c.hash, o.hash FROM commits c JOIN commits o ON o.repo = c.repo"
        " AND o.patch_id = c.patch_id AND o.hash > c.hash WHERE NOT c.is_merge AND NOT o.is_merge",
        pairs,
        through=("patch-id", "--stable"),
        overlap=PATCHES,
        scan=False,
        whole=True,
    )
