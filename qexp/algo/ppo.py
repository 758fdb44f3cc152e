"""Proximal policy optimisation: several gradient steps per batch, none of which goes far.

Schulman et al., "Proximal Policy Optimization Algorithms" (2017), with the clipped objective.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from typing_extensions import Doc

from qexp.algo.batch import Batch
from qexp.algo.budget import linear
from qexp.algo.on_policy import OnPolicy
from qexp.algo.training import Count, Positive
from qexp.config.option import option

if TYPE_CHECKING:
    from torch import Tensor


@option("algo", "ppo")
@dataclass(kw_only=True)
class PPO(OnPolicy):
    """Proximal policy optimisation: several clipped gradient steps per batch of whole episodes."""

    epochs: Annotated[Count, Doc("How often each batch is learned from.")] = 4
    minibatches: Annotated[Count, Doc("Gradient steps each time, each on its share of the batch.")] = 4
    clip: Annotated[
        Positive,
        Doc("How far a choice's probability may move from what it was, as a ratio, before it stops to pay."),
    ] = 0.2

    def reuse(self) -> tuple[int, int]:
        """Return epochs and minibatches."""
        return self.epochs, self.minibatches

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Return the clipped objective's loss, with value error and entropy terms."""
        import torch

        log_policy = torch.log_softmax(batch.logits, dim=-1)
        actions = batch.actions[:, None]
        old = torch.log_softmax(batch.old_logits, dim=-1).gather(-1, actions)[:, 0]
        log_ratio = log_policy.gather(-1, actions)[:, 0] - old
        ratio = log_ratio.exp()
        near = ratio.clamp(1 - self.clip, 1 + self.clip)
        policy_loss = -torch.minimum(ratio * batch.advantages, near * batch.advantages).mean()
        entropy = -(log_policy.exp() * log_policy).sum(-1).mean()
        value_loss = torch.nn.functional.mse_loss(batch.values, batch.value_targets)
        weight = linear(self.entropy, self.entropy_final, progress)
        loss = policy_loss + self.value_coefficient * value_loss - weight * entropy
        figures = {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": (ratio - 1 - log_ratio).mean(),
            "clipped": (ratio != near).float().mean(),
        }
        return loss, {**figures, "entropy_coefficient": weight}
