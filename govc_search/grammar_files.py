"""Finds the grammar files: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

__all__ = ["read_grammar"]


def read_grammar(name: str) -> str:
    """Returns the text of a grammar file, by its name such as `gql.lark`."""
    package = Path(__file__).parent
    inside = package / "grammar" / name
    return (inside if inside.exists() else package.parent / "grammar" / name).read_text("utf-8")
