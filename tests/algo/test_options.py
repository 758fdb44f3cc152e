from __future__ import annotations

from pathlib import Path

import pytest

from qexp.algo import A2C, DQN, PPO
from qexp.errors import InputError

CONF = Path(__file__).parents[2] / "conf" / "algo"


@pytest.mark.parametrize("cls", [A2C, DQN, PPO])
def test_a_run_without_any_limit_is_refused_by_its_key(cls):
    with pytest.raises(InputError, match=r"^algo\.env_steps: "):
        cls(env_steps=None, seconds=None)


def test_a_replay_that_cannot_hold_its_rollouts_is_refused_by_its_key():
    with pytest.raises(InputError, match=r"^algo\.buffer_size=1000: must be at least 1792 "):
        DQN(buffer_size=1000, num_envs=64, rollout_length=8, n_step=5)


@pytest.mark.parametrize(
    ("env_steps", "episodes"), [(6_000_000, 192), (100_000, 13), (1_000, 1), (1, 1), (None, 192)]
)
def test_a_small_budget_steps_fewer_episodes_at_once(env_steps, episodes):
    assert A2C(env_steps=env_steps, seconds=9.0, rollout_length=25).episodes_at_once == episodes
