"""What came of a comparison with git, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.gitview import GitView
from bench.question import Question, Row

__all__ = ["Comparison", "Outcome", "Scope", "as_table", "print_differences", "print_sum"]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """What git walks in place of `--all`, and which commits both sides leave out.

    `everything` is what the index was asked to hold, `selection` what of it can be compared.
    `inside` are the hashes that are compared, None for all. `feed` goes to git's input.
    """

    everything: tuple[str, ...] = ("--all",)
    selection: tuple[str, ...] = ("--all",)
    feed: bytes = b""
    inside: frozenset[str] | None = None
    note: str = ""

    def command(self, question: Question) -> tuple[str, ...]:
        """Returns the command of a question for this scope."""
        walked = self.selection if question.limited else self.everything
        out: list[str] = []
        for argument in question.command:
            out += walked if argument == "--all" else [argument]
        return tuple(out)


@dataclass(slots=True)
class Outcome:
    """The answers to one question; `missing` are rows that git alone has, `extra` ours alone.

    `failed` is what git said where it could not answer, `error` what we said. `both` are the rows
    that both have, where no more is asked.
    """

    question: Question
    command: tuple[str, ...]
    gql: str
    git_count: int = 0
    our_count: int = 0
    git_seconds: float = 0.0
    our_seconds: float = 0.0
    scan_seconds: float | None = None
    missing: list[Row] = field(default_factory=list)
    extra: list[Row] = field(default_factory=list)
    documented: Counter[str] = field(default_factory=Counter)
    scan_differs: int = 0
    failed: str | None = None
    error: str | None = None
    both: int = 0

    @property
    def wrong(self) -> bool:
        """Returns whether the answers differ in a way that is no documented one."""
        return bool(self.missing or self.extra or self.scan_differs or self.error)

    @property
    def either(self) -> int:
        """Returns how many rows one side or both have."""
        return self.git_count + self.our_count - self.both

    @property
    def verdict(self) -> str:
        """Returns what is to be said of it, in a few words."""
        if self.failed is not None and not self.wrong:
            return f"not compared: {self.failed}"
        parts = [f"ERROR: {self.error}"] if self.error is not None else []
        if self.missing or self.extra:
            parts.append(f"DIFFERENT: {len(self.missing)} missing, {len(self.extra)} extra")
        if self.scan_differs:
            parts.append(f"INDEX CHANGES THE ANSWER: {self.scan_differs} rows")
        if self.question.overlap:
            parts.append(share(self.both, self.either))
        parts += [f"{n} documented: {kind}" for kind, n in sorted(self.documented.items())]
        return "; ".join(parts) or "same"


@dataclass(slots=True)
class Comparison:
    """All outcomes of one repository."""

    path: str
    scope: Scope
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def wrong(self) -> list[Outcome]:
        """Returns the outcomes with differences that are no documented ones."""
        return [o for o in self.outcomes if o.wrong]


def share(both: int, either: int) -> str:
    """Returns how much two answers have in common, in a few words."""
    if not either:
        return "nothing on either side"
    return f"{both:,} of {either:,} in both ({both / either:.1%})"


def as_table(outcomes: Sequence[Outcome], *, heading: bool) -> Table:
    """Returns a table with a row for each outcome."""
    table = Table(box=box.SIMPLE_HEAD if heading else None, show_header=heading, width=156)
    table.add_column("the question to git, and in GQL", width=80, overflow="fold")
    for name in ("git", "ours"):
        table.add_column(name, justify="right", width=7)
    table.add_column("git ms", justify="right", width=8)
    table.add_column("ours ms", justify="right", width=8)
    table.add_column("times", justify="right", width=6)
    table.add_column("scan ms", justify="right", width=8)
    table.add_column("verdict", width=16, overflow="fold")
    for o in outcomes:
        ratio = o.git_seconds / o.our_seconds if o.our_seconds else 0.0
        table.add_row(
            Text(_printable(f"{_shown(o)}\n{o.gql}")),
            f"{o.git_count}",
            f"{o.our_count}",
            f"{o.git_seconds * 1000:.1f}",
            f"{o.our_seconds * 1000:.1f}",
            f"{ratio:.1f}",
            "" if o.scan_seconds is None else f"{o.scan_seconds * 1000:.1f}",
            Text(_printable(o.verdict)),
            style="bold red" if o.wrong else None,
        )
    return table


def _shown(outcome: Outcome) -> str:
    commands = [outcome.command, outcome.question.through]
    return " | ".join(GitView.shown(command) for command in commands if command)


def _printable(text: str) -> str:
    """Returns text in which no control character reaches the terminal."""
    return "".join(c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def print_differences(comparison: Comparison, console: Console) -> None:
    """Prints the rows that only one side has, but for the documented ones."""
    for o in comparison.wrong:
        asked = f"\n{_shown(o)}\n{o.gql}"
        console.print(Text(_printable(asked), style="bold red"))
        for name, rows in (("git alone has", o.missing), ("we alone have", o.extra)):
            for row in rows[:_SHOWN]:
                console.print(Text(f"  {name} {_printable(' '.join(map(str, row)))}"))
            if len(rows) > _SHOWN:
                console.print(f"  and {len(rows) - _SHOWN:,} more that {name}")


def print_sum(comparison: Comparison, console: Console) -> None:
    """Prints how many questions there were, and how their answers agree."""
    outcomes = comparison.outcomes
    kinds: Counter[str] = Counter()
    for o in outcomes:
        kinds.update(o.documented)
    failed = [o for o in outcomes if o.failed is not None]
    console.print(
        f"\n{len(outcomes)} questions to git: {len(comparison.wrong)} with differences,"
        f" {len(failed)} that git could not answer;"
        f" {sum(1 for o in outcomes if o.question.scan)} asked with indexes off as well,"
        f" {sum(1 for o in outcomes if o.scan_differs)} with another answer"
    )
    for kind, count in sorted(kinds.items()):
        console.print(f"documented differences: {count:,} rows, {kind}")
    for kind in dict.fromkeys(o.question.overlap for o in outcomes if o.question.overlap):
        alike = [o for o in outcomes if o.question.overlap == kind]
        both, either = sum(o.both for o in alike), sum(o.either for o in alike)
        console.print(f"overlap: {share(both, either)}, {kind}")
