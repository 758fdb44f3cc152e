"""``python -m qexp.report SWEEP_DIR``: make a sweep's tables and figure again, from its files alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qexp.errors import InputError
from qexp.report.sweeps import Sweep
from qexp.report.tables import show


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m qexp.report",
        description="Make a sweep's tables and figure again, from its files alone.",
    )
    parser.add_argument("folder", type=Path, metavar="SWEEP_DIR", help="a folder below outputs/sweeps")
    try:
        sweep = Sweep.read(parser.parse_args().folder)
    except InputError as error:
        print(f"qexp: {error}", file=sys.stderr)
        return 2
    sweep.write()
    show(sweep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
