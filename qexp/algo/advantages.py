"""Generalised advantage estimation over whole arrays, for vector environments that reset on the next step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def advantages(
    rewards: Floats,
    values: Floats,
    terminated: Bools,
    truncated: Bools,
    *,
    gamma: float,
    gae_lambda: float,
) -> Floats:
    """Return the advantage of every action taken.

    Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016),
    equation 16. An episode that is cut off, by truncation or by the end of the arrays, is completed with
    the value of the state it stopped in; one that terminated is worth nothing more.

    Args:
        rewards: Reward of each action, ``[ticks, envs]``.
        values: Value of the state before each action and, last, after the final one, ``[ticks + 1, envs]``.
        terminated: Whether the action ended the episode, ``[ticks, envs]``.
        truncated: Whether the episode was cut off after the action, ``[ticks, envs]``.
        gamma: Discount per step.
        gae_lambda: 0 trusts the values (one-step errors), 1 the returns.

    Returns:
        Advantages, ``[ticks, envs]``. Rows that belong to a reset and not to an action mean nothing.
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
