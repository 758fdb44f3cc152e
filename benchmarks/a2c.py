"""Environment steps per second of A2C training: ours, stock RLlib's and stable-baselines3's."""

from __future__ import annotations

import stable_baselines3

from benchmarks.measure import Effort, Figure, Work, fastest, race, ratios
from benchmarks.rllib_peer import Training, stock_a2c
from benchmarks.sb3_peer import ActorCritic, Learning, LockstepVecEnv
from qexp.algo import A2C
from qexp.algo.session import ray_session
from qexp.algo.train import rllib_config
from qexp.fleet.fleet import load_fleet
from qexp.placement.placement import Placement
from qexp.placement.policy import PlacementPolicy
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.network import Architecture

STOCK_ENVS = (64, 256)


def measure(effort: Effort) -> list[Figure]:
    """Train with each library in turns."""
    scenario = Placement(load_fleet("qce5"))
    config = A2C(rollout_length=scenario.tasks)
    architecture = PlacementPolicy.architecture(hidden=config.hidden, prior=config.prior)
    with ray_session():
        ours = Training(
            rllib_config(config, architecture, lambda n: PlacementVectorEnv(scenario, n), seed=0).build_algo()
        )
        stock = {
            f"stock RLlib, {n} environments": stock_a2c(scenario, config, architecture, n) for n in STOCK_ENVS
        }
        contenders: dict[str, Work] = {
            "qexp": ours,
            **stock,
            "sb3": stable_a2c(scenario, config, architecture),
        }
        rates = race(contenders, effort)
        for algorithm in (ours, *stock.values()):
            algorithm.stop()
    best = fastest(rates, "stock")
    envs = config.num_envs
    return [
        Figure(f"qexp, {envs} environments", "steps/s", rates["qexp"]),
        *(Figure(name, "steps/s", rates[name]) for name in stock),
        Figure(f"stable-baselines3, {envs} environments", "steps/s", rates["sb3"]),
        Figure(f"qexp over {best}", "x", ratios(rates, "qexp", best), 5.0, 10.0),
        Figure("qexp over stable-baselines3", "x", ratios(rates, "qexp", "sb3"), 1.0, 2.0),
    ]


def stable_a2c(scenario: Placement, config: A2C, architecture: Architecture) -> Learning:
    """Return stable-baselines3's A2C with the same settings, optimiser included."""
    steps = config.num_envs * config.rollout_length
    model = stable_baselines3.A2C(
        ActorCritic,
        LockstepVecEnv(PlacementVectorEnv(scenario, config.num_envs)),
        learning_rate=config.lr,
        n_steps=config.rollout_length,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        ent_coef=config.entropy,
        vf_coef=config.value_coefficient,
        max_grad_norm=config.grad_clip,
        normalize_advantage=config.normalize_advantages,
        use_rms_prop=False,
        policy_kwargs={"network": architecture},
        seed=0,
        device="cpu",
    )
    return Learning(model, 5 * steps)
