"""A search engine over commit history: ranked text, changed lines, SQL and revision ranges.

In the order data flows: `indexer` reads repositories, `store` keeps the log and the table,
`ql` answers queries, and `engine` puts them together. `cli` is the command line.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from govc_search.errors import GovcSearchError

if TYPE_CHECKING:
    from govc_search.engine import Engine, IndexReport, Progress, PushReport, Status
    from govc_search.engine import open_engine as open  # noqa: A004 - govc_search.open reads well
    from govc_search.ql.result import Result, Stream

__version__ = "0.1.0"

# Whoever wants to read of it sets logging up; else Python would print it a second time.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "Engine",
    "GovcSearchError",
    "IndexReport",
    "Progress",
    "PushReport",
    "Result",
    "Status",
    "Stream",
    "__version__",
    "open",
]

_HOME = {
    "Engine": ("govc_search.engine", "Engine"),
    "IndexReport": ("govc_search.engine", "IndexReport"),
    "Progress": ("govc_search.engine", "Progress"),
    "PushReport": ("govc_search.engine", "PushReport"),
    "Status": ("govc_search.engine", "Status"),
    "open": ("govc_search.engine", "open_engine"),
    "Result": ("govc_search.ql.result", "Result"),
    "Stream": ("govc_search.ql.result", "Stream"),
}


def __getattr__(name: str) -> object:
    # Loaded at first use: the processes that read git need none of it, and start at once.
    if name in _HOME:
        module, attribute = _HOME[name]
        value = getattr(import_module(module), attribute)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
