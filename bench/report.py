"""What a benchmark run found: figures beside their targets, kept as a page of Markdown."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from govc_search.indexer.reader_pool import cores

__all__ = ["Figure", "Report", "Section", "machine", "repository_name"]

_SET_FOR: Final = (
    "They are set for the history of git itself (82,000 commits) on two cores: where git has "
    "little to do, the start of Python and of a query weighs more."
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of a section, a text for each of its columns; `met` None where nothing is aimed at."""

    cells: tuple[str, ...]
    met: bool | None = None


@dataclass(slots=True)
class Section:
    """Figures with the same columns; `notes` say how they were had."""

    title: str
    columns: tuple[str, ...]
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str, met: bool | None = None) -> None:
        """Adds a row."""
        self.figures.append(Figure(cells, met))

    def markdown(self) -> str:
        """Returns the section as Markdown."""
        out = [f"## {self.title}", "", *_table(self)]
        out += [line for note in self.notes for line in ("", note)]
        return "\n".join(out)

    @property
    def missed(self) -> list[Figure]:
        """Returns the figures that miss their target."""
        return [f for f in self.figures if f.met is False]


@dataclass(slots=True)
class Report:
    """All sections of one run."""

    repository: str
    made_at: datetime
    machine: dict[str, str]
    sections: list[Section] = field(default_factory=list)

    def markdown(self) -> str:
        """Returns the page, misses first."""
        out = [f"# {self.repository}, {self.made_at:%Y-%m-%d %H:%M} UTC", ""]
        out += [f"- {name}: {value}" for name, value in self.machine.items()]
        aimed = [f for s in self.sections for f in s.figures if f.met is not None]
        missed = [(s, f) for s in self.sections for f in s.missed]
        out += ["", f"{len(aimed) - len(missed)} of {len(aimed)} targets met. {_SET_FOR}"]
        if missed:
            out += ["", "Missed:", ""]
            out += [f"- {s.title}: {': '.join(_cell(c) for c in f.cells if c)}" for s, f in missed]
        for section in self.sections:
            out += ["", section.markdown()]
        return "\n".join(out) + "\n"

    def keep(self, directory: Path) -> Path:
        """Writes the page; another run of the same day gets a name of its own."""
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"{self.made_at:%Y-%m-%d}-{self.repository}"
        number = 1
        while (file := directory / f"{stem}{f'-{number}' if number > 1 else ''}.md").exists():
            number += 1
        file.write_text(self.markdown(), "utf-8")
        return file


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(section: Section) -> list[str]:
    columns = [*section.columns, "verdict"]
    words = {None: "", True: "met", False: "**MISSED**"}
    rows = [[*map(_cell, f.cells), words[f.met]] for f in section.figures]
    widths = [max(len(r[i]) for r in [columns, *rows]) for i in range(len(columns))]
    # The first column is text, the others are figures.
    rule = [
        "-" * w if i == 0 or i == len(widths) - 1 else "-" * (w - 1) + ":"
        for i, w in enumerate(widths)
    ]
    return [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in [columns, rule, *rows]
    ]


def machine() -> dict[str, str]:
    """Returns what the figures depend on."""
    told = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", told.read_text()) if told.exists() else []
    memory = Path("/proc/meminfo")
    total = re.search(r"MemTotal:\s+(\d+)", memory.read_text()) if memory.exists() else None
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False)
    parts = ("duckdb", "pyarrow", "tantivy")
    return {
        "processor": f"{names[0] if names else platform.machine()}, {cores()} cores",
        "memory": f"{int(total[1]) / (1 << 20):.1f} GiB" if total else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "load at the start": ", ".join(f"{x:.2f}" for x in os.getloadavg()),
        "Python": sys.version.split()[0],
        "git": git.stdout.removeprefix("git version ").strip(),
        "libraries": ", ".join(f"{p} {version(p)}" for p in parts),
        "commit": _own_commit(),
    }


def _own_commit() -> str:
    root = Path(__file__).parent.parent
    said = [
        subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
        for arguments in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain"])
    ]
    if any(s.returncode for s in said):
        return "unknown"
    return said[0].stdout.strip() + (" with changes" if said[1].stdout else "")


def repository_name(path: Path) -> str:
    """Returns a name for files from where a repository lies."""
    path = path.resolve()
    if path.name in (".git", "repo"):
        path = path.parent
    return re.sub(r"[^A-Za-z0-9.]+", "-", path.name.removesuffix(".git")).strip("-") or "repository"


def now() -> datetime:
    """Returns the moment, for a report's name and heading."""
    return datetime.now(UTC)
