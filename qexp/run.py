"""One run, from a config to its result: train, export, evaluate, report.

The command line, tests and notebooks call `run`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from qexp.algo.checkpoint import drop_memories
from qexp.algo.config import Training
from qexp.backend.fleet import FleetSource
from qexp.backend.kept import fleet_of, keep
from qexp.build import make
from qexp.deploy.conduct import (
    Prepared,
    check_account,
    check_journal,
    clear_journal,
    conduct,
    go_on,
    prepare,
    report,
)
from qexp.deploy.deployment import Deployment
from qexp.deploy.lock import refuse_conducted
from qexp.env.decision_problem import DecisionProblem
from qexp.env.scenario import Scenario
from qexp.errors import InputError, interrupt_behind
from qexp.evaluate import evaluate
from qexp.evaluations import Evaluations
from qexp.option import REGISTRY
from qexp.policy.extract import extract
from qexp.progress import evaluation_progress, report_console, training_progress
from qexp.record import Identity, Result, log_result, run_name, write_failure, write_files, write_plots
from qexp.report.leaderboard import leaderboard, render, verdict
from qexp.resume import keep_limits, last_checkpoint, unfinished
from qexp.runfolder import CHECKPOINTS, COMPLETED, FAILED, PLANNED, RunFolder, relative
from qexp.scheduler.policy import PolicyScheduler
from qexp.scheduler.scheduler import Scheduler
from qexp.schema import is_installed, option_of, validate
from qexp.tracking import Tracker, Tracking

if TYPE_CHECKING:
    from qexp.algo.train import TrainingResult

log = logging.getLogger(__name__)


def run(config: DictConfig, folder: RunFolder, *, resume: bool = False, shared: Path | None = None) -> Result:
    """Run an experiment.

    Args:
        config: A composed config.
        folder: Where the files go.
        resume: Go on with the run that the folder holds, if it has the same config and is not complete: from
            its last checkpoint, in its MLflow run. Whatever else is there is replaced.
        shared: Folder in which runs that are evaluated alike share the evaluations of the baselines, or None.

    Raises:
        InputError: Something in the config cannot be used; nothing was written.
    """
    console = report_console()
    resolved = validate(config)
    episodes, seed = resolved["eval"]["episodes"], resolved["eval"]["seed"]
    algo = option_of(resolved, "algo")
    source = make(resolved["backend"], FleetSource)
    fleet = fleet_of(source, folder.path, begun=resume)
    scenario = make(resolved["env"], DecisionProblem, fleet=fleet, held_out=episodes)
    metric = scenario.metric
    scenario.check_evaluation(episodes)
    training_config = None
    if algo != "none":
        training_config = make(resolved["algo"], Training)
        scenario.check_training(resolved["seed"] if training_config.fleet_randomisation else None)
    for note in scenario.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    schedulers = _schedulers(resolved, algo)
    learned = algo if algo != "none" else next((name for name in schedulers if name == "policy"), None)
    identity = Identity.of(resolved, scenario.machines_hash)

    campaign = _campaign(resolved, scenario, folder, console, resume)
    begun = _begun(folder, identity, console, resume)

    training = None
    with make(resolved["tracking"], Tracking).start(
        run_name(resolved, scenario.label, folder.path), run_id=begun.get("mlflow_run_id"), folder=folder.path
    ) as tracker:
        try:
            _begin(resolved, folder, begun, identity, tracker)
            keep(source, fleet, folder.path)
            if training_config is not None:
                ray_address = resolved["ray"]["address"]
                checkpoint = last_checkpoint(folder, console) if begun else None
                training = _train(
                    training_config,
                    scenario,
                    folder.path,
                    identity,
                    tracker,
                    console,
                    ray_address,
                    checkpoint,
                )
                schedulers = {algo: PolicyScheduler(path=str(folder.path / "policy")), **schedulers}
            with evaluation_progress(len(schedulers), console) as done:
                evaluation = evaluate(
                    scenario,
                    schedulers,
                    episodes=episodes,
                    seed=seed,
                    on_scheduler=done,
                    shared=_evaluations(resolved, identity, shared),
                )
            rows = leaderboard(evaluation.episodes, metric, seed=seed)
            console.print(render(rows, learned, metric))
            if learned is not None:
                sentence = verdict(rows, evaluation.episodes, learned, metric)
                console.print(sentence, style="bold", highlight=False, soft_wrap=True)
            deployment = _deploy(campaign, resolved, schedulers, folder.path, console)
            result = Result(
                folder.path, rows, training, tracker.run_id, deployment, _status(campaign, deployment)
            )
            if resolved["plots"]:
                write_plots(result, evaluation, scenario, seed, learned)
            write_files(result, evaluation, identity, folder)
            drop_memories(folder.path / CHECKPOINTS)
        except BaseException as error:
            # Refused input leaves nothing behind, but what was trained is kept.
            if training is not None or not isinstance(error, InputError):
                write_failure(error, identity, folder, tracker)
            # A sweep is gone on with as a whole.
            _say_how_to_go_on(
                error, folder.path, console, resumable=shared is None and bool(training_config or campaign)
            )
            raise
        # The run is complete and on disk, whatever the tracker makes of it.
        log_result(result, tracker, scenario, decider=next(iter(schedulers)), drawn=resolved["plots"])
    console.print(f"run folder: {relative(folder.path)}", soft_wrap=True, highlight=False)
    return result


def _begun(folder: RunFolder, identity: Identity, console: Console, resume: bool) -> dict[str, Any]:
    """Return what is on record of the run to go on with; nothing for a new one, which gets room."""
    begun = unfinished(folder, identity, console) if resume else {}
    if not begun:
        clear_journal(folder.path)
    return begun


def _begin(
    resolved: dict[str, Any], folder: RunFolder, begun: dict[str, Any], identity: Identity, tracker: Tracker
) -> None:
    """Write down what this run is, unless it goes on with one that has ``begun``."""
    if begun:
        folder.forget_result()
        keep_limits(folder, resolved)
    else:
        folder.forget_run()
        OmegaConf.save(OmegaConf.create(resolved), folder.path / "config.yaml")
    logged = begun.get("mlflow_run_id")
    if logged is None or tracker.run_id != logged:
        tracker.log_params(resolved)
        tracker.log_params(identity.choices)
        tracker.set_tags({**identity.tags, "run_folder": str(folder.path)})
    folder.begin(identity.of_run | begun | {"mlflow_run_id": tracker.run_id or logged})


def _evaluations(resolved: Mapping[str, Any], identity: Identity, folder: Path | None) -> Evaluations | None:
    """Return where evaluations are shared; the chosen scheduler's are not, as its keys may differ."""
    if folder is None:
        return None
    depends_on = {key: getattr(identity, key) for key in ("fleet_hash", "versions", "git_commit")}
    return Evaluations(
        folder,
        depends_on
        | {"env": resolved["env"], "eval": [resolved["eval"]["episodes"], resolved["eval"]["seed"]]},
        set(resolved["eval"]["baselines"]) - {option_of(resolved, "scheduler")},
    )


def _schedulers(resolved: Mapping[str, Any], algo: str) -> dict[str, Scheduler]:
    """Return the chosen scheduler, unless it is still to be trained, and the baselines.

    Raises:
        InputError: One needs a package that is not installed, or is a policy for another environment.
    """
    schedulers: dict[str, Scheduler] = {}
    env = option_of(resolved, "env")
    if algo == "none":
        chosen = make(resolved["scheduler"], Scheduler)
        if chosen.environment != env:
            path = resolved["scheduler"]["path"]
            raise InputError(f"scheduler.path: {path} is a policy for env={chosen.environment}, not {env}")
        schedulers[option_of(resolved, "scheduler")] = chosen
    for name in resolved["eval"]["baselines"]:
        if name not in schedulers:
            schedulers[name] = REGISTRY["scheduler"][name]()
    for name, scheduler in schedulers.items():
        if not is_installed(name):
            raise InputError(f"scheduler {name} needs {scheduler.needs}: pip install 'qexp[exact]'")
    return schedulers


def _say_how_to_go_on(error: BaseException, folder: Path, console: Console, *, resumable: bool) -> None:
    if resumable and interrupt_behind(error):
        console.print(go_on(folder), soft_wrap=True, highlight=False)


def _campaign(
    resolved: Mapping[str, Any], scenario: DecisionProblem, folder: RunFolder, console: Console, resume: bool
) -> Prepared | None:
    """Plan what is deployed, and say so, before anything takes time; None if nothing is."""
    name = option_of(resolved, "deploy")
    if name == "none" or not isinstance(scenario, Scenario):
        return None
    algo = option_of(resolved, "algo")
    own = algo if algo != "none" else option_of(resolved, "scheduler")
    # A policy goes by the name of what trained it, as on the leaderboard.
    names = [own if scheduler == "policy" else scheduler for scheduler in resolved["deploy"]["schedulers"]]
    deployment = make({**resolved["deploy"], "schedulers": names or [own]}, Deployment)
    known = dict.fromkeys((*deployment.schedulers, own, *resolved["eval"]["baselines"]))
    campaign = prepare(deployment, scenario, console, name, [who for who in known if who != "clairvoyant"])
    console.print(f"run folder: {relative(folder.path)}", soft_wrap=True, highlight=False)
    refuse_conducted(folder.path)
    if resume:
        check_journal(folder, confirmed=deployment.confirmed)
    check_account(campaign)
    return campaign


def _deploy(
    campaign: Prepared | None,
    resolved: Mapping[str, Any],
    schedulers: dict[str, Scheduler],
    folder: Path,
    console: Console,
) -> dict[str, Any] | None:
    """Conduct the campaign, if there is one, with the schedulers that were evaluated and those it names."""
    if campaign is None:
        return None
    known = {name: scheduler for name, scheduler in schedulers.items() if name != "clairvoyant"}
    for name in resolved["deploy"]["schedulers"]:
        if name not in known and name != "policy":
            known[name] = REGISTRY["scheduler"][name]()
    found = conduct(campaign, known, folder, console)
    if found is None:
        return None
    gap = report(campaign.scenario, known, folder, console, plots=resolved["plots"])
    for error, count in found["errors"].items():
        console.print(f"{count} not done: {error}", soft_wrap=True, highlight=False, markup=False)
    return found | {"gap": gap}


def _status(campaign: Prepared | None, deployment: Mapping[str, Any] | None) -> str:
    """Return what a run has come to, see `Result`."""
    if campaign is None:
        return COMPLETED
    if deployment is None:
        return PLANNED
    return COMPLETED if deployment["tasks"].get("done") else FAILED


def _train(
    config: Training,
    scenario: DecisionProblem,
    folder: Path,
    identity: Identity,
    tracker: Tracker,
    console: Console,
    ray_address: str | None,
    checkpoint: Path | None,
) -> TrainingResult:
    """Train, and export the policy to the run folder."""
    fleet_seed = identity.seed if config.fleet_randomisation else None
    with training_progress(config.env_steps, config.seconds, console, scenario.metric) as advance:
        from qexp.algo.train import train  # imports Ray and Torch: long enough to show the bar before

        def on_iteration(row: Mapping[str, float]) -> None:
            advance(row)
            figures = {f"train/{key}": value for key, value in row.items() if key != "iteration"}
            tracker.log_metrics(figures, int(row["iteration"]))

        training = train(
            config,
            make_vector_env=partial(scenario.make_vector_env, fleet_seed=fleet_seed),
            decisions=scenario.decisions,
            seed=identity.seed,
            folder=folder,
            on_iteration=on_iteration,
            bundle_metadata=identity.of_policy | scenario.of_policy,
            ray_address=ray_address,
            resume_from=checkpoint,
        )
    log.info("trained %d env steps in %.1f s", training.env_steps, training.seconds)
    extract(training.checkpoint, folder / "policy")
    return training
