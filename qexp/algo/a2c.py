"""Advantage actor-critic on RLlib: PPO's frame with the plain policy gradient and one full-batch step.

Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning" (2016), in its synchronous form, with
the advantages of Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage
Estimation" (2016). RLlib no longer ships A2C.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.learner import ENTROPY_KEY, POLICY_LOSS_KEY, VF_LOSS_KEY
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils import metrics as keys

from qexp.algo.advantages import advantages
from qexp.algo.budget import linear
from qexp.algo.lockstep import Rollout
from qexp.algo.lockstep_algorithm import PROGRESS, LockstepAlgorithm

ADVANTAGES = "advantages"
VALUE_TARGETS = "value_targets"
ROWS_AT_ONCE = 1200
"""Rows whose activations fit in a core's second-level cache, give or take."""


class A2CAlgorithmConfig(PPOConfig):
    """RLlib's settings of A2C: PPO's, plus the ends of its schedules and the scale of the rewards."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or A2CAlgorithm)
        self.num_epochs = 1
        self.minibatch_size = None
        self.lr_final = 0.0
        self.entropy_final = 0.0
        self.reward_scale = 1.0
        self.normalize_advantages = True

    def get_default_learner_class(self) -> type:
        """Return the learner with the plain policy-gradient loss."""
        return A2CLearner


class A2CLearner(PPOTorchLearner):
    """Policy gradient, value error and entropy, all over the whole batch."""

    config: Any

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Set learning rate and entropy coefficient for how far training is."""
        super().before_gradient_based_update(timesteps=timesteps)
        progress = timesteps.get(PROGRESS, 0.0)
        self.entropy_coefficient = linear(self.config.entropy_coeff, self.config.entropy_final, progress)
        set_learning_rate(self, progress)

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Leave RLlib's own schedules out: they know steps, not progress."""
        del timesteps

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        """Return the loss; its gradient is minus the policy gradient plus value error and entropy terms."""
        log_policy = torch.log_softmax(fwd_out[Columns.ACTION_DIST_INPUTS], dim=-1)
        chosen = log_policy.gather(-1, batch[Columns.ACTIONS][:, None])[:, 0]
        policy_loss = -(chosen * batch[ADVANTAGES]).mean()
        entropy = -(log_policy.exp() * log_policy).sum(-1).mean()
        value_loss = torch.nn.functional.mse_loss(fwd_out[Columns.VF_PREDS], batch[VALUE_TARGETS])
        loss: torch.Tensor = (
            policy_loss + config.vf_loss_coeff * value_loss - self.entropy_coefficient * entropy
        )
        self._logged[POLICY_LOSS_KEY].append(policy_loss.detach())
        self._logged[VF_LOSS_KEY].append(value_loss.detach())
        self._logged[ENTROPY_KEY].append(entropy.detach())
        return loss

    def _uncompiled_update(
        self, batch: dict[str, Any], **_: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Take one gradient step over the whole batch, computing its gradient part by part.

        The sum is the same. The parts' activations stay in the processor's cache, which takes a fifth off.
        """
        ((module_id, rows),) = batch.items()
        self._logged: dict[str, list[torch.Tensor]] = defaultdict(list)
        parts = [rows.slice(start, start + ROWS_AT_ONCE) for start in range(0, len(rows), ROWS_AT_ONCE)]
        shares = [len(part) / len(rows) for part in parts]
        losses = []
        for optimizer in self._optimizer_parameters:
            optimizer.zero_grad(set_to_none=True)
        for part, share in zip(parts, shares, strict=True):
            outputs = self.module.forward_train({module_id: part})
            (loss,) = self.compute_losses(fwd_out=outputs, batch={module_id: part}).values()
            (loss * share).backward()
            losses.append(loss.detach())
        self.apply_gradients(
            self.postprocess_gradients({key: parameter.grad for key, parameter in self._params.items()})
        )

        def mean(values: list[torch.Tensor]) -> torch.Tensor:
            return torch.stack(values) @ torch.tensor(shares)

        self.metrics.log_dict(
            {key: mean(values) for key, values in self._logged.items()}
            | {"entropy_coefficient": self.entropy_coefficient},
            key=module_id,
            window=1,
        )
        return {}, {module_id: mean(losses)}, {}


def set_learning_rate(learner: TorchLearner, progress: float) -> None:
    """Set a learner's optimisers to the learning rate of its config's linear schedule, and log it."""
    config: Any = learner.config
    rate = linear(config.lr, config.lr_final, progress)
    for module_id in learner.module.keys():  # noqa: SIM118 -- a MultiRLModule iterates over modules otherwise
        for _, optimizer in learner.get_optimizers_for_module(module_id):
            for group in optimizer.param_groups:
                group["lr"] = rate
        learner.metrics.log_value((module_id, "learning_rate"), rate, window=1)


class A2CAlgorithm(LockstepAlgorithm, PPO):
    """A2C: collect whole rollouts, estimate advantages on arrays, take one gradient step."""

    config: Any
    metrics: Any

    @classmethod
    def get_default_config(cls) -> A2CAlgorithmConfig:
        """Return the default settings."""
        return A2CAlgorithmConfig()

    def training_step(self) -> None:
        """Run one iteration."""
        rollouts = self.collect()
        results = self.learn(self.batch(list(rollouts.values())))
        self.metrics.aggregate(results, key=keys.LEARNER_RESULTS)
        self.send_weights()

    def batch(self, rollouts: list[Rollout]) -> dict[str, Any]:
        """Turn rollouts into the learner's rows: one per action, none for ticks spent on resets."""
        parts = [self._rows(rollout) for rollout in rollouts]
        rows: dict[str, Any] = {
            key: np.concatenate([part[key] for part in parts]) for key in parts[0] if key != Columns.OBS
        }
        rows[Columns.OBS] = {
            key: np.concatenate([part[Columns.OBS][key] for part in parts]) for key in parts[0][Columns.OBS]
        }
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
        return {
            Columns.OBS: {key: column[:-1][acted] for key, column in rollout.observations.items()},
            Columns.ACTIONS: rollout.actions[acted],
            ADVANTAGES: gain[acted],
            VALUE_TARGETS: (gain + values[:-1])[acted],
        }
