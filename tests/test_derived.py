"""Columns and tables computed from messages and paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fixtures.repositories import Builder

import govc_search
from govc_search import Engine
from govc_search.filekinds import language_named

A, B = "a" * 40, "b" * 40
# Message -> conv_type, conv_scope, is_breaking, is_revert, reverts, cherry_picked_from.
MESSAGES: dict[str, tuple[Any, ...]] = {
    "feat(ui)!: new": ("feat", "ui", True, False, None, None),
    "Fix: a bug": ("fix", None, False, False, None, None),
    "docs(): words": ("docs", None, False, False, None, None),
    "net: fix": (None, None, False, False, None, None),
    "net(ipv4): fix": (None, None, False, False, None, None),
    "feat no colon": (None, None, False, False, None, None),
    "chore: x\n\nBREAKING CHANGE: all of it": ("chore", None, True, False, None, None),
    "chore: y\n\nnot a BREAKING CHANGE": ("chore", None, False, False, None, None),
    "revert: it": ("revert", None, False, True, None, None),
    f'Revert "x"\n\nThis reverts commit {A}.': (None, None, False, True, A, None),
    f"pick\n\n(cherry picked from commit {A})\n(cherry picked from commit {B})": (
        *(None, None, False, False, None, B),
    ),
}
# Message -> kind and target of what it refers to.
LINKS: dict[str, set[tuple[str, str]]] = {
    "see #12, (org/repo#5) and JIRA-34": {
        *(("issue", "#12"), ("issue", "org/repo#5"), ("issue", "JIRA-34")),
    },
    "in UTF-8 and SHA-1, ISO-8859, # 3, x#4 and #0": set(),
    "Fixes #7. closes JIRA-8": {
        *(("issue", "#7"), ("fixes", "#7"), ("issue", "JIRA-8"), ("fixes", "JIRA-8")),
    },
    'x\n\nFixes: deadbeef12 ("y")': {("fixes", "deadbeef12")},
    "CVE-2024-12345 (see <https://example.com/a?b=c>, http://b.example.)": {
        ("cve", "CVE-2024-12345"),
        ("url", "https://example.com/a?b=c"),
        ("url", "http://b.example"),
    },
    f"undo\n\nThis reverts commit {A}.": {("reverts", A)},
    f"pick\n\n(cherry picked from commit {B})": {("cherry_pick", B)},
}
# Path -> language, is_test, is_vendored, is_generated.
PATHS: dict[str, tuple[str | None, bool, bool, bool]] = {
    "src/main.c": ("C", False, False, False),
    "src/Makefile": ("Makefile", False, False, False),
    "README.MD": ("Markdown", False, False, False),
    "git.1": ("Groff", False, False, False),
    "noext": (None, False, False, False),
    "t/t0001-init.sh": ("Bash", True, False, False),
    "pkg/http_test.go": ("Go", True, False, False),
    "src/FooTest.java": ("Java", True, False, False),
    "src/Protest.java": ("Java", False, False, False),
    "latest.py": ("Python", False, False, False),
    "vendor/x/y.rs": ("Rust", False, True, False),
    "Cargo.lock": (None, False, False, True),
    "web/app.min.js": ("JavaScript", False, False, True),
    "api/api.pb.go": ("Go", False, False, True),
}
PEOPLE = (
    ("Ann One", "ann@one.example", False),
    ("dependabot[bot]", "49699333+dependabot[bot]@users.noreply.github.com", True),
    ("k8s-ci-robot", "ci@two.example", True),
    ("Abbot Talbot", "abbot@one.example", False),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("derived")
    repo = Builder(home / "repo")
    for path in PATHS:
        repo.write(path, b"text\n")
    repo.write(".mailmap", b"Ann <ann@new.example> <ann@one.example>\n")
    repo.commit("files")
    for message in (*MESSAGES, *LINKS):
        repo.git("commit", "-q", "--allow-empty", "-m", message)
    for name, email, _ in PEOPLE:
        author = f"{name} <{email}>"
        repo.git("commit", "-q", "--allow-empty", "-m", f"by {name}", "--author", author)
    with govc_search.open(home / "data") as opened:
        opened.index(repo.path)
        yield opened


def found(engine: Engine, gql: str) -> dict[str, tuple[Any, ...]]:
    return {row[0].strip(): row[1:] for row in engine.query(gql)}


def test_what_messages_say_by_convention(engine: Engine) -> None:
    rows = found(
        engine,
        "SELECT message, conv_type, conv_scope, is_breaking, is_revert, reverts,"
        " cherry_picked_from FROM commits",
    )
    assert {m: rows[m] for m in MESSAGES} == MESSAGES


def test_links(engine: Engine) -> None:
    links: dict[str, set[tuple[str, str]]] = {m: set() for m in LINKS}
    for message, kind, target in engine.query(
        "SELECT c.message, l.kind, l.target FROM links l JOIN commits c USING (hash)"
    ):
        if message.strip() in links:
            links[message.strip()].add((kind, target))
    assert links == LINKS


def test_kinds_of_files(engine: Engine) -> None:
    rows = found(engine, "SELECT path, language, is_test, is_vendored, is_generated FROM changes")
    assert {p: rows[p] for p in PATHS} == PATHS
    assert [language_named(n) for n in ("py", "golang", "C++", "sh", "nothing")] == [
        *("Python", "Go", "C++", "Bash", None),
    ]


def test_authors(engine: Engine) -> None:
    rows = found(engine, "SELECT name, email, aliases, domain, is_bot, commits FROM authors")
    assert rows["Ann"] == (
        *("ann@new.example", ["Ann One <ann@one.example>"], "new.example", False, 1),
    )
    assert {n: rows[n][3] for n, _, _ in PEOPLE[1:]} == {n: bot for n, _, bot in PEOPLE[1:]}
    # Every commit has one author among them.
    assert list(
        engine.query(
            "SELECT count(*), count(a.author_id), min(a.first_date) = min(c.author_date),"
            " max(a.last_date) = max(c.author_date)"
            " FROM commits c LEFT JOIN authors a USING (author_id)"
        )
    ) == [(1 + len(MESSAGES) + len(LINKS) + len(PEOPLE),) * 2 + (True, True)]
    bots = "SELECT DISTINCT author FROM commits WHERE is_bot ORDER BY 1"
    assert list(engine.query(bots)) == [(n,) for n, _, bot in PEOPLE[1:] if bot]
