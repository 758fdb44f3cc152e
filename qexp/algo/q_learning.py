"""Deep Q-learning on RLlib with a columnar replay and the six parts of Rainbow, each with its switch.

Mnih et al., "Human-level control through deep reinforcement learning" (2015); van Hasselt et al., "Deep
Reinforcement Learning with Double Q-learning" (2016); Wang et al., "Dueling Network Architectures for Deep
Reinforcement Learning" (2016); Schaul et al., "Prioritized Experience Replay" (2016); Bellemare et al., "A
Distributional Perspective on Reinforcement Learning" (2017); Fortunato et al., "Noisy Networks for
Exploration" (2018); all together: Hessel et al., "Rainbow" (2018). RLlib's own episode replay never trains
the last states of an episode and holds Python objects; see `qexp.algo.replay`. Its noisy layers do not exist,
and its value stream cancels in the softmax over atoms; see `qexp.problem.network`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.dqn import dqn as rllib
from ray.rllib.algorithms.dqn.torch.dqn_torch_learner import DQNTorchLearner
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils import metrics as keys
from torch import Tensor

from qexp.algo.budget import linear
from qexp.algo.lockstep import Rollout
from qexp.algo.lockstep_algorithm import PROGRESS, LockstepAlgorithm, LockstepConfig, set_learning_rate
from qexp.algo.modules import (
    QF_LOGITS,
    QF_NEXT_PREDS,
    QF_PREDS,
    QF_TARGET_NEXT_LOGITS,
    QF_TARGET_NEXT_PREDS,
    SUPPORT,
    QModule,
)
from qexp.algo.replay import Replay, Transitions

DISCOUNTS, WEIGHTS = "discounts", "weights"
LAST_TARGET_UPDATE, UPDATES_OWED = "last_target_update", "updates_owed"


class DQNConfig(LockstepConfig, rllib.DQNConfig):
    """RLlib's settings of DQN, plus the ends of the schedules and what the columnar replay needs."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or DQNAlgorithm)
        self.sigma0 = 0.5
        self.batch_size = 512
        self.replay_ratio = 4.0
        self.buffer_size = 200_000
        # Not RLlib's n_step: that one must fit into a rollout, this one need not.
        self.lookahead = 1
        self.priority_exponent = 0.6
        self.importance_exponent = 0.4
        self.epsilon_start = 0.3
        self.epsilon_final = 0.02
        self.epsilon_share = 0.5

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return super()._model_config_auto_includes | {"sigma0": self.sigma0 if self.noisy else None}

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Return the scorer network with action values."""
        return RLModuleSpec(module_class=QModule)

    def get_default_learner_class(self) -> type:
        """Return the learner for n-step rows."""
        return DQNLearner


class DQNLearner(DQNTorchLearner):
    """Loss of n-step returns, weighted by importance: Huber, or cross entropy of their distributions."""

    config: Any

    def build(self) -> None:
        """Build the modules, and leave out what their training does not need."""
        super().build()
        modules: Any = self.module
        for module in modules.values():
            module.unwrapped().values_next = self.config.double_q

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Set the learning rate for how far training is."""
        super().before_gradient_based_update(timesteps=timesteps)
        set_learning_rate(self, timesteps.get(PROGRESS, 0.0))

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the learner's state, with the steps at the last copy into the target network."""
        return {**super().get_state(*args, **kwargs), LAST_TARGET_UPDATE: dict(self.last_update_ts_by_mid)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        super().set_state(state)
        self.last_update_ts_by_mid.update(state.get(LAST_TARGET_UPDATE, {}))

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Tensor:
        """Return the loss, and leave every row's error with the metrics for the replay's priorities.

        See `Learner.compute_loss_for_module`.
        """
        judge = fwd_out[QF_NEXT_PREDS] if config.double_q else fwd_out[QF_TARGET_NEXT_PREDS]
        rows, best = torch.arange(len(judge)), judge.argmax(-1)
        following = fwd_out[QF_TARGET_NEXT_PREDS][rows, best]
        # A state nobody can act in (all masked, as after an episode) is worth nothing, not minus infinity.
        discounts = torch.where(torch.isfinite(following), batch[DISCOUNTS], 0.0)
        returns, actions = batch[Columns.REWARDS], batch[Columns.ACTIONS]
        if QF_LOGITS in fwd_out:
            support = fwd_out[SUPPORT]
            aims = fwd_out[QF_TARGET_NEXT_LOGITS][rows, best].softmax(-1)
            target = project(aims, returns, discounts, support)
            log_chosen = fwd_out[QF_LOGITS][rows, actions].log_softmax(-1)
            losses = -(target * log_chosen).sum(-1)
            # Cross entropy less the target's own entropy, which no learning takes away.
            priorities = losses.detach() + torch.xlogy(target, target).sum(-1)
            chosen = log_chosen.detach().exp() @ support
            errors = chosen - target @ support
        else:
            predicted = fwd_out[QF_PREDS][rows, actions]
            target = returns + discounts * following.nan_to_num(neginf=0.0)
            losses = torch.nn.functional.huber_loss(predicted, target, reduction="none")
            chosen = predicted.detach()
            priorities = errors = chosen - target
        loss: Tensor = (batch[WEIGHTS] * losses).mean()
        self.metrics.log_value((module_id, keys.TD_ERROR_KEY), priorities, reduce="item_series")
        self.metrics.log_dict(
            {"q_loss": loss.detach(), "q_mean": chosen.mean(), "td_error_mean": errors.abs().mean()},
            key=module_id,
            window=1,
        )
        return loss


class DQNAlgorithm(LockstepAlgorithm, rllib.DQN):
    """DQN: collect a short rollout of many episodes, then learn from the memory as often as it takes."""

    config: Any
    metrics: Any
    local_replay_buffer: Any
    _updates_owed = 0.0
    # Runners that the newest rollout in memory has nothing of; None before the first.
    _away: set[int] | None = None

    @classmethod
    def get_default_config(cls) -> DQNConfig:
        """Return the default settings."""
        return DQNConfig()

    def _create_local_replay_buffer_if_necessary(self, config: Any) -> Any:
        return Replay(
            config.buffer_size,
            n_step=config.lookahead,
            gamma=config.gamma,
            priority_exponent=config.priority_exponent,
            rng=np.random.default_rng(config.seed),
        )

    def training_step(self) -> None:
        """Run one iteration."""
        config = self.config
        rollouts = self.collect(epsilon=self.epsilon())
        self.remember(rollouts)
        steps = sum(int(rollout.acted.sum()) for rollout in rollouts.values())
        if len(self.local_replay_buffer) < max(config.num_steps_sampled_before_learning_starts, 1):
            return
        # What is less than a whole update now comes with a later one, or the ratio would not hold.
        self._updates_owed += steps * config.replay_ratio / config.batch_size
        updates = int(self._updates_owed)
        self._updates_owed -= updates
        if updates == 0:
            return
        beta = linear(config.importance_exponent, 1.0, self.progress)
        rows = self.local_replay_buffer.sample(updates * config.batch_size, importance_exponent=beta)
        results = self.learn(_columns(rows), minibatch_size=config.batch_size, num_epochs=1)
        errors = [result[DEFAULT_MODULE_ID].pop(keys.TD_ERROR_KEY).peek() for result in results]
        self.local_replay_buffer.update(rows.items, np.concatenate([np.ravel(part) for part in errors]))
        self.metrics.aggregate(results, key=keys.LEARNER_RESULTS)
        self.send_weights()

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return RLlib's state of the algorithm, with the updates still owed."""
        return {**super().get_state(*args, **kwargs), UPDATES_OWED: self._updates_owed}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        super().set_state(state)
        self._updates_owed = state.get(UPDATES_OWED, 0.0)
        self._away = set()

    def epsilon(self) -> float:
        """Return the share of random choices for how far training is; noisy networks need none."""
        config = self.config
        if config.noisy:
            return 0.0
        share = min(1.0, self.progress / config.epsilon_share) if config.epsilon_share > 0 else 1.0
        return linear(config.epsilon_start, config.epsilon_final, share)

    def remember(self, rollouts: dict[int, Rollout]) -> None:
        """Put rollouts into the memory, side by side: every runner's environments keep their columns.

        A runner that was lost adds nothing. One that started over is left out once, which leaves a gap
        between its old episodes and its new ones.
        """
        runners = range(1, self.config.num_env_runners + 1) if self.config.num_env_runners else (0,)
        before, self._away = self._away, set()
        for runner in runners:
            fresh = runner in rollouts and rollouts[runner].fresh
            if runner not in rollouts or (fresh and before is not None and runner not in before):
                self._away.add(runner)
        present = next(iter(rollouts.values()))
        parts = [present if runner in self._away else rollouts[runner] for runner in runners]
        torn = np.repeat([runner in self._away for runner in runners], present.actions.shape[1])

        def together(name: str) -> Any:
            return np.concatenate([getattr(part, name) for part in parts], axis=1)

        rollout = {name: together(name) for name in ("actions", "terminated", "truncated", "acted")}
        rollout["rewards"] = together("rewards") * self.config.reward_scale
        rollout["acted"][:, torn] = False
        seen = [part.observations for part in parts]
        observations = {key: np.concatenate([one[key] for one in seen], axis=1) for key in seen[0]}
        self.local_replay_buffer.add(rollout, observations, torn)


def _columns(rows: Transitions) -> dict[str, Any]:
    return {
        Columns.OBS: rows.observations,
        Columns.NEXT_OBS: rows.following,
        Columns.ACTIONS: rows.actions,
        Columns.REWARDS: rows.returns,
        DISCOUNTS: rows.discounts,
        WEIGHTS: rows.weights,
    }


def project(probabilities: Tensor, returns: Tensor, discounts: Tensor, support: Tensor) -> Tensor:
    """Distribute ``returns + discounts * (a draw of the following state's return)`` over the atoms (C51).

    Each shifted atom's mass goes to its two neighbours, the nearer one getting more, so that the mean stays;
    what falls outside of the support goes to its end. The result is ``[batch, atoms]``.

    Args:
        probabilities: Distribution of the following state's return, ``[batch, atoms]``.
        returns: Sum of the rewards up to that state, ``[batch]``.
        discounts: What that state's return counts, ``[batch]``.
        support: What the atoms stand for, evenly spaced and ascending, ``[atoms]``.
    """
    batch, atoms = probabilities.shape
    spacing = (support[-1] - support[0]) / (atoms - 1)
    shifted = returns[:, None] + discounts[:, None] * support
    places = ((shifted - support[0]) / spacing).clamp(0, atoms - 1)
    # The last atom counts as the upper neighbour of the one before: every place has two.
    lower = places.floor().clamp(max=atoms - 2)
    upper_mass = probabilities * (places - lower)
    items = (lower.long() + atoms * torch.arange(batch)[:, None]).flatten()
    projected = torch.zeros(batch * atoms)
    projected.index_add_(0, items, (probabilities - upper_mass).flatten())
    projected.index_add_(0, items + 1, upper_mass.flatten())
    return projected.view(batch, atoms)
