"""The questions that are put to git and to the engine, each as one command and one query."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from bench.gitview import GitView
from bench.graph_questions import graph_questions
from bench.question import Question, Row, hashes, quoted
from bench.sampling import Sample, unquoted

__all__ = ["questions"]

# Seconds since 1970 of the years 1 to 9999: outside of them a date is NULL.
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799


def questions(view: GitView, sample: Sample, only: frozenset[str] | None = None) -> list[Question]:
    """Returns all questions in the order they are asked.

    `only` are the full names of the refs that were indexed, None where all were.
    """
    found = [*_counts(view), *_people(view)]
    found += [_lines("-S", f"-S{n}", "PICKAXE", n, "binary") for n in sample.needles]
    found += [_lines("-G", f"-G{p}", "CHANGED_RE", p, "regex") for p in sample.line_patterns]
    found += _messages(sample.message_patterns)
    found += [_by_person("author", p) for p in sample.author_patterns]
    found += [_by_person("committer", p) for p in sample.committer_patterns]
    found += _dates(sample.seconds)
    found += [_path(p, directory=False) for p in sample.files]
    found += [_path(p, directory=True) for p in sample.directories]
    return [*found, *graph_questions(view, sample, only)]


# Counts


def _counts(view: GitView) -> list[Question]:
    found = [
        Question(
            "commits", ("rev-list", "--all"), "SELECT hash FROM commits", hashes,
            limited=False, scan=False,
        ),
        Question(
            "commits", ("rev-list", "--all", "--merges"), "SELECT hash FROM commits WHERE is_merge",
            hashes, limited=False, scan=False,
        ),
        Question(
            "commits", ("rev-list", "--all", "--no-merges"),
            "SELECT hash FROM commits WHERE NOT is_merge", hashes, limited=False, scan=False,
        ),
        Question(
            "commits", ("rev-list", "--all", "--max-parents=0"),
            "SELECT hash FROM commits WHERE is_root", hashes, scan=False,
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
            _sums, scan=False,
        ),
        Question(
            "lines", ("log", "--all", "--no-merges", "--numstat", "-z", "--format=%x00%x00%H"),
            "SELECT f.hash, f.path, f.insertions, f.deletions "
            "FROM changes f JOIN commits c USING (hash) WHERE NOT c.is_merge",
            _numstat, scan=False,
        ),
    ]  # fmt: skip
    if view.head is not None:
        found.insert(
            1,
            Question(
                "commits", ("rev-list", "HEAD"),
                "SELECT hash FROM commits WHERE REACHABLE_FROM('HEAD')", hashes,
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


def _sums(output: bytes) -> Iterable[Row]:
    for hash_, lines in _by_commit(output):
        counts = [line.split(b"\t")[:2] for line in lines]
        added, removed = (sum(int(c[i]) for c in counts if c[i] != b"-") for i in (0, 1))
        yield hash_, len(counts), added, removed


_COUNTED: Final = re.compile(rb"\n?(\d+|-)\t(\d+|-)\t(.*)", re.DOTALL)


def _numstat(output: bytes) -> Iterable[Row]:
    """Reads "added, tab, removed, tab, path" of each file, or an empty path and two for a rename."""
    hash_ = ""
    fields = iter(output.split(b"\0"))
    for field in fields:
        counted = _COUNTED.fullmatch(field)
        if counted is None:
            hash_ = field.strip().decode() or hash_
            continue
        *counts, path = counted.groups()
        if not path:
            next(fields)
            path = next(fields)
        added, removed = (None if n == b"-" else int(n) for n in counts)
        yield hash_, path.decode("utf-8", "replace"), added, removed


def _people(view: GitView) -> list[Question]:
    if view.head is None:
        return []

    def counted(options: tuple[str, ...], person: str, condition: str = "") -> Question:
        gql = (
            f"SELECT {person} AS person, count(*) FROM commits WHERE REACHABLE_FROM('HEAD')"
            f"{condition} GROUP BY person"
        )
        command = ("shortlog", "-s", "-n", *options, "HEAD")
        return Question("shortlog", command, gql, _shortlog, by_commit=False, scan=False)

    return [
        counted((), "author_mapped"),
        counted(("--no-merges",), "author_mapped", " AND NOT is_merge"),
        counted(("-e",), _person("author")),
        counted(("-e", "-c"), _person("committer")),
    ]


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
    return Question(group, command, gql, hashes, explain=explain, pattern=pattern)


def _lines(group: str, option: str, predicate: str, pattern: str, explain: str) -> Question:
    return _set(group, [option], f"{predicate}({quoted(pattern)})", explain, pattern)


def _messages(patterns: Sequence[str]) -> list[Question]:
    def asked(options: Iterable[str], condition: str, pattern: str) -> Question:
        return _set("--grep", ["-E", *options], condition, "message", pattern)

    found = [asked([f"--grep={p}"], f"message ~ {quoted(p)}", p) for p in patterns]
    for p in patterns[:2]:
        found.append(asked(["--invert-grep", f"--grep={p}"], f"NOT message ~ {quoted(p)}", p))
        found.append(asked(["-i", f"--grep={p}"], f"message ~* {quoted(p)}", f"(?i){p}"))
    if len(patterns) > 1:
        both = [f"--grep={p}" for p in patterns[:2]]
        one, other = (f"message ~ {quoted(p)}" for p in patterns[:2])
        either = "|".join(f"({p})" for p in patterns[:2])
        found.append(asked(both, f"({one} OR {other})", either))
        found.append(asked(["--all-match", *both], f"{one} AND {other}", either))
    return found


def _person(who: str) -> str:
    return f"{who}_mapped || ' <' || {who}_email_mapped || '>'"


def _by_person(who: str, pattern: str) -> Question:
    condition = f"{_person(who)} ~ {quoted(pattern)}"
    return _set(f"--{who}", ["-E", f"--{who}={pattern}"], condition, who, pattern)


def _dates(seconds: Sequence[int]) -> list[Question]:
    """Returns questions by the committer's date.

    `--since` ends the walk at the first commit that is older; as a filter it asks every commit.
    """

    def asked(options: Iterable[str], condition: str) -> Question:
        return Question(
            "dates", ("rev-list", "--all", "--no-merges", *options),
            f"SELECT hash FROM commits WHERE NOT is_merge AND {condition}", hashes,
            limited=False, explain="dates",
        )  # fmt: skip

    times = [datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%d %H:%M:%S") for s in sorted(seconds)]
    from_ = [(f"--since-as-filter={t} +0000", f"committer_date >= TIMESTAMP '{t}'") for t in times]
    to = [(f"--until={t} +0000", f"committer_date <= TIMESTAMP '{t}'") for t in times]
    found = [asked([option], condition) for option, condition in (*from_[:1], *to[-1:])]
    for (since, after), (until, before) in zip(from_, to[1:], strict=False):
        found.append(asked([since, until], f"{after} AND {before}"))
    return found


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
            f" AND (f.path = {quoted(path)} OR f.old_path = {quoted(path)})", hashes,
        )  # fmt: skip
    if special:
        command = ("--literal-pathspecs", *question.command)
        return Question("paths", command, question.gql, hashes)
    return question
