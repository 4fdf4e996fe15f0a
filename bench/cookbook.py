"""Writes the queries of bench/queries and their answers into docs/cookbook.md.

    python -m bench.cookbook --data DIR

DIR is an index of git.git. A section of the page belongs to a file: what stands between its marks
is written here, and what stands around them by people.

    <!-- begin: 01-first-call needle=strlcpy( -->
    <!-- end: 01-first-call -->

What follows the name are the parameters to ask with, in place of those that the file names. A file
without a section gets one at the end of the page.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from govc_search import open as open_engine
from govc_search.cli.options import parameters
from govc_search.cli.render import render
from govc_search.cli.terminal import Target
from govc_search.engine import Engine
from govc_search.ql.result import Result

__all__ = ["PAGE", "QUERIES", "SECTION", "included", "written"]

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs" / "cookbook.md"
QUERIES: Final = sorted((ROOT / "bench" / "queries").glob("*.gql"))
# The name of a file, the parameters to ask with, and what is written here.
SECTION: Final = re.compile(
    r"^<!-- begin: (\S+)(.*?) -->\n(.*?)^<!-- end: \1 -->\n", re.MULTILINE | re.DOTALL
)
# Of a longer answer these many rows, and these many of its end.
_FIRST: Final = 5
_LAST: Final = 3
_WIDTH: Final = 112
_PERSONAL: Final = re.compile(r"[\w.+%-]+@((?:[\w-]+\.)+\w+)")


def included(text: str) -> str:
    """Returns a query as the page has it."""
    return f"```sql\n{text.rstrip()}\n```\n"


def written(engine: Engine, text: str, given: str) -> str:
    """Returns what stands between the marks of a query: itself, and its answer.

    `given` are parameters as the marks have them.
    """
    header = re.search(r"^-- parameters: (.*)$", text, re.MULTILINE)
    pairs = _words(given) or _words(header[1] if header else "")
    values = parameters(pairs)
    assert isinstance(values, Mapping)
    result = engine.query(_at_its_time(text, _last_date(engine)), values)
    said = ", ".join(f"`${name}` = `{value}`" for name, value in values.items())
    asked = f"\nAsked with {said}:\n" if said else ""
    return f"\n{included(text)}{asked}\n```text\n{_drawn(result)}```\n\n"


def _words(text: str) -> list[str]:
    """Returns the words of a text; quotes keep them together, a backslash is one of the value."""
    words = shlex.shlex(text, posix=True, punctuation_chars=False)
    words.whitespace_split, words.escape, words.commenters = True, "", ""
    return list(words)


def _last_date(engine: Engine) -> datetime:
    (row,) = engine.query("SELECT max(committer_date) FROM commits WHERE REACHABLE_FROM('HEAD')")
    last = row[0]
    assert isinstance(last, datetime)
    return last


def _at_its_time(text: str, last: datetime) -> str:
    """Returns the query with times that count from the last commit, so that its answer stays."""
    instant = f"TIMESTAMP '{last.isoformat(' ')}'"
    return re.sub(r"\bAGO\(([^()]*)\)", rf"({instant} - CAST(\1 AS INTERVAL))", text)


def _drawn(result: Result) -> str:
    table = result.to_arrow()
    left_out = table.num_rows - _FIRST - _LAST
    if left_out > 1:
        table = pa.concat_tables([table.slice(0, _FIRST), table.slice(_FIRST + left_out)])
    out = bytearray()
    render(table, "table", Target(out.extend, True, False, _WIDTH))
    lines = _PERSONAL.sub(r"…@\1", out.decode()).splitlines()
    if left_out > 1:
        lines.insert(len(lines) - _LAST, f"... {left_out:,} rows left out")
    return "".join(f"{line}\n" for line in [*lines, *(f"warning: {w}" for w in result.warnings)])


def _about(engine: Engine) -> str:
    (row,) = engine.query(
        "SELECT r.head, c.committer_date, (SELECT count(*) FROM commits) FROM repos r "
        "JOIN commits c ON c.hash = r.head"
    )
    head, date, count = row
    return (
        f"\nAnswers are those of [git's own repository](https://github.com/git/git) at `{head[:12]}`,\n"
        f"{date:%-d %B %Y}, with all tags: {count:,} commits. Long answers are cut in\n"
        "the middle, and mail addresses to their domains. `AGO` counted from that day.\n\n"
    )


def main() -> int:
    """Rewrites the page and returns the exit status."""
    options = argparse.ArgumentParser(prog="bench.cookbook", description=__doc__.partition("\n")[0])
    options.add_argument("--data", type=Path, required=True, help="an index of git.git")
    page = PAGE.read_text("utf-8")
    known = {m[1] for m in SECTION.finditer(page)}
    texts = {path.stem: path.read_text("utf-8") for path in QUERIES}
    for name, text in texts.items():
        if name not in known:
            question = re.sub(r"^-- \d+\. ", "", text.partition("\n")[0])
            page += f"\n### {question}\n\n<!-- begin: {name} -->\n<!-- end: {name} -->\n"
            print(f"{name}: a section without a word on how to read it", file=sys.stderr)
    with open_engine(options.parse_args().data) as engine:

        def fresh(section: re.Match[str]) -> str:
            name, given = section[1], section[2].strip()
            if name != "about" and name not in texts:
                raise SystemExit(f"{PAGE.name}: there is no bench/queries/{name}.gql")
            body = _about(engine) if name == "about" else written(engine, texts[name], given)
            mark = f"{name} {given}".strip()
            return f"<!-- begin: {mark} -->\n{body}<!-- end: {name} -->\n"

        page = SECTION.sub(fresh, page)
    PAGE.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
