"""Letting deciders loose on real or simulated machines."""

from __future__ import annotations

from qexp.config.build import make
from qexp.config.identity import is_former, option_of
from qexp.deploy.campaign.journal import FILE, Journal
from qexp.deploy.campaign.lock import refuse_locked
from qexp.deploy.campaign.run import Prepared, check_account, check_journal, prepare, run_campaign
from qexp.deploy.deployment import Deployment
from qexp.placement.scenario import Scenario
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
        refuse_locked(work.folder.path)
        if work.resumes:
            check_journal(work.folder, confirmed=deployment.confirmed)
        check_account(self._campaign)
        self.resumable = True

    def run(self) -> None:
        """Conduct the campaign and write its gap report."""
        if self._campaign is None:
            return
        work, deciders = self.work, self.work.roster.placing
        found = run_campaign(self._campaign, deciders, work.folder.path, work.console)
        work.planned = found is None
        if found is None:
            return
        gap = self._report(self._campaign.scenario)
        for error, count in found["errors"].items():
            work.say(f"{count} not done: {error}", markup=False)
        work.deployment = found | {"gap": gap}

    def _report(self, scenario: Scenario) -> dict[str, float]:
        """Write the campaign's gap report, print the heart of it, and return its figures."""
        from qexp.gap.report import PAGE_FILE, gap_report
        from qexp.gap.show.tables import decomposition, hold_out, render, schedulers

        work, folder = self.work, self.work.folder.path
        with Journal(folder / FILE) as journal:
            gap = gap_report(journal, scenario, work.roster.placing, folder, plots=work.resolved["plots"])
        made = (decomposition(gap), schedulers(gap), hold_out(gap.hold_out))
        work.console.print(render(made, gap.notes))
        work.say(f"gap report: {relative(folder / PAGE_FILE)}")
        return {key: value for key, value in gap.metrics().items() if value is not None}
