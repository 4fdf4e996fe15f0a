"""Finds the grammar files: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["compiled_path", "read_grammar"]


def _directory() -> Path:
    package = Path(__file__).parent
    inside = package / "grammar"
    return inside if inside.exists() else package.parent / "grammar"


def read_grammar(name: str) -> str:
    """Returns the text of a grammar file, by its name such as `gql.lark`."""
    return (_directory() / name).read_text("utf-8")


def compiled_path(name: str, key: str) -> Path:
    """Returns where a grammar's tables may be kept, as Python keeps what it compiled."""
    return _directory() / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.{key}"
