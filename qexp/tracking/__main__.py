"""Lets ``python -m qexp.tracking sync RUN_DIR ...`` be the command."""

import sys
from functools import partial

from qexp.errors import answered
from qexp.tracking.sync import command

if __name__ == "__main__":
    sys.exit(answered(partial(command, None, "python -m qexp.tracking")))
