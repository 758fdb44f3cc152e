"""``python -m qexp.tracking sync RUN_DIR ...`` delivers to MLflow what did not arrive during the run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qexp.errors import InputError
from qexp.tracking.sync import sync


def main() -> int:
    """Run the command.

    Returns:
        Exit status: 0 all delivered, 2 something could not be delivered.
    """
    parser = argparse.ArgumentParser(prog="python -m qexp.tracking")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "sync", help="deliver run folders to MLflow; doing it again changes nothing"
    )
    command.add_argument("folders", nargs="+", type=Path, metavar="RUN_DIR", help="folder of a run")
    command.add_argument("--uri", help="store to deliver to; by default the run's own tracking.uri")
    command.add_argument("--experiment", help="experiment of runs the store does not have yet")
    arguments = parser.parse_args()
    failed = False
    for folder in arguments.folders:
        try:
            done = sync(folder, arguments.uri, arguments.experiment)
        except InputError as error:
            failed = True
            print(f"qexp: {error}", file=sys.stderr)
            continue
        what = f"delivered {done.what}" if done.what else "nothing to deliver"
        note = "" if done.ended else " (the run has not ended, or was killed)"
        print(f"{folder}: {what}; run {done.run_id} at {done.uri}{note}")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
