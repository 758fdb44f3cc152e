"""``qexp gap RUN_FOLDER``: make a campaign's gap report again, from its files alone.

``qexp gap fit RUN_FOLDER`` only fits the calibration, and says what it is worth.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qexp.config.build import make
from qexp.config.identity import is_former, option_of
from qexp.config.schema import validate
from qexp.deploy.campaign.journal import FILE, Journal
from qexp.errors import InputError, answered
from qexp.fleet.account import refuse_secrets
from qexp.fleet.fleet import FleetSource, fleet_of_run
from qexp.gap.gap import calibrate
from qexp.gap.measure.fidelity import fidelities
from qexp.gap.report import PAGE_FILE, gap_report, write_calibration
from qexp.placement.placement import Placement
from qexp.placement.schedulers.placer import Placer
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.problem.roster import Roster

WIDTH = 120
"""Columns of the tables where the output is no terminal."""


@dataclass(frozen=True)
class Recorded:
    """The campaign of a run."""

    journal: Journal
    scenario: Placement
    schedulers: dict[str, Placer]  # those of the campaign, and the run's baselines but the clairvoyant
    plots: bool | str  # format of the run's plots; true, for PNG, if it draws none


@contextmanager
def open_campaign(folder: Path) -> Iterator[Recorded]:
    """Read the journal and the config.yaml of a run folder; the journal is closed in the end.

    Raises:
        InputError: It is no such folder, it cannot be written to, or its configuration cannot be used (any
            more).
    """
    for name in (FILE, "config.yaml"):
        if not (folder / name).is_file():
            raise InputError(f"{folder} is not the folder of a campaign: it has no {name}")
    if not os.access(folder, os.W_OK):  # reading the journal writes its write-ahead files
        raise InputError(f"{folder} cannot be written to: the report is made in the run folder")
    resolved = _config(folder / "config.yaml")
    fleet = fleet_of_run(make(resolved["backend"], FleetSource), folder, begun=True)
    scenario = make(resolved["env"], Placement, fleet=fleet)
    with Journal(folder / FILE) as journal:
        roster = Roster.of(resolved, lenient=True)
        if option_of(resolved, "algo") != "none":
            with suppress(InputError):  # the policy is not there any more, or cannot be read any more
                roster.trained(PolicyScheduler(path=str(folder / "policy")))
        names = [task.scheduler for task in journal.tasks()]
        if is_former(folder / "config.yaml"):
            roster.rename()
        placing = roster.placing
        known = dict.fromkeys([*names, *placing])
        schedulers = {name: placing[name] for name in known if name in placing}
        yield Recorded(journal, scenario, schedulers, resolved["plots"] or True)


def _config(path: Path) -> Mapping[str, Any]:
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, DictConfig):
        raise InputError(f"{path} is not a configuration")
    return validate(config)


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
