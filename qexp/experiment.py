"""One run, from a configuration to its result: train, evaluate, deploy, report.

The command line, `qexp.run` and `qexp.Experiment` all come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from qexp.config.build import make
from qexp.config.schema import validate
from qexp.deploy.campaign.run import clear_journal, resume_hint
from qexp.errors import InputError, interrupt_behind
from qexp.fleet.fleet import FleetSource, fleet_of_run, record_fleet
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import Roster
from qexp.report.progress import report_console
from qexp.runfolder import RUN_FILE, RunFolder, relative
from qexp.stages.deploy import deploy, prepare_campaign
from qexp.stages.evaluation import compare
from qexp.stages.report import log_result, write_failure, write_result
from qexp.stages.resume import own_config, unfinished, write_limits
from qexp.stages.run import Identity, Result, Run
from qexp.stages.train import prepare_training, train_policy
from qexp.tracking import Tracking
from qexp.tracking.local import apply_environment


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
            folder.kept = folder.kept or (folder.path / RUN_FILE).exists()
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
    identity = Identity.of(resolved, problem.machines_hash)
    run = Run(resolved, problem, Roster.of(resolved), identity, folder, report_console(), resume, shared)
    for note in problem.notes:
        run.say(f"note: {note}", markup=False)
    training = prepare_training(run)
    problem.check_evaluation(resolved["eval"]["episodes"])
    campaign = prepare_campaign(run)
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
                train_policy(run, training)
            evaluation, rows = compare(run)
            deployment = None if campaign is None else deploy(run, campaign)
            planned = campaign is not None and deployment is None
            result = write_result(run, evaluation, rows, deployment, planned=planned)
        except BaseException as error:
            # Refused input leaves nothing behind, but what was trained is kept.
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
        run.tracker.log_params(run.resolved)
        run.tracker.log_params(identity.choices)
        tags = {key: getattr(identity, key) for key in ("seed", "config_hash", "fleet_hash", "git_commit")}
        run.tracker.set_tags({**tags, **identity.choices, "run_folder": str(folder.path)})
    folder.begin(identity.of_run | begun | {"mlflow_run_id": run.tracker.run_id or logged})
