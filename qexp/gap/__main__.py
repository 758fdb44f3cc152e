"""``qexp gap RUN_FOLDER``: make a campaign's gap report again, from its files alone.

``qexp gap fit RUN_FOLDER`` only fits the calibration, and says what it is worth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qexp.errors import answered
from qexp.fleet.account import refuse_secrets
from qexp.gap.folder import open_campaign
from qexp.gap.gap import calibrate
from qexp.gap.measure.fidelity import fidelities
from qexp.gap.report import PAGE_FILE, gap_report, write_calibration

WIDTH = 120
"""Columns of the tables where the output is no terminal."""


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Make the report, or fit the calibration; return the exit status.

    Args:
        arguments: By default the process's own.
        prog: Name of the command.
    """
    from rich.console import Console

    from qexp.gap.show.tables import calibration, hold_out, render, tables

    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} [fit] RUN_FOLDER",
        description="How far was simulation from what was measured? Makes a campaign's gap report again from "
        "its journal and configuration; with 'fit', only the calibration, with its errors before and after.",
    )
    parser.add_argument(
        "words", nargs="+", metavar="[fit] RUN_FOLDER", help="folder of a run with a campaign"
    )
    refuse_secrets(sys.argv[1:] if arguments is None else arguments)
    words = parser.parse_args(arguments).words
    only_fit = len(words) == 2 and words[0] == "fit"
    if len(words) != 1 and not only_fit:
        parser.error("expected a run folder, or 'fit' and a run folder")
    folder = Path(words[-1])
    with open_campaign(folder) as campaign:
        if only_fit:
            fitted = calibrate(campaign.journal, campaign.scenario, fidelities)
            made, notes = [calibration(fitted.calibration), hold_out(fitted.hold_out)], fitted.notes
            written = write_calibration(fitted.calibration, folder)
        else:
            gap = gap_report(
                campaign.journal, campaign.scenario, campaign.schedulers, folder, plots=campaign.plots
            )
            made, notes, written = tables(gap), gap.notes, folder / PAGE_FILE
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    console.print(render(made, notes))
    console.print(f"written: {written}", soft_wrap=True, highlight=False)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return answered(partial(command, arguments, "python -m qexp.gap"))


if __name__ == "__main__":
    sys.exit(main())
