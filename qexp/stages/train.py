"""Training a policy, and exporting it to the run folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from qexp.algo.checkpoint import newest_checkpoint
from qexp.algo.training import Training
from qexp.config.build import make
from qexp.config.identity import option_of
from qexp.problem.extract import extract
from qexp.problem.policy_scheduler import PolicyScheduler
from qexp.report.progress import training_progress
from qexp.runfolder import CHECKPOINTS
from qexp.stages.run import Run

log = logging.getLogger(__name__)

_ONE_AT_A_TIME = threading.Lock()
"""Ray, and Torch's number of threads, belong to the whole process."""


def prepare_training(run: Run) -> Training | None:
    """Return the settings of the training, None for ``algo=none``.

    Raises:
        InputError: They cannot be trained with, or the problem has nothing to train on.
    """
    if option_of(run.resolved, "algo") == "none":
        return None
    training = make(run.resolved["algo"], Training)
    run.problem.check_training(_fleet_seed(run, training))
    return training


def train_policy(run: Run, training: Training) -> None:
    """Train, export the policy, and enter it in the roster.

    Args:
        run: The run; gets the training's figures.
        training: The settings.
    """
    checkpoint = _last_checkpoint(run) if run.begun else None
    metric, steps, seconds = run.problem.metric, training.env_steps, training.seconds
    with _ONE_AT_A_TIME, training_progress(steps, seconds, run.console, metric) as advance:
        from qexp.algo.train import train  # imports Ray and Torch: long enough to show the bar before

        def on_iteration(row: Mapping[str, float]) -> None:
            advance(row)
            figures = {f"train/{key}": value for key, value in row.items() if key != "iteration"}
            run.tracker.log_metrics(figures, int(row["iteration"]))

        run.training = train(
            training,
            name=option_of(run.resolved, "algo"),
            make_vector_env=partial(run.problem.make_vector_env, fleet_seed=_fleet_seed(run, training)),
            decisions=run.problem.decisions,
            seed=run.identity.seed,
            folder=run.folder.path,
            on_iteration=on_iteration,
            bundle_metadata={"seed": run.identity.seed} | run.identity.of_run | run.problem.of_policy,
            ray_address=run.resolved["ray"]["address"],
            resume_from=checkpoint,
        )
    log.info("trained %d env steps in %.1f s", run.training.env_steps, run.training.seconds)
    extract(run.training.checkpoint, run.folder.path / "policy")
    run.roster.trained(PolicyScheduler(path=str(run.folder.path / "policy")))


def _fleet_seed(run: Run, training: Training) -> int | None:
    return run.identity.seed if training.fleet_randomisation else None


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
