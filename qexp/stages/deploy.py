"""Letting deciders loose on real or simulated machines."""

from __future__ import annotations

from qexp.config.build import make
from qexp.config.identity import is_former, option_of
from qexp.deploy.conduct import (
    Prepared,
    check_account,
    check_journal,
    conduct,
    prepare,
    report,
)
from qexp.deploy.deployment import Deployment
from qexp.deploy.lock import refuse_conducted
from qexp.env.scenario import Scenario
from qexp.runfolder import relative
from qexp.stages.stage import Stage, Work


class Deploy(Stage):
    """Runs a campaign, unless ``deploy=none``."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._campaign: Prepared | None = None

    def prepare(self) -> None:
        """Plan the campaign and say what it will do; refuse one that cannot keep its limits."""
        work, name = self.work, option_of(self.work.resolved, "deploy")
        if name == "none" or not isinstance(work.problem, Scenario):
            return
        roster = work.roster
        if work.resumes and is_former(work.folder.path / "config.yaml"):
            roster.rename()
        deployment = make({**work.resolved["deploy"], "schedulers": roster.campaign}, Deployment)
        shadows = dict.fromkeys((*roster.campaign, roster.chosen, *roster.placing))
        self._campaign = prepare(deployment, work.problem, work.console, name, list(shadows))
        work.say(f"run folder: {relative(work.folder.path)}")
        refuse_conducted(work.folder.path)
        if work.resumes:
            check_journal(work.folder, confirmed=deployment.confirmed)
        check_account(self._campaign)
        self.resumable = True

    def run(self) -> None:
        """Conduct the campaign and write its gap report."""
        if self._campaign is None:
            return
        work, deciders = self.work, self.work.roster.placing
        found = conduct(self._campaign, deciders, work.folder.path, work.console)
        work.planned = found is None
        if found is None:
            return
        drawn = work.resolved["plots"]
        gap = report(self._campaign.scenario, deciders, work.folder.path, work.console, plots=drawn)
        for error, count in found["errors"].items():
            work.say(f"{count} not done: {error}", markup=False)
        work.deployment = found | {"gap": gap}
