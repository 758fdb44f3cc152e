"""What the loss of an `qexp.algo.on_policy.OnPolicy` is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Decisions to learn from, a row each, as Torch tensors.

    Attributes:
        logits: Scores of the choices by the network as it is now, with gradient; those of forbidden choices
            are -1e9, so their probability is zero; ``[rows, choices]``.
        values: Value of the state by the network as it is now, with gradient, ``[rows]``.
        actions: The choice that was made, ``[rows]``.
        advantages: By how much it was better than expected, ``[rows]``.
        value_targets: What the value should have been, ``[rows]``.
        old_logits: The scores by which the choice was made, without gradient, ``[rows, choices]``.
    """

    logits: Tensor
    values: Tensor
    actions: Tensor
    advantages: Tensor
    value_targets: Tensor
    old_logits: Tensor
