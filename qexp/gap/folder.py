"""A campaign in its run folder: its journal, and the problem and schedulers of its configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qexp.config.build import make
from qexp.config.identity import is_former, option_of
from qexp.config.schema import validate
from qexp.deploy.campaign.journal import FILE, Journal
from qexp.errors import InputError
from qexp.fleet.fleet import FleetSource, fleet_of_run
from qexp.placement.placement import Placement
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.problem.roster import Roster


@dataclass(frozen=True)
class Recorded:
    """What a gap report is made of.

    Attributes:
        journal: The campaign's.
        scenario: The placement problem.
        schedulers: Those of the campaign, and the run's baselines but the clairvoyant, by name.
        plots: Format of the run's plots; true, for PNG, if it draws none.
    """

    journal: Journal
    scenario: Scenario
    schedulers: dict[str, Placer]
    plots: bool | str


@contextmanager
def open_campaign(folder: Path) -> Iterator[Recorded]:
    """Read a run folder; the journal is closed in the end.

    Args:
        folder: With a journal and a config.yaml.

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
