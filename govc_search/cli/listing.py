"""What people read: the hits of a search, a commit with its patch, the state of a directory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pyarrow as pa

from govc_search.cli.table import clip, width
from govc_search.cli.terminal import CLOSE, OPEN, Target, escape, paint

__all__ = ["draw_commit", "draw_hits", "size_text"]

_INDENT: Final = "    "


def draw_hits(hits: pa.Table, target: Target) -> None:
    """Writes hits as three lines each: what and who, the subject, the best line of the body.

    `hits` has the columns of `ql.box.to_gql` with marks: OPEN and CLOSE around matches.
    """
    rows = hits.to_pylist()
    several = len({row["repo"] for row in rows}) > 1
    for row in rows:
        head = [(row["short_hash"], "hash"), (_day(row["author_date"]), "dim")]
        if several:
            head.append((row["repo"], "place"))
        head.append((row["author"], "person"))
        parts = [paint(escape(t), style, colour=target.colour) for t, style in head if t]
        if row["score"] is not None:
            parts.append(paint(f"{row['score']:.2f}", "dim", colour=target.colour))
        target.text("  ".join(parts) + "\n")
        room = target.width - len(_INDENT)
        target.text(_INDENT + _marked(row["subject"] or "", room, target, "strong") + "\n")
        if best := _best_line(row["body"] or ""):
            target.text(_INDENT + _marked(best, room, target, "dim") + "\n")


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"


def _best_line(body: str) -> str:
    """Returns the line with the most different matches, "" where no line has any.

    Of several the longest up to a screen's width: a match alone says the least.
    """
    best, most = "", (0, 0)
    for line in body.split("\n"):
        found = len({w.casefold() for w in re.findall(f"{OPEN}([^{CLOSE}]*)", line)})
        rank = (found, min(len(line), 80))
        if found and rank > most:
            best, most = line, rank
    return " ".join(best.split())


def _marked(text: str, room: int, target: Target, style: str) -> str:
    """Returns a marked text on one line of the room, its first match in sight."""
    first = text.find(OPEN)
    if first >= 0 and text.find(CLOSE, first) >= room:
        text = "…" + text[max(0, first - room // 3) :]
    if not target.colour:
        return clip(escape(text.replace(OPEN, "[").replace(CLOSE, "]")), room)
    out: list[str] = []
    for i, piece in enumerate(re.split(f"[{OPEN}{CLOSE}]", text)):
        shown = clip(escape(piece), room)
        out.append(paint(shown, "match" if i % 2 else style, colour=True))
        room -= width(shown)
        if shown != escape(piece):
            break
    return "".join(out)


# A commit with its patch


def draw_commit(commit: Mapping[str, Any], target: Target) -> None:
    """Writes a commit as `git show` does, as far as the index knows it.

    `commit` is what `Engine.commit` returns. Lines of context are not indexed, so hunks have
    none.
    """
    for text, style in _commit_lines(commit):
        shown = _escape_line(text)
        target.text((paint(shown, style, colour=target.colour) if style else shown) + "\n")


_Line = tuple[str, str | None]


def _escape_line(text: str) -> str:
    # Tabs are what code is indented with, and harmless.
    return "\t".join(map(escape, text.split("\t")))


def _commit_lines(commit: Mapping[str, Any]) -> Iterator[_Line]:
    yield f"commit {commit['hash']}", "hash"
    yield f"Repository: {commit['repo']}", None
    parents = commit["parents"] or []
    if len(parents) > 1:
        yield "Merge:      " + " ".join(p[:10] for p in parents), None
    for who in ("author", "committer"):
        yield f"{who.capitalize() + ':':11} {commit[who]} <{commit[f'{who}_email']}>", "person"
        when = _local(commit[f"{who}_date"], commit[f"{who}_tz"])
        if when:
            yield f"{'Date:':11} {when}", None
    if commit.get("incomplete"):
        yield f"Incomplete: {commit['incomplete']}", "warning"
    yield "", None
    for line in (commit["message"] or "").rstrip("\n").split("\n"):
        yield (_INDENT + line if line else ""), None
    changes: Sequence[Mapping[str, Any]] = commit["changes"] or []
    for change in changes:
        yield "", None
        yield from _change_lines(change)


def _local(moment: datetime | None, minutes: int | None) -> str:
    """Returns an instant by its author's own clock."""
    if moment is None:
        return ""
    offset = timedelta(minutes=minutes or 0)
    try:
        own = moment.replace(tzinfo=UTC).astimezone(timezone(offset))
    except (ValueError, OverflowError):
        # A zone of more than a day, or a clock beyond the year 9999.
        return moment.isoformat(" ") + "Z"
    return f"{own:%Y-%m-%d %H:%M:%S %z}"


_VERBS: Final = {"A": "added", "D": "deleted", "M": "modified", "R": "renamed", "C": "copied"}


def _change_lines(change: Mapping[str, Any]) -> Iterator[_Line]:
    verb = _VERBS.get(change["change_type"], "type changed")
    old, path = change["old_path"], change["path"]
    name = f"{old} -> {path}" if old else path
    if change["similarity"] is not None and old:
        verb += f" {change['similarity']}%"
    if change["insertions"] is not None:
        verb += f", +{change['insertions']} -{change['deletions']}"
    if change["is_binary"]:
        verb += ", binary"
    if change["old_mode"] and change["new_mode"] and change["old_mode"] != change["new_mode"]:
        verb += f", mode {change['old_mode']} -> {change['new_mode']}"
    # A line end in a path would look like a line of the patch.
    yield f"{escape(name)}  ({verb})", "strong"
    for hunk in change["hunks"] or []:
        place = (
            f"@@ -{_range(hunk['old_start'], hunk['old_lines'])}"
            f" +{_range(hunk['new_start'], hunk['new_lines'])} @@"
        )
        yield f"{place} {hunk['heading']}".rstrip(), "hunk"
        for side, sign in (("removed", "-"), ("added", "+")):
            if hunk[side] is not None:
                yield from ((sign + line, side) for line in hunk[side].split("\n"))


def _range(start: int, lines: int) -> str:
    return str(start) if lines == 1 else f"{start},{lines}"


def size_text(size: int) -> str:
    """Returns a number of bytes as people write it."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
