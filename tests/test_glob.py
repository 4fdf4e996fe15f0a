"""A glob of TOUCHES and GLOB matches the paths that git's `:(glob)` matches."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from fixtures.repositories import Builder

from govc_search.ql.patterns import InvalidPatternError, glob

_NAMES = [f"d/{c}" for c in "abzAZ059-]![^:+,\\_~'& "]
PATHS = sorted([*_NAMES, "d/ab", "d/a-b", "d/e/a", "d/e/f/a", "d/xa", "d/.x", "da", "a/z"])


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    made = Builder(tmp_path_factory.mktemp("globs") / "repo")
    for path in PATHS:
        made.write(path, b"x\n")
    made.commit("paths")
    return made


@pytest.mark.parametrize(
    "pattern",
    [
        *("d/", "d/e/", "d/*", "d/**", "**/a", "d/**/a", "d/***/a", "d/*/**/a", "d/x**", "d/?", "*/z", "**/*a*"),
        *("d/[[:alpha:]]", "d/[[:punct:]]", "d/[![:punct:]]", "d/[[:graph:][:space:]]"),
        *("d/[+-9]", "d/[/]", "d/[a/]", "d[/]a", "d[--1]a", "d/[!/a]", "d/[^a]*", "d/[]]", "d/[!]]"),
        *(r"d/[\]]", r"d/[\\]", r"d/[\a-z]", r"d/[a\-z]", "d/[[]", "d/[a-]", "d/[[:]", r"d/\[", r"d/\a"),
    ],
)  # fmt: skip
def test_the_same_paths_as_git(repo: Builder, pattern: str) -> None:
    listed = repo.git("ls-files", "-z", "--", f":(glob){pattern}").decode().split("\0")
    found = pc.match_substring_regex(pa.array(PATHS), pattern=glob(pattern))
    assert [p for p, hit in zip(PATHS, found.to_pylist(), strict=True) if hit] == listed[:-1]


@pytest.mark.parametrize("pattern", ["[", "[a", "[a-", "[!", "[\\", "[z-a]", "[[:nothing:]]", "{a"])
def test_what_is_no_glob_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidPatternError):
        glob(pattern)
