"""One training run, from a config to a checkpoint: the only way into this package from outside."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from qexp.algo.budget import Budget
from qexp.algo.checkpoint import Progress, restore_state, save_checkpoint, save_state
from qexp.algo.lockstep_algorithm import FIGURES, VectorEnvMaker, register_vector_env
from qexp.algo.session import ray_session
from qexp.algo.training import Training
from qexp.config.option import name_of
from qexp.errors import DivergenceError
from qexp.problem.network import Architecture
from qexp.runfolder import CHECKPOINTS

SETTINGS = (
    *("env_steps", "seconds", "lr", "lr_final", "gamma", "grad_clip", "reward_scale"),
    *("num_env_runners", "hidden", "prior"),
)
"""Settings of all algorithms that RLlib's configs of them have under the same names."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run."""

    checkpoint: Path  # folder of the final one
    env_steps: int  # decisions made; steps of an environment that only reset it do not count
    seconds: float  # wall-clock time of the iterations, without start-up and shut-down
    history: list[dict[str, float]]  # one mapping per iteration, as given to ``on_iteration``

    @property
    def env_steps_per_second(self) -> float:
        """Decisions per second of wall-clock time."""
        return self.env_steps / self.seconds


def train(
    config: Training,
    *,
    make_vector_env: VectorEnvMaker,
    decisions: int | None = None,
    seed: int,
    folder: Path,
    on_iteration: Callable[[Mapping[str, float]], None],
    bundle_metadata: Mapping[str, Any] | None = None,
    resume_from: Path | None = None,
    ray_address: str | None = None,
    name: str | None = None,
) -> TrainingResult:
    """Train until the budget is spent.

    Without remote environment runners, and unless ``config.seconds`` ends the run, the same seed gives the
    same weights, whether or not the run was stopped and resumed on the way.

    Args:
        config: The algorithm's settings.
        make_vector_env: Creates a vector environment of so many episodes, with observations ``task``,
            ``nodes`` and ``action_mask`` and automatic reset on the next step. Its metadata may say which
            ``prior_feature`` the network's prior reads; otherwise it has none.
        decisions: Rollout length of a config that leaves it open: decisions of an episode.
        seed: Seed of everything random.
        folder: Run folder; checkpoints go to ``folder / "checkpoints"``.
        on_iteration: Called after every iteration with its metrics.
        bundle_metadata: Stored in every checkpoint's ``qexp.json``, beside architecture and algorithm.
        resume_from: Checkpoint of the same config to continue from; where its budget is spent, nothing is
            trained and Ray is not started.
        ray_address: Ray cluster to train on; None for a Ray of the run's own.
        name: What the algorithm is called; by default the name of the option that the config's class is.

    Returns:
        The final checkpoint and the run's figures, those before ``resume_from`` included.

    Raises:
        InputError: Both limits of the config are null.
        DivergenceError: Loss, weights or scores are no numbers any more. Checkpoints are from before.
    """
    if config.rollout_length is None:
        config = replace(config, rollout_length=decisions)
    budget = Budget(config.env_steps, config.seconds)
    progress = Progress() if resume_from is None else Progress.of(resume_from)
    if resume_from is not None and budget.spent(progress.env_steps, progress.seconds):
        return _result(resume_from, progress)
    architecture = architecture_of(config, make_vector_env)
    metadata = {
        **(bundle_metadata or {}),
        "algorithm": name or name_of(type(config), "algo"),
        "fleet_randomisation": config.fleet_randomisation,
        "architecture": architecture.as_dict(),
    }
    threads = torch.get_num_threads()
    # One thread is fastest for networks this small, and sums in a fixed order.
    torch.set_num_threads(1)
    try:
        with ray_session(config.num_env_runners, ray_address):
            algorithm = rllib_config(config, architecture, make_vector_env, seed).build_algo()
            try:
                if resume_from is not None:
                    restore_state(algorithm, resume_from)
                start, last = time.perf_counter() - progress.seconds, resume_from
                while True:
                    results = _iterate(algorithm, budget, progress, start, last)
                    on_iteration(progress.history[-1])
                    if what := algorithm.what_diverged(results):
                        raise _diverged(what, progress, last)
                    over = budget.spent(progress.env_steps, progress.seconds)
                    iteration = len(progress.history)
                    if over or iteration % config.checkpoint_every == 0:
                        # A run that is over needs its memory no more.
                        state = partial(save_state, algorithm, progress, memory=not over)
                        last = save_checkpoint(algorithm, folder / CHECKPOINTS, iteration, metadata, state)
                    if over:
                        assert last is not None
                        return _result(last, progress)
            finally:
                algorithm.stop()
    finally:
        torch.set_num_threads(threads)


def rllib_config(
    config: Training, architecture: Architecture, make_vector_env: VectorEnvMaker, seed: int
) -> Any:
    """Return RLlib's config of a training run, for ``build_algo()`` inside a `ray_session`, or Ray Tune.

    Args:
        config: The algorithm's options.
        architecture: Shape of the network.
        make_vector_env: See `train`.
        seed: Of the training.
    """
    rllib = config.rllib()
    for name in SETTINGS:
        setattr(rllib, name, getattr(config, name))
    rllib.seed = seed
    rllib.env = register_vector_env(make_vector_env)
    rllib.num_envs_per_env_runner = config.episodes_at_once
    rllib.rollout_fragment_length = config.ticks
    rllib.architecture = architecture.as_dict()
    return rllib


def architecture_of(config: Training, make_vector_env: VectorEnvMaker) -> Architecture:
    """Return the network that an algorithm trains in an environment.

    Args:
        config: The algorithm's options.
        make_vector_env: See `train`.
    """
    env: Any = make_vector_env(1)
    try:
        space = env.single_observation_space
        return Architecture(
            hidden=config.hidden,
            prior=config.prior if "prior_feature" in env.metadata else 0.0,
            task_features=space["task"].shape[-1],
            node_features=space["nodes"].shape[-1],
            prior_feature=env.metadata.get("prior_feature", 0),
            **config.network(),
        )
    finally:
        env.close()


def _iterate(
    algorithm: Any, budget: Budget, progress: Progress, start: float, last: Path | None
) -> Mapping[str, Any]:
    """Run an iteration and note its figures; return RLlib's results.

    What goes wrong in it because training has diverged is not the reason.
    """
    algorithm.progress = budget.progress(progress.env_steps, progress.seconds)
    try:
        results: Mapping[str, Any] = algorithm.train()
    except Exception as error:
        if what := algorithm.what_diverged({}):
            raise _diverged(what, progress, last) from error
        raise
    row = _row(results)
    progress.seconds = row["seconds"] = time.perf_counter() - start
    progress.env_steps = int(row["env_steps"])
    progress.history.append(row)
    return results


def _diverged(what: str, progress: Progress, last: Path | None) -> DivergenceError:
    return DivergenceError(
        f"training diverged in iteration {len(progress.history)}: {what}; "
        "lower algo.lr, algo.grad_clip or algo.reward_scale",
        progress.history,
        last,
    )


def _result(checkpoint: Path, progress: Progress) -> TrainingResult:
    return TrainingResult(checkpoint, progress.env_steps, progress.seconds, progress.history)


_SAME = ("policy_loss", "value_loss", "entropy", "entropy_coefficient", "q_loss", "q_mean", "td_error_mean")
LEARNER_METRICS = {
    "total_loss": "loss",
    **{name: name for name in _SAME},
    "learning_rate": "lr",
    "gradients_default_optimizer_global_norm": "grad_norm",
}
"""Figures of a learner, by their names in RLlib and here; a loss may report more."""


def _row(results: Mapping[str, Any]) -> dict[str, float]:
    """Pick the metrics worth a curve out of RLlib's result tree; those without a value are left out."""
    runners = results["env_runners"]
    learner = dict(results.get("learners", {}).get("default_policy", {}))
    own = learner.pop(FIGURES, {})
    learner |= own
    row = {
        "iteration": float(results["training_iteration"]),
        "env_steps": float(runners["num_env_steps_sampled_lifetime"]),
    }
    # Sorted: RLlib's order differs from process to process.
    row |= {key: float(runners[key]) for key in sorted(runners) if key.startswith("episode_")}
    row |= {ours: float(learner[theirs]) for theirs, ours in LEARNER_METRICS.items() if theirs in learner}
    row |= {key: float(own[key]) for key in sorted(own) if key not in row}
    return {key: value for key, value in row.items() if math.isfinite(value)}
