"""Highlights and snippets: places in a text as offsets, and the text with marks around them.

Offsets are code points of the text as given. Nothing is escaped here: who prints knows how.
"""

from __future__ import annotations

from collections.abc import Sequence

from govc_search import textquery

__all__ = ["highlight", "passage", "snippet"]

Spans = Sequence[tuple[int, int]]

_CUT = "…"


def highlight(
    text: str, found: textquery.Node | Spans, open_: str, close: str, field: str = "text"
) -> str:
    """Returns the text with every match between `open_` and `close`.

    `found` is a query, whose matches in `field` are marked, or spans that are sorted and do not
    overlap.
    """
    return _marked(text, _spans(text, found, field), 0, len(text), open_, close)


def snippet(
    text: str,
    found: textquery.Node | Spans,
    length: int,
    open_: str = "",
    close: str = "",
    field: str = "text",
) -> str:
    """Returns the best passage of at most `length` code points with its matches marked.

    Line ends and the marks of cuts at either side are not counted in the length; runs of blanks
    become one.
    """
    spans = _spans(text, found, field)
    start, end = passage(text, spans, length)
    out = _marked(text, spans, start, end, open_, close)
    before = _CUT if text[:start].strip() else ""
    after = _CUT if text[end:].strip() else ""
    return before + " ".join(out.split()) + after


def _spans(text: str, found: textquery.Node | Spans, field: str) -> Spans:
    if isinstance(found, Sequence):
        return found
    return textquery.spans(found, field, text)


def _marked(text: str, spans: Spans, start: int, end: int, open_: str, close: str) -> str:
    out: list[str] = []
    at = start
    for span in spans:
        first, last = max(span[0], start), min(span[1], end)
        if first >= last:
            continue
        out += (text[at:first], open_, text[first:last], close)
        at = last
    out.append(text[at:end])
    return "".join(out)


def passage(text: str, spans: Spans, length: int) -> tuple[int, int]:
    """Returns the span of at most `length` code points that shows the most.

    Most different matched texts first, then most matches, then the earliest; it begins and ends
    at blanks where that costs no match.
    """
    if len(text) <= length:
        return 0, len(text)
    if not spans:
        return _trimmed(text, 0, length, length, 0)
    words = [text[start:end].casefold() for start, end in spans]
    counts: dict[str, int] = {}
    best, best_rank = (0, 1), (0, 0)
    right = 0
    for left in range(len(spans)):
        while right < len(spans) and (right <= left or spans[right][1] - spans[left][0] <= length):
            counts[words[right]] = counts.get(words[right], 0) + 1
            right += 1
        rank = (len(counts), right - left)
        if rank > best_rank:
            best, best_rank = (left, right), rank
        counts[words[left]] -= 1
        if not counts[words[left]]:
            del counts[words[left]]
    first, last = spans[best[0]][0], spans[best[1] - 1][1]
    if last - first >= length:
        return first, first + length
    # A third of the room goes before the matches, the rest after.
    start = max(0, first - (length - (last - first)) // 3)
    start = min(start, len(text) - length)
    return _trimmed(text, start, start + length, first, last)


def _trimmed(text: str, start: int, end: int, first: int, last: int) -> tuple[int, int]:
    """Moves the ends of a passage inwards to word ends, but not over `[first, last)`."""
    if start > 0 and not text[start - 1].isspace():
        at = start
        while at < first and not text[at].isspace():
            at += 1
        if at < first:
            start = at + 1
    if end < len(text) and not text[end].isspace():
        at = end
        while at > last and not text[at - 1].isspace():
            at -= 1
        if at > max(last, start):
            end = at - 1
    return start, end
