from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qexp.algo.actor_critic import advantages


def by_definition(rewards, values, terminated, truncated, gamma, gae_lambda, tick, env):
    """Sum of discounted one-step errors up to the episode's end, term by term (Schulman 2016, eq. 16)."""
    total = 0.0
    for later in range(tick, len(rewards)):
        following = 0.0 if terminated[later, env] else values[later + 1, env]
        error = rewards[later, env] + gamma * following - values[later, env]
        total += (gamma * gae_lambda) ** (later - tick) * error
        if terminated[later, env] or truncated[later, env]:
            break
    return total


@given(
    ticks=st.integers(1, 12),
    envs=st.integers(1, 3),
    gamma=st.sampled_from([0.0, 0.9, 1.0]),
    gae_lambda=st.sampled_from([0.0, 0.5, 1.0]),
    ends=st.floats(0.0, 0.6),
    seed=st.integers(0, 2**32 - 1),
)
def test_advantages_are_the_sums_of_their_definition(ticks, envs, gamma, gae_lambda, ends, seed):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(ticks, envs)).astype(np.float32)
    values = rng.normal(size=(ticks + 1, envs)).astype(np.float32)
    terminated = rng.random((ticks, envs)) < ends
    truncated = (rng.random((ticks, envs)) < ends) & ~terminated

    result = advantages(rewards, values, terminated, truncated, gamma=gamma, gae_lambda=gae_lambda)

    expected = [
        [
            by_definition(rewards, values, terminated, truncated, gamma, gae_lambda, tick, env)
            for env in range(envs)
        ]
        for tick in range(ticks)
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_undiscounted_advantage_with_lambda_one_is_the_return_minus_the_value():
    rewards = np.array([[1.0], [2.0], [4.0]], dtype=np.float32)
    values = np.array([[0.5], [0.5], [0.5], [99.0]], dtype=np.float32)
    ended = np.array([[False], [False], [True]])
    result = advantages(rewards, values, ended, np.zeros_like(ended), gamma=1.0, gae_lambda=1.0)
    assert result[:, 0].tolist() == pytest.approx([6.5, 5.5, 3.5])


def test_a_truncated_episode_is_completed_with_the_value_of_where_it_stopped():
    rewards = np.array([[1.0]], dtype=np.float32)
    values = np.array([[0.0], [10.0]], dtype=np.float32)
    yes, no = np.array([[True]]), np.array([[False]])
    assert advantages(rewards, values, no, yes, gamma=1.0, gae_lambda=1.0)[0, 0] == 11.0
    assert advantages(rewards, values, yes, no, gamma=1.0, gae_lambda=1.0)[0, 0] == 1.0
