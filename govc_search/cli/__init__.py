"""The command line `govc-search`.

In the order a command runs: `app` (one run and its exit status), `options`, `commands`, then
`render`, `table` and `listing` (what is shown), `output` (where), `progress` and `terminal`.
"""

from govc_search.cli.app import main

__all__ = ["main"]
