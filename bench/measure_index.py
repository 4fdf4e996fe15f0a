"""How long indexing takes, how large the index is and how much memory it takes to make it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.gitview import GitFailedError, GitView
from bench.memory import Peak, Watch
from bench.report import Section

__all__ = ["measure_index"]

_WALL_TIMES: Final = 1.25
_COMMITS_PER_SECOND: Final = 10_000
_MEMORY: Final = 1.5e9
_MEGABYTE: Final = 1e6
_COMMAND: Final = "import sys; from govc_search.cli import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class _Run:
    wall: float
    processor: float
    peak: Peak


def measure_index(
    view: GitView, path: Path, scratch: Path, data: Path, tell: Callable[[str], None]
) -> list[Section]:
    """Returns the figures of indexing HEAD; the full index is left in `data`."""
    commits = len(view.run(["rev-list", "HEAD"]).output.split())
    log = ["log", "--raw", "-p", "-U1", "HEAD"]
    tell(f"git {' '.join(log)}")
    before = _processor()
    git = view.run(log, discard=True).seconds
    git_processor = _processor() - before
    tell("govc-search index --refs HEAD")
    full = _index(path, data, "full")
    tell("govc-search index --refs HEAD --diffs none")
    bare = _index(path, scratch / "none", "none")
    tell("git log -p -U1 HEAD, counted")
    patch = _count(view, ["log", "-p", "-U1", "--format=", "HEAD"])
    parts = {part: _size(data / part) for part in ("log", "table", "text")}
    whole = _size(data)

    times = Section("Indexing", ("what", "measured", "beside", "target"))
    times.add(f"git log --raw -p -U1 HEAD, {commits:,} commits", f"{git:.1f} s", "", "")
    ratio = full.wall / git
    times.add(
        "full index of HEAD", f"{full.wall:.1f} s", f"{ratio:.2f} x git",
        f"<= {_WALL_TIMES} x git", met=ratio <= _WALL_TIMES,
    )  # fmt: skip
    rate = commits / bare.wall
    times.add(
        "index without diffs", f"{bare.wall:.1f} s", f"{rate:,.0f} commits/s",
        f">= {_COMMITS_PER_SECOND:,} commits/s", met=rate >= _COMMITS_PER_SECOND,
    )  # fmt: skip
    times.add("processor time of git log", f"{git_processor:.1f} s", "", "")
    times.add(
        "processor time of the full index, git's children included",
        f"{full.processor:.1f} s", f"{full.processor / max(git_processor, 0.001):.2f} x git", "",
    )  # fmt: skip
    times.notes.append(
        "Walls are of whole processes, the start of Python and the last fsync included; git runs "
        "alone on one core, the index on all."
    )

    sizes = Section("Size", ("what", "measured", "beside", "target"))
    sizes.add("patch text of git log -p -U1 --format= HEAD", _megabytes(patch), "", "")
    sizes.add(
        "index", _megabytes(whole), f"{whole / max(patch, 1):.2f} x patch text", "<= patch text",
        met=whole <= patch,
    )  # fmt: skip
    for part, size in parts.items():
        sizes.add(f"of it: {part}", _megabytes(size), f"{size / max(patch, 1):.2f}", "")

    memory = Section("Memory while indexing", ("what", "measured", "beside", "target"))
    peak = full.peak
    if peak.samples:
        memory.add(
            "private memory of all processes (USS, with mapped packs)", _megabytes(peak.private),
            f"{peak.processes} processes", f"< {_megabytes(int(_MEMORY))}",
            met=peak.private < _MEMORY,
        )  # fmt: skip
        memory.add("of it anonymous", _megabytes(peak.anonymous), "", "")
        memory.add("proportional share (PSS)", _megabytes(peak.resident), "", "")
        memory.notes.append(
            f"Peaks of {peak.samples} samples of smaps_rollup over the whole process tree."
        )
    else:
        memory.notes.append("Not measured: this system shows no smaps_rollup, or it went too fast.")
    return [times, sizes, memory]


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _index(path: Path, data: Path, diffs: str) -> _Run:
    """Indexes as the command line does, in a process of its own."""
    root = str(Path(__file__).parent.parent)
    started = time.perf_counter()
    child = subprocess.Popen(
        [
            *(sys.executable, "-c", _COMMAND, "--data", str(data), "index", "--quiet"),
            *("--refs", "HEAD", "--diffs", diffs, str(path.resolve())),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))},
    )
    with Watch(child.pid) as watch:
        _, errors = child.communicate()
    wall = time.perf_counter() - started
    # 7: done, but some commit is incomplete.
    if child.returncode not in (0, 7):
        raise GitFailedError(f"indexing failed: {errors.decode(errors='replace').strip()}")
    return _Run(wall, watch.processor, watch.peak)


def _count(view: GitView, arguments: list[str]) -> int:
    """Returns how many bytes git prints."""
    with view.stream(arguments) as pipe:
        return sum(len(piece) for piece in iter(lambda: pipe.read(1 << 20), b""))


def _size(place: Path) -> int:
    return sum(f.stat().st_size for f in place.rglob("*") if f.is_file())


def _megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:,.1f} MB"
