"""The documentation names everything there is, and nothing that is not.

`make docs` rewrites the tables that are made from the source; what is written by hand (the
meaning of an error, the examples of the README) is compared with it, or run.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import click
import pytest
from fixtures.functions import EXAMPLES, SAMPLE
from fixtures.repositories import Builder

import govc_search
from govc_search import errors
from govc_search.catalog import FUNCTIONS, TABLES, Table
from govc_search.cli.backslash import COMMANDS
from govc_search.cli.commands import cli
from govc_search.cli.render import texts
from govc_search.errors import EXIT_STATUS, GovcSearchError
from govc_search.ql.box import QUALIFIERS
from govc_search.settings import SETTINGS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "govc_search"
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")])


# What is made from the source


def row(*cells: object) -> str:
    return "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"


def rows(head: tuple[str, ...], body: list[tuple[object, ...]]) -> str:
    return "\n".join([row(*head), row(*("---" for _ in head)), *(row(*cells) for cells in body)])


def codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{n}`" for n in names)


def settings() -> str:
    return rows(
        ("setting", "default", "what it is"),
        [(f"`{s.name}`", f"{s.default:,}", s.help) for s in SETTINGS],
    )


def one_table(table: Table) -> str:
    other = f" Also called {codes(table.aliases)}." if table.aliases else ""
    columns = rows(
        ("column", "type", "what it is", "also called"),
        [(f"`{c.name}`", c.type, c.help, codes(c.aliases)) for c in table.columns],
    )
    return f"### {table.name}\n\n{table.help[0].upper()}{table.help[1:]}.{other}\n\n{columns}"


def tables() -> str:
    return "\n\n".join(one_table(t) for t in TABLES)


KINDS = {
    "scalar": "Of one row",
    "aggregate": "Of many rows",
    "window": "Of a window",
    "text": "Of text",
    "graph": "Of the commit graph",
}


def functions() -> str:
    """Returns the functions by kind, each with its example where that has one, and the answer."""
    parts = []
    with TemporaryDirectory() as directory, govc_search.open(directory) as engine:
        for kind, title in KINDS.items():
            of_kind = [f for f in FUNCTIONS if f.kind == kind]
            shown = [(f"`{f.signature}`", f.help, codes(f.aliases)) for f in of_kind]
            if any(f.name in EXAMPLES for f in of_kind):
                asked = [EXAMPLES.get(f.name) for f in of_kind]
                table = rows(
                    ("function", "what it is", "also called", "example", "gives"),
                    [
                        (*cells, f"`{call}`", f"`{gives(engine, call, kind)}`")
                        if call
                        else (*cells, "", "")
                        for cells, call in zip(shown, asked, strict=True)
                    ],
                )
            else:
                table = rows(("function", "what it is", "also called"), list(shown))
            parts.append(f"## {title}\n\n{table}")
    return "\n\n".join(parts)


def gives(engine: govc_search.Engine, call: str, kind: str) -> str:
    source = f" FROM {SAMPLE}" if kind == "aggregate" or "histogram" in call else ""
    column = engine.query(f"SELECT {call}{source}").to_arrow().column(0)
    return ", ".join(
        "NULL" if value is None else value
        for chunk in column.chunks
        for value in texts(chunk).to_pylist()
    )


def qualifiers() -> str:
    return rows(
        ("qualifier", "example", "what it asks"),
        [(f"`{q.name}:`", f"`{q.example}`", q.help) for q in QUALIFIERS],
    )


def exit_statuses() -> str:
    meanings = {
        "internal": "a fault of govc-search itself",
        "usage": "a command, option or setting that cannot be taken",
        "query": "a query that cannot be parsed, bound or run",
        "source": "a repository that is missing, broken or cannot be read",
        "store": "a data directory that is missing, damaged or too new",
        "busy": "a data directory that another process holds",
        "incomplete": "done, but something could not be read or did not agree",
        "deadline": "a query that did not finish in its time",
        "interrupted": "Ctrl-C",
    }
    assert set(meanings) == set(EXIT_STATUS)
    return rows(
        ("status", "kind", "what happened"),
        [(status, kind, meanings[kind]) for kind, status in EXIT_STATUS.items()],
    )


def options_of(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def option_rows(options: list[click.Option]) -> str:
    context = click.Context(cli)
    return rows(
        ("option", "what it does"),
        [(f"`{record[0]}`", record[1]) for o in options if (record := o.get_help_record(context))],
    )


def visible() -> list[tuple[str, click.Command]]:
    return [(name, c) for name, c in sorted(cli.commands.items()) if not c.hidden]


def commands() -> str:
    shared = {o.name for o in options_of(cli)}
    parts = [f"### Options of every command\n\n{option_rows(options_of(cli))}"]
    for name, command in visible():
        arguments = " ".join(command.collect_usage_pieces(click.Context(command)))
        own = [o for o in options_of(command) if o.name not in shared]
        table = f"\n\n{option_rows(own)}" if own else ""
        help_ = inspect.cleandoc(command.help or "").replace("\b\n", "")
        parts.append(
            f"### govc-search {name}\n\n`govc-search {name} {arguments}`\n\n{help_}{table}"
        )
    return "\n\n".join(parts)


def shell_commands() -> str:
    return rows(
        ("command", "what it does"),
        [(f"`{c.name} {c.takes}`".replace(" `", "`"), c.help) for c in COMMANDS],
    )


GENERATED: dict[str, dict[str, Callable[[], str]]] = {
    "settings.md": {"settings": settings},
    "tables.md": {"tables": tables},
    "functions.md": {"functions": functions},
    "gql.md": {"qualifiers": qualifiers},
    "errors.md": {"exit statuses": exit_statuses},
    "commands.md": {
        "commands": commands,
        "shell commands": shell_commands,
    },
}


@pytest.mark.parametrize("page", GENERATED)
def test_tables_made_from_the_source_are_up_to_date(page: str, update_docs: bool) -> None:
    path = DOCS / page
    text = path.read_text("utf-8")
    fresh = text
    for name, make in GENERATED[page].items():
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->\n"
        before, found, rest = fresh.partition(begin)
        _, ended, after = rest.partition(end)
        assert found, f"{page} has no part {name}"
        assert ended, f"the part {name} of {page} does not end"
        fresh = f"{before}{begin}\n{make()}\n\n{end}{after}"
    if update_docs:
        path.write_text(fresh, "utf-8")
    else:
        assert text == fresh, f"docs/{page} is out of date: run `make docs`"


@pytest.mark.parametrize(
    ("what", "entries"),
    [
        ("setting", [(s.name, s.help) for s in SETTINGS]),
        ("table", [(t.name, t.help) for t in TABLES]),
        ("column", [(f"{t.name}.{c.name}", c.help) for t in TABLES for c in t.columns]),
        ("function", [(f.name, f.help) for f in FUNCTIONS]),
        ("qualifier", [(q.name, q.help) for q in QUALIFIERS]),
        ("command", [(name, c.help) for name, c in visible()]),
        ("shell command", [(c.name, c.help) for c in COMMANDS]),
        ("option", [(f"{n} {o.name}", o.help) for n, c in visible() for o in options_of(c)]),
    ],
)
def test_everything_has_help_of_its_own(what: str, entries: list[tuple[str, str | None]]) -> None:
    assert entries
    silent = [name for name, help_ in entries if not (help_ or "").strip()]
    assert not silent, f"{what}s without help: {silent}"


# Errors


def error_classes(trees: list[ast.Module]) -> dict[str, str]:
    """Returns the kind of every error class by its name, those defined outside errors.py too."""
    kinds = {
        name: c.kind
        for name, c in vars(errors).items()
        if isinstance(c, type) and issubclass(c, GovcSearchError)
    }
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name not in kinds:
                bases = [b.id for b in node.bases if isinstance(b, ast.Name) and b.id in kinds]
                if bases:
                    kinds[node.name] = kinds[bases[0]]
    return kinds


class Raised(ast.NodeVisitor):
    """Collects the codes given to error classes, and to functions that pass theirs on to one."""

    def __init__(self, makers: dict[str, tuple[int, str]]) -> None:
        self.makers = makers
        self.found: set[tuple[str, str]] = set()
        self.passed_on: dict[str, tuple[int, str]] = {}
        self.opaque: list[str] = []
        self._functions: list[ast.FunctionDef] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.append(node)
        self.generic_visit(node)
        self._functions.pop()

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        callee = node.func
        name = callee.id if isinstance(callee, ast.Name) else getattr(callee, "attr", "")
        if name not in self.makers:
            return
        index, kind = self.makers[name]
        named = [k.value for k in node.keywords if k.arg == "code"]
        if not named and len(node.args) <= index:
            return
        code = named[0] if named else node.args[index]
        literals = self._literals(code)
        if literals is not None:
            self.found |= {(literal, kind) for literal in literals}
            return
        for function in reversed(self._functions):
            names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
            if isinstance(code, ast.Name) and code.id in names:
                at = names.index(code.id) - (names[0] in {"self", "cls"})
                self.passed_on[function.name] = (at, kind)
                return
        # A code on its way from one error to another is raised elsewhere.
        if not (isinstance(code, ast.Attribute) and code.attr == "code"):
            self.opaque.append(f"{name}({ast.unparse(code)}), line {node.lineno}")

    def _literals(self, node: ast.expr) -> set[str] | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return {node.value} if re.fullmatch(r"[a-z]+(_[a-z]+)*", node.value) else set()
        if isinstance(node, ast.IfExp):
            sides = [self._literals(node.body), self._literals(node.orelse)]
            return None if None in sides else {c for side in sides if side for c in side}
        return None


@cache
def raised_errors() -> tuple[set[tuple[str, str]], list[str]]:
    """Returns every (code, kind) raised in the package, and the codes that are not literals."""
    sources = {p: ast.parse(p.read_text("utf-8")) for p in sorted(PACKAGE.rglob("*.py"))}
    kinds = error_classes(list(sources.values()))
    makers = {name: (0, kind) for name, kind in kinds.items()}
    while True:
        visitors = {path: Raised(makers) for path in sources}
        for path, visitor in visitors.items():
            visitor.visit(sources[path])
        more = {k: v for visitor in visitors.values() for k, v in visitor.passed_on.items()}
        if more.keys() <= makers.keys():
            break
        makers = more | makers
    found = {one for visitor in visitors.values() for one in visitor.found}
    opaque = [
        f"{path.relative_to(ROOT)}: {place}"
        for path, visitor in visitors.items()
        for place in visitor.opaque
    ]
    return found, opaque


def test_every_code_is_a_literal_where_it_is_raised() -> None:
    _, opaque = raised_errors()
    assert not opaque, "\n".join(opaque)


def test_errors_are_documented_under_their_kind() -> None:
    documented: set[tuple[str, str]] = set()
    kind = ""
    for line in (DOCS / "errors.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            kind = line.removeprefix("## ").split()[0].lower()
        entry = re.match(r"\| `(\w+)` \| (.+) \|$", line)
        if entry and kind in EXIT_STATUS:
            documented.add((entry[1], kind))
    raised, _ = raised_errors()
    assert len(raised) > 20
    assert not raised - documented, f"not in docs/errors.md: {sorted(raised - documented)}"
    assert not documented - raised, f"raised nowhere: {sorted(documented - raised)}"


# What the pages show


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def command_lines() -> Iterator[tuple[Path, list[str]]]:
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("govc-search "):
                    yield page, shlex.split(line, comments=True)[1:]


def test_command_lines_in_the_pages_can_be_parsed() -> None:
    lines = list(command_lines())
    assert lines
    for page, arguments in lines:
        try:
            context = cli.make_context("govc-search", list(arguments))
            rest = [*context._protected_args, *context.args]
            command = cli.commands[rest[0]]
            command.make_context(rest[0], rest[1:], parent=context)
        except (click.ClickException, GovcSearchError, KeyError) as error:
            pytest.fail(f"{page.name}: govc-search {shlex.join(arguments)}: {error}")


def test_make_targets_in_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page in [*PAGES, ROOT / "ARCHITECTURE.md"]:
        for target in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text("utf-8"), re.M):
            assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "ARCHITECTURE.md"]:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", prose(page)):
            place = page.parent / target if target else page
            assert place.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(place), f"{page.name} links to {target}{anchor}"


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Returns what the headings of a page are linked by."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {"#" + re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for page in DOCS.glob("*.md"):
        assert f"](docs/{page.name})" in readme


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    monkeypatch.chdir(tmp_path)
    repository = Builder(tmp_path / "project")
    repository.write("a", b"b\n")
    repository.commit("fix a race condition")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own text
    assert "fix a race condition" in capsys.readouterr().out


def test_the_public_names_are_these() -> None:
    assert sorted(govc_search.__all__) == [
        "Engine",
        "GovcSearchError",
        "IndexReport",
        "Progress",
        "PushReport",
        "Result",
        "Status",
        "Stream",
        "__version__",
        "open",
    ]
    for name in govc_search.__all__:
        assert not isinstance(getattr(govc_search, name), ModuleType)
