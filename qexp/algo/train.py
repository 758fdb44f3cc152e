"""One training run, from a config to a checkpoint: the only way into this package from outside."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from gymnasium.vector import VectorEnv
from ray.tune.registry import register_env

from qexp.algo.a2c import A2CAlgorithmConfig
from qexp.algo.budget import Budget
from qexp.algo.checkpoint import save_checkpoint
from qexp.algo.config import A2C, DQN, Training
from qexp.algo.dqn import DQNAlgorithmConfig
from qexp.algo.lockstep_algorithm import lockstep
from qexp.algo.modules import ActorCriticModule, QModule
from qexp.algo.session import ray_session
from qexp.algo.state import Progress, restore_state, save_state
from qexp.policy.features import PRIOR_FEATURE
from qexp.policy.network import Architecture
from qexp.runfolder import CHECKPOINTS

# The jobs of a sweep on a Ray cluster share its registry.
ENV_NAME = f"qexp-vector-env-{uuid4().hex}"


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
    name: str | None = None,
    make_vector_env: Callable[[int], VectorEnv[Any, Any, Any]],
    decisions: int | None = None,
    seed: int,
    folder: Path,
    on_iteration: Callable[[Mapping[str, float]], None],
    bundle_metadata: Mapping[str, Any] | None = None,
    resume_from: Path | None = None,
    ray_address: str | None = None,
) -> TrainingResult:
    """Train until the budget is spent.

    Without remote environment runners, and unless ``config.seconds`` ends the run, the same seed gives the
    same weights, whether or not the run was stopped and resumed on the way.

    Args:
        config: The algorithm's settings.
        name: The algorithm's, which the policy's description gives.
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

    Returns:
        The final checkpoint and the run's figures, those before ``resume_from`` included.

    Raises:
        InputError: Both limits of the config are null.
    """
    if config.rollout_length is None:
        config = replace(config, rollout_length=decisions)
    budget = Budget(config.env_steps, config.seconds)
    progress = Progress() if resume_from is None else Progress.of(resume_from)
    if resume_from is not None and budget.spent(progress.env_steps, progress.seconds):
        return _result(resume_from, progress)
    architecture = _architecture(config, make_vector_env)
    metadata = {
        **(bundle_metadata or {}),
        "algorithm": name or type(config).__name__.lower(),
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
                    algorithm, budget, progress, config.checkpoint_every, checkpoint, on_iteration
                )
            finally:
                algorithm.stop()
    finally:
        torch.set_num_threads(threads)


def build(
    config: Training,
    architecture: Architecture,
    make_vector_env: Callable[[int], VectorEnv[Any, Any, Any]],
    seed: int,
) -> Any:
    """Return the RLlib algorithm of a config, inside a `ray_session`; ``restore_from_path`` resumes one."""
    register_env(ENV_NAME, lambda context: make_vector_env(context["num_envs"]))
    return rllib_config(config, architecture.as_dict(), seed).build_algo()


def _architecture(config: Training, make_vector_env: Callable[[int], Any]) -> Architecture:
    env = make_vector_env(1)
    try:
        space = env.single_observation_space
        return Architecture(
            hidden=config.hidden,
            prior=config.prior,
            task_features=space["task"].shape[-1],
            node_features=space["nodes"].shape[-1],
            prior_feature=env.metadata.get("prior_feature", PRIOR_FEATURE),
            **_outputs(config),
        )
    finally:
        env.close()


def _outputs(config: Training) -> dict[str, Any]:
    if not isinstance(config, DQN):
        return {}
    outputs: dict[str, Any] = {"dueling": config.dueling}
    if config.distributional:
        outputs |= {"atoms": config.atoms, "value_min": config.value_min, "value_max": config.value_max}
    return outputs


def rllib_config(config: Training, architecture: dict[str, Any], seed: int) -> Any:
    """Return RLlib's config of a training run, without its environment registered."""
    length = config.rollout_length
    if length is None:
        raise ValueError(
            "algo.rollout_length is left open, and nobody says how many decisions an episode has"
        )
    if isinstance(config, A2C):
        rllib: Any = A2CAlgorithmConfig()
        rllib.lambda_ = config.gae_lambda
        rllib.vf_loss_coeff = config.value_coefficient
        rllib.entropy_coeff = config.entropy
        rllib.entropy_final = config.entropy_final
        rllib.normalize_advantages = config.normalize_advantages
        module: type = ActorCriticModule
        sigma0 = None
        # The tick that every environment spends on its reset comes on top of the episode's.
        ticks, iteration_steps = length + 1, 0
        num_envs = config.episodes_at_once
    elif isinstance(config, DQN):
        rllib = DQNAlgorithmConfig()
        rllib.double_q = config.double
        rllib.noisy = config.noisy
        rllib.lookahead = config.n_step
        rllib.batch_size = config.batch_size
        rllib.replay_ratio = config.replay_ratio
        rllib.buffer_size = config.buffer_size
        rllib.priority_exponent = config.priority_exponent if config.prioritized else 0.0
        rllib.importance_exponent = config.importance_exponent
        rllib.epsilon_start = config.epsilon
        rllib.epsilon_final = config.epsilon_final
        rllib.epsilon_share = config.epsilon_share
        rllib.num_steps_sampled_before_learning_starts = config.learning_starts
        rllib.target_network_update_freq = config.target_update
        module = QModule
        sigma0 = config.sigma0 if config.noisy else None
        ticks, iteration_steps = length, config.steps_per_iteration
        num_envs = config.num_envs
    else:
        raise TypeError(f"no algorithm learns from a {type(config).__name__}")
    rllib.lr = config.lr
    rllib.lr_final = config.lr_final
    rllib.gamma = config.gamma
    rllib.grad_clip = config.grad_clip
    rllib.grad_clip_by = "global_norm"
    rllib.reward_scale = config.reward_scale
    rllib.seed = seed
    rllib.env = ENV_NAME
    rllib.num_env_runners = config.num_env_runners
    rllib.num_envs_per_env_runner = num_envs
    return lockstep(
        rllib,
        module=module,
        architecture=architecture,
        ticks=ticks,
        iteration_steps=iteration_steps,
        sigma0=sigma0,
    )


def _iterate(
    algorithm: Any,
    budget: Budget,
    progress: Progress,
    checkpoint_every: int,
    checkpoint: Callable[[bool], Path],
    on_iteration: Callable[[Mapping[str, float]], None],
) -> TrainingResult:
    start = time.perf_counter() - progress.seconds
    while True:
        algorithm.progress = budget.progress(progress.env_steps, progress.seconds)
        row = _row(algorithm.train())
        progress.seconds = row["seconds"] = time.perf_counter() - start
        progress.env_steps = int(row["env_steps"])
        progress.history.append(row)
        on_iteration(row)
        over = budget.spent(progress.env_steps, progress.seconds)
        if over or len(progress.history) % checkpoint_every == 0:
            written = checkpoint(over)
        if over:
            return _result(written, progress)


def _result(checkpoint: Path, progress: Progress) -> TrainingResult:
    rate = progress.env_steps / progress.seconds
    return TrainingResult(checkpoint, progress.env_steps, progress.seconds, rate, progress.history)


LEARNER_METRICS = {
    "total_loss": "loss",
    "policy_loss": "policy_loss",
    "vf_loss": "value_loss",
    "entropy": "entropy",
    "entropy_coefficient": "entropy_coefficient",
    "q_loss": "q_loss",
    "q_mean": "q_mean",
    "td_error_mean": "td_error_mean",
    "learning_rate": "lr",
    "gradients_default_optimizer_global_norm": "grad_norm",
}
"""What an iteration reports of a learner, by RLlib's name and ours."""


def _row(results: Mapping[str, Any]) -> dict[str, float]:
    """Pick the metrics worth a curve out of RLlib's result tree; those without a value are left out."""
    runners = results["env_runners"]
    learner = results.get("learners", {}).get("default_policy", {})
    row = {
        "iteration": float(results["training_iteration"]),
        "env_steps": float(runners["num_env_steps_sampled_lifetime"]),
    }
    # Sorted: RLlib's order differs from process to process.
    row |= {key: float(runners[key]) for key in sorted(runners) if key.startswith("episode_")}
    row |= {ours: float(learner[theirs]) for theirs, ours in LEARNER_METRICS.items() if theirs in learner}
    return {key: value for key, value in row.items() if math.isfinite(value)}
