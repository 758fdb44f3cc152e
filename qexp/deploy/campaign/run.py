"""A campaign from a run's point of view: plan it, begin or resume it, show it, and leave it in order."""

from __future__ import annotations

import logging
import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from qexp.config.option import REGISTRY, name_of
from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.display import campaign_display, show_plan
from qexp.deploy.campaign.journal import FILE, Journal, State
from qexp.deploy.campaign.lock import locked, refuse_locked
from qexp.deploy.campaign.plan import Estimate, Segment, planned_tasks, segments
from qexp.deploy.campaign.spend_guard import StoppedError, spent
from qexp.deploy.deployment import Deployment
from qexp.deploy.executors.executor import Executor, ExecutorError
from qexp.errors import InputError, Terminated
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer
from qexp.report.wording import number_of
from qexp.runfolder import RunFolder, relative, resume_with

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A campaign that is planned and not begun, and what it would cost."""

    deployment: Deployment
    scenario: Scenario
    plan: Sequence[Segment]
    estimate: Estimate


def prepare(
    deployment: Deployment,
    scenario: Scenario,
    console: Console,
    executor: str,
    shadows: Sequence[str] = (),
) -> Prepared:
    """Plan a campaign, refuse one that cannot keep its limits, and print what it will do.

    Args:
        deployment: The settings.
        scenario: The placement problem.
        console: Where to print.
        executor: What it runs on, in a word.
        shadows: Schedulers that are asked without effect when others place, by name.

    Raises:
        InputError: Its limits are too small for it, or its workload, or it cannot be run.
    """
    if scenario.initial_backlog:
        raise InputError(
            f"env.initial_backlog={scenario.initial_backlog:g}: campaigns cannot make machines busy before "
            "they begin; leave it out, or deploy nothing"
        )
    plan = segments(scenario, deployment, deployment.schedulers)
    deployment.check(scenario, sorted({name for segment in plan for name in segment.episode.names}))
    estimate = Estimate.of(plan)
    _check_limits(deployment, estimate)
    show_plan(plan, estimate, deployment, scenario.fleet, console, executor, shadows)
    return Prepared(deployment, scenario, plan, estimate)


def _check_limits(deployment: Deployment, estimate: Estimate) -> None:
    guard, longest, several = deployment.guard, estimate.longest, len(deployment.schedulers)
    if guard.max_jobs is not None and estimate.jobs > guard.max_jobs:
        raise InputError(
            f"deploy.max_jobs={guard.max_jobs}: the campaign has {estimate.jobs} jobs "
            f"(deploy.tasks={deployment.tasks} for each of {number_of(several, 'scheduler')})"
        )
    if guard.max_quantum_seconds is not None and estimate.least > guard.max_quantum_seconds:
        raise InputError(
            f"deploy.max_quantum_seconds={guard.max_quantum_seconds:g}: the campaign needs at least "
            f"{estimate.least:.0f} s of quantum time by the estimate; lower deploy.tasks or raise the limit"
        )
    if guard.most is not None and longest > guard.most:
        raise InputError(
            f"deploy.max_execution_time={guard.most:g}: the longest job takes {longest:.1f} s of quantum "
            "time by the estimate, and would be stopped; raise the limit or lower env.workload.shots"
        )
    if guard.max_quantum_seconds is not None and guard.most_of(longest) > guard.max_quantum_seconds:
        raise InputError(
            f"deploy.max_quantum_seconds={guard.max_quantum_seconds:g}: a single job may take "
            f"{guard.most_of(longest):g} s (deploy.max_execution_time); raise the one or lower the other"
        )


def check_account(prepared: Prepared) -> None:
    """Raise `InputError` if a campaign's account is not accepted: before hours of training, not after."""
    if prepared.deployment.paid and prepared.deployment.confirmed:
        prepared.deployment.executor(prepared.scenario).close()


def check_journal(folder: RunFolder, *, confirmed: bool) -> None:
    """Refuse what cannot be resumed, before anything takes time.

    Args:
        folder: Of the run that is resumed.
        confirmed: Whether anything may be submitted.

    Raises:
        InputError: The journal is gone or damaged, or nothing may be submitted although jobs were.
    """
    path, campaign = folder.path / FILE, (folder.begun or {}).get("campaign")
    if path.exists():
        Journal(path).close()
        if not confirmed:
            raise InputError(
                f"{relative(folder.path)} holds a campaign that was confirmed before: continue with "
                f"{resume_with(folder.path)} deploy.confirm=true"
            )
    elif campaign is not None:
        raise InputError(
            f"{relative(path)} is gone, and with it what became of the jobs that are tagged {campaign}: "
            "put it back, or start a new run in another folder"
        )


def clear_journal(folder: Path) -> None:
    """Make room for a new campaign in a used folder; raise `InputError` if jobs would be forgotten."""
    path = folder / FILE
    if not path.exists():
        return
    refuse_locked(folder)
    with Journal(path) as journal:
        tasks, option = journal.tasks(), REGISTRY["deploy"].get(str(journal.meta["executor"]))
    if any(not task.state.final for task in tasks):
        raise InputError(
            f"{relative(folder)} holds a campaign that is not over: continue with {resume_with(folder)}, or "
            "choose another folder"
        )
    jobs, _ = spent(tasks)
    if jobs and getattr(option, "paid", False):
        raise InputError(
            f"{relative(folder)} holds the journal of {jobs} jobs that were sent for real: choose another "
            f"folder, or move {FILE} away"
        )
    path.unlink()


def run_campaign(
    prepared: Prepared, schedulers: Mapping[str, Placer], folder: Path, console: Console
) -> dict[str, Any] | None:
    """Run a campaign to its end; where the folder has one, resume it.

    Args:
        prepared: The plan.
        schedulers: All there are, by name.
        folder: Run folder: the journal is or will be there.
        console: Where to show how it goes.

    Returns:
        Tasks by state, errors, orders, quantum seconds and times; None if nothing may be submitted.

    Raises:
        InputError: It cannot begin or continue: the line says why, and how to.
        KeyboardInterrupt: By the user, or by SIGTERM; the journal is complete.
    """
    deployment, scenario = prepared.deployment, prepared.scenario
    if not deployment.confirmed:
        console.print("nothing was submitted: deploy.confirm=true submits", style="bold", highlight=False)
        console.print(f"{resume_hint(folder)} deploy.confirm=true", soft_wrap=True, highlight=False)
        return None
    with locked(folder):
        resumes = (folder / FILE).exists()
        with _journal(prepared, folder) as journal, deployment.executor(scenario) as executor:
            campaign = Campaign(journal, scenario, prepared.plan, schedulers, executor, deployment)
            _check_quota(campaign, prepared.estimate, console)
            executor.start(_clock(journal, executor))
            if resumes and (left := sum(not task.state.final for task in campaign.tasks)):
                journal.note("resumed", executor.now(), f"{left} of {len(campaign.tasks)} tasks not over")
            try:
                with campaign_display(campaign, console) as show:
                    campaign.on_change = show
                    campaign.run()
            except KeyboardInterrupt as interrupt:
                _offer_to_cancel(campaign, console, ask=not isinstance(interrupt, Terminated))
                raise
            except (StoppedError, ExecutorError) as error:
                raise InputError(_stopped(error, campaign, folder)) from error
            return _summary(campaign)


def resume_hint(folder: Path) -> str:
    """Say how to continue the run in a folder."""
    return f"continue with: python -m qexp {resume_with(folder)}"


def _stopped(error: StoppedError | ExecutorError, campaign: Campaign, folder: Path) -> str:
    """Say why a campaign stopped, how to continue it, and how to see what was done."""
    raised = f" {error.limit}=N" if isinstance(error, StoppedError) and error.limit else ""
    seen = f"see what was done with python -m qexp.gap {shlex.quote(str(relative(folder)))}, "
    done = any(task.state is State.DONE for task in campaign.tasks)
    return f"deploy: {error}; {seen if done else ''}continue with {resume_with(folder)}{raised}"


def _journal(prepared: Prepared, folder: Path) -> Journal:
    """Open the journal in a folder; begin one if there is none."""
    path, deployment, scenario = folder / FILE, prepared.deployment, prepared.scenario
    if path.exists():
        return Journal(path)
    meta = {
        "campaign": f"qexp-{secrets.token_hex(6)}",
        "origin": time.time(),
        "executor": name_of(type(deployment), "deploy"),
        "schedulers": deployment.schedulers,
        "clock": deployment.clock,
        "speed": deployment.speed,
        "seed": deployment.seed,
        "block": deployment.block,
        "fleet": scenario.fleet.names,
        "fleet_hash": scenario.fleet.hash,
    }
    journal = Journal.create(path, planned_tasks(prepared.plan, deployment), meta)
    run = RunFolder(folder)
    if (begun := run.begun) is not None:  # should the journal get lost, nothing is sent again unawares
        run.begin({**begun, "campaign": meta["campaign"]})
    return journal


def _check_quota(campaign: Campaign, estimate: Estimate, console: Console) -> None:
    """Refuse to begin what the account cannot pay for."""
    try:
        left = campaign.executor.quantum_seconds_left()
    except ExecutorError as error:
        log.warning("the account's usage is not known: %s", error)
        return
    if left is None:
        return
    console.print(f"the account has {left:.0f} s of quantum time left", highlight=False)
    if left < estimate.least and not any(task.tag for task in campaign.tasks):
        raise InputError(
            f"deploy.tasks={campaign.deployment.tasks}: the campaign needs at least {estimate.least:.0f} s "
            f"of quantum time by the estimate, and the account has {left:.0f} s left"
        )


def _clock(journal: Journal, executor: Executor) -> float:
    """Return what the campaign's clock shows: it ran on while jobs did, and else stood still."""
    # Not back before what is written down, if somebody has set the system's clock.
    real = time.time() - float(journal.meta["origin"]) if executor.keeps_jobs else 0.0
    return max(real, journal.last_time)


def _offer_to_cancel(campaign: Campaign, console: Console, *, ask: bool) -> None:
    """Ask whether to cancel what waits; another interrupt leaves at once."""
    waiting = len(campaign.in_queues)
    if not campaign.executor.keeps_jobs or not waiting:
        return
    console.print(f"{number_of(waiting, 'job')} in queues; the journal is complete either way.")
    if not (ask and console.is_terminal and sys.stdin.isatty()):
        console.print("They stay there until the campaign continues, or the vendor's tools cancel them.")
    elif console.input(r"cancel them? \[y/N] ").strip().lower() in {"y", "yes"}:
        console.print(f"cancelled {campaign.cancel_queued()} of {waiting}")


def _summary(campaign: Campaign) -> dict[str, Any]:
    """Return what a run's result says of a campaign."""
    tasks, meta = campaign.tasks, campaign.journal.meta
    jobs, seconds = spent(tasks)
    by_scheduler: dict[str, dict[str, Any]] = {}
    for name in meta["schedulers"]:
        done = [task for task in tasks if task.scheduler == name and task.state is State.DONE]
        times = [t.finished - t.arrival for t in done if t.finished is not None and t.arrival is not None]
        by_scheduler[name] = {
            "done": len(done),
            "completion_time_mean": sum(times) / len(times) if times else None,
            "total_completion_time": sum(times) if times else None,
        }
    not_done = [task for task in tasks if task.state.final and task.state is not State.DONE]
    return {
        "campaign": meta["campaign"],
        "executor": meta["executor"],
        "tasks": dict(Counter(str(task.state) for task in tasks)),
        "errors": dict(Counter(task.error or str(task.state) for task in not_done)),
        "jobs": jobs,
        "quantum_seconds": seconds,
        "schedulers": by_scheduler,
    }
