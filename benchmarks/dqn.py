"""Environment steps per second of DQN training: ours, stock RLlib's and stable-baselines3's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import stable_baselines3

from benchmarks.measure import Effort, Figure, Work, fastest, race, ratios
from benchmarks.rllib_peer import Training, stock_dqn
from benchmarks.sb3_peer import Learning, LockstepVecEnv, QPolicy
from qexp.algo import DQN
from qexp.algo.session import ray_session
from qexp.algo.train import rllib_config
from qexp.fleet.fleet import load_fleet
from qexp.placement.placement import Placement
from qexp.placement.policy import PlacementPolicy
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.network import Architecture

STOCK_ENVS = (64, 256)
# The parts that work in stock RLlib: its dueling does nothing with atoms, and its noisy layers never do.
SHARED: dict[str, Any] = {
    "double": True,
    "dueling": True,
    "prioritized": True,
    "distributional": False,
    "noisy": False,
    # So that learning is under way when the clock starts, and an iteration of ours is no longer than needed.
    "learning_starts": 1_000,
    "steps_per_iteration": 1_000,
}
# Double, dueling, n-step and prioritised replay off, at the sizes often seen for plain DQN.
PLAIN: dict[str, Any] = {
    "double": False,
    "dueling": False,
    "prioritized": False,
    "n_step": 1,
    "num_envs": 32,
    "batch_size": 256,
    "replay_ratio": 8.0,
}


def measure(effort: Effort) -> list[Figure]:
    """Train with each library in turns."""
    scenario = Placement(load_fleet("qce5"))
    full = replace(DQN(), **SHARED)
    plain = replace(full, **PLAIN)
    with ray_session():
        ours = {"full": our_dqn(scenario, full), "plain": our_dqn(scenario, plain)}
        stock = {
            f"stock RLlib, {n} environments": stock_dqn(scenario, full, architecture(full), n)
            for n in STOCK_ENVS
        }
        contenders: dict[str, Work] = {**ours, **stock, "sb3": stable_dqn(scenario, plain)}
        for work in contenders.values():
            steps = 0
            while steps < 2 * full.learning_starts:
                steps += work()
        rates = race(contenders, effort)
        for algorithm in (*ours.values(), *stock.values()):
            algorithm.stop()
    best = fastest(rates, "stock")
    ratio = f"replay ratio {full.replay_ratio:g}"
    plainly = f"no extras, replay ratio {plain.replay_ratio:g}, {plain.num_envs} environments"
    return [
        Figure(f"qexp, {ratio}, {full.num_envs} environments", "steps/s", rates["full"]),
        *(Figure(f"{name}, {ratio}", "steps/s", rates[name]) for name in stock),
        Figure(f"qexp, {plainly}", "steps/s", rates["plain"]),
        Figure(f"stable-baselines3, {plainly}", "steps/s", rates["sb3"]),
        Figure(f"qexp over {best}", "x", ratios(rates, "full", best), 5.0, 20.0),
        Figure("qexp over stable-baselines3, no extras", "x", ratios(rates, "plain", "sb3"), 0.7, 1.5),
    ]


def architecture(config: DQN) -> Architecture:
    """Return the network of a config."""
    return PlacementPolicy.architecture(hidden=config.hidden, prior=config.prior, dueling=config.dueling)


def our_dqn(scenario: Placement, config: DQN) -> Training:
    """Return qexp's DQN."""
    return Training(
        rllib_config(
            config, architecture(config), lambda n: PlacementVectorEnv(scenario, n), seed=0
        ).build_algo()
    )


def stable_dqn(scenario: Placement, config: DQN) -> Learning:
    """Return stable-baselines3's DQN with the same settings.

    It knows no masks and would explore forbidden nodes; so it does not explore, which costs it no time.
    """
    model = stable_baselines3.DQN(
        QPolicy,
        LockstepVecEnv(PlacementVectorEnv(scenario, config.num_envs)),
        learning_rate=config.lr,
        buffer_size=config.buffer_size,
        learning_starts=0,
        batch_size=config.batch_size,
        gamma=config.gamma,
        train_freq=config.rollout_length,
        gradient_steps=round(
            config.num_envs * config.rollout_length * config.replay_ratio / config.batch_size
        ),
        target_update_interval=config.target_update,
        exploration_initial_eps=0.0,
        exploration_final_eps=0.0,
        max_grad_norm=config.grad_clip,
        policy_kwargs={"network": architecture(config)},
        seed=0,
        device="cpu",
    )
    return Learning(model, 4 * config.num_envs * config.rollout_length)
