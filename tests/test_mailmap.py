"""The mailmap gives the names that git gives."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from govc_search.store.mailmap import Mailmap

MAILMAP = b"""\
# a comment
 # <not@a-comment.org> but a line whose name begins with a hash <odd@x.org>
Proper Name <commit@x.org>
<proper@x.org> <commit2@x.org>
Proper Name <proper@x.org> <commit3@x.org>
Proper Name <proper@x.org> Commit Name <commit4@x.org>
Other Name <other@x.org> Second Name <commit4@x.org>
Any Name <any@x.org> <commit4@x.org>
<only@mail.org> Just Name <commit5@x.org>
Later Wins <commit6@x.org>
Later Won <commit6@x.org>
<replaced@x.org> <commit6@x.org>
   Spaces Around   <spaces@x.org>   # trailing words
\tTabs\t<new@x.org>\tOld Tabs\t<tabs@x.org>
Upper Case <UPPER@X.ORG>
Case Name <new@case.org> CASE Name <Case@x.org>
No Mail <>
Empty Old <empty@new.org> <>
Empty Named <empty2@new.org> Nobody <>
Nothing here
Unclosed <unclosed@x.org
Reversed >x< <weird@x.org>
\xc3\x84rger <\xc3\xa4@x.org>
\xe9 latin <latin@x.org>
Windows <windows@x.org>\r
<self@x.org> <self@x.org>
<kept@x.org>
Two <<two@x.org>> <three@x.org>
"""

PEOPLE = [
    (name, mail)
    for mail in [
        *(f"commit{n}@x.org" for n in ("", 2, 3, 4, 5, 6)),
        *(
            f"{n}@x.org"
            for n in [
                "odd",
                "spaces",
                "tabs",
                "upper",
                "case",
                "weird",
                "latin",
                "windows",
                "self",
                "kept",
            ]
        ),
        *("Commit4@X.org", "UPPER@x.org", "\u00e4@x.org", "\u00c4@x.org", "unclosed@x.org"),
        *("", "not@a-comment.org", "<two@x.org", "two@x.org", "three@x.org", "none@x.org"),
    ]
    for name in (
        *("Commit Name", "commit NAME", "Second Name", "Just Name", "Old Tabs", "Case Name"),
        *("Nobody", "Someone Else", "Commit Name Longer", "Commit"),
    )
]


def git_says(tmp_path: Path, mailmap: bytes, people: list[tuple[str, str]]) -> list[str]:
    environment = {
        **os.environ,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(tmp_path),
    }
    if not (tmp_path / ".git").exists():
        subprocess.run(["git", "init", "-q", tmp_path], check=True, env=environment)
    (tmp_path / ".mailmap").write_bytes(mailmap)
    contacts = "".join(f"{name} <{mail}>\n" for name, mail in people)
    out = subprocess.run(
        ["git", "check-mailmap", "--stdin"],
        cwd=tmp_path,
        env=environment,
        input=contacts.encode(),
        capture_output=True,
        check=True,
    )
    return out.stdout.decode("utf-8", "surrogateescape").splitlines()


def we_say(mailmap: bytes, people: list[tuple[str, str]]) -> list[str]:
    parsed = Mailmap(mailmap)
    found = (parsed.lookup(name.encode(), mail.encode()) for name, mail in people)
    return [
        (b"%s <%s>" % pair if pair[0] else b"<%s>" % pair[1]).decode("utf-8", "surrogateescape")
        for pair in found
    ]


def test_every_form_of_line_as_git_reads_it(tmp_path: Path) -> None:
    # check-mailmap itself cannot be asked for an address that holds "<".
    people = [p for p in PEOPLE if "<" not in p[1]]
    assert we_say(MAILMAP, people) == git_says(tmp_path, MAILMAP, people)


@pytest.mark.parametrize("seed", range(5))
def test_random_mailmaps_as_git_reads_them(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    names = ["A", "a", "B b", "", " ", "  C", "#d", "A  ", "\t"]
    mails = ["<a@x>", "<A@X>", "<b@x>", "<>", "< a@x >", "<c>", "<", ">", "", " <b@x>"]
    mailmap = "\n".join(
        "".join(rng.choice(part) for part in (names, mails, names, mails, names)) for _ in range(60)
    ).encode()
    people = [(n, m) for n in ("A", "B B", "C", "x") for m in ("a@x", "b@X", "c", "", "z", " a@x ")]
    assert we_say(mailmap, people) == git_says(tmp_path, mailmap, people)


def test_an_absent_mailmap_maps_nothing() -> None:
    assert Mailmap().lookup(b"A", b"a@x") == (b"A", b"a@x")
    assert Mailmap(b"B <a@x>\0\nC <a@x>").lookup(b"A", b"a@x") == (b"B", b"a@x")
