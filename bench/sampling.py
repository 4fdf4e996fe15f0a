"""What to ask of a repository: words, patterns, paths and ranges drawn from its own history.

The draw depends on the history and the seed alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from bench.gitview import GitFailedError, GitView

__all__ = ["Sample", "draw", "message_words", "needle_candidates", "unquoted"]

_COMMITS: Final = 150
_PATCH_BYTES: Final = 24 << 20
_WORD: Final = re.compile(r"(?<!\w)[A-Za-z_][A-Za-z0-9_]{3,30}(?!\w)")
_PLAIN_NAME: Final = re.compile(r"[\w./-]+", re.ASCII)
# A needle or pattern may hold no more than one would type.
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn.

    Needles are texts, patterns are read alike by POSIX ERE and RE2, `seconds` are committers'
    times since 1970.
    """

    needles: tuple[str, ...]
    line_patterns: tuple[str, ...]
    message_patterns: tuple[str, ...]
    author_patterns: tuple[str, ...]
    committer_patterns: tuple[str, ...]
    seconds: tuple[int, ...]
    files: tuple[str, ...]
    directories: tuple[str, ...]
    ranges: tuple[str, ...]


def draw(
    view: GitView, commits: Sequence[str], seed: int = 1, tips: Sequence[str] = ("--all",)
) -> Sample:
    """Returns a sample of the commits given, which git must be able to compare.

    Ranges are drawn from what the `tips` lead to.
    """
    random = Random(seed)
    if not commits:
        return Sample((), (), (), (), (), (), (), (), ())
    stdin = _some(commits, random)
    lines = _patch_lines(view, stdin)
    messages = view.run(["log", "--no-walk", "--stdin", "--format=%B"], stdin=stdin)
    authors, committers, times = (
        _texts(view.run(["log", "--no-walk", "--stdin", f"--format={f}"], stdin=stdin).output)
        for f in ("%aN%x00%aE", "%cN%x00%cE", "%ct")
    )
    raw = view.run(
        ["diff-tree", "--stdin", "--root", "-r", "-M", "--raw", "--format="], stdin=stdin
    )
    files, directories = _paths(raw.output, _renamed(view), random)
    return Sample(
        needles=_needles(lines, random),
        line_patterns=_line_patterns(lines, random),
        message_patterns=_message_patterns(_texts(messages.output), random),
        author_patterns=_people_patterns(authors),
        committer_patterns=_people_patterns(committers),
        seconds=_seconds(times),
        files=files,
        directories=directories,
        ranges=_ranges(view, random, tips),
    )


def needle_candidates(view: GitView, commits: Sequence[str], seed: int = 1) -> list[str]:
    """Returns words and texts with punctuation of changed lines, rare and common ones mixed."""
    random = Random(seed)
    lines = _patch_lines(view, _some(commits, random))
    ranked = _ranked(_word_counts(lines))
    around = re.compile(r"[^\w\s]\w{3,20}[^\w\s]")
    marked = _pick(random, (m for line in lines for m in around.findall(line)), 40)
    # Every step twice as far down the list: the common words are few.
    steps = [2**i - 1 for i in range(len(ranked).bit_length())]
    common = [ranked[i] for i in steps if i < len(ranked)]
    rest = _pick(random, ranked, 200)
    mixed = [word for group in zip(rest, rest[100:], marked, strict=False) for word in group]
    return list(dict.fromkeys([*common, *mixed, *rest]))


def message_words(view: GitView, seed: int = 1) -> tuple[str, str, str]:
    """Returns a common word of messages, one from the middle and one that came once."""
    random = Random(seed)
    stdin = _some(_names(view, "--no-merges", "HEAD"), random)
    messages = view.run(["log", "--no-walk", "--stdin", "--format=%B"], stdin=stdin)
    counts = _word_counts(_texts(messages.output))
    found = [*_spread(random, counts), "", "", ""]
    return found[0], found[1], found[2]


def _some(commits: Sequence[str], random: Random) -> bytes:
    some = sorted(random.sample(sorted(commits), min(_COMMITS, len(commits))))
    return "".join(f"{name}\n" for name in some).encode()


def _patch_lines(view: GitView, commits: bytes) -> list[str]:
    patch = view.run(
        [
            *("diff-tree", "--stdin", "--root", "-r", "-M", "-p", "-U0"),
            *("--no-ext-diff", "--no-textconv", "--format="),
        ],
        stdin=commits,
        limit=_PATCH_BYTES,
    )
    return list(_changed_lines(patch.output))


def _texts(output: bytes) -> list[str]:
    """Returns the lines that are text: what is not UTF-8 cannot be asked for in a query."""
    out = []
    for line in output.split(b"\n"):
        try:
            out.append(line.decode())
        except UnicodeDecodeError:
            continue
    return out


def _changed_lines(patch: bytes) -> Iterator[str]:
    left = 0
    for line in _texts(patch):
        if left > 0 and line[:1] in ("+", "-"):
            left -= 1
            yield line[1:].rstrip("\r")
        elif hunk := re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line):
            left = sum(1 if n is None else int(n) for n in hunk.groups())


def _pick(random: Random, items: Iterable[str], count: int = 1) -> list[str]:
    found = sorted({i for i in items if 0 < len(i) <= _LONGEST and "\0" not in i})
    return random.sample(found, min(count, len(found)))


def _word_counts(lines: Iterable[str]) -> Counter[str]:
    return Counter(word for line in lines for word in set(_WORD.findall(line)))


def _ranked(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda word: (-counts[word], word))


def _spread(random: Random, counts: Counter[str]) -> list[str]:
    """Returns the commonest word, one from the middle and two that came once."""
    ranked = _ranked(counts)
    once = [w for w in ranked if counts[w] == 1]
    several = [w for w in ranked[1:] if counts[w] > 1]
    return [*ranked[:1], *_pick(random, several), *_pick(random, once, 2)]


def _needles(lines: list[str], random: Random) -> tuple[str, ...]:
    found = _spread(random, _word_counts(lines))
    around = re.compile(r"[^\w\s]\w{3,20}[^\w\s]")
    found += _pick(random, (m for line in lines for m in around.findall(line)), 2)
    call = re.compile(r"\w{3,20}\([^()]{1,20}\)")
    found += _pick(random, (m for line in lines for m in call.findall(line)))
    pair = re.compile(r"\w{3,} \w{3,}")
    found += _pick(random, (m for line in lines for m in pair.findall(line)))
    found += _pick(random, (m for line in lines for m in re.findall(r"\w*[^\W\x00-\x7f]\w*", line)))
    return tuple(dict.fromkeys(["TODO", "return", "(c)", *found]))


def _line_patterns(lines: list[str], random: Random) -> tuple[str, ...]:
    counts = _word_counts(lines)
    words = _spread(random, counts)
    found = [rf"\<{word}\>" for word in words[1:2]]
    found += ["|".join(pair) for pair in (words[2:4],) if len(pair) == 2]
    calls = re.compile(r"(?<!\w)([a-z_]{4})[a-z_]+\(")
    found += [rf"{p}[a-z_]+\(" for p in _pick(random, (m for t in lines for m in calls.findall(t)))]
    first = re.compile(r"^\s+([A-Za-z_]{4,})(?!\w)")
    starts = _pick(random, (m[1] for line in lines if (m := first.match(line))))
    found += [rf"^[[:blank:]]+{word}" for word in starts]
    ends = _pick(random, (m[1] for line in lines if (m := re.search(r"([A-Za-z_]{4,})$", line))))
    found += [f"{word}$" for word in ends]
    pairs = (_WORD.findall(line) for line in lines)
    two = _pick(random, (f"{p[0]}.*{p[-1]}" for p in pairs if len(p) > 1 and p[0] != p[-1]))
    found += [*two, "0x[0-9a-f]{4,}", "(TODO|FIXME|XXX)[^a-z]"]
    return tuple(dict.fromkeys(found))


def _message_patterns(lines: list[str], random: Random) -> tuple[str, ...]:
    counts = _word_counts(line for line in lines if not re.match(r"[A-Z][\w-]+: ", line))
    words = _spread(random, counts)
    found = [rf"\<{word}\>" for word in words[:1]] + words[1:3]
    found += [f"({'|'.join(pair)})[^a-z]" for pair in (words[1:3],) if len(pair) == 2]
    starts = _pick(random, (m[0] for line in lines if (m := re.match(r"[A-Za-z]{4,}", line))))
    found += [f"^{word}" for word in starts]
    ends = _pick(random, (m[0] for line in lines if (m := re.search(r"[A-Za-z]{4,}$", line))))
    found += [f"{word}$" for word in ends]
    return tuple(dict.fromkeys([*found, r"#[0-9]+", r"[Ff]ix(es|ed)?\>", "^Signed-off-by: .*@"]))


def _people_patterns(lines: list[str]) -> tuple[str, ...]:
    people = Counter(line for line in lines if line.count("\0") == 1)
    found = []
    for person in _ranked(people)[:2]:
        name, _, email = person.partition("\0")
        plain = re.search(r"[A-Za-z]{3,}", name)
        domain = re.search(r"@([A-Za-z0-9-]{2,})", email)
        found += [f"^{plain[0]}"] if plain else []
        found += [f"@{domain[1]}"] if domain else []
    return tuple(dict.fromkeys([*found, "[^ ] <.*>$"]))


def _seconds(lines: list[str]) -> tuple[int, ...]:
    """Returns three times from within the history, none from before git could have them."""
    times = sorted({int(t) for t in lines if t.isdecimal() and 10**8 < int(t) < 10**10})
    return tuple(sorted({times[len(times) * n // 8] for n in (1, 4, 7)} if times else ()))


_ESCAPE: Final = re.compile(r'\\([abtnvfr"\\]|[0-7]{3})')
_ESCAPED: Final = {**dict(zip("abtnvfr", "\a\b\t\n\v\f\r", strict=True)), '"': '"', "\\": "\\"}


def unquoted(path: bytes) -> str:
    """Returns a path as git prints it where it may be in quotes; bad bytes become U+FFFD."""
    if path[:1] != b'"':
        return path.decode("utf-8", "replace")
    inner = path[1:-1].decode("latin-1")
    plain = _ESCAPE.sub(lambda m: _ESCAPED.get(m[1]) or chr(int(m[1], 8)) if m[1] else m[0], inner)
    return plain.encode("latin-1").decode("utf-8", "replace")


def _lines(view: GitView, arguments: Sequence[str]) -> list[bytes]:
    """Returns what git prints; nothing where it gives up at a missing object."""
    try:
        return view.run(arguments).output.splitlines()
    except GitFailedError:
        return []


def _names(view: GitView, *arguments: str) -> list[str]:
    return [line.decode() for line in _lines(view, ["rev-list", *arguments])]


def _renamed(view: GitView) -> list[str]:
    if view.head is None:
        return []
    found = _lines(
        view, ["log", "--no-merges", "-M", "--diff-filter=R", "--raw", "--format=", "-n20", "HEAD"]
    )
    return [
        unquoted(path) for line in found for path in line.split(b"\t")[1:] if line.startswith(b":")
    ]


def _paths(
    raw: bytes, renamed: list[str], random: Random
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    counts: Counter[str] = Counter()
    deleted = []
    for line in raw.splitlines():
        if line.startswith(b":"):
            status, *paths = line.split(b"\t")
            counts.update(unquoted(path) for path in paths)
            if status.endswith(b" D"):
                deleted += [unquoted(paths[0])]
    ranked = [p for p in _ranked(counts) if _askable(p)]
    nested = [p for p in ranked if "/" in p]
    top = [p for p in ranked if "/" not in p]
    files = [*nested[:1], *top[:1], *_pick(random, nested[1:]), *_pick(random, deleted)]
    files += _pick(random, [p for p in renamed if _askable(p)], 2)
    parents = Counter(p[: p.rfind("/")] for p in nested)
    tops = Counter(p[: p.find("/")] for p in nested)
    directories = [*_ranked(tops)[:2], *_pick(random, parents, 2)]
    return tuple(dict.fromkeys(p for p in files if _askable(p))), tuple(dict.fromkeys(directories))


def _askable(path: str) -> bool:
    return "\ufffd" not in path and "\n" not in path and not path.startswith(":")


def _ranges(view: GitView, random: Random, tips: Sequence[str]) -> tuple[str, ...]:
    if view.head is None:
        return ()
    listed = _names(view, "HEAD")
    if not listed:
        return ()
    found = []
    for low, high in ((0.1, 0.5), (0.4, 0.9)):
        newer, older = listed[int(len(listed) * low)], listed[int(len(listed) * high)]
        found += [f"{older}..{newer}", f"{older[:12]}...{newer[:12]}"]
    some = random.sample(listed, min(3, len(listed)))
    found.append(" ".join([f"^{some[0]}", *some[1:], "HEAD"]))
    everywhere = _names(view, *tips, "--no-merges")
    found.append(f"HEAD...{random.choice(everywhere)}" if everywhere else "HEAD")
    # What never came to HEAD may have come there as another commit.
    aside = _names(view, *tips, "--no-merges", "--not", "HEAD")
    found += [f"HEAD...{name}" for name in _pick(random, aside, 3)]
    # Of some refs only, tags may be known by hash but not by name.
    names = [n for n in view.refs if n.startswith(b"refs/tags/") and "--all" in tips]
    commits = set(everywhere)
    tags = [
        name.decode().removeprefix("refs/tags/")
        for name in sorted(names)
        if view.peeled.get(name, view.refs[name]) in commits
        and _PLAIN_NAME.fullmatch(name.decode("utf-8", "replace"))
    ]
    if len(tags) > 1:
        a, b = random.sample(tags, 2)
        found += [f"{a}..{b}", f"{a}...{b}"]
    first_parents = _names(view, "--first-parent", "HEAD")
    if len(first_parents) > 3:
        found.append(f"HEAD~{min(20, len(first_parents) - 1)}..HEAD^")
    return tuple(dict.fromkeys(found))
