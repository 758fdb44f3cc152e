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
from qexp.algo.checkpoint import save_checkpoint
from qexp.algo.environment import VectorEnvMaker, register_vector_env
from qexp.algo.lockstep_algorithm import FIGURES
from qexp.algo.session import ray_session
from qexp.algo.state import Progress, restore_state, save_state
from qexp.algo.training import Training
from qexp.config.option import name_of
from qexp.errors import DivergenceError
from qexp.problem.network import Architecture
from qexp.runfolder import CHECKPOINTS


@dataclass(frozen=True)
class TrainingResult:
    """What a training run leaves.

    Attributes:
        checkpoint: Folder of the final checkpoint.
        env_steps: Decisions made; steps of an environment that only reset it do not count.
        seconds: Wall-clock time of the iterations, without start-up and shut-down.
        env_steps_per_second: Their ratio.
        history: One mapping per iteration, as given to ``on_iteration``.
    """

    checkpoint: Path
    env_steps: int
    seconds: float
    env_steps_per_second: float
    history: list[dict[str, float]]


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
            ``prior_feature`` the network's prior reads; by default that of placements.
        decisions: Rollout length of a config that leaves it open: decisions of an episode.
        seed: Seed of everything random.
        folder: Run folder; checkpoints go to ``folder / "checkpoints"``.
        on_iteration: Called after every iteration with its metrics.
        bundle_metadata: Stored in every checkpoint's ``qexp.json``, beside architecture and algorithm.
        resume_from: Checkpoint of the same config to go on from; where its budget is spent, nothing is
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
            algorithm = build(config, architecture, make_vector_env, seed)
            try:
                if resume_from is not None:
                    restore_state(algorithm, resume_from)

                def checkpoint(last: bool) -> Path:
                    # A run that is over needs its memory no more.
                    state = partial(save_state, algorithm, progress, memory=not last)
                    iteration = len(progress.history)
                    return save_checkpoint(algorithm, folder / CHECKPOINTS, iteration, metadata, state)

                return _iterate(
                    algorithm,
                    budget,
                    progress,
                    config.checkpoint_every,
                    checkpoint,
                    on_iteration,
                    resume_from,
                )
            finally:
                algorithm.stop()
    finally:
        torch.set_num_threads(threads)


def build(config: Training, architecture: Architecture, make_vector_env: VectorEnvMaker, seed: int) -> Any:
    """Return the RLlib algorithm of a config, inside a `ray_session`; ``restore_from_path`` resumes one."""
    return rllib_config(config, architecture, make_vector_env, seed).build_algo()


def rllib_config(
    config: Training, architecture: Architecture, make_vector_env: VectorEnvMaker, seed: int
) -> Any:
    """Return RLlib's config of a training run, for ``build_algo()`` or Ray Tune."""
    rllib = config.rllib()
    rllib.env_steps, rllib.seconds = config.env_steps, config.seconds
    rllib.lr, rllib.lr_final = config.lr, config.lr_final
    rllib.gamma = config.gamma
    rllib.grad_clip = config.grad_clip
    rllib.reward_scale = config.reward_scale
    rllib.seed = seed
    rllib.env = register_vector_env(make_vector_env)
    rllib.num_env_runners = config.num_env_runners
    rllib.num_envs_per_env_runner = config.episodes_at_once
    rllib.rollout_fragment_length = config.ticks
    rllib.hidden, rllib.prior = config.hidden, config.prior
    rllib.architecture = architecture.as_dict()
    return rllib


def architecture_of(config: Training, make_vector_env: VectorEnvMaker) -> Architecture:
    """Return the network that an algorithm trains in an environment."""
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
    algorithm: Any,
    budget: Budget,
    progress: Progress,
    checkpoint_every: int,
    checkpoint: Callable[[bool], Path],
    on_iteration: Callable[[Mapping[str, float]], None],
    written: Path | None,
) -> TrainingResult:
    start = time.perf_counter() - progress.seconds
    while True:
        algorithm.progress = budget.progress(progress.env_steps, progress.seconds)
        results = _results(algorithm, progress, written)
        row = _row(results)
        progress.seconds = row["seconds"] = time.perf_counter() - start
        progress.env_steps = int(row["env_steps"])
        progress.history.append(row)
        on_iteration(row)
        if what := algorithm.what_diverged(results):
            raise _diverged(what, progress, written)
        over = budget.spent(progress.env_steps, progress.seconds)
        if over or len(progress.history) % checkpoint_every == 0:
            written = checkpoint(over)
        if over:
            assert written is not None
            return _result(written, progress)


def _results(algorithm: Any, progress: Progress, written: Path | None) -> Mapping[str, Any]:
    """Run an iteration. What goes wrong in it because training has diverged is not the reason."""
    try:
        results: Mapping[str, Any] = algorithm.train()
    except Exception as error:
        if what := algorithm.what_diverged({}):
            raise _diverged(what, progress, written) from error
        raise
    return results


def _diverged(what: str, progress: Progress, written: Path | None) -> DivergenceError:
    return DivergenceError(
        f"training diverged in iteration {len(progress.history)}: {what}; "
        "lower algo.lr, algo.grad_clip or algo.reward_scale",
        progress.history,
        written,
    )


def _result(checkpoint: Path, progress: Progress) -> TrainingResult:
    rate = progress.env_steps / progress.seconds
    return TrainingResult(checkpoint, progress.env_steps, progress.seconds, rate, progress.history)


LEARNER_METRICS = {
    "total_loss": "loss",
    "policy_loss": "policy_loss",
    "value_loss": "value_loss",
    "entropy": "entropy",
    "entropy_coefficient": "entropy_coefficient",
    "q_loss": "q_loss",
    "q_mean": "q_mean",
    "td_error_mean": "td_error_mean",
    "learning_rate": "lr",
    "gradients_default_optimizer_global_norm": "grad_norm",
}
"""What an iteration reports of a learner, by its name there and ours; more where a loss reports more."""


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
