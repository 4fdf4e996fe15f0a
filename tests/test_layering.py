"""Which module may import which: section "Modules" of the design, read from the source."""

from __future__ import annotations

import ast
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "govc_search"

# Modules without input or output, from the bottom up; each may import those before it.
FOUNDATION = (
    "errors",
    "settings",
    "scope",
    "status",
    "records",
    "gaps",
    "grammar_files",
    "conventions",
    "filekinds",
    "schema",
    "catalog",
    "analysis",
    "textquery",
    "facts",
    "fragments",
    "highlight",
)
# What each part may import besides itself.
INNER = {
    **{name: set(FOUNDATION[:i]) for i, name in enumerate(FOUNDATION)},
    "ql": {*FOUNDATION},
    "store": {*FOUNDATION, "ql"},
    "indexer": {*FOUNDATION, "ql", "store"},
    "live": {*FOUNDATION, "ql", "store", "indexer"},
    "verify": {*FOUNDATION, "ql", "store", "indexer"},
    "readers": {"errors"},
    "holder": {*FOUNDATION, "ql", "indexer", "govc_search"},
    "repositories": {*FOUNDATION, "ql", "store", "indexer"},
    "engine": {
        *FOUNDATION,
        "ql",
        "store",
        "indexer",
        "verify",
        "readers",
        "repositories",
        "live",
        "holder",
    },
}
EDGE = {"engine", "holder", "errors", "settings", "records", "govc_search"}
ALLOWED = {
    **INNER,
    "server": EDGE,
    "client": EDGE,
    "cli": EDGE,
    "govc_search": {"engine", "errors", "ql"},
    "__main__": {"cli"},
}
# Libraries that only one part may know.
CONFINED = {
    "lark": {"ql"},
    "tantivy": {"indexer"},
    "duckdb": {"store"},
    "fastapi": {"server"},
    "uvicorn": {"server"},
    "sse_starlette": {"server"},
    "click": {"cli"},
    "prompt_toolkit": {"cli"},
}
# Settings come from the environment in one place; child processes are handed theirs in two.
ENVIRONMENT_READERS = {"cli", "indexer.git_process", "indexer.reader_pool"}


@dataclass(frozen=True)
class Import:
    importer: str  # dotted name of the module, without "govc_search."; itself for the package
    imported: str  # dotted name of the module imported, in full
    line: int
    typing: bool  # under `if TYPE_CHECKING:`, so nothing is loaded

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) or "govc_search"


def part(module: str) -> str:
    return module.removeprefix("govc_search.").split(".")[0]


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def imports_of(name: str) -> list[Import]:
    """Returns every import of a module, also those inside functions and for types only."""
    found = []
    for_types = {
        id(inner)
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: imports are absolute"
            source = node.module or ""
            # `from package import module` depends on the module, not on the package.
            inner = [f"{source}.{alias.name}" for alias in node.names]
            targets = [i if i.removeprefix("govc_search.") in MODULES else source for i in inner]
        else:
            continue
        found += [Import(name, t, node.lineno, id(node) in for_types) for t in targets]
    return found


IMPORTS = [i for name in MODULES for i in imports_of(name)]
OURS = [i for i in IMPORTS if i.imported.split(".")[0] == "govc_search"]
THEIRS = [
    i
    for i in IMPORTS
    if i.imported.split(".")[0] not in {"govc_search", "__future__", *sys.stdlib_module_names}
]


def test_there_is_something_to_read() -> None:
    assert {"errors", "ql.parser", "store.log"} <= set(MODULES)
    assert len(OURS) > 20
    assert any(i.imported.startswith("lark") for i in THEIRS)


def test_every_part_has_its_place() -> None:
    assert {part(name) for name in MODULES} <= set(ALLOWED)


def test_parts_import_only_what_lies_below() -> None:
    wrong = [
        str(i)
        for i in OURS
        if part(i.imported) not in {*ALLOWED.get(part(i.importer), ()), part(i.importer)}
    ]
    assert not wrong, "\n".join(wrong)


def test_live_does_not_know_how_records_are_gathered() -> None:
    wrong = [
        str(i)
        for i in OURS
        if part(i.importer) == "live" and i.imported.startswith("govc_search.indexer.pipeline")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", CONFINED)
def test_a_library_is_known_to_one_part(library: str) -> None:
    wrong = [
        str(i)
        for i in THEIRS
        if i.imported.split(".")[0] == library and part(i.importer) not in CONFINED[library]
    ]
    assert not wrong, "\n".join(wrong)


def test_imported_libraries_are_declared_and_declared_ones_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = {name(r) for r in project["dependencies"]}
    optional = {
        name(r) for extra in project.get("optional-dependencies", {}).values() for r in extra
    }
    used = {i.imported.split(".")[0] for i in THEIRS}
    assert used - optional == required
    assert used <= required | optional


def name(requirement: str) -> str:
    end = next((i for i, c in enumerate(requirement) if c in "<>=!~[; "), len(requirement))
    return requirement[:end].replace("-", "_").lower()


def test_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for i in OURS:
        target = i.imported.removeprefix("govc_search.")
        if target in graph and target != i.importer and not i.typing:
            graph[i.importer].add(target)
    state: dict[str, bool] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        state[module] = False
        path.append(module)
        for target in sorted(graph[module]):
            if target not in state:
                visit(target)
            elif not state[target]:
                pytest.fail(" -> ".join([*path[path.index(target) :], target]))
        path.pop()
        state[module] = True

    for module in graph:
        if module not in state:
            visit(module)


def test_only_the_command_line_reads_the_environment() -> None:
    wrong = []
    for module, tree in TREES.items():
        if ENVIRONMENT_READERS & {module, part(module)}:
            continue
        for node in ast.walk(tree):
            attribute = isinstance(node, ast.Attribute) and node.attr in {
                "environ",
                "environb",
                "getenv",
                "expandvars",
            }
            name = isinstance(node, ast.ImportFrom) and node.module == "os"
            if attribute or (
                name and any(a.name in {"environ", "getenv", "environb"} for a in node.names)
            ):
                wrong.append(f"{module}, line {node.lineno}")
    assert not wrong, "\n".join(wrong)


def names_bound(body: list[ast.stmt]) -> set[str]:
    found = set()
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name for alias in names}
            case ast.Assign(targets=targets):
                found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.If(body=then, orelse=otherwise):
                found |= names_bound(then) | names_bound(otherwise)
    return found


def public_names(body: list[ast.stmt]) -> list[str] | None:
    for node in body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=value)
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.List() as value)
            ):
                return list(ast.literal_eval(value))
    return None


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_listed_and_exist(module: str) -> None:
    bound = names_bound(TREES[module].body) - {"annotations"}
    listed = public_names(TREES[module].body)
    if listed is None and not bound:
        return  # a package that says in its docstring what is in it, and nothing else
    assert listed is not None, f"{module} has no __all__"
    assert len(listed) == len(set(listed))
    assert set(listed) <= bound
