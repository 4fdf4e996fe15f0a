"""The parsers of the grammar files, made once and kept beside them like compiled modules."""

from __future__ import annotations

import hashlib
import os
from functools import cache

import lark

from govc_search.grammar_files import compiled_path, read_grammar

__all__ = ["parser_of"]


@cache
def parser_of(name: str) -> lark.Lark:
    """Returns the parser of a grammar file, by its name such as `gql.lark`.

    Making its tables takes a third of a second, which is most of a short command's time; they are
    kept where Python keeps its own compiled files, and made anew where they cannot be read.
    """
    text = read_grammar(name)
    key = hashlib.blake2b(f"{lark.__version__}\n{text}".encode(), digest_size=8).hexdigest()
    kept = compiled_path(name, key)
    try:
        with kept.open("rb") as file:
            return lark.Lark.load(file)
    except Exception:  # noqa: BLE001, S110 - whatever is wrong with it, it can be made anew
        pass
    parser = lark.Lark(
        text,
        parser="lalr",
        lexer="contextual",
        propagate_positions=True,
        maybe_placeholders=False,
    )
    own = kept.with_name(f"{kept.name}.{os.getpid()}")
    try:
        kept.parent.mkdir(exist_ok=True)
        with own.open("wb") as file:
            parser.save(file)
        own.replace(kept)
    except OSError:
        own.unlink(missing_ok=True)
    return parser
