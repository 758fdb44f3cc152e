"""Stock RLlib on the same environment and network: its own environment runner, learners and replay."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils import metrics as keys
from ray.tune.registry import register_env

from qexp.algo.config import A2C, DQN
from qexp.algo.modules import ActorCriticModule, QModule
from qexp.env.placement_vector import PlacementVectorEnv
from qexp.env.scenario import Scenario
from qexp.policy.network import Architecture

ENV_NAME = "benchmark-placement"


class Logits(ActorCriticModule):
    """Leaves the choice of actions to RLlib's connectors, as stock modules do."""

    def _forward_exploration(self, batch: dict[str, Any], **_: Any) -> dict[str, torch.Tensor]:
        return {Columns.ACTION_DIST_INPUTS: self._forward(batch)[Columns.ACTION_DIST_INPUTS]}


class Training:
    """An RLlib algorithm as a contender: each call is one iteration."""

    def __init__(self, algorithm: Any) -> None:
        self._algorithm = algorithm
        self._steps = 0

    def __call__(self) -> int:
        """Train for an iteration; return the steps sampled."""
        runners = self._algorithm.train()[keys.ENV_RUNNER_RESULTS]
        before, self._steps = self._steps, int(runners[keys.NUM_ENV_STEPS_SAMPLED_LIFETIME])
        return self._steps - before

    def stop(self) -> None:
        """Free what the algorithm holds."""
        self._algorithm.stop()


def stock_a2c(scenario: Scenario, config: A2C, architecture: Architecture, num_envs: int) -> Training:
    """Return PPO reduced to one full-batch step per rollout, the nearest that stock RLlib has to A2C."""
    rllib = _stock(PPOConfig(), scenario, Logits, architecture, num_envs, config.rollout_length)
    rllib.training(
        train_batch_size_per_learner=num_envs * config.rollout_length,
        num_epochs=1,
        minibatch_size=None,
        lr=config.lr,
        gamma=config.gamma,
        lambda_=config.gae_lambda,
        grad_clip=config.grad_clip,
        entropy_coeff=config.entropy,
        vf_loss_coeff=config.value_coefficient,
        use_kl_loss=False,
    )
    return Training(rllib.build_algo())


def stock_dqn(scenario: Scenario, config: DQN, architecture: Architecture, num_envs: int) -> Training:
    """Return RLlib's DQN with the same parts and the same ratio of steps learnt from to steps sampled."""
    rllib = _stock(DQNConfig(), scenario, QModule, architecture, num_envs, config.rollout_length)
    rllib.training(
        train_batch_size_per_learner=config.batch_size,
        training_intensity=config.replay_ratio,
        num_steps_sampled_before_learning_starts=config.learning_starts,
        target_network_update_freq=config.target_update,
        double_q=config.double,
        dueling=config.dueling,
        num_atoms=1,
        noisy=False,
        n_step=config.n_step,
        lr=config.lr,
        gamma=config.gamma,
        grad_clip=config.grad_clip,
        replay_buffer_config={
            "type": "PrioritizedEpisodeReplayBuffer",
            "capacity": config.buffer_size,
            "alpha": config.priority_exponent,
            "beta": config.importance_exponent,
        },
    )
    return Training(rllib.build_algo())


def _stock(
    config: Any,
    scenario: Scenario,
    module: type,
    architecture: Architecture,
    num_envs: int,
    rollout_length: int,
) -> Any:
    register_env(ENV_NAME, lambda context: PlacementVectorEnv(scenario, context["num_envs"]))
    return (
        config.environment(ENV_NAME)
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=num_envs,
            gym_env_vectorize_mode="vector_entry_point",
            rollout_fragment_length=rollout_length,
        )
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=module, model_config={"architecture": architecture.as_dict()}
            )
        )
        .learners(num_learners=0)
        .reporting(min_sample_timesteps_per_iteration=0, min_time_s_per_iteration=None)
        .debugging(log_level="ERROR", seed=0)
    )
