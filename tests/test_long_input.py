"""Texts as long as they may be, made to take long: each must be done with in one pass or so."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from govc_search import textquery
from govc_search.errors import QueryError
from govc_search.ql.parser import parse
from govc_search.ql.times import interval

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_LONG = 60_000
# What is quadratic takes a minute and more.
_SECONDS = 5


def _refused(query: str) -> bool:
    try:
        parse(query)
    except QueryError:
        return True
    return False


def _phrase(text: str) -> bool:
    return textquery.matches(textquery.Phrase(("t",), ("a", "b")), {"t": text})


_INPUTS: dict[str, Callable[[], bool]] = {
    "blanks after an interval": lambda: not interval("1 d" + " " * _LONG + "x"),
    "comments without an end": lambda: _refused("SELECT 1 " + "/* " * (_LONG // 3)),
    "a long word before an error": lambda: _refused(f"SELECT {'a' * _LONG}, , 1"),
    "blanks before an error": lambda: _refused("SELECT a" + " " * _LONG + ", , 1"),
    "words of a phrase apart": lambda: not _phrase("b x " * _LONG + "a x " * _LONG),
}


@pytest.mark.parametrize("name", _INPUTS)
def test_long_input_is_done_with_soon(name: str) -> None:
    def late(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"{name}: not done after {_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_SECONDS)
    try:
        assert _INPUTS[name]()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
