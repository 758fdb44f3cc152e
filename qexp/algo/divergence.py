"""Training that has diverged: noticed in the iteration where it happens, not when the policy is exported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

WATCHED = {
    "total_loss": "the loss",
    "gradients_default_optimizer_global_norm": "the norm of the gradient",
}
"""Figures of a learner's results, by RLlib's names."""

SCORES = "q_mean"
"""Mean score of what was learned from in the iteration, where a learner says it."""

LARGEST_SCORE = 1e18
"""No policy needs larger ones; much larger ones overflow on features a little larger."""


def what_diverged(results: Mapping[str, Any], module: nn.Module, seen: Mapping[str, Tensor]) -> str | None:
    """Say what of an iteration is no number to go on with, or None.

    Args:
        results: RLlib's results of the iteration.
        module: The learner's module.
        seen: Observations to score; without any, scores are not looked at.
    """
    learner = results.get("learners", {}).get("default_policy", {})
    for key, words in WATCHED.items():
        if not math.isfinite(value := float(learner.get(key, 0.0))):
            return f"{words} is {value:g}"
    # A learning rate that falls may bring scores back; what they were learned to be is lost.
    if abs(value := float(learner.get(SCORES, 0.0))) >= LARGEST_SCORE:
        return f"the network's scores reach {value:g}"
    if not all(bool(parameter.isfinite().all()) for parameter in module.parameters()):
        return "the network's weights are not finite"
    network = getattr(module, "network", None)
    if not seen or network is None:
        return None
    with torch.inference_mode():
        scores, _ = network.outputs(
            seen["task"], seen["nodes"], seen.get("action_mask"), seen.get("present"), with_value=False
        )
        largest = float(scores.abs().max())  # not a number if one is not
    if largest < LARGEST_SCORE:
        return None
    reach = f"reach {largest:g}" if math.isfinite(largest) else "are not finite"
    return f"the network's scores {reach}"
