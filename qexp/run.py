"""One run, from a config to its result: train, export, evaluate, report.

The command line, tests and notebooks call `run`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from qexp.algo.config import Training
from qexp.backend.fleet import FleetFile
from qexp.build import make
from qexp.env.scenario import Scenario
from qexp.errors import InputError
from qexp.evaluate import evaluate
from qexp.option import REGISTRY
from qexp.policy.extract import extract
from qexp.progress import evaluation_progress, training_progress
from qexp.record import Identity, Result, log_result, write_failure, write_files, write_plots
from qexp.report.leaderboard import leaderboard, render, verdict
from qexp.runfolder import RunFolder
from qexp.scheduler.policy import PolicyScheduler
from qexp.scheduler.scheduler import Scheduler
from qexp.schema import option_of, validate
from qexp.tracking import Tracker, Tracking

if TYPE_CHECKING:
    from qexp.algo.train import TrainingResult

log = logging.getLogger(__name__)


def run(config: DictConfig, folder: RunFolder) -> Result:
    """Run an experiment.

    Args:
        config: A composed config.
        folder: Where the files go.

    Raises:
        InputError: Something in the config cannot be used; nothing was written.
    """
    console = Console()
    resolved = validate(config)
    episodes, seed = resolved["eval"]["episodes"], resolved["eval"]["seed"]
    algo = option_of(resolved, "algo")
    fleet = make(resolved["backend"], FleetFile).load()
    scenario = make(resolved["env"], Scenario, fleet=fleet, held_out=episodes)
    scenario.check_evaluation(episodes)
    training_config = None
    if algo != "none":
        scenario.check_training()
        training_config = make(resolved["algo"], Training)
    if scenario.longest < scenario.tasks:
        console.print(f"note: env.tasks={scenario.tasks}, but no subset has more than {scenario.longest}")
    schedulers = _schedulers(resolved, algo)
    learned = algo if algo != "none" else next((name for name in schedulers if name == "policy"), None)
    identity = Identity.of(resolved, fleet)

    training = None
    with make(resolved["tracking"], Tracking).start(_run_name(resolved, algo)) as tracker:
        try:
            folder.forget_result()
            OmegaConf.save(config, folder.path / "config.yaml", resolve=True)
            tracker.log_params(resolved)
            tracker.set_tags({**identity.tags, "run_folder": str(folder.path)})
            if training_config is not None:
                training = _train(training_config, scenario, folder.path, identity, tracker, console)
                schedulers = {algo: PolicyScheduler(path=str(folder.path / "policy")), **schedulers}
            with evaluation_progress(len(schedulers), console) as done:
                evaluation = evaluate(scenario, schedulers, episodes=episodes, seed=seed, on_scheduler=done)
            rows = leaderboard(evaluation.episodes, seed=seed)
            console.print(render(rows, learned))
            if learned is not None:
                console.print(
                    verdict(rows, evaluation.episodes, learned), style="bold", highlight=False, soft_wrap=True
                )
            result = Result(folder.path, rows, training, tracker.run_id)
            if resolved["plots"]:
                write_plots(result, evaluation, fleet.names, learned)
            write_files(result, evaluation, identity, folder)
        except BaseException as error:
            # Refused input leaves nothing behind, but what was trained is kept.
            if training is not None or not isinstance(error, InputError):
                write_failure(error, identity, folder, tracker)
            raise
        # The run is complete and on disk, whatever the tracker makes of it.
        log_result(result, tracker, scenario, drawn=resolved["plots"])
    console.print(f"run folder: {_relative(folder.path)}", soft_wrap=True, highlight=False)
    return result


def _schedulers(resolved: Mapping[str, Any], algo: str) -> dict[str, Scheduler]:
    """Return the chosen scheduler, unless it is still to be trained, and the baselines."""
    schedulers: dict[str, Scheduler] = {}
    if algo == "none":
        schedulers[option_of(resolved, "scheduler")] = make(resolved["scheduler"], Scheduler)
    for name in resolved["eval"]["baselines"]:
        if name not in schedulers:
            schedulers[name] = REGISTRY["scheduler"][name]()
    return schedulers


def _train(
    config: Training,
    scenario: Scenario,
    folder: Path,
    identity: Identity,
    tracker: Tracker,
    console: Console,
) -> TrainingResult:
    """Train, and export the policy to the run folder."""
    from qexp.env.placement_vector import PlacementVectorEnv

    with training_progress(config.env_steps, config.seconds, console) as advance:
        from qexp.algo.train import train  # imports Ray and Torch: long enough to show the bar before

        def on_iteration(row: Mapping[str, float]) -> None:
            advance(row)
            figures = {f"train/{key}": value for key, value in row.items() if key != "iteration"}
            tracker.log_metrics(figures, int(row["iteration"]))

        training = train(
            config,
            make_vector_env=lambda num_envs: PlacementVectorEnv(scenario, num_envs),
            seed=identity.seed,
            folder=folder,
            on_iteration=on_iteration,
            bundle_metadata=identity.of_policy,
        )
    log.info("trained %d env steps in %.1f s", training.env_steps, training.seconds)
    extract(training.checkpoint, folder / "policy")
    return training


def _run_name(resolved: Mapping[str, Any], algo: str) -> str:
    decider = algo if algo != "none" else option_of(resolved, "scheduler")
    return f"{decider}-{resolved['env']['tasks']}tasks-seed{resolved['seed']}"


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
