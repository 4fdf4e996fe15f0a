"""The prompt: history, editing over several lines, colours, completion."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import is_dumb_terminal

from govc_search.cli.terminal import escape, say

if TYPE_CHECKING:
    from govc_search.engine import Candidate, Token

__all__ = ["Prompt"]

_PROMPT: Final = "gql> "
_MORE: Final = "  -> "
_STYLE: Final = Style.from_dict({
    "prompt": "bold",
    "keyword": "ansiblue bold",
    "text": "ansigreen",
    "number": "ansimagenta",
    "parameter": "ansimagenta",
    "comment": "ansibrightblack italic",
    "unknown": "ansired",
    "completion-menu.completion": "bg:ansibrightblack ansiwhite",
    "completion-menu.completion.current": "bg:ansicyan ansiblack",
    "completion-menu.meta.completion": "bg:ansiblack ansiwhite",
    "completion-menu.meta.completion.current": "bg:ansicyan ansiblack",
})  # fmt: skip


class Prompt:
    """A prompt on the terminal.

    `complete` returns what may stand at a cursor, `is_whole` whether Enter ends the input,
    `tokens` what is to be coloured. What begins with a blank is not kept in the history.
    """

    def __init__(
        self,
        complete: Callable[[str, int], Iterable[Candidate]],
        is_whole: Callable[[str], bool],
        tokens: Callable[[str], Sequence[Token]],
        *,
        colour: bool,
    ) -> None:
        self._session: PromptSession[str] = PromptSession(
            [("class:prompt", _PROMPT)],
            multiline=True,
            prompt_continuation=_continuation,
            key_bindings=_keys(is_whole),
            completer=_Completer(complete),
            lexer=_Highlighter(tokens) if colour else None,
            style=_STYLE if colour else None,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            history=_history(),
            enable_suspend=True,
            enable_open_in_editor=True,
            tempfile_suffix=".gql",
            # Standard output may hold data. Chosen here, the library would take it that a dumb
            # terminal moves its cursor.
            output=None if is_dumb_terminal() else create_output(always_prefer_tty=True),
        )

    def read(self) -> str:
        """Returns what was typed. Raises KeyboardInterrupt on Ctrl-C and EOFError on Ctrl-D."""
        return self._session.prompt()


def _continuation(width: int, number: int, wrapped: int) -> StyleAndTextTuples:
    del number
    return [("class:prompt", " " * width if wrapped else _MORE)]


def _keys(is_whole: Callable[[str], bool]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~is_searching)
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            # Enter takes what was chosen in the menu.
            buffer.complete_state = None
        elif is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline()

    return keys


class _Completer(Completer):
    def __init__(self, complete: Callable[[str, int], Iterable[Candidate]]) -> None:
        self._complete = complete

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yields what may stand at the cursor."""
        cursor = document.cursor_position
        for c in self._complete(document.text, cursor):
            # A menu that nobody asked for opens for a word that was begun, or after a dot.
            if (
                complete_event.completion_requested
                or c.start < cursor
                or document.text[:cursor].endswith(".")
            ):
                yield Completion(
                    c.text,
                    c.start - cursor,
                    display=escape(c.text),
                    display_meta=escape(c.help or c.kind),
                )


class _Highlighter(Lexer):
    def __init__(self, tokens: Callable[[str], Sequence[Token]]) -> None:
        self._tokens = tokens

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Returns the lines of a text with their styles, by number."""
        text = document.text
        lines: list[StyleAndTextTuples] = [[]]

        def put(style: str, piece: str) -> None:
            first, *others = piece.split("\n")
            lines[-1].append((style, first))
            lines.extend([(style, other)] for other in others)

        end = 0
        for token in self._tokens(text):
            put("", text[end : token.start])
            put(f"class:{token.kind}", text[token.start : token.end])
            end = token.end
        put("", text[end:])
        return lambda number: lines[number] if number < len(lines) else []


# History


def _history() -> History:
    """Returns the history in the user's state directory, or one that ends with the session."""
    given = os.environ.get("XDG_STATE_HOME", "")
    # What is not absolute is to be ignored, says the specification of these directories.
    home = Path(given) if given.startswith("/") else Path("~/.local/state")
    try:
        path = home.expanduser() / "govc-search" / "history"
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.fchmod(file, 0o600)
        finally:
            os.close(file)
    except (OSError, RuntimeError) as error:
        say(f"warning: no history is kept: {error}", "warning")
        return InMemoryHistory()
    return _PrivateHistory(path)


class _PrivateHistory(FileHistory):
    def append_string(self, string: str) -> None:
        """Keeps what was typed, unless it begins with a blank."""
        if not string[:1].isspace():
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Writes what was typed to the file."""
        # A disk that is full is no reason to lose the session.
        with contextlib.suppress(OSError):
            super().store_string(string)
