"""Lets ``python -m qexp.tracking sync RUN_DIR ...`` be the command."""

import sys

from qexp.tracking.sync import main

if __name__ == "__main__":
    sys.exit(main())
