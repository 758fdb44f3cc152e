"""``qexp report RUN_OR_SWEEP``: a run's leaderboard or a sweep's tables, from its files alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qexp.errors import answered
from qexp.report.progress import report_console
from qexp.report.sweeps import Job, Sweep
from qexp.report.table import FORMATS
from qexp.report.tables import show, tables
from qexp.runfolder import RESULT_FILE


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Read the arguments, by default the process's own, and do it; return the exit status.

    Args:
        arguments: Of the command line; None for the process's own.
        prog: Name of the command in its help.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Print a run's leaderboard, or make a sweep's tables and figure again and print the "
        "tables, from the folder's files alone.",
    )
    parser.add_argument("folder", type=Path, metavar="RUN_OR_SWEEP", help="a folder below outputs")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    options = parser.parse_args(arguments)
    if (options.folder / RESULT_FILE).is_file():
        made = [Job.read(options.folder, {}).table()]
        show_all = partial(report_console().print, *made)
    else:
        sweep = Sweep.read(options.folder)
        sweep.write()
        made, show_all = tables(sweep), partial(show, sweep)
    if options.format == FORMATS[0]:
        show_all()
    else:
        print("\n".join(table.text(options.format) for table in made), end="")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return answered(partial(command, arguments, "python -m qexp.report"))


if __name__ == "__main__":
    sys.exit(main())
