"""Proximal policy optimisation: several gradient steps per batch, none of which goes far.

Schulman et al., "Proximal Policy Optimization Algorithms" (2017), with the clipped objective.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from typing_extensions import Doc

from qexp.algo.on_policy import OnPolicy
from qexp.algo.training import Batch, Count, Positive
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
        """Return the clipped objective's loss, with value error and entropy terms, see `OnPolicy.loss`."""
        import torch

        log_policy = torch.log_softmax(batch.logits, dim=-1)
        actions = batch.actions[:, None]
        old = torch.log_softmax(batch.old_logits, dim=-1).gather(-1, actions)[:, 0]
        log_ratio = log_policy.gather(-1, actions)[:, 0] - old
        ratio = log_ratio.exp()
        near = ratio.clamp(1 - self.clip, 1 + self.clip)
        policy_loss = -torch.minimum(ratio * batch.advantages, near * batch.advantages).mean()
        loss, figures = self.with_value_and_entropy(policy_loss, log_policy, batch, progress)
        clipped = (ratio != near).float().mean()
        return loss, {**figures, "kl": (ratio - 1 - log_ratio).mean(), "clipped": clipped}
