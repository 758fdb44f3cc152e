"""Lets ``python -m qexp`` be the command."""

import sys

from qexp.cli import main

if __name__ == "__main__":
    sys.exit(main())
