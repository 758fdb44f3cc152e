"""Algorithms that learn from what the policy has just done, then forget it: they define a loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from typing_extensions import Doc

from qexp.algo.budget import linear
from qexp.algo.training import Batch, Count, Fraction, NonNegative, Training

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class OnPolicy(Training):
    """An actor-critic: samples whole rollouts, estimates advantages, and learns from each batch only then."""

    min_iterations: Annotated[
        Count,
        Doc(
            "Gradient steps that a run must have: a budget too small for them steps fewer episodes at once. "
            "With 100,000 decisions, 300 small steps learn a good policy and 20 large ones nothing."
        ),
    ] = 300
    gae_lambda: Annotated[
        Fraction, Doc("0 trusts the learned values, 1 the sampled returns, which are exact and noisy.")
    ] = 0.99
    normalize_advantages: Annotated[
        bool, Doc("Whether a batch's advantages get mean 0 and deviation 1, whatever the reward's scale.")
    ] = True
    value_coefficient: Annotated[
        NonNegative, Doc("Weight of the value's squared error. Policy and value share their embedding.")
    ] = 0.5
    entropy: Annotated[
        NonNegative, Doc("Weight of the policy's entropy, falling linearly to entropy_final.")
    ] = 0.01
    entropy_final: Annotated[NonNegative, Doc("Weight at the end.")] = 0.0

    @abstractmethod
    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Return what a gradient step makes smaller, a mean over the rows, and figures for the history.

        Args:
            batch: The decisions, or some of them: see `reuse`.
            progress: How much of the training is over, 0 to 1.
        """

    def with_value_and_entropy(
        self, policy_loss: Tensor, log_policy: Tensor, batch: Batch, progress: float
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return a loss of the policy plus the terms of value error and entropy, and their figures.

        Args:
            policy_loss: A mean over the rows.
            log_policy: Logarithms of the choices' probabilities, ``[rows, choices]``.
            batch: The decisions.
            progress: How much of the training is over, 0 to 1.
        """
        import torch

        entropy = -(log_policy.exp() * log_policy).sum(-1).mean()
        value_loss = torch.nn.functional.mse_loss(batch.values, batch.value_targets)
        weight = linear(self.entropy, self.entropy_final, progress)
        loss = policy_loss + self.value_coefficient * value_loss - weight * entropy
        figures = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        return loss, {**figures, "entropy_coefficient": weight}

    def reuse(self) -> tuple[int, int]:
        """Return how often a batch is gone through, and in how many gradient steps each time."""
        return 1, 1

    @property
    def episodes_at_once(self) -> int:
        """Episodes each environment runner steps at once: fewer than ``num_envs`` if the budget is small."""
        if self.env_steps is None:
            return self.num_envs
        runners = max(1, self.num_env_runners)
        affordable = self.env_steps // (self.min_iterations * (self.rollout_length or 1) * runners)
        return min(self.num_envs, max(1, affordable))

    @property
    def ticks(self) -> int:
        """Steps of the vector environment in a rollout: one more than decisions, for the reset."""
        return super().ticks + 1

    def rllib(self) -> Any:
        """Return the actor-critic's config, which calls `loss`."""
        from qexp.algo.actor_critic import ActorCriticConfig

        return ActorCriticConfig(option=self)
