"""Stock RLlib on the same environment and network: its own environment runner, learners and replay."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.dqn.dqn_learner import QF_NEXT_PREDS, QF_PREDS, QF_TARGET_NEXT_PREDS
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import QNetAPI, TargetNetworkAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.utils import metrics as keys
from ray.tune.registry import register_env
from torch import Tensor

from qexp.algo import A2C, DQN
from qexp.placement.placement import Placement
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.network import Architecture, ScorerNetwork

ENV_NAME = "benchmark-placement"
MASKED_LOGIT = -1e9  # finite, as a forbidden node's entropy would otherwise be undefined


class Stock(TorchRLModule):
    """The placement network in a module that leaves the rest to RLlib."""

    model_config: Any

    def setup(self) -> None:
        """Build the network."""
        self.network = ScorerNetwork(Architecture(**self.model_config["architecture"]))

    @staticmethod
    def run(network: Any, observation: dict[str, Tensor], masked: float) -> tuple[Tensor, Tensor]:
        """Return scores, forbidden nodes' replaced, and values."""
        mask = observation["action_mask"]
        scores, values = network(observation["task"], observation["nodes"], mask)
        return scores.masked_fill(mask == 0, masked), values


class Policy(Stock, ValueFunctionAPI):
    """Logits and values; RLlib's connectors draw the actions."""

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        return {Columns.ACTION_DIST_INPUTS: self.run(self.network, batch[Columns.OBS], MASKED_LOGIT)[0]}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """Return the value of each state."""
        return self.run(self.network, batch[Columns.OBS], MASKED_LOGIT)[1]


class QFunction(Stock, QNetAPI, TargetNetworkAPI):
    """Action values; explores nothing, which costs no time."""

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        return {Columns.ACTIONS: self.compute_q_values(batch)[QF_PREDS].argmax(-1)}

    def _forward_train(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        following = {Columns.OBS: batch[Columns.NEXT_OBS]}
        with torch.no_grad():
            online, target = self.compute_q_values(following), self.forward_target(following)
        return {
            **self.compute_q_values(batch),
            QF_NEXT_PREDS: online[QF_PREDS],
            QF_TARGET_NEXT_PREDS: target[QF_PREDS],
        }

    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the value of every node."""
        return {QF_PREDS: self.run(self.network, batch[Columns.OBS], -torch.inf)[0]}

    def make_target_networks(self) -> None:
        """Create the target network."""
        self.target_network = make_target_network(self.network)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        """Return the network and its copy."""
        return [(self.network, self.target_network)]

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the target network's value of every node."""
        return {QF_PREDS: self.run(self.target_network, batch[Columns.OBS], -torch.inf)[0]}


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


def stock_a2c(scenario: Placement, config: A2C, architecture: Architecture, num_envs: int) -> Training:
    """Return PPO reduced to one full-batch step per rollout, the nearest that stock RLlib has to A2C."""
    rllib = _stock(PPOConfig(), scenario, Policy, architecture, num_envs, config.rollout_length)
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


def stock_dqn(scenario: Placement, config: DQN, architecture: Architecture, num_envs: int) -> Training:
    """Return RLlib's DQN with the same parts and the same ratio of steps learnt from to steps sampled."""
    rllib = _stock(DQNConfig(), scenario, QFunction, architecture, num_envs, config.rollout_length)
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
    scenario: Placement,
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
