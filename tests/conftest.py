"""What every test stands on: switches, and a machine that looks the same everywhere."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from fixtures.indexed import filled_directory
from fixtures.repositories import odd_cases

import govc_search
from govc_search.indexer.reader_pool import ReaderPool
from govc_search.indexer.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from govc_search import Engine

hypothesis.settings.register_profile(
    "tests",
    # Two busy cores make single examples slow without making them wrong.
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("tests"))


def pytest_configure(config: pytest.Config) -> None:
    profile = "thorough" if config.getoption("--thorough") else "tests"
    hypothesis.settings.load_profile(profile)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="try many more generated queries")
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files")
    parser.addoption("--update-docs", action="store_true", help="rewrite the tables in docs/")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def update_docs(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-docs"))


@pytest.fixture(autouse=True, scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Shuts out the host: no git configuration, no home, UTC, plain output of known width."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GOVC_SEARCH_DATA", "NO_COLOR", "FORCE_COLOR", "PYTHONWARNINGS"):
            patch.delenv(name, raising=False)
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        patch.setenv("GIT_ATTR_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("TZ", "UTC")
        patch.setenv("COLUMNS", "100")
        patch.setenv("TERM", "dumb")
        yield home


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with govc_search.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What readers are asked for, as it is asked."""
    hashes: list[str] = []
    real = ReaderPool.read

    def read(pool: ReaderPool, wanted: Sequence[str]) -> Any:
        hashes.extend(wanted)
        return real(pool, wanted)

    monkeypatch.setattr(ReaderPool, "read", read)
    return hashes


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled_directory(tmp_path_factory.mktemp("indexed"))


@pytest.fixture
def filled(tmp_path: Path, indexed: Path) -> Iterator[Engine]:
    shutil.copytree(indexed, tmp_path / "filled")
    with govc_search.open(tmp_path / "filled") as opened:
        yield opened


@pytest.fixture(scope="session", params=["sha1", "sha256"])
def odd(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Repository, dict[str, str]]]:
    path = tmp_path_factory.mktemp("odd") / "repository"
    made = odd_cases(path, object_format=request.param)
    with Repository.open(path) as source:
        assert source.object_format == request.param
        yield source, made
