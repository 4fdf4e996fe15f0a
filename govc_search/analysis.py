"""The one definition of a word, for indexing, querying, highlighting, presearch and scans.

A text is brought to NFKC and cut into runs: a letter or digit, then letters, digits and marks.
Everything else separates, `_` too. A run of Chinese, Japanese or Korean inside it yields
overlapping pairs, one position each; any other stretch yields one position that holds the
case-folded word, its camel-case parts, and all of these without accents. Tokens are cut at
`MAX_BYTES`. What a query means by a word is the first token of each position alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Generic, TypeVar

import numpy as np

__all__ = [
    "MAX_BYTES",
    "Token",
    "bag",
    "bags",
    "fold",
    "is_plain",
    "plain",
    "plain_letters",
    "positions",
    "query_tokens",
    "tokens",
    "words_around",
]

MAX_BYTES: Final = 255

# A word this short in code points cannot exceed MAX_BYTES in UTF-8, even where case folding
# triples it.
_SURELY_SHORT: Final = MAX_BYTES // 12

_CACHE_ENTRIES: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where it was found: `[start, end)` in code points of the text as given."""

    text: str
    position: int
    start: int
    end: int


def _char_class(prefixes: str) -> str:
    """Returns the inside of a regular-expression class of all characters of some categories."""
    # Both stretches end in a character that is not assigned, which closes the last range.
    ranges: list[str] = []
    first = None
    for code in (*range(_ASSIGNED + 1), *range(0xE0000, 0xE0201)):
        inside = unicodedata.category(chr(code))[0] in prefixes
        if inside and first is None:
            first = code
        elif not inside and first is not None:
            ranges.append(f"\\U{first:08x}-\\U{code - 1:08x}")
            first = None
    return "".join(ranges)


# No letter, digit or mark lies beyond, but for the selectors of plane 14.
_ASSIGNED: Final = 0x34000

_CJK: Final = (
    "\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U000323af"
)
_ASCII_RUN: Final = re.compile("[A-Za-z0-9]+")
_CJK_RUN: Final = re.compile(f"[{_CJK}]+")


# Python's \w is letters, numbers and `_`; marks are missing.
@cache
def _runs() -> re.Pattern[str]:
    # Made at first need: it walks through Unicode, which texts in ASCII must not pay for.
    marks = _char_class("M")
    # What follows a run is ASCII most of the time: told before the long class is searched.
    return re.compile(f"[^\\W_]+(?:(?![\x00-\u02ff])[{marks}]+[^\\W_]*)*")


def fold(word: str) -> str:
    """Returns a word as the index holds it: NFKC, case-folded, cut at `MAX_BYTES`."""
    if word.isascii():
        return word.lower()[:MAX_BYTES]
    normal = unicodedata.normalize("NFKC", word)
    return _cut(unicodedata.normalize("NFKC", normal.casefold()))


def _cut(word: str) -> str:
    if len(word) <= _SURELY_SHORT:
        return word
    data = word.encode("utf-8", "surrogatepass")
    if len(data) <= MAX_BYTES:
        return word
    return data[:MAX_BYTES].decode("utf-8", "ignore")


def _without_accents(folded: str) -> str:
    """Returns a word without its accents, or nothing where it has none."""
    apart = unicodedata.normalize("NFD", folded)
    if apart.isalnum():
        return ""
    bare = "".join(c for c in apart if unicodedata.category(c) not in ("Mn", "Me"))
    return unicodedata.normalize("NFKC", bare)


def _camel_cuts(word: str) -> list[int]:
    """Returns where the camel-case parts of a word begin, but the first."""
    if word.islower() or word.isupper():
        return []
    cuts = []
    for i in range(1, len(word)):
        if not word[i].isupper():
            continue
        before = word[i - 1]
        rises = not before.isupper() and before.isalnum()
        if rises or (before.isupper() and i + 1 < len(word) and word[i + 1].islower()):
            cuts.append(i)
    return cuts


# One position of a run: its tokens, each with its place in the run.
_Slot = tuple[tuple[str, int, int], ...]


def _analyse(run: str) -> tuple[_Slot, ...]:
    """Returns the positions of one run of NFKC text."""
    if run.isascii():
        return (_slot(run, 0),)
    slots: list[_Slot] = []
    at = 0
    for match in _CJK_RUN.finditer(run):
        if match.start() > at:
            slots.append(_slot(run[at : match.start()], at))
        slots.extend(_pairs(match.group(), match.start()))
        at = match.end()
    if at < len(run):
        slots.append(_slot(run[at:], at))
    return tuple(slots)


def _slot(word: str, offset: int) -> _Slot:
    cuts = _camel_cuts(word)
    spans = [(0, len(word))]
    if cuts:
        spans += zip([0, *cuts], [*cuts, len(word)], strict=True)
    found: dict[str, tuple[int, int]] = {}
    bare: dict[str, tuple[int, int]] = {}
    for start, end in spans:
        place = (offset + start, offset + end)
        part = word[start:end]
        if part.isascii():
            found.setdefault(_cut(part.lower()), place)
            continue
        folded = unicodedata.normalize("NFKC", part.casefold())
        found.setdefault(_cut(folded), place)
        # From the uncut word: else what the accents took up would be missing at the end.
        variant = _without_accents(folded)
        if variant:
            bare.setdefault(_cut(variant), place)
    for variant, place in bare.items():
        found.setdefault(variant, place)
    return tuple([(text, start, end) for text, (start, end) in found.items()])


def _pairs(run: str, offset: int) -> Iterator[_Slot]:
    """Yields the overlapping pairs of a run.

    Beside them stand the single characters, so that a query for one of them finds it.
    """
    if len(run) == 1:
        yield ((run, offset, offset + 1),)
        return
    last = len(run) - 2
    for i in range(last + 1):
        at = offset + i
        slot = [(run[i : i + 2], at, at + 2), (run[i], at, at + 1)]
        if i == last and run[i + 1] != run[i]:
            slot.append((run[i + 1], at + 1, at + 2))
        yield tuple(slot)


_Value = TypeVar("_Value")


class _Cache(dict[str, _Value], Generic[_Value]):
    """What is known of each run, forgotten all at once when it grows too large."""

    def __init__(self, compute: Callable[[str], _Value]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, run: str) -> _Value:
        value = self._compute(run)
        if len(run) <= MAX_BYTES:
            if len(self) >= _CACHE_ENTRIES:
                self.clear()
            self[run] = value
        return value


def _texts_of(run: str) -> str | tuple[tuple[str, ...], ...]:
    """Returns the tokens of each position, or the one token there is."""
    slots = _analyse(run)
    if len(slots) == 1 and len(slots[0]) == 1:
        return slots[0][0][0]
    return tuple([tuple([token[0] for token in slot]) for slot in slots])


_SLOTS: Final = _Cache(_analyse)
_TEXTS: Final = _Cache(_texts_of)


def _split(text: str) -> list[str]:
    """Returns the runs of a text in NFKC."""
    if text.isascii():
        return _ASCII_RUN.findall(text)
    return _runs().findall(unicodedata.normalize("NFKC", text))


def tokens(text: str) -> list[Token]:
    """Returns all tokens of a text in order of position."""
    if text.isascii():
        normal, starts, ends = text, None, None
        matches = _ASCII_RUN.finditer(text)
    else:
        normal, starts, ends = _normalized(text)
        matches = _runs().finditer(normal)
    out: list[Token] = []
    position = 0
    for match in matches:
        at = match.start()
        for slot in _SLOTS[match.group()]:
            for word, start, end in slot:
                if starts is None or ends is None:
                    out.append(Token(word, position, at + start, at + end))
                else:
                    out.append(Token(word, position, starts[at + start], ends[at + end - 1]))
            position += 1
    return out


def query_tokens(text: str) -> list[str]:
    """Returns the words that a query text means, in order: one token per position.

    More than one: the text is a phrase. None: the text has no letter or digit.
    """
    return [slot[0][0] for run in _split(text) for slot in _SLOTS[run]]


def positions(text: str) -> tuple[list[tuple[str, int]], bool]:
    """Returns all tokens of a text with their positions, and whether a word was cut.

    Of a word that was cut the tokens do not hold all.
    """
    runs = _split(text)
    out: list[tuple[str, int]] = []
    add = out.append
    position = 0
    for texts in map(_TEXTS.__getitem__, runs):
        if isinstance(texts, str):
            add((texts, position))
            position += 1
            continue
        for slot in texts:
            out += [(word, position) for word in slot]
            position += 1
    return out, _any_long(runs)


def plain_letters(text: str) -> str:
    """Returns the letters and digits in ASCII that a text's tokens are made of, and more.

    Each token in ASCII is a part of it, and so is whatever ASCII a token begins with.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Accents stand apart from their letters now, and fall away with all that is not ASCII.
    return unicodedata.normalize("NFD", folded).encode("ascii", "ignore").decode("ascii")


def words_around(text: str, lowered: str, part: str) -> Iterator[str]:
    """Yields the tokens of those runs of an ASCII text that hold `part`, which no other run has.

    `lowered` is the text in lower case.
    """
    at = lowered.find(part)
    while at >= 0:
        begin = at
        while begin and text[begin - 1].isalnum():
            begin -= 1
        run = _ASCII_RUN.match(text, begin)
        assert run is not None
        texts = _TEXTS[run.group()]
        if isinstance(texts, str):
            yield texts
        else:
            for slot in texts:
                yield from slot
        at = lowered.find(part, run.end())


def _any_long(runs: Collection[str]) -> bool:
    return max(map(len, runs), default=0) > _SURELY_SHORT and any(
        len(run) > _SURELY_SHORT and _is_long(run) for run in runs
    )


def _is_long(run: str) -> bool:
    if run.isascii():
        return len(run) > MAX_BYTES
    return any(
        len(unicodedata.normalize("NFKC", part.casefold()).encode("utf-8", "surrogatepass"))
        > MAX_BYTES
        for part in _CJK_RUN.split(run)
    )


# ---- text as words with spaces between, for an index that only splits at spaces

_LOWER: Final = bytes(
    code + 32 if 65 <= code <= 90 else code if chr(code).isalnum() and code < 128 else 32
    for code in range(256)
)
# 0 separates, 1 lower case or digit, 2 upper case; bytes beyond ASCII count as letters here.
_CLASS: Final = bytes(
    2 if 65 <= code <= 90 else 1 if code >= 128 or chr(code).isalnum() else 0 for code in range(256)
)


def is_plain(text: str) -> bool:
    """Returns whether each word of a text is one token: `plain` then says all of it."""
    if not text.isascii():
        return False
    data = text.encode("ascii")
    classes = data.translate(_CLASS)
    if b"\1\2" in classes or b"\2\2\1" in classes:
        return False
    return (
        len(text) <= MAX_BYTES
        or max(map(len, data.translate(_LOWER).split()), default=0) <= MAX_BYTES
    )


def plain(text: str) -> str:
    """Returns a plain text as lower-case words with spaces between."""
    return text.encode("ascii").translate(_LOWER).decode("ascii")


def _main_words(run: str) -> str:
    slots = _analyse(run)
    if len(run) <= MAX_BYTES:
        if len(_OTHER) >= _CACHE_ENTRIES:
            _OTHER.clear()
        # Asked for next.
        _OTHER[run] = _others(slots)
    return slots[0][0][0] if len(slots) == 1 else " ".join([slot[0][0] for slot in slots])


def _others(slots: tuple[_Slot, ...]) -> str:
    return " ".join([token[0] for slot in slots for token in slot[1:]])


_MAIN: Final = _Cache(_main_words)
_OTHER: Final = _Cache(lambda run: _others(_analyse(run)))


def bag(data: bytes) -> tuple[str, bool]:
    """Returns the words of a text with spaces between, and whether one was cut.

    Words of one line stand in order, as `query_tokens` gives them; their camel-case parts and
    variants stand elsewhere, once each. Bytes that are not UTF-8 are U+FFFD.
    """
    text = data.decode("utf-8", "replace")
    if is_plain(text):
        return plain(text), False
    return _bag(text)


def _bag(text: str) -> tuple[str, bool]:
    runs = _split(text)
    distinct = set(runs)
    words = " ".join(map(_MAIN.__getitem__, runs))
    others = " ".join(filter(None, map(_OTHER.__getitem__, distinct)))
    return (f"{words} {others}" if others else words), _any_long(distinct)


def bags(data: bytes, offsets: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """Yields `bag` of each text `data[offsets[i]:offsets[i + 1]]`, many times faster.

    No word may reach from one text into the next: each must end in a separator.
    """
    data, aside = _set_aside(data, offsets)
    camel, long = _marked_runs(data, offsets)
    lower = data.translate(_LOWER).decode("ascii")
    for i in range(len(offsets) - 1):
        start, end = offsets[i], offsets[i + 1]
        others = b"".join(aside[i]) if i in aside else b""
        if i in long:
            yield _bag((data[start:end] + others).decode("utf-8", "replace"))
            continue
        words, cut = lower[start:end], False
        runs = camel.get(i)
        if runs is not None:
            words = f"{words} {' '.join(filter(None, map(_OTHER.__getitem__, runs)))}"
        if others:
            more, cut = _bag(others.decode("utf-8", "replace"))
            words = f"{words} {more}"
        yield words, cut


def _set_aside(data: bytes, offsets: Sequence[int]) -> tuple[bytes, dict[int, list[bytes]]]:
    """Returns the text with blanks for the lines that are not ASCII, and those lines by text."""
    if data.isascii():
        return data, {}
    codes = np.frombuffer(data, np.uint8)
    ends = np.append(np.flatnonzero(codes == 10), len(codes) - 1)
    lines = np.searchsorted(ends, np.flatnonzero(codes >= 0x80))
    lines = lines[np.flatnonzero(np.diff(lines, prepend=-1))]
    starts = np.append(np.zeros(1, np.int64), ends[:-1] + 1)[lines]
    owners = np.searchsorted(np.asarray(offsets), starts, side="right") - 1
    # Lines that lie side by side in one text are taken together.
    apart = (np.diff(lines, prepend=-2) != 1) | (np.diff(owners, prepend=-1) != 0)
    first = np.flatnonzero(apart)
    last = np.append(first[1:], len(lines)) - 1
    aside: dict[int, list[bytes]] = {}
    rest = bytearray(data)
    places = zip(
        starts[first].tolist(),
        (ends[lines[last]] + 1).tolist(),
        owners[first].tolist(),
        strict=True,
    )
    for start, end, owner in places:
        aside.setdefault(owner, []).append(data[start:end])
        rest[start:end] = b" " * (end - start)
    return bytes(rest), aside


def _marked_runs(data: bytes, offsets: Sequence[int]) -> tuple[dict[int, set[str]], set[int]]:
    """Returns the ASCII runs with camel-case by text, and the texts whose runs may be cut."""
    classes = np.frombuffer(data.translate(_CLASS), np.uint8)
    if len(classes) < 2:
        return {}, set()
    upper = classes == 2
    rises = upper[1:] & (classes[:-1] == 1)
    marks = np.flatnonzero(rises) + 1
    drops = upper[:-2] & upper[1:-1] & (classes[2:] == 1)
    marks = np.sort(np.concatenate((marks, np.flatnonzero(drops) + 1)))
    edges = np.asarray(offsets, np.int64)
    camel: dict[int, set[str]] = {}
    owners = (np.searchsorted(edges, marks, side="right") - 1).tolist()
    done = -1
    for at, owner in zip(marks.tolist(), owners, strict=True):
        if at < done:
            continue
        # The mark lies inside a run, at least one byte before it is of the same run.
        start = at - 1
        while start >= 0 and data[start] in _ALNUM:
            start -= 1
        match = _ASCII_BYTES.match(data, start + 1)
        done = match.end() if match else at + 1
        if match:
            camel.setdefault(owner, set()).add(match.group().decode("ascii"))
    return camel, _texts_with_long_runs(classes, edges)


_ALNUM: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_ASCII_BYTES: Final = re.compile(rb"[A-Za-z0-9]+")
_BLOCK: Final = 64


def _texts_with_long_runs(classes: np.ndarray, edges: np.ndarray) -> set[int]:
    # A run beyond MAX_BYTES covers at least two whole blocks that lie side by side.
    count = len(classes) // _BLOCK
    if count < 2:
        return set()
    words = classes[: count * _BLOCK].view(np.uint64)
    # No byte of an eight is zero (the usual test; the classes stay below 0x80).
    high = np.uint64(0x8080808080808080)
    ones = np.uint64(0x0101010101010101)
    full = ((words - ones) & ~words & high) == 0
    # Cheap first: only blocks whose middle eights are full are looked at closely.
    step = _BLOCK // 8
    block = full[::step].copy()
    for i in range(1, step):
        block &= full[i::step]
    found = np.flatnonzero(block[:-1] & block[1:]) * _BLOCK
    return set((np.searchsorted(edges, found, side="right") - 1).tolist())


def _normalized(text: str) -> tuple[str, list[int], list[int]]:
    """Returns the NFKC text and, for each of its characters, the span it came from.

    Normalised by clusters: a character with the marks that may combine with it.
    """
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    size = len(text)
    i = 0
    while i < size:
        j = i + 1
        while j < size and _joins(text[j]):
            j += 1
        cluster = text[i:j]
        if not cluster.isascii():
            cluster = unicodedata.normalize("NFKC", cluster)
        out.append(cluster)
        if j == i + 1 or len(cluster) != j - i:
            starts.extend([i] * len(cluster))
            ends.extend([j] * len(cluster))
        else:
            # Nothing was composed: each character still stands for itself.
            starts.extend(range(i, j))
            ends.extend(range(i + 1, j + 1))
        i = j
    return "".join(out), starts, ends


_JOINING: Final = re.compile("[\u1160-\u11ff\u3131-\u3163\uff9e\uff9f\uffa1-\uffdc]")


def _joins(char: str) -> bool:
    if char < "\u0300":
        return False
    # Letters of Hangul, those that stand alone and half-width ones too, and half-width voicing
    # marks.
    return bool(_JOINING.match(char)) or unicodedata.category(char)[0] == "M"
