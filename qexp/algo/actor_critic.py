"""Actor-critics on RLlib: PPO's frame, with the loss of an `OnPolicy` and the gradient steps it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils import metrics as keys

from qexp.algo.lockstep import Rollout
from qexp.algo.lockstep_algorithm import (
    FIGURES,
    PROGRESS,
    LockstepAlgorithm,
    LockstepConfig,
    set_learning_rate,
)
from qexp.algo.modules import ActorCriticModule
from qexp.algo.training import Batch
from qexp.config.option import keys as keys_of
from qexp.problem.arrays import Bools, Float32s

ADVANTAGES, VALUE_TARGETS, OLD_LOGITS = "advantages", "value_targets", "old_logits"
ROWS_AT_ONCE = 1200  # whose activations fit in a core's second-level cache, give or take

WORDS = {"gae_lambda": "lambda_", "value_coefficient": "vf_loss_coeff", "entropy": "entropy_coeff"}
"""Keys of an algorithm that RLlib has another word for."""
SHARED = {"lr", "gamma", "grad_clip"}  # keys that RLlib has the same word for
SAMPLING = {"num_envs", "rollout_length", "min_iterations", "fleet_randomisation", "checkpoint_every"}
"""Keys that say how to train, which is for whoever calls ``train()``."""


class ActorCriticConfig(LockstepConfig, PPOConfig):
    """RLlib's settings of an actor-critic: PPO's, and those of its `OnPolicy` under their own names."""

    def __init__(self, algo_class: type | None = None, option: Any = None) -> None:
        super().__init__(algo_class=algo_class or ActorCritic)
        self.num_epochs = 1
        self.minibatch_size = None
        self.normalize_advantages = True
        self.option = option  # of its settings, those of this config count: they may have been changed since
        self.named: dict[str, str] = {}
        if option is None:
            return
        foreign = set(vars(PPOConfig())) - SHARED
        kind: type = type(option)
        self.named = {
            item.name: WORDS.get(item.name, item.name)
            for item in keys_of(kind).values()
            if item.name not in foreign | SAMPLING
        }
        for name, word in self.named.items():
            setattr(self, word, getattr(option, name))
        self.num_envs_per_env_runner = option.episodes_at_once
        if option.rollout_length is not None:
            self.rollout_fragment_length = option.ticks

    def current_option(self) -> Any:
        """Return the algorithm with the settings of this config."""
        if self.option is None:
            raise ValueError("this config has no algorithm: give it one, ActorCriticConfig(option=...)")
        return replace(self.option, **{name: getattr(self, word) for name, word in self.named.items()})

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Return the scorer network with a policy and a value."""
        return RLModuleSpec(module_class=ActorCriticModule)

    def get_default_learner_class(self) -> type:
        """Return the learner that calls the algorithm's loss."""
        return ActorCriticLearner


class ActorCriticLearner(PPOTorchLearner):
    """Takes the gradient steps of an `OnPolicy`, each over a whole minibatch."""

    config: Any
    option: Any
    progress = 0.0

    def build(self) -> None:
        """Build module and optimiser."""
        super().build()
        self.option = self.config.current_option()

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Set the learning rate for how far training is."""
        super().before_gradient_based_update(timesteps=timesteps)
        self.progress = timesteps.get(PROGRESS, 0.0)
        set_learning_rate(self, self.progress)

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Leave RLlib's own schedules out: they know steps, not progress."""
        del timesteps

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        """Return the algorithm's loss, see `Learner.compute_loss_for_module`."""
        logits = fwd_out[Columns.ACTION_DIST_INPUTS]
        loss: torch.Tensor
        loss, figures = self.option.loss(
            Batch(
                logits=logits,
                values=fwd_out[Columns.VF_PREDS],
                actions=batch[Columns.ACTIONS],
                advantages=batch[ADVANTAGES],
                value_targets=batch[VALUE_TARGETS],
                # Of a batch that is used once, the network is still the one that decided.
                old_logits=batch.get(OLD_LOGITS, logits.detach()),
            ),
            self.progress,
        )
        self._logged.append(figures)
        return loss

    def _uncompiled_update(
        self, batch: dict[str, Any], **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        ((module_id, rows),) = batch.items()
        self._logged: list[Mapping[str, Any]] = []
        minibatches = list(self._minibatches(rows))
        total = sum(map(len, minibatches))
        losses, shares = [], []
        for minibatch in minibatches:
            parts = self._step(module_id, minibatch)
            losses += [loss for loss, _ in parts]
            shares += [size / total for _, size in parts]
        figures = {key: _mean([part[key] for part in self._logged], shares) for key in self._logged[0]}
        self.metrics.log_dict(figures, key=(module_id, FIGURES), window=1)
        return {}, {module_id: _mean(losses, shares)}, {}

    def _minibatches(self, rows: SampleBatch) -> Iterator[SampleBatch]:
        epochs, minibatches = self.option.reuse()
        for _ in range(epochs):
            if minibatches == 1:
                yield rows
                continue
            for chosen in torch.randperm(len(rows)).tensor_split(min(minibatches, len(rows))):
                yield SampleBatch(_taken(rows, chosen))

    def _step(self, module_id: str, rows: SampleBatch) -> list[tuple[torch.Tensor, int]]:
        """Take one gradient step over a minibatch; return loss and rows of each part of it.

        The gradient is the sum of the parts'. Their activations stay in the processor's cache: a fifth
        faster.
        """
        parts = [rows.slice(start, start + ROWS_AT_ONCE) for start in range(0, len(rows), ROWS_AT_ONCE)]
        losses = []
        for optimizer in self._optimizer_parameters:
            optimizer.zero_grad(set_to_none=True)
        for part in parts:
            outputs = self.module.forward_train({module_id: part})
            (loss,) = self.compute_losses(fwd_out=outputs, batch={module_id: part}).values()
            (loss * (len(part) / len(rows))).backward()
            losses.append(loss.detach())
        gradients = {key: parameter.grad for key, parameter in self._params.items()}
        self.apply_gradients(self.postprocess_gradients(gradients))
        return list(zip(losses, map(len, parts), strict=True))


def _taken(columns: Any, chosen: torch.Tensor) -> Any:
    if not isinstance(columns, Mapping):
        return columns[chosen]
    return {key: _taken(column, chosen) for key, column in columns.items()}


def _joined(parts: list[Any]) -> Any:
    if not isinstance(parts[0], Mapping):
        return np.concatenate(parts)
    return {key: _joined([part[key] for part in parts]) for key in parts[0]}


def _mean(values: list[Any], shares: list[float]) -> Any:
    """Return the mean of tensors; of numbers, which are the same in every part, the last."""
    if not isinstance(values[0], torch.Tensor):
        return values[-1]
    return torch.stack([value.detach() for value in values]) @ torch.tensor(shares)


class ActorCritic(LockstepAlgorithm, PPO):
    """Collect whole rollouts, estimate advantages on arrays, take gradient steps."""

    config: Any
    metrics: Any

    @classmethod
    def get_default_config(cls) -> ActorCriticConfig:
        """Return the default settings."""
        return ActorCriticConfig()

    def setup(self, config: Any) -> None:
        """Build learner and environment runners."""
        super().setup(config)
        # Used once, a batch needs no reminder of who decided.
        self._outputs = {} if self.config.current_option().reuse() == (1, 1) else {"with_logits": True}

    def training_step(self) -> None:
        """Run one iteration."""
        rollouts = self.collect(**self._outputs)
        results = self.learn(self.batch(list(rollouts.values())))
        self.metrics.aggregate(results, key=keys.LEARNER_RESULTS)
        self.send_weights()

    def batch(self, rollouts: list[Rollout]) -> dict[str, Any]:
        """Turn rollouts into the learner's rows: one per action, none for ticks spent on resets."""
        rows: dict[str, Any] = _joined([self._rows(rollout) for rollout in rollouts])
        if self.config.normalize_advantages:
            gain = rows[ADVANTAGES]
            rows[ADVANTAGES] = (gain - gain.mean()) / (gain.std() + 1e-8)
        return rows

    def _rows(self, rollout: Rollout) -> dict[str, Any]:
        values = rollout.outputs[Columns.VF_PREDS]
        gain = advantages(
            (rollout.rewards * self.config.reward_scale).astype(np.float32),
            values,
            rollout.terminated,
            rollout.truncated,
            gamma=self.config.gamma,
            gae_lambda=self.config.lambda_,
        )
        acted = rollout.acted
        rows = {
            Columns.OBS: {key: column[:-1][acted] for key, column in rollout.observations.items()},
            Columns.ACTIONS: rollout.actions[acted],
            ADVANTAGES: gain[acted],
            VALUE_TARGETS: (gain + values[:-1])[acted],
        }
        if Columns.ACTION_DIST_INPUTS in rollout.outputs:
            rows[OLD_LOGITS] = rollout.outputs[Columns.ACTION_DIST_INPUTS][:-1][acted]
        return rows


def advantages(
    rewards: Float32s,
    values: Float32s,
    terminated: Bools,
    truncated: Bools,
    *,
    gamma: float,
    gae_lambda: float,
) -> Float32s:
    """Return the generalised advantage of every action taken, ``[ticks, envs]``.

    Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016),
    equation 16. An episode that is cut off, by truncation or by the end of the arrays, is completed with
    the value of the state it stopped in; one that terminated is worth nothing more. Rows that belong to a
    reset and not to an action mean nothing.

    Args:
        rewards: Reward of each action, ``[ticks, envs]``.
        values: Value of the state before each action and, last, after the final one, ``[ticks + 1, envs]``.
        terminated: Whether the action ended the episode, ``[ticks, envs]``.
        truncated: Whether the episode was cut off after the action, ``[ticks, envs]``.
        gamma: Discount per step.
        gae_lambda: 0 trusts the values (one-step errors), 1 the returns.
    """
    done = terminated | truncated
    errors = rewards + gamma * np.where(terminated, 0.0, values[1:]) - values[:-1]
    decay = gamma * gae_lambda * ~done
    result = np.empty_like(rewards)
    following = np.zeros_like(rewards[0])
    for tick in range(len(rewards) - 1, -1, -1):
        following = errors[tick] + decay[tick] * following
        result[tick] = following
    return result
