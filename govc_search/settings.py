"""All settings, each with its default and one line of help; unknown keys are refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from govc_search.errors import UsageError

__all__ = ["SETTINGS", "Setting", "Settings"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, default (whose type it keeps), help, and the values it takes.

    `opening` says that it takes effect when a data directory is opened, not with each request.
    """

    name: str
    default: int | float
    help: str
    least: int = 1
    most: int = 1 << 31
    opening: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting("query_bytes", 65_536, "longest query text, in bytes"),
    Setting("query_nesting", 32, "deepest nesting of parentheses and sub-queries"),
    Setting("query_leaves", 1_024, "most leaves in one condition"),
    Setting("fuzzy_words", 8, "most fuzzy words in one text predicate"),
    Setting("pattern_length", 1_000, "longest text pattern, in characters"),
    Setting(
        "expansions",
        4_096,
        "most index terms that one prefix, fuzzy word or /regex/ may widen to",
        most=1 << 20,
    ),
    # A fraction of a second is a deadline too; beyond a year the clocks overflow.
    Setting("deadline_seconds", 30.0, "how long one query may run", least=0, most=366 * 86_400),
    Setting(
        "content_bytes",
        256 << 20,
        "most text of files that one query may hold, once its conditions have left some out",
    ),
    Setting(
        "pinned_results",
        64,
        "most results that are kept for pages that can only be cut from them",
        most=1 << 20,
        opening=True,
    ),
    Setting(
        "pinned_bytes",
        64 << 20,
        "most that results kept for further pages may take together, compressed",
        most=1 << 40,
        opening=True,
    ),
    Setting(
        "pinned_seconds",
        900.0,
        "how long a result is kept for its next page",
        least=0,
        most=366 * 86_400,
        opening=True,
    ),
    # Together with a frame, a commit has to fit into what the log takes in one part.
    Setting(
        "commit_patch_bytes",
        64 << 20,
        "patch text of one commit beyond which its lines are not indexed; one line counts as 32 bytes at least",
        most=512 << 20,
    ),
    Setting("frame_bytes", 8 << 20, "patch text gathered into one log frame", most=256 << 20),
    Setting(
        "segment_bytes",
        256 << 20,
        "size at which the log starts a new segment",
        most=1 << 40,
        opening=True,
    ),
    Setting(
        "text_heap_bytes", 96 << 20, "memory of the text index writer", most=4 << 30, opening=True
    ),
    Setting(
        "table_memory_bytes",
        384 << 20,
        "memory limit of the columnar table",
        least=16 << 20,
        most=1 << 45,
        opening=True,
    ),
    Setting(
        "spill_bytes",
        16 << 30,
        "most that all queries together may write to disk meanwhile, where sorting and grouping need more than memory",
        most=1 << 45,
        opening=True,
    ),
)


def _checked(name: str, value: float | str) -> int | float:
    setting = next(s for s in SETTINGS if s.name == name)
    try:
        number = type(setting.default)(value)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(
            "invalid_setting", f'setting "{name}" takes a number, not {value!r}'
        ) from None
    # Not a number is in no range either.
    if not setting.least <= number <= setting.most or not number:
        range_ = f"from {setting.least:,}" if setting.least else "above 0, up"
        raise UsageError(
            "invalid_setting", f'setting "{name}" takes numbers {range_} to {setting.most:,}'
        )
    return number


class Settings(Mapping[str, int | float]):
    """The settings in force: the defaults, overridden by name."""

    def __init__(self, overrides: Mapping[str, int | float | str] | None = None) -> None:
        self._values: dict[str, int | float] = {s.name: s.default for s in SETTINGS}
        for name, value in (overrides or {}).items():
            if name not in self._values:
                near = difflib.get_close_matches(name, self._values, 1)
                raise UsageError(
                    "unknown_setting",
                    f'no setting "{name}"',
                    hint=f'did you mean "{near[0]}"?'
                    if near
                    else "`govc-search settings` lists them",
                )
            self._values[name] = _checked(name, value)

    def __getitem__(self, name: str) -> int | float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def size(self, name: str) -> int:
        """Returns a setting that is a whole number."""
        return int(self._values[name])
