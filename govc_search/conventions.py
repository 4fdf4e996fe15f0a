"""What commit messages say by convention: types, reverts, picks, bots, references.

Patterns are RE2 as DuckDB runs them. SQL here is over a commit `b`, or over the names given.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "CHERRY_PICKED_FROM",
    "CONV_SCOPE",
    "CONV_TYPE",
    "IS_BREAKING",
    "IS_REVERT",
    "LINKS",
    "REVERTS",
    "is_bot",
]

# The types of the Conventional Commits specification, of the presets built on it, and spellings
# that stand for them. Any word might be a type: "net: fix" of other conventions is none.
_TYPES: Final = (
    "build|bugfix|chore|ci|deps|docs?|feat|feature|fix|hotfix|perf|refactor|release|revert"
    "|security|style|tests?|wip"
)
_CONVENTIONAL: Final = rf"^((?i){_TYPES})(?:\(([^()]*)\))?(!)?:[ \t]"


def _group(text: str, pattern: str, group: int) -> str:
    return f"nullif(regexp_extract({text}, '{pattern}', {group}), '')"


CONV_TYPE: Final = f"lower({_group('b.subject', _CONVENTIONAL, 1)})"
CONV_SCOPE: Final = _group("b.subject", _CONVENTIONAL, 2)
IS_BREAKING: Final = (
    f"({_group('b.subject', _CONVENTIONAL, 3)} IS NOT NULL OR (contains(b.message, 'BREAKING')"
    " AND regexp_matches(b.message, '(?m)^BREAKING[ -]CHANGE:[ \\t]')))"
)
_REVERT: Final = r"\bThis reverts commit ([0-9a-f]{7,64})\b"
REVERTS: Final = (
    f"CASE WHEN contains(b.message, 'This reverts commit') THEN"
    f" {_group('b.message', _REVERT, 1)} END"
)
IS_REVERT: Final = (
    "(starts_with(b.subject, 'Revert \"') OR contains(b.message, 'This reverts commit ')"
    f" OR coalesce({CONV_TYPE} = 'revert', FALSE))"
)
# Picked more than once: the last line is of the last time.
_PICKED: Final = r"(?s).*\(cherry picked from commit ([0-9a-f]{7,64})\)"
CHERRY_PICKED_FROM: Final = (
    f"CASE WHEN contains(b.message, '(cherry picked from commit') THEN"
    f" {_group('b.message', _PICKED, 1)} END"
)

_BOTS: Final = (
    r"(?i)\[bot\]$|(^|[^a-z])(ro)?bot$|[-_](ro)?bot[-_]|^(dependabot|renovate|greenkeeper"
    r"|github[- ]?actions?|gitlab[- ]?ci|mergify|pre-commit-ci|allcontributors|imgbot|codecov"
    r"|travis[- ]?ci|jenkins|buildbot|circleci|snyk|pyup|weblate|crowdin|transifex"
    r"|semantic-release|copybara)\b"
)
_BOT_MAILS: Final = r"(?i)(\[bot\]|(^|[^a-z])(ro)?bot)@|^(bot|noreply\+bot)@"


def is_bot(name: str, email: str) -> str:
    """Returns the condition that a person, given as SQL, looks like a program."""
    return f"(regexp_matches({name}, '{_BOTS}') OR regexp_matches({email}, '{_BOT_MAILS}'))"


_KEY: Final = r"[A-Z][A-Z0-9]{1,9}-[1-9][0-9]{0,7}"
# Standards and encodings are written like the keys of issues.
_NO_KEY: Final = (
    r"^(AES|ASCII|CP|CVE|CWE|DES|EUC|GPT|HTTP|IEC|IEEE|ISO|LATIN|MD|PEP|POSIX|RFC|RSA|SHA|SSL|TLS"
    r"|UCS|US|UTF|WINDOWS|X)-"
)
_NUMBER: Final = r"(?:[\w.-]+/[\w.-]+)?#[1-9][0-9]{0,8}"
_URL: Final = r"https?://[^\s<>\"\x27`)\]]*[^\s<>\"\x27`)\].,;:!?]"
_CLOSING: Final = r"(?i:\b(?:fix(?:es|ed)?|close[sd]?|resolve[sd]?):?[ \t]+)"
# Kind; a text without which there is none; what to take; what of it to leave.
LINKS: Final[tuple[tuple[str, str | None, str, str], ...]] = (
    ("issue", None, rf"(?:^|[\s(\[,;:])({_NUMBER}|{_KEY})\b", _NO_KEY),
    ("cve", "CVE-", r"\b(CVE-[12][0-9]{3}-[0-9]{4,})\b", ""),
    ("url", "://", rf"\b({_URL})", ""),
    ("fixes", None, rf"{_CLOSING}({_NUMBER}|{_KEY}|[0-9a-f]{{7,64}}\b|{_URL})", _NO_KEY),
    ("reverts", "This reverts commit", _REVERT, ""),
    ("cherry_pick", "(cherry picked from commit", r"\(cherry picked from commit ([0-9a-f]{7,64})\)", ""),
)  # fmt: skip
