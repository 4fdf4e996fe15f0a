"""The command line `govc-search`.

In the order a command runs: `app` (one run and its exit status), `options`, `commands`, then
`answers`, `render`, `table` and `listing` (what is shown), `output` and `pager` (where), `report`
(what went wrong), `progress` and `terminal`. `shell` runs a session: `prompt` is where it is typed,
`backslash` its commands.
"""

from govc_search.cli.app import main

__all__ = ["main"]
