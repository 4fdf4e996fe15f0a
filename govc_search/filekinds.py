"""What kind of file a path names: its language, whether it is a test, vendored or generated.

Names and suffixes of languages are those of Pygments, which keeps the longest list of them;
where it gives a suffix to several languages, the one that source repositories mean most often
is taken. The rest is patterns over paths, RE2 as DuckDB runs them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import pyarrow as pa

__all__ = ["GENERATED", "TEST", "VENDORED", "language_named", "language_names", "languages"]

# Of suffixes that several languages share, and of some that Pygments does not know.
_MEANT: Final[Mapping[str, str]] = {
    ".adoc": "AsciiDoc",
    ".asciidoc": "AsciiDoc",
    ".asm": "NASM",
    ".b": "Brainfuck",
    ".bas": "VB.net",
    ".bug": "BUGS",
    ".cl": "Common Lisp",
    ".cp": "C++",
    ".csv": "CSV",
    ".def": "Modula-2",
    ".ecl": "ECL",
    ".feature": "Gherkin",
    ".fs": "F#",
    ".g": "ANTLR",
    ".gd": "GDScript",
    ".h": "C",
    ".hh": "C++",
    ".inc": "PHP",
    ".inf": "INI",
    ".ipynb": "Jupyter Notebook",
    ".lean": "Lean4",
    ".m": "Objective-C",
    ".mm": "Objective-C++",
    ".p": "Pawn",
    ".pl": "Perl",
    ".pm": "Perl",
    ".po": "Gettext Catalog",
    ".pro": "Prolog",
    ".prolog": "Prolog",
    ".m4": "M4",
    ".ac": "M4",
    ".r": "R",
    ".rl": "Ragel",
    ".s": "GAS",
    ".sc": "SuperCollider",
    ".scd": "SuperCollider",
    ".sql": "SQL",
    ".t": "Perl",
    ".toc": "TeX",
    ".ts": "TypeScript",
    ".tst": "Scilab",
    ".ttl": "Turtle",
    ".txt": "Text",
    ".v": "verilog",
    ".xsl": "XSLT",
    ".xslt": "XSLT",
}
_CLASS: Final = re.compile(r"\[([^]]+)\]")

TEST: Final = (
    r"(?i)(^|/)(tests?|testing|testsuite|testdata|specs?|__tests__|t|e2e|fixtures|mocks?)/"
    r"|(^|/)(tests?|conftest)\.[^/.]+$|(^|/)test[_-][^/]*$"
    r"|[._-](tests?|spec|e2e)\.[^/]+$|_(tests?|spec)\.[^/.]+$"
    r"|(?-i:[a-z0-9](Tests?|Spec|IT)\.[^/.]+$)"
)
VENDORED: Final = (
    r"(?i)(^|/)(vendor|vendored|_vendor|third[_-]?party|3rd[_-]?party|node_modules"
    r"|bower_components|jspm_packages|godeps|carthage|pods|extern|externals?|contrib/vendor"
    r"|deps|site-packages|\.yarn/(releases|plugins))/"
    r"|(^|/)(jquery|bootstrap|d3|react|angular|vue)([.-][^/]*)?\.js$"
)
GENERATED: Final = (
    r"(?i)(^|/)(package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?"
    r"|cargo\.lock|poetry\.lock|uv\.lock|pipfile\.lock|composer\.lock|gemfile\.lock|go\.sum"
    r"|mix\.lock|flake\.lock|pubspec\.lock|podfile\.lock|packages\.lock\.json|gradlew(\.bat)?"
    r"|configure|aclocal\.m4|makefile\.in|ltmain\.sh)$"
    r"|(^|/)(__generated__|generated|gen)/"
    r"|[._-](generated|gen|g|designer)\.[^/.]+$|\.min\.(js|css)$|\.(js|css)\.map$"
    r"|\.pb\.(go|cc|h|swift|rb)$|_pb2(_grpc)?\.pyi?$|_pb\.(js|ts|d\.ts)$|\.pb\.[^/.]+$"
    r"|(^|/)zz_generated[^/]*$|(^|/)bindata\.go$"
)


@cache
def _by_name() -> dict[str, str]:
    """Returns a whole file name, or a suffix with its dot, in lower case -> language."""
    # Half of the time that a short command takes would go into reading it ahead of need.
    from pygments.lexers import get_all_lexers

    found: dict[str, str] = {}
    for language, _, patterns, _ in get_all_lexers(plugins=False):
        for pattern in patterns:
            for name in _spelt_out(pattern):
                found.setdefault(name, language)
    found.update(_MEANT)
    return found


def _spelt_out(pattern: str) -> list[str]:
    """Returns the names that a glob stands for, as far as they are names or last suffixes."""
    name = pattern.removeprefix("*").lower()
    match = _CLASS.search(name)
    if match:
        letters = match[1]
        if len(letters) == 3 and letters[1] == "-":
            letters = "".join(map(chr, range(ord(letters[0]), ord(letters[2]) + 1)))
        return [
            n for c in letters for n in _spelt_out(name[: match.start()] + c + name[match.end() :])
        ]
    if "*" in name or (pattern.startswith("*") and (name[:1] != "." or "." in name[1:])):
        return []
    return [name]


@cache
def languages() -> pa.Table:
    """Returns `name` (a file name or a suffix with its dot, lower case) and its `language`."""
    found = _by_name()
    return pa.table({"name": list(found), "language": list(found.values())})


@cache
def _aliases() -> dict[str, str]:
    from pygments.lexers import get_all_lexers

    known = {language.lower(): language for language in _by_name().values()}
    for language, aliases, _, _ in get_all_lexers(plugins=False):
        for alias in aliases:
            if language in known.values():
                known.setdefault(alias.lower(), language)
    return known


def language_names() -> tuple[str, ...]:
    """Returns all names and short forms that `language_named` knows, in lower case."""
    return tuple(_aliases())


def language_named(name: str) -> str | None:
    """Returns the language that a name or a short form of it (py, golang, c++) means, or None."""
    return _aliases().get(name.lower())
