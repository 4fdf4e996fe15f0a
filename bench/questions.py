"""The questions that are put to git and to the engine, each as one command and one query."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bench.gitview import GitFailedError, GitView
from bench.sampling import Sample, unquoted

__all__ = ["Question", "Row", "questions", "quoted", "with_repository"]

Row = tuple[object, ...]

# Seconds since 1970 of the years 1 to 9999: outside of them a date is NULL.
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class Question:
    """One question in both languages.

    `command` are git's arguments, in which `--all` stands for what git is able to walk. `read`
    turns git's output into the same rows that the query gives, `convert` a row of the query into
    what can be compared. The first column of a row is a commit's hash unless `by_commit` is
    false. Of what is not `limited`, commits that the index could not read whole take part too.
    `source` asks the source itself instead of the view. `explain` names the rule by which a
    difference may be a documented one, and `pattern` is the needle or regular expression. `scan`
    says that the query can be asked with indexes off too, `whole` that git can answer only where
    no object is missing.
    """

    group: str
    command: tuple[str, ...]
    gql: str
    read: Callable[[bytes], Iterable[Row]]
    convert: Callable[[Row], Row] = lambda row: row
    by_commit: bool = True
    limited: bool = True
    source: bool = False
    explain: str | None = None
    pattern: str = ""
    scan: bool = True
    whole: bool = False


def questions(view: GitView, sample: Sample, only: frozenset[str] | None = None) -> list[Question]:
    """Returns all questions in the order they are asked.

    `only` are the full names of the refs that were indexed, None where all were.
    """
    found = [*_counts(view), *_refs(view, only), *_people(view)]
    found += [_lines("-S", f"-S{n}", "PICKAXE", n, "binary") for n in sample.needles]
    found += [_lines("-G", f"-G{p}", "CHANGED_RE", p, "regex") for p in sample.line_patterns]
    found += [_messages(p) for p in sample.message_patterns]
    found += [_authors(p) for p in sample.author_patterns]
    found += [_path(p, directory=False) for p in sample.files]
    found += [_path(p, directory=True) for p in sample.directories]
    found += [_range(r) for r in sample.ranges]
    pairs = [r.split("..") for r in sample.ranges if r.count(".") == 2 and r.count("..") == 1]
    found += [q for a, b in pairs for q in _ancestry(view, a, b, only)]
    if view.head is not None:
        found += [_history(p) for p in sample.files if not re.search(r"[*?\[\\]", p)]
    return found


def quoted(text: str) -> str:
    """Returns a text as GQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _hashes(output: bytes) -> Iterable[Row]:
    return ((line.decode(),) for line in output.splitlines())


# Counts


def _counts(view: GitView) -> list[Question]:
    found = [
        Question(
            "commits", ("rev-list", "--all"), "SELECT hash FROM commits", _hashes,
            limited=False, scan=False,
        ),
        Question(
            "commits", ("rev-list", "--all", "--merges"), "SELECT hash FROM commits WHERE is_merge",
            _hashes, limited=False, scan=False,
        ),
        Question(
            "commits", ("rev-list", "--all", "--max-parents=0"),
            "SELECT hash FROM commits WHERE is_root", _hashes, scan=False,
        ),
        Question(
            "commits",
            ("log", "--all", "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct"),
            "SELECT hash, tree, array_to_string(parents, ' '), author, author_email, "
            "epoch(author_date), committer, committer_email, epoch(committer_date) FROM commits",
            _headers, explain="dates", scan=False,
        ),
        Question(
            "commits", ("log", "--all", "-z", "--format=%H%n%s%n%B"),
            "SELECT hash, subject, message FROM commits",
            _texts_of_messages, _digested, scan=False,
        ),
        Question(
            "changes", ("log", "--all", "--no-merges", "--raw", "--no-abbrev", "--format=%x00%H"),
            "SELECT f.hash, f.change_type, f.path, f.old_path, f.old_blob, f.new_blob "
            "FROM changes f JOIN commits c USING (hash) WHERE NOT c.is_merge",
            _raw, scan=False,
        ),
        Question(
            "lines", ("log", "--all", "--no-merges", "--numstat", "--format=%x00%H"),
            "SELECT hash, files_changed, insertions, deletions FROM commits WHERE NOT is_merge",
            _numstat, scan=False,
        ),
    ]  # fmt: skip
    if view.head is not None:
        found.insert(
            1,
            Question(
                "commits", ("rev-list", "HEAD"),
                "SELECT hash FROM commits WHERE REACHABLE_FROM('HEAD')", _hashes,
                limited=False, scan=False,
            ),
        )  # fmt: skip
    return found


def _second(text: bytes) -> int | None:
    # Git prints nothing where a commit has no date that it can read.
    if not text:
        return None
    second = int(text)
    return second if _FIRST_SECOND <= second <= _LAST_SECOND else None


def _headers(output: bytes) -> Iterable[Row]:
    for line in output.split(b"\n")[:-1]:
        fields = line.split(b"\0")
        texts: list[object] = [f.decode("utf-8", "replace") for f in fields]
        texts[5], texts[8] = _second(fields[5]), _second(fields[8])
        yield tuple(texts)


def _digested(row: Row) -> Row:
    # Only whether texts are the same is asked: a digest keeps long ones out of memory.
    hash_, subject, message = (str(v) for v in row)
    text = f"{subject}\n{message.rstrip()}".encode()
    return hash_, hashlib.md5(text, usedforsecurity=False).hexdigest()


def _texts_of_messages(output: bytes) -> Iterable[Row]:
    for record in output.split(b"\0")[:-1]:
        hash_, _, rest = record.decode("utf-8", "replace").partition("\n")
        subject, _, message = rest.partition("\n")
        yield _digested((hash_, subject, message))


def _by_commit(output: bytes) -> Iterable[tuple[str, list[bytes]]]:
    for record in output.split(b"\0")[1:]:
        hash_, *lines = record.split(b"\n")
        yield hash_.decode(), [line for line in lines if line]


_NOTHING: Final = re.compile(r"0+")


def _blob(name: bytes) -> str | None:
    text = name.decode()
    return None if _NOTHING.fullmatch(text) else text


def _raw(output: bytes) -> Iterable[Row]:
    for hash_, lines in _by_commit(output):
        for line in lines:
            head, *paths = line.split(b"\t")
            _, _, old, new, status = head.split(b" ")
            names = [unquoted(p) for p in paths]
            old_path = names[0] if len(names) > 1 else None
            yield hash_, chr(status[0]), names[-1], old_path, _blob(old), _blob(new)


def _numstat(output: bytes) -> Iterable[Row]:
    for hash_, lines in _by_commit(output):
        counts = [line.split(b"\t")[:2] for line in lines]
        added, removed = (sum(int(c[i]) for c in counts if c[i] != b"-") for i in (0, 1))
        yield hash_, len(counts), added, removed


def _refs(view: GitView, only: frozenset[str] | None) -> list[Question]:
    def wanted(name: bytes) -> bool:
        return only is None or name.decode("utf-8", "replace") in only

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


def _people(view: GitView) -> list[Question]:
    if view.head is None:
        return []
    return [
        Question(
            "authors", ("shortlog", "-s", "-n", "HEAD"),
            "SELECT author_mapped, count(*) FROM commits WHERE REACHABLE_FROM('HEAD') "
            "GROUP BY author_mapped", _shortlog, by_commit=False, scan=False,
        ),
        Question(
            "authors", ("shortlog", "-s", "-n", "-e", "-c", "HEAD"),
            "SELECT committer_mapped || ' <' || committer_email_mapped || '>' AS person, count(*) "
            "FROM commits WHERE REACHABLE_FROM('HEAD') GROUP BY person",
            _shortlog, by_commit=False, scan=False,
        ),
    ]  # fmt: skip


def _shortlog(output: bytes) -> Iterable[Row]:
    counts: Counter[str] = Counter()
    for line in output.split(b"\n")[:-1]:
        count, _, name = line.partition(b"\t")
        counts[name.decode("utf-8", "replace")] += int(count)
    return counts.items()


# Sets of commits


def _set(
    group: str,
    options: Iterable[str],
    condition: str,
    explain: str | None = None,
    pattern: str = "",
) -> Question:
    command = ("log", "--all", "--no-merges", "--format=%H", *options)
    gql = f"SELECT hash FROM commits WHERE NOT is_merge AND {condition}"
    return Question(group, command, gql, _hashes, explain=explain, pattern=pattern)


def _lines(group: str, option: str, predicate: str, pattern: str, explain: str) -> Question:
    return _set(group, [option], f"{predicate}({quoted(pattern)})", explain, pattern)


def _messages(pattern: str) -> Question:
    return _set(
        "--grep", ["-E", f"--grep={pattern}"], f"message ~ {quoted(pattern)}", "message", pattern
    )


def _authors(pattern: str) -> Question:
    person = "author_mapped || ' <' || author_email_mapped || '>'"
    return _set(
        "--author",
        ["-E", f"--author={pattern}"],
        f"{person} ~ {quoted(pattern)}",
        "author",
        pattern,
    )


def _path(path: str, *, directory: bool) -> Question:
    options = ["--full-history", "--", f"{path}/" if directory else path]
    special = re.search(r"[*?\[\\]", path)
    name = re.sub(r"([*?\[{\\])", r"\\\1", path)
    if directory:
        question = _set("paths", options, f"TOUCHES({quoted(name + '/**')})")
    elif "/" in path:
        question = _set("paths", options, f"TOUCHES({quoted(name)})")
    else:
        # A glob without a slash names files of every directory.
        command = ("log", "--all", "--no-merges", "--format=%H", *options)
        question = Question(
            "paths", command,
            "SELECT DISTINCT c.hash FROM commits c JOIN changes f USING (hash) WHERE NOT c.is_merge"
            f" AND (f.path = {quoted(path)} OR f.old_path = {quoted(path)})", _hashes,
        )  # fmt: skip
    if special:
        command = ("--literal-pathspecs", *question.command)
        return Question("paths", command, question.gql, _hashes)
    return question


def _range(expression: str) -> Question:
    return Question(
        "ranges",
        ("rev-list", *expression.split()),
        f"SELECT hash FROM commits WHERE IN_RANGE({quoted(expression)})",
        _hashes,
        limited=False,
        scan=False,
    )


def _ancestry(view: GitView, a: str, b: str, only: frozenset[str] | None) -> list[Question]:
    def named(output: bytes) -> Iterable[Row]:
        for line in output.splitlines():
            name = line.decode("utf-8", "replace")
            if only is None or f"refs/tags/{name}" in only:
                yield (name,)

    found = []
    for one in (a, b):
        # The source's refs and HEAD are borrowed, and need not be what the view was made with.
        commit = view.run(["rev-parse", "--verify", f"{one}^{{commit}}"]).output.decode().strip()
        found += [
            Question(
                "ancestry", ("tag", "--contains", commit),
                "SELECT t.name FROM tags t JOIN commits c ON c.repo = t.repo AND c.hash = t.peeled"
                f" WHERE DESCENDANT_OF(c, {quoted(one)})",
                named, by_commit=False, source=True, scan=False,
            ),
            Question(
                "ancestry", ("rev-list", one),
                f"SELECT hash FROM commits WHERE IS_ANCESTOR(hash, {quoted(one)})",
                _hashes, limited=False, scan=False,
            ),
        ]  # fmt: skip
    try:
        view.run(["merge-base", a, b])
    except GitFailedError:
        # Without a common ancestor there is nothing to print.
        return found
    base = f"SELECT MERGE_BASE({quoted(a)}, {quoted(b)}) FROM repos"
    command = ("merge-base", a, b)
    return [*found, Question("ancestry", command, base, _hashes, limited=False, scan=False)]


def _history(path: str) -> Question:
    return Question(
        "--follow",
        ("log", "HEAD", "--no-merges", "--format=%H", "--follow", "--", path),
        "SELECT hash FROM commits WHERE NOT is_merge AND REACHABLE_FROM('HEAD')"
        f" AND HISTORY_OF({quoted(path)})",
        _hashes,
        explain="history",
        scan=False,
        whole=True,
    )


def with_repository(gql: str, repo: str | None) -> str:
    """Returns the query asked of one repository only; `repo` None leaves it as it is."""
    if repo is None:
        return gql
    joined = " JOIN " in gql
    condition = f"{'c.' if joined else ''}repo = {quoted(repo)}"
    head, group, tail = gql.partition(" GROUP BY ")
    return f"{head} {'AND' if ' WHERE ' in head else 'WHERE'} {condition}{group}{tail}"
