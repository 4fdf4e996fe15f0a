"""All settings, each with its default and one line of help; unknown keys are refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from govc_search.errors import UsageError

__all__ = ["SETTINGS", "Setting", "Settings"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, default (whose type it keeps) and help."""

    name: str
    default: int | float
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting("query_bytes", 65_536, "longest query text, in bytes"),
    Setting("query_nesting", 32, "deepest nesting of parentheses and sub-queries"),
    Setting("query_leaves", 1_024, "most leaves in one condition"),
    Setting("fuzzy_words", 8, "most fuzzy words in one text predicate"),
    Setting("pattern_length", 1_000, "longest text pattern, in characters"),
    Setting(
        "expansions", 4_096, "most index terms that one prefix, fuzzy word or /regex/ may widen to"
    ),
    Setting("deadline_seconds", 30.0, "how long one query may run"),
    Setting(
        "commit_patch_bytes",
        64 << 20,
        "patch text of one commit beyond which its lines are not indexed; one line counts as 32 bytes at least",
    ),
    Setting("frame_bytes", 8 << 20, "patch text gathered into one log frame"),
    Setting("segment_bytes", 256 << 20, "size at which the log starts a new segment"),
    Setting("text_heap_bytes", 128 << 20, "memory of the text index writer"),
    Setting("table_memory_bytes", 384 << 20, "memory limit of the columnar table"),
)


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
            kind = type(self._values[name])
            try:
                self._values[name] = kind(value)
            except ValueError:
                raise UsageError(
                    "invalid_setting", f'setting "{name}" takes a number, not {value!r}'
                ) from None
            if self._values[name] <= 0:
                raise UsageError("invalid_setting", f'setting "{name}" must be above zero')

    def __getitem__(self, name: str) -> int | float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def size(self, name: str) -> int:
        """Returns a setting that is a whole number."""
        return int(self._values[name])
