"""The options of every command, and the few ways in which our arguments differ from click's."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from govc_search.cli.render import FORMATS
from govc_search.errors import UsageError

__all__ = [
    "GqlCommand",
    "Invocation",
    "OptionList",
    "WordsCommand",
    "parameters",
    "shared_options",
    "value_of",
]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """What the shared options said, before and after the command."""

    data: Path = Path(".govc-search")
    format: str | None = None
    output: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    quiet: bool = False
    colour: bool = True
    debug: bool = False


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Returns a callback that notes a value; an option not given changes nothing."""

    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(context.ensure_object(Invocation), name, value)

    return callback


def _no_colour(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Invocation).colour = False


def _set(context: click.Context, _: click.Parameter, values: Sequence[str]) -> None:
    for value in values:
        name, equals, number = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{value!r} is not name=value")
        context.ensure_object(Invocation).settings[name.strip()] = number.strip()


# Given to the group and to every command, so that they stand before or after its name.
_SHARED: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        expose_value=False,
        callback=_keep("data"),
        help="Data directory (default: $GOVC_SEARCH_DATA, else .govc-search here).",
    ),
    click.option(
        "-F",
        "--format",
        type=click.Choice(tuple(FORMATS)),
        expose_value=False,
        callback=_keep("format"),
        help="Output format (default: table, or what the name of the output file says).",
    ),
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=_keep("output"),
        help="Write the output to a file.",
    ),
    click.option(
        "--set",
        multiple=True,
        metavar="NAME=VALUE",
        expose_value=False,
        callback=_set,
        help="Change a setting for this run; repeatable.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_keep("quiet"),
        help="No progress, summaries and timings on standard error.",
    ),
    click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        callback=_no_colour,
        help="No colours; so does the environment variable NO_COLOR.",
    ),
    click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_keep("debug"),
        help="Show the traceback of an internal error; so does GOVC_SEARCH_DEBUG=1.",
    ),
)


def shared_options(command: F) -> F:
    """Gives a command the shared options."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


# An argument that looks like an option and is none travels through click's parser behind this
# character, which no argument of a process can hold.
_SHIELD: Final = "\0"


class _ShieldedCommand(click.Command, ABC):
    """A command some of whose arguments begin with "-"."""

    @abstractmethod
    def is_text(self, argument: str, names: Sequence[str]) -> bool:
        """Returns whether an argument that begins with "-" is text."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments, those that are text apart."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        names = [name for o in options for name in (*o.opts, *o.secondary_opts)]
        takes_value = {name for o in options if not o.is_flag for name in o.opts}
        shielded: list[str] = []
        for i, argument in enumerate(args):
            if argument == "--":
                shielded += args[i:]
                break
            is_value = i > 0 and args[i - 1] in takes_value
            if argument.startswith("-") and not is_value and self.is_text(argument, names):
                shielded.append(_SHIELD + argument)
            else:
                shielded.append(argument)
        rest = super().parse_args(ctx, shielded)
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = value.removeprefix(_SHIELD)
            elif isinstance(value, tuple):
                ctx.params[name] = tuple(
                    v.removeprefix(_SHIELD) if isinstance(v, str) else v for v in value
                )
        return rest


class GqlCommand(_ShieldedCommand):
    """A command whose argument is GQL, which may begin with a `--` comment."""

    def is_text(self, argument: str, names: Sequence[str]) -> bool:
        """Returns whether this is a comment: no option is written with blanks in its name."""
        if not argument.startswith("--"):
            return False
        name = argument.partition("=")[0]
        return name not in names and any(ch.isspace() for ch in argument)


class WordsCommand(_ShieldedCommand):
    """A command whose arguments are words of the search box, which may be excluded by "-"."""

    def is_text(self, argument: str, names: Sequence[str]) -> bool:
        """Returns whether this is `-qualifier:value`, `-word`, or a box that begins with one."""
        if argument.startswith("--"):
            return any(ch.isspace() for ch in argument.partition("=")[0])
        # Short options stand alone here: `-other` excludes a word, it is not `-o ther`.
        return argument not in names and argument.removeprefix("-F") not in FORMATS


class OptionList(click.Command):
    """A command one of whose options takes several values: `--refs main 'v*'`.

    Before the first PATH the option takes one value, for what follows may be the path; after it,
    all up to the next option.
    """

    option: Final = "--refs"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments, with the option repeated before each of its values."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        takes_value = {name for o in options if not o.is_flag for name in o.opts}
        spread: list[str] = []
        has_path = listing = False
        for i, argument in enumerate(args):
            if argument == "--":
                spread += args[i:]
                break
            after = args[i - 1] if i else ""
            if after in takes_value:
                spread.append(argument)
                listing = after == self.option and has_path
            elif argument.startswith("-"):
                spread.append(argument)
                listing = argument.startswith(self.option + "=") and has_path
            elif listing:
                spread += [self.option, argument]
            else:
                spread.append(argument)
                has_path = True
        return super().parse_args(ctx, spread)


_INTEGER: Final = re.compile(r"[+-]?\d+")
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?")
_TIMED: Final = re.compile(r"(date|timestamp)\s*'([^']*)'", re.IGNORECASE)
_NAMED_VALUES: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}


def parameters(given: Sequence[str]) -> dict[str, object] | list[object]:
    """Returns the values of `-p name=value`: by name, or in order where the names are 1, 2, ...

    Whole numbers, decimals, true, false, null, DATE '...', TIMESTAMP '...' and JSON arrays of values
    are what they look like; all else is text, and so is what stands in single quotes.
    """
    values: dict[str, object] = {}
    for one in given:
        name, equals, text = one.partition("=")
        name = name.strip().removeprefix("$")
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*|[1-9]\d*", name):
            raise UsageError(
                "invalid_parameter",
                f"a parameter is name=value, not {json.dumps(one, ensure_ascii=False)}",
                hint="as in -p since=2024-01-01, or -p 1=... for the first ?",
            )
        if name in values:
            raise UsageError("invalid_parameter", f'the parameter "{name}" stands twice')
        values[name] = value_of(text)
    if values and all(name.isdigit() for name in values):
        ordered = [values.get(str(i + 1), value_of) for i in range(len(values))]
        if value_of in ordered:
            raise UsageError("invalid_parameter", "numbered parameters count 1, 2, 3 without a gap")
        return ordered
    return values


def value_of(text: str) -> object:
    """Returns the value that a person wrote: see `parameters`. Raises UsageError."""
    if text.lower() in _NAMED_VALUES:
        return _NAMED_VALUES[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if timed := _TIMED.fullmatch(text):
        return _time_of(timed[1].lower(), timed[2])
    if text[:1] == "[":
        try:
            items = json.loads(text)
        except ValueError:
            return text
        if not any(isinstance(i, list | dict) for i in items):
            return items
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text


def _time_of(kind: str, text: str) -> date | datetime:
    try:
        return date.fromisoformat(text) if kind == "date" else datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "invalid_parameter",
            f"not a {kind}: {json.dumps(text, ensure_ascii=False)}",
            hint="as in DATE '2024-01-31' or TIMESTAMP '2024-01-31 12:00'",
        ) from None
