"""What is installed is whole: the wheel, and an editable install, carry the grammar."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import govc_search

ROOT = Path(__file__).parent.parent
GRAMMARS = sorted(p.name for p in (ROOT / "grammar").glob("*.lark"))
# Run with the package that is to be looked at as the only one on the path.
READ = """
import sys
from pathlib import Path
import govc_search.grammar_files as g
print(Path(g.__file__).parent.parent)
for name in sys.argv[1:]:
    print(name, len(g.read_grammar(name)))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy of what a build reads, so that no build writes into the checkout."""
    copy = tmp_path_factory.mktemp("packaging") / "checkout"
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("govc_search", "grammar"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        [os.fspath(a) for a in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def grammar_read_by(python: str | Path, cwd: Path, **variables: str) -> tuple[Path, dict[str, int]]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [os.fspath(python), "-P", "-c", READ, *GRAMMARS]
    done = subprocess.run(
        command, cwd=cwd, env=env | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    home, *lines = done.stdout.splitlines()
    return Path(home), {name: int(size) for name, size in map(str.split, lines)}


@pytest.fixture(scope="module")
def sizes() -> dict[str, int]:
    assert GRAMMARS == ["gql.lark", "match.lark"]
    return {n: len((ROOT / "grammar" / n).read_text("utf-8")) for n in GRAMMARS}


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert importlib.util.find_spec("hatchling"), "the lock installs the build backend"
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", out, checkout)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_finds_the_grammar(wheel: Path, sizes: dict[str, int], tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    pip("install", "--no-deps", "--no-index", "-q", "--target", installed, wheel)
    home, found = grammar_read_by(sys.executable, tmp_path, PYTHONPATH=os.fspath(installed))
    assert home == installed
    assert found == sizes


def test_an_editable_install_finds_the_grammar(
    checkout: Path, sizes: dict[str, int], tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    # What pip does for --editable, but with the build backend of this environment.
    build = "import sys; from hatchling.build import build_editable as b; print(b(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, tmp_path],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    editable = tmp_path / done.stdout.strip()
    pip("--python", python, "install", "--no-deps", "--no-index", "-q", editable)
    home, found = grammar_read_by(python, tmp_path)
    assert home == checkout
    assert found == sizes
    # What is read is the checkout's own file, not a copy made at installation.
    (checkout / "grammar/match.lark").write_text("changed", "utf-8")
    try:
        assert grammar_read_by(python, tmp_path)[1]["match.lark"] == len("changed")
    finally:
        shutil.copy(ROOT / "grammar/match.lark", checkout / "grammar/match.lark")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {n.split("/")[0] for n in names}
    assert tops == {"govc_search", f"govc_search-{govc_search.__version__}.dist-info"}
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "govc_search").rglob("*.py")}
    assert modules <= names
    assert {"govc_search/py.typed", *(f"govc_search/grammar/{n}" for n in GRAMMARS)} <= names
    assert any(n.endswith("/licenses/LICENSE") for n in names)


def test_version_and_entry_point_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert govc_search.__version__ == project["version"]
    module, _, function = project["scripts"]["govc-search"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def locked() -> dict[str, list[str]]:
    """Returns the lines that follow each requirement of the lock, by its name."""
    result: dict[str, list[str]] = {}
    hashes: list[str] = []
    for line in (ROOT / "requirements/lock.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        if line.startswith(" "):
            hashes.append(line.strip(" \\"))
        else:
            hashes = result[line.partition("==")[0]] = []
    return result


def test_the_lock_pins_everything_by_hash_and_names_no_host() -> None:
    text = (ROOT / "requirements/lock.txt").read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"^ *(-i|-f|--index-url|--extra-index-url|--find-links)\b", text, re.M)
    for name, lines in locked().items():
        assert lines, f"{name} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines), name


def test_the_lock_covers_what_pyproject_asks_for() -> None:
    file = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    asked = [
        *file["project"]["dependencies"],
        *file["dependency-groups"]["dev"],
        *file["build-system"]["requires"],
    ]
    names = {re.split(r"[<>=!~\[; ]", one)[0] for one in asked}
    assert names <= set(locked())


def test_what_is_installed_is_what_is_locked() -> None:
    text = (ROOT / "requirements/lock.txt").read_text("utf-8")
    pins = re.findall(r"^([a-z0-9-]+)==([^ ;]+)( ;.*)? \\$", text, re.M)
    assert len(pins) == len(locked())
    different = {
        name: (version, metadata.version(name))
        for name, version, marker in pins
        if not marker and metadata.version(name) != version
    }
    assert not different
