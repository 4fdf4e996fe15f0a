"""Trailers found in a message are those that git finds."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

from govc_search.indexer.trailers import find_trailers

_LINES = (
    b"subject", b"a line of the body", b"", b"", b"", b" ", b"\t", b"# comment", b"Conflicts:",
    b"\tpath/of/one", b"Signed-off-by: A <a@example.org>", b"Reviewed-by: B", b"Acked-by : C",
    b" continued", b"\tcontinued too  ", b"(cherry picked from commit 0123)", b"no colon here",
    b"key: value: more", b"two words: x", b"-: dash", b": none", b"Fixes:", b"X-1:\r", b"\x0b: vt",
    b"# ------------------------ >8 ------------------------", b"Bug: \xc3\xa9 \xff", b"---",
)  # fmt: skip


def test_trailers_are_those_of_git(tmp_path: Path) -> None:
    chance = random.Random(7)
    messages = {
        b"\n".join(chance.choices(_LINES, k=chance.randrange(1, 9))) + b"\n" for _ in range(4_000)
    }
    ordered = sorted(messages)
    stream = b"".join(
        b"commit refs/heads/main\nmark :%d\ncommitter A <a@example.org> 1 +0000\n"
        b"data %d\n%s\n" % (i, len(m), m)
        for i, m in enumerate(ordered, 1)
    )
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q", "--bare"], check=True)
    marks = tmp_path / "marks"
    subprocess.run(
        [*git, "fast-import", "--quiet", f"--export-marks={marks}"], input=stream, check=True
    )
    hashes = [line.split()[1] for line in sorted(marks.read_text().splitlines(), key=_mark)]
    shown = subprocess.run(
        [*git, "log", "--no-walk=unsorted", "--stdin", "-z",
         "--format=%(trailers:only,unfold,key_value_separator=%x01,separator=%x02)"],
        input="\n".join(hashes).encode(), check=True, capture_output=True,
    ).stdout.split(b"\0")  # fmt: skip
    for message, trailers in zip(ordered, shown, strict=False):
        want = [tuple(t.split(b"\x01", 1)) for t in trailers.split(b"\x02")] if trailers else []
        assert find_trailers(message) == want, message
    assert sum(map(bool, shown)) > 300


def _mark(line: str) -> int:
    return int(line.split(maxsplit=1)[0].removeprefix(":"))
