"""``qexp report SWEEP_DIR``: make a sweep's tables and figure again, from its files alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qexp.errors import answered
from qexp.report.sweeps import Sweep
from qexp.report.tables import show


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Read the arguments, by default the process's own, and do it; return the exit status."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Make a sweep's tables and figure again, from its files alone.",
    )
    parser.add_argument("folder", type=Path, metavar="SWEEP_DIR", help="a folder below outputs/sweeps")
    sweep = Sweep.read(parser.parse_args(arguments).folder)
    sweep.write()
    show(sweep)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return answered(partial(command, arguments, "python -m qexp.report"))


if __name__ == "__main__":
    sys.exit(main())
