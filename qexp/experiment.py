"""One run, from a configuration to its result: train, evaluate, deploy, report.

The command line, `qexp.run` and `qexp.Experiment` all come here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from qexp.algo.checkpoint import newest_checkpoint
from qexp.algo.training import Training
from qexp.config.build import make
from qexp.config.identity import is_former, option_of
from qexp.config.schema import validate
from qexp.deploy.campaign.journal import FILE, Journal
from qexp.deploy.campaign.lock import refuse_locked
from qexp.deploy.campaign.run import (
    Prepared,
    check_account,
    check_journal,
    clear_journal,
    prepare,
    resume_hint,
    run_campaign,
)
from qexp.deploy.deployment import Deployment
from qexp.errors import InputError, interrupt_behind
from qexp.fleet.fleet import FleetSource, fleet_of_run, record_fleet
from qexp.placement.scenario import Scenario
from qexp.problem.extract import extract
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import Roster
from qexp.report.progress import report_console, training_progress
from qexp.runfolder import CHECKPOINTS, RUN_FILE, RunFolder, relative
from qexp.stages.evaluation import compare
from qexp.stages.report import log_result, write_failure, write_result
from qexp.stages.resume import own_config, unfinished, write_limits
from qexp.stages.run import Result, Run, identity_of
from qexp.tracking import Tracking
from qexp.tracking.local import apply_environment

log = logging.getLogger(__name__)

_ONE_AT_A_TIME = threading.Lock()
"""Ray, and Torch's number of threads, belong to the whole process."""


def start(config: DictConfig, folder: RunFolder, typed: Sequence[str]) -> Result:
    """Run what a command composed: a new run, or with ``resume`` the one that the folder holds.

    Args:
        config: The composed configuration.
        folder: Where the files go; it is left as it was if the input cannot be used.
        typed: The command's overrides.

    Raises:
        InputError: Something in the command cannot be used.
    """
    with folder:
        if config.sweep is not None:
            raise InputError(f"sweep={config.sweep} names a multirun: run it with qexp -m")
        apply_environment(config, typed)
        resumes = config.resume is not None
        if resumes:
            folder.existing = folder.existing or (folder.path / RUN_FILE).exists()
            config = own_config(folder, config, typed)
        return run(config, folder, resume=resumes)


def run(
    config: DictConfig | Mapping[str, Any],
    folder: RunFolder,
    *,
    resume: bool = False,
    shared: Path | None = None,
) -> Result:
    """Run an experiment.

    Args:
        config: A composed or a resolved configuration.
        folder: Where the files go.
        resume: Continue the run that the folder holds, if it has the same config and is not complete: from
            its last checkpoint, in its MLflow run. Whatever else is there is replaced.
        shared: Folder in which runs that are evaluated alike share the evaluations of the baselines, or None.

    Raises:
        InputError: Something in the config cannot be used; nothing was written.
    """
    resolved = validate(config)
    source = make(resolved["backend"], FleetSource)
    fleet = fleet_of_run(source, folder.path, begun=resume)
    problem = make(resolved["env"], DecisionProblem, fleet=fleet, held_out=resolved["eval"]["episodes"])
    identity = identity_of(resolved, problem.machines_hash)
    run = Run(resolved, problem, Roster.of(resolved), identity, folder, report_console(), resume, shared)
    for note in problem.notes:
        run.say(f"note: {note}", markup=False)
    training = _prepare_training(run)
    problem.check_evaluation(resolved["eval"]["episodes"])
    campaign = _prepare_campaign(run)
    run.begun = unfinished(folder, resolved, identity, run.console) if resume else {}
    if not run.begun:
        clear_journal(folder.path)
    recorded = make(resolved["tracking"], Tracking).start(
        run.name, run_id=run.begun.get("mlflow_run_id"), folder=folder.path
    )
    with recorded as run.tracker:
        try:
            _begin(run)
            record_fleet(source, fleet, folder.path)
            if training is not None:
                _train(run, training)
            evaluation, rows = compare(run)
            deployment = None if campaign is None else _deploy(run, campaign)
            planned = campaign is not None and deployment is None
            result = write_result(run, evaluation, rows, deployment, planned=planned)
        except BaseException as error:
            # Refused input leaves nothing behind, but what was trained stays.
            if run.training is not None or not isinstance(error, InputError):
                write_failure(run, error)
            # A sweep is resumed as a whole.
            if shared is None and (training or campaign) and interrupt_behind(error):
                run.say(resume_hint(folder.path))
            raise
        log_result(run, result)
    run.say(f"run folder: {relative(folder.path)}")
    return result


def _begin(run: Run) -> None:
    """Write down what this run is, unless it continues one that has begun."""
    folder, identity, begun = run.folder, run.identity, run.begun
    if begun:
        folder.forget_result()
        write_limits(folder, run.resolved)
    else:
        folder.forget_run()
        OmegaConf.save(OmegaConf.create(dict(run.resolved)), folder.path / "config.yaml")
    logged = begun.get("mlflow_run_id")
    if logged is None or run.tracker.run_id != logged:
        choices = {group.replace("/", "."): name for group, name in identity["options"].items()}
        tags = {key: identity[key] for key in ("seed", "config_hash", "fleet_hash", "git_commit")}
        run.tracker.log_params(run.resolved)
        run.tracker.log_params(choices)
        run.tracker.set_tags({**tags, **choices, "run_folder": str(folder.path)})
    own = {key: identity[key] for key in ("config_hash", "fleet_hash", "versions")}
    folder.begin(own | begun | {"mlflow_run_id": run.tracker.run_id or logged})


def _prepare_training(run: Run) -> Training | None:
    """Return the settings of the training, None for ``algo=none``; refuse what cannot be trained."""
    if option_of(run.resolved, "algo") == "none":
        return None
    training = make(run.resolved["algo"], Training)
    run.problem.check_training(_fleet_seed(run, training))
    return training


def _fleet_seed(run: Run, training: Training) -> int | None:
    return run.identity["seed"] if training.fleet_randomisation else None


def _train(run: Run, training: Training) -> None:
    """Train, export the policy, and enter it in the roster."""
    checkpoint = _last_checkpoint(run) if run.begun else None
    metric, steps, seconds = run.problem.metric, training.env_steps, training.seconds
    with _ONE_AT_A_TIME, training_progress(steps, seconds, run.console, metric) as advance:
        from qexp.algo.train import train  # imports Ray and Torch: long enough to show the bar before

        def on_iteration(row: Mapping[str, float]) -> None:
            advance(row)
            figures = {f"train/{key}": value for key, value in row.items() if key != "iteration"}
            run.tracker.log_metrics(figures, int(row["iteration"]))

        origin = {key: run.identity[key] for key in ("seed", "config_hash", "fleet_hash", "versions")}
        run.training = train(
            training,
            name=option_of(run.resolved, "algo"),
            make_vector_env=partial(run.problem.make_vector_env, fleet_seed=_fleet_seed(run, training)),
            decisions=run.problem.decisions,
            seed=run.identity["seed"],
            folder=run.folder.path,
            on_iteration=on_iteration,
            bundle_metadata=origin | run.problem.of_policy,
            ray_address=run.resolved["ray"]["address"],
            resume_from=checkpoint,
        )
    log.info("trained %d env steps in %.1f s", run.training.env_steps, run.training.seconds)
    extract(run.training.checkpoint, run.folder.path / "policy")
    run.roster.trained(PolicyScheduler(path=str(run.folder.path / "policy")))


def _last_checkpoint(run: Run) -> Path | None:
    """Return the newest checkpoint that is whole, or None; say from where training continues."""
    checkpoint, damaged = newest_checkpoint(run.folder.path / CHECKPOINTS)
    for path in damaged:
        run.console.print(f"note: {path.name} is damaged and left out")
    if checkpoint is None:
        run.console.print("no checkpoint: training starts from the beginning")
    else:
        run.console.print(f"training continues from {checkpoint.name}")
    return checkpoint


def _prepare_campaign(run: Run) -> Prepared | None:
    """Plan the campaign and say what it will do; refuse one that cannot keep its limits, begin or resume."""
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


def _deploy(run: Run, campaign: Prepared) -> dict[str, Any] | None:
    """Run the campaign and write its gap report; return both's figures, or None if it is not confirmed."""
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
