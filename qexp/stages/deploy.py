"""Running circuits on real or simulated machines."""

from __future__ import annotations

from typing import Any

from qexp.config.build import make
from qexp.config.identity import is_former, option_of
from qexp.deploy.campaign.journal import FILE, Journal
from qexp.deploy.campaign.lock import refuse_locked
from qexp.deploy.campaign.run import Prepared, check_account, check_journal, prepare, run_campaign
from qexp.deploy.deployment import Deployment
from qexp.placement.scenario import Scenario
from qexp.runfolder import relative
from qexp.stages.run import Run


def prepare_campaign(run: Run) -> Prepared | None:
    """Plan the campaign and say what it will do; return None for ``deploy=none``.

    Raises:
        InputError: It cannot keep its limits, or cannot be begun or resumed.
    """
    name, roster = option_of(run.resolved, "deploy"), run.roster
    if name == "none" or not isinstance(run.problem, Scenario):
        return None
    if run.resumes and is_former(run.folder.path / "config.yaml"):
        roster.rename()
    deployment = make({**run.resolved["deploy"], "schedulers": roster.campaign}, Deployment)
    shadows = dict.fromkeys((*roster.campaign, roster.chosen, *roster.placing))
    campaign = prepare(deployment, run.problem, run.console, name, list(shadows))
    run.say(f"run folder: {relative(run.folder.path)}")
    refuse_locked(run.folder.path)
    if run.resumes:
        check_journal(run.folder, confirmed=deployment.confirmed)
    check_account(campaign)
    return campaign


def deploy(run: Run, campaign: Prepared) -> dict[str, Any] | None:
    """Run the campaign and write its gap report.

    Args:
        run: The run.
        campaign: From `prepare_campaign`.

    Returns:
        Its figures, with those of the gap; None if it waits to be confirmed.
    """
    from qexp.gap.report import PAGE_FILE, gap_report
    from qexp.gap.show.tables import decomposition, hold_out, render, schedulers

    deciders, folder = run.roster.placing, run.folder.path
    figures = run_campaign(campaign, deciders, folder, run.console)
    if figures is None:
        return None
    with Journal(folder / FILE) as journal:
        gap = gap_report(journal, campaign.scenario, deciders, folder, plots=run.resolved["plots"])
    tables = (decomposition(gap), schedulers(gap), hold_out(gap.hold_out))
    run.console.print(render(tables, gap.notes))
    run.say(f"gap report: {relative(folder / PAGE_FILE)}")
    for error, count in figures["errors"].items():
        run.say(f"{count} not done: {error}", markup=False)
    return figures | {"gap": {key: value for key, value in gap.metrics().items() if value is not None}}
