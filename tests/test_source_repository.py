"""A source repository: how it is found and opened, its refs, tags and history."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fixtures.reading import read, tips
from fixtures.repositories import Builder, tagged

from govc_search.errors import SourceError
from govc_search.indexer.repository import Head, Repository


def test_refs_and_tags(tmp_path: Path) -> None:
    made = tagged(tmp_path / "r")
    with Repository.open(tmp_path / "r") as source:
        refs = {ref.name: ref for ref in source.refs()}
        assert source.head() == Head(b"refs/heads/main", made["commit"])

        def tag(name: str) -> tuple[Any, ...]:
            ref = refs[b"refs/tags/" + name.encode()]
            return ref.object_type, ref.hash, ref.peeled, ref.commit

        commit = made["commit"]
        assert tag("light") == ("commit", commit, commit, commit)
        for name in ("annotated", "nested", "deep", "signed", "untagged"):
            assert tag(name) == ("tag", made[name], commit, commit)
        assert tag("blob") == ("blob", made["blob"], made["blob"], None)
        assert tag("tree") == ("tag", made["tree"], made["tree object"], None)
        signed = refs[b"refs/tags/signed"]
        assert (signed.tagger, signed.tagger_email) == (b"T", b"t@b")
        assert (signed.tagger_time, signed.tagger_tz) == (1_500_000_000, -210)
        assert signed.message is not None
        assert signed.message.startswith(b"signed\n-----BEGIN PGP SIGNATURE")
        assert refs[b"refs/tags/untagged"].tagger is None
        assert refs[b"refs/tags/untagged"].message == b"no tagger\n"

        def named(*patterns: str) -> set[bytes]:
            return {ref.name for ref in source.refs(patterns)}

        assert named("HEAD") == {b"HEAD"}
        assert named("main") == {b"refs/heads/main"}
        assert named("refs/heads/*") == {b"refs/heads/main", b"refs/heads/feature/x"}
        assert named("feature", "origin/*") == {
            b"refs/heads/feature/x", b"refs/remotes/origin/main",
        }  # fmt: skip
        assert named("refs/custom") == {b"refs/custom/one"}
        assert named("nowhere") == set()


def test_rev_list_is_parents_first_and_leaves_out(
    odd: tuple[Repository, dict[str, str]],
) -> None:
    source, made = odd
    every = source.rev_list(tips(source))
    assert every.index(made["root"]) == 0
    assert every.index(made["third"]) < every.index(made["octopus"])
    fresh = source.rev_list(tips(source), [made["merge"], "0" * len(made["merge"])])
    assert set(fresh) == {made[n] for n in ("third", "fourth", "octopus", "big", "after big")}
    assert source.rev_list([]) == []
    assert source.is_ancestor(made["side"], made["octopus"])
    assert not source.is_ancestor(made["octopus"], made["side"])
    assert source._walk(tips(source), [made["merge"]]) != []
    assert set(source._walk(tips(source), [made["merge"]])) == set(fresh)
    assert source.mailmap() == b"Ada King <king@example.com> <ada@example.com>\n"


def test_every_way_to_name_a_repository(tmp_path: Path) -> None:
    work = Builder(tmp_path / 'odd "na\nme\\')
    work.write("a", b"a\n")
    head = work.commit("one")
    work.git("worktree", "add", "-q", "-b", "other", os.fspath(tmp_path / "linked"))
    work.git("clone", "-q", "--bare", "--template=", ".", os.fspath(tmp_path / "bare"))
    borrower = tmp_path / "borrower"
    # Git itself cannot borrow from a path with a line end.
    Builder(tmp_path / "bare", bare=True).git(
        "clone", "-q", "-s", "--template=", ".", os.fspath(borrower)
    )
    twice = tmp_path / "twice"
    Builder(borrower).git("clone", "-q", "-s", "--template=", ".", os.fspath(twice))
    work.git("checkout", "-q", "--detach")
    for path, branch in (
        (work.path, None),
        (work.path / ".git", None),
        (tmp_path / "linked", b"refs/heads/other"),
        (tmp_path / "linked" / ".git", b"refs/heads/other"),
        (tmp_path / "bare", b"refs/heads/main"),
        (borrower, b"refs/heads/main"),
        (twice, b"refs/heads/main"),
    ):
        with Repository.open(path) as source:
            assert source.head() == Head(branch, head)
            found, failures = read(source)
            assert (list(found), failures) == ([head], [])
            view = Path(source.view)
        assert not view.exists()


def test_an_empty_repository_is_fine(tmp_path: Path) -> None:
    Builder(tmp_path / "r")
    with Repository.open(tmp_path / "r") as source:
        assert source.head() == Head(b"refs/heads/main", None)
        assert source.refs() == []
        assert source.mailmap() is None
        assert read(source) == ({}, [])


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    def code(path: Path) -> str:
        with pytest.raises(SourceError) as caught:
            Repository.open(path)
        assert str(path) in caught.value.message
        return caught.value.code

    assert code(tmp_path / "nowhere") == "repository_missing"
    assert code(tmp_path) == "not_a_repository"
    plain = tmp_path / "file"
    plain.write_bytes(b"")
    assert code(plain) == "not_a_repository"
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / ".git").write_text("gitdir: ../gone\n")
    assert code(linked) == "repository_broken"
    (linked / ".git").write_bytes(b"\xff\0garbage")
    assert code(linked) == "repository_broken"
    for number, (part, content) in enumerate(
        [
            ("HEAD", None),
            ("HEAD", b"garbage\n"),
            ("config", b"[broken"),
            ("shallow", b"x\n"),
            ("config", b"[extensions]\nobjectformat = md5\n"),
            ("packed-refs", b"garbage\n"),
        ]
    ):
        broken = Builder(tmp_path / f"broken{number}")
        broken.write("a", b"a")
        broken.commit("one")
        target = broken.path / ".git" / part
        target.unlink(missing_ok=True)
        if content is not None:
            target.write_bytes(content)
        assert code(broken.path) == "repository_broken", (part, content)
    inside = tmp_path / "broken1" / "sub"
    inside.mkdir()
    with pytest.raises(SourceError) as caught:
        Repository.open(inside)
    assert str(tmp_path / "broken1") in (caught.value.hint or "")


def test_a_ref_to_nothing_is_told_of(tmp_path: Path) -> None:
    repo = Builder(tmp_path / "r")
    repo.write("a", b"a")
    head = repo.commit("one")
    gone = "1" * 40
    (repo.path / ".git" / "refs" / "heads" / "lost").write_text(gone + "\n")
    with Repository.open(repo.path) as source:
        lost = next(ref for ref in source.refs() if ref.name == b"refs/heads/lost")
        assert (lost.hash, lost.object_type, lost.commit) == (gone, None, None)
        assert source.rev_list([head, gone]) == [gone, head]
