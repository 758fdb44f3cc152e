"""``qexp sync RUN_DIR ...`` delivers to MLflow what did not arrive during the run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qexp.errors import InputError, answered
from qexp.tracking.sync import sync


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Read the arguments, by default the process's own, and do it.

    Returns:
        Exit status: 0 all delivered, 2 something could not be delivered.
    """
    parser = argparse.ArgumentParser(prog=prog)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    deliver = commands.add_parser(
        "sync", help="deliver run folders to MLflow; doing it again changes nothing"
    )
    deliver.add_argument("folders", nargs="+", type=Path, metavar="RUN_DIR", help="folder of a run")
    deliver.add_argument("--uri", help="store to deliver to; by default the run's own tracking.uri")
    deliver.add_argument("--experiment", help="experiment of runs the store does not have yet")
    options = parser.parse_args(arguments)
    failed = False
    for folder in options.folders:
        try:
            done = sync(folder, options.uri, options.experiment)
        except InputError as error:
            failed = True
            print(f"qexp: {error}", file=sys.stderr)
            continue
        what = f"delivered {done.what}" if done.what else "nothing to deliver"
        note = "" if done.ended else " (the run has not ended, or was killed)"
        print(f"{folder}: {what}; run {done.run_id} at {done.uri}{note}")
    return 2 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return answered(partial(command, arguments, "python -m qexp.tracking"))


if __name__ == "__main__":
    sys.exit(main())
