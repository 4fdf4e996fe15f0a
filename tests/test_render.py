import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from govc_search.cli.listing import draw_commit, draw_hits, size_text
from govc_search.cli.progress import ProgressView, duration_text
from govc_search.cli.render import FORMATS, format_of, render, texts
from govc_search.cli.terminal import CLOSE, OPEN, Target, escape, paint_error
from govc_search.errors import QueryError, Span, UsageError

TEXT_FORMATS = ("table", "json", "ndjson", "csv", "tsv", "markdown")

# Moves the cursor, changes colours, C1, DEL, reverses text, breaks lines.
HOSTILE = "a\x1b[2Jb\x9b31mc\x07d\x7fe\u202ef\u2066g\r\nh\ti\u2028j\x00"
HARMFUL = {c for c in HOSTILE if ord(c) < 32 or c in "\x7f\x9b\u202e\u2066\u2028"} - {"\n"}


def drawn(table: pa.Table, format_: str, **target: Any) -> str:
    out = io.BytesIO()
    render(table, format_, Target(out.write, **target))
    return out.getvalue().decode()


def on_terminal(table: pa.Table, format_: str = "table", width: int = 80) -> str:
    return drawn(table, format_, terminal=True, width=width)


EVERY_TYPE = pa.table(
    {
        "i": pa.array([1, None], pa.uint64()),
        "f": pa.array([0.5, float("nan")]),
        "n": pa.array([Decimal(2**70), None], pa.decimal128(38, 0)),
        "b": [True, None],
        "s": ['x "y", z', ""],
        "at": pa.array(
            [datetime(2024, 1, 2, 3, 4, 5), datetime(999, 1, 2, 3, 4, 5, 120_000)],
            pa.timestamp("us"),
        ),
        "d": [date(2024, 1, 2), None],
        "span": pa.array([(14, 3, 3_723_500_000_000), (0, 0, 0)], pa.month_day_nano_interval()),
        "l": [["p", "q\n"], []],
        "none": pa.nulls(2),
    }
)


def test_json_has_true_values_and_utc_dates() -> None:
    first, second = json.loads(drawn(EVERY_TYPE, "json"))
    assert first == {
        "i": 1,
        "f": 0.5,
        "n": 2**70,
        "b": True,
        "s": 'x "y", z',
        "at": "2024-01-02T03:04:05Z",
        "d": "2024-01-02",
        "span": "P1Y2M3DT1H2M3.5S",
        "l": ["p", "q\n"],
        "none": None,
    }
    assert second["f"] is None
    assert second["i"] is None
    assert second["at"] == "0999-01-02T03:04:05.12Z"
    assert second["span"] == "PT0S"
    lines = drawn(EVERY_TYPE, "ndjson").splitlines()
    assert [json.loads(line) for line in lines] == [first, second]


def test_json_of_nothing_is_an_empty_array() -> None:
    empty = pa.table({"a": pa.array([], pa.string())})
    assert json.loads(drawn(empty, "json")) == []
    assert drawn(empty, "ndjson") == ""
    assert drawn(empty, "csv") == "a\r\n"
    assert drawn(empty, "table") == "a\n-\n"


def test_csv_tells_null_from_empty() -> None:
    table = pa.table({"a": ["x", None, "", 'q"q', "l\r\nl", "a,b"], "b": [1, 2, 3, 4, 5, None]})
    assert drawn(table, "csv") == 'a,b\r\nx,1\r\n,2\r\n"",3\r\n"q""q",4\r\n"l\r\nl",5\r\n"a,b",\r\n'
    # A lone null must not become a line that readers skip.
    assert drawn(pa.table({"a": pa.array([None, "x"])}), "csv") == 'a\r\n""\r\nx\r\n'


def test_tsv_escapes_what_separates() -> None:
    table = pa.table({"a\tb": ["x\ty\nz\\n\r", None, ""], "c": [1, 2, 3]})
    assert drawn(table, "tsv") == "a\\tb\tc\nx\\ty\\nz\\\\n\\r\t1\n\\N\t2\n\t3\n"


def test_markdown_shows_text_as_it_is() -> None:
    table = pa.table({"author_name": ["a|b <x@y> *c* _d_ e_f\ng", None], "n": [1, 20]})
    assert drawn(table, "markdown") == (
        "| author_name | n |\n| --- | ---: |\n"
        "| a\\|b \\<x@y\\> \\*c\\* \\_d\\_ e_f<br>g | 1 |\n|  | 20 |\n"
    )


def test_table_aligns_wide_characters_and_keeps_everything_in_a_pipe() -> None:
    long = "x" * 300
    table = pa.table(
        {"name": ["日本語", "é", None, ""], "n": [1, 22, None, 4], "t": ["", long, "", ""]}
    )
    lines = drawn(table, "table").splitlines()
    assert lines == [
        "name       n  t",
        "------  ----  " + "-" * 300,
        "日本語     1",
        "é         22  " + long,
        "NULL    NULL",
        "           4",
    ]


@pytest.mark.parametrize("width", [40, 61, 80, 200])
def test_table_fits_the_terminal(width: int) -> None:
    table = pa.table({"hash": ["a" * 12] * 3, "n": [1, 2, 12345], "x": ["漢字" * 40, "y" * 90, ""]})
    shown = on_terminal(table, width=width)
    assert max(map(cell_len, shown.splitlines())) <= width
    # Numbers are never cut: half a number is another number.
    assert "12345" in shown
    assert ("…" in shown) == (width < 200)


def test_a_row_too_wide_for_a_table_is_a_record() -> None:
    table = pa.table({f"column_{i}": [f"value {i} " + "z" * 60, None] for i in range(20)})
    shown = on_terminal(table)
    assert "column_19" in shown
    assert "value 19" in shown
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert shown.count("NULL") == 20


@pytest.mark.parametrize("format_", TEXT_FORMATS)
def test_nothing_harmful_reaches_a_terminal(format_: str) -> None:
    table = pa.table({f"h{HOSTILE}": [HOSTILE, None], "list": [[HOSTILE], []], "n": [1, 2]})
    shown = on_terminal(table, format_, width=400)
    assert not HARMFUL - {"\t", "\r"} & set(shown)
    assert "\r" not in shown.replace("\r\n", "") if format_ == "csv" else "\r" not in shown
    assert "\\x1b" in shown or "\\u001b" in shown


@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "ndjson"])
def test_files_keep_the_truth(format_: str) -> None:
    table = pa.table({"t": [HOSTILE], "u": ["x"]})
    shown = drawn(table, format_)
    if format_ == "csv":
        found = next(csv.DictReader(io.StringIO(shown, newline="")))["t"]
    elif format_ == "tsv":
        found = shown.split("\n")[1].split("\t")[0]
        for escaped, char in (("\\t", "\t"), ("\\n", "\n"), ("\\r", "\r")):
            found = found.replace(escaped, char)
    else:
        found = json.loads(shown.strip("[]\n"))["t"]
    assert found == HOSTILE


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)))
def test_text_comes_back_from_csv_and_json(values: list[str | None]) -> None:
    table = pa.table({"t": pa.array(values, pa.string()), "i": pa.array(range(len(values)))})
    rows = list(csv.reader(io.StringIO(drawn(table, "csv"), newline="")))[1:]
    assert [r[0] for r in rows] == [v or "" for v in values]
    assert [r["t"] for r in json.loads(drawn(table, "json"))] == values
    assert json.loads(on_terminal(table, "json")) == json.loads(drawn(table, "json"))


@given(st.text(max_size=60), st.integers(30, 90))
def test_any_text_keeps_the_table_aligned(value: str, width: int) -> None:
    value = value.encode("utf-8", "replace").decode()
    shown = on_terminal(pa.table({"t": [value, "-"], "n": [7, 8]}), width=width).splitlines()
    assert len(shown) == 4
    assert [cell_len(line) for line in shown[2:]] == [cell_len(shown[1])] * 2
    assert cell_len(shown[1]) <= width


def test_repeated_names_are_kept_apart_where_they_are_keys() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["h", "h", "h_2"])
    assert json.loads(drawn(table, "json")) == [{"h": 1, "h_3": 2, "h_2": 3}]


def test_parquet_and_arrow_are_the_table() -> None:
    out = io.BytesIO()
    render(EVERY_TYPE, "arrow", Target(out.write))
    # NaN equals nothing.
    same = EVERY_TYPE.drop_columns(["f"])
    assert pa.ipc.open_file(out.getvalue()).read_all().drop_columns(["f"]).equals(same)
    out = io.BytesIO()
    render(EVERY_TYPE, "parquet", Target(out.write))
    back = pq.read_table(pa.BufferReader(out.getvalue()))
    assert back.drop_columns(["span", "none", "f"]).equals(
        EVERY_TYPE.drop_columns(["span", "none", "f"])
    )
    assert back["span"].to_pylist() == ["P1Y2M3DT1H2M3.5S", "PT0S"]


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
def test_bytes_are_not_for_a_terminal(format_: str) -> None:
    with pytest.raises(UsageError) as caught:
        on_terminal(EVERY_TYPE, format_)
    assert caught.value.code == "binary_to_terminal"
    assert "-o FILE" in (caught.value.hint or "")


def test_suffixes_name_formats() -> None:
    assert [format_of(s) for s in (".parquet", ".JSONL", ".md", ".txt", "")] == [
        "parquet",
        "ndjson",
        "markdown",
        None,
        None,
    ]
    assert {format_of(f".{f}") for f in FORMATS if f not in ("table", "markdown")} == {*FORMATS} - {
        "table",
        "markdown",
    }


def test_durations_and_zones() -> None:
    assert texts(pa.array([timedelta(hours=-1, seconds=-1)])).to_pylist() == ["PT-1H-1S"]
    at = pa.array([datetime(2024, 1, 1, 12, tzinfo=UTC)], pa.timestamp("us", "+02:00"))
    assert texts(at).to_pylist() == ["2024-01-01T12:00:00Z"]


def test_escape_names_each_character() -> None:
    assert escape("a\n\t\r\x1b\x85\u202eé日\U0001f600\udc80") == (
        "a\\n\\t\\r\\x1b\\x85\\u202eé日\U0001f600\\udc80"
    )
    assert escape("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b"


def test_errors_are_painted_and_escaped() -> None:
    error = QueryError(
        "unknown_column",
        "no column \x1b[31m",
        hint="did you mean x?",
        span=Span(7, 9),
        source="SELECT ab",
    )
    assert paint_error(error.render(), colour=False) == (
        "error[unknown_column]: no column \\x1b[31m\n  SELECT ab\n         ^^ did you mean x?"
    )
    painted = paint_error(error.render(), colour=True)
    assert painted.startswith("\x1b[1;31merror[unknown_column]:\x1b[0m")
    assert "\x1b[1;31m^^\x1b[0m" in painted


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("abc", "abc"),
        ("日本語", "日本語"),
        ("\U0001f600", "\U0001f600"),
        ("e\u0301", "e\u0301"),
        ("\t", "    "),
        ("\x1b[1m", "\\x1b[1m"),
    ],
)
def test_the_caret_stands_under_what_is_shown(before: str, shown: str) -> None:
    source = f"AGO('{before}', 语言) + 1"
    at = source.index("语言")
    error = QueryError("unknown_column", "x", span=Span(at, at + 2), source=source)
    _, line, caret = error.render(escape).split("\n")
    assert line == f"  AGO('{shown}', 语言) + 1"
    assert cell_len(line[: line.index("语言")]) == len(caret.rstrip("^"))
    assert caret.count("^") == cell_len("语言")


def hits(**more: Any) -> pa.Table:
    row = {
        "repo": "r",
        "hash": "a" * 40,
        "short_hash": "aaaaaaa",
        "author_date": datetime(2024, 1, 2),
        "author": "A \x1b[1m",
        "subject": f"{'x ' * 60}{OPEN}race{CLOSE} y",
        "body": f"no match\na {OPEN}race{CLOSE} and a {OPEN}leak{CLOSE}\n{OPEN}race{CLOSE}\n",
        "score": 1.239,
    }
    return pa.Table.from_pylist([{**row, **more}])


def test_hits_show_their_matches_within_the_terminal() -> None:
    out = io.BytesIO()
    draw_hits(hits(), Target(out.write, terminal=True, width=60))
    head, subject, snippet = out.getvalue().decode().splitlines()
    assert head == "aaaaaaa  2024-01-02  A \\x1b[1m  1.24"
    assert "[race]" in subject
    assert cell_len(subject) <= 60
    assert snippet == "    a [race] and a [leak]"
    out = io.BytesIO()
    draw_hits(hits(), Target(out.write, terminal=True, colour=True, width=60))
    assert out.getvalue().decode().count("\x1b[1;31mrace\x1b[0m") == 2
    out = io.BytesIO()
    draw_hits(hits(body=None, score=None, author_date=None), Target(out.write, width=60))
    assert len(out.getvalue().decode().splitlines()) == 2


def test_a_commit_is_shown_with_its_patch() -> None:
    change = {
        "path": "new\n.c",
        "old_path": "old.c",
        "change_type": "R",
        "similarity": 90,
        "old_mode": "100644",
        "new_mode": "100755",
        "insertions": 2,
        "deletions": 1,
        "is_binary": False,
        "hunks": [
            {
                "old_start": 4, "old_lines": 1, "new_start": 4, "new_lines": 2,
                "heading": "int main", "removed": "\tx\x1b", "added": "y\n",
            }
        ],
    }  # fmt: skip
    who = {
        f"{w}{k}": v
        for w in ("author", "committer")
        for k, v in (("", "A"), ("_email", "a@b"), ("_date", datetime(2024, 1, 2)), ("_tz", -90))
    }
    commit = {
        "hash": "f" * 40, "repo": "r", "parents": ["1" * 40, "2" * 40], "message": "s\n\nb\r\n",
        "incomplete": None, "changes": [change], **who,
    }  # fmt: skip
    out = io.BytesIO()
    draw_commit(commit, Target(out.write))
    assert out.getvalue().decode().splitlines() == [
        "commit " + "f" * 40,
        "Repository: r",
        "Merge:      1111111111 2222222222",
        "Author:     A <a@b>",
        "Date:       2024-01-01 22:30:00 -0130",
        "Committer:  A <a@b>",
        "Date:       2024-01-01 22:30:00 -0130",
        "",
        "    s",
        "",
        "    b\\r",
        "",
        "old.c -> new\\n.c  (renamed 90%, +2 -1, mode 100644 -> 100755)",
        "@@ -4 +4,2 @@ int main",
        "-\tx\\x1b",
        "+y",
        "+",
    ]


class Step:
    def __init__(self, phase: str, done: int, total: int | None) -> None:
        self.phase, self.done, self.total, self.unit = phase, done, total, "commits"


def test_plain_progress_is_one_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with ProgressView("r\x1b", clock=lambda: now[0]) as view:
        for i in range(0, 1001, 10):
            now[0] = i / 100
            view(Step("commits", i, 2000))
    err = capsys.readouterr().err.splitlines()
    assert err == [
        "r\\x1b: commits: 300/2,000 commits, 100/s, 17 s left",
        "r\\x1b: commits: 600/2,000 commits, 100/s, 14 s left",
        "r\\x1b: commits: 900/2,000 commits, 100/s, 11 s left",
    ]
    with ProgressView("r", quiet=True, clock=lambda: now[0]) as view:
        for i in range(100):
            now[0] += 1
            view(Step("commits", i, None))
    assert capsys.readouterr().err == ""


def test_sizes_and_durations_read_well() -> None:
    assert [size_text(n) for n in (0, 1023, 1536, 5 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
    ]
    assert [duration_text(s) for s in (0.0012, 0.25, 3.21, 125, 7300)] == [
        "1.2 ms",
        "250 ms",
        "3.2 s",
        "2 min 05 s",
        "2 h 01 min",
    ]
