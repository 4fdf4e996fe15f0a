"""Runs the command line: `python -m govc_search` is `govc-search`."""

import sys

from govc_search.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
