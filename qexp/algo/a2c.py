"""Advantage actor-critic with one gradient step per batch.

Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning" (2016), in its synchronous form.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from typing_extensions import Doc

from qexp.algo.on_policy import OnPolicy
from qexp.algo.training import Batch
from qexp.config.option import option

if TYPE_CHECKING:
    from torch import Tensor


@option("algo", "a2c")
@dataclass(kw_only=True)
class A2C(OnPolicy):
    """Advantage actor-critic: many episodes at once, one gradient step per batch of whole episodes."""

    env_steps: Annotated[
        int | None,
        Ge(1),
        Doc("Decisions to learn from; null for no limit. More steps still help, ever more slowly."),
    ] = 6_000_000

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Return the loss; its gradient is minus the policy gradient plus value error and entropy terms.

        See `OnPolicy.loss`.
        """
        import torch

        log_policy = torch.log_softmax(batch.logits, dim=-1)
        chosen = log_policy.gather(-1, batch.actions[:, None])[:, 0]
        policy_loss = -(chosen * batch.advantages).mean()
        return self.with_value_and_entropy(policy_loss, log_policy, batch, progress)


def __getattr__(name: str) -> Any:
    """Know RLlib's settings by their former name."""
    if name != "A2CAlgorithmConfig":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("qexp.algo.configs").A2CConfig
