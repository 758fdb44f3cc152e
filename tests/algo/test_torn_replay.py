"""What a lost environment runner does to the replay memory, tick by tick and without Ray."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from qexp.algo.lockstep import Rollout
from qexp.algo.q_learning import DQNAlgorithm
from qexp.algo.replay import Replay

ENVS, TICKS, N_STEP = 2, 4, 3


class Runner:
    """Steps without end; every observation and reward names the runner's life and the tick in it."""

    def __init__(self, life: int) -> None:
        self.now = 1000 * life
        self.fresh = True

    def sample(self) -> Rollout:
        ticks = self.now + np.arange(TICKS + 1)
        self.now += TICKS
        fresh, self.fresh = self.fresh, False
        shape = (TICKS, ENVS)
        return Rollout(
            observations={"obs": ticks[:, None] + np.zeros((1, ENVS), dtype=int)},
            actions=np.zeros(shape, dtype=np.int64),
            rewards=ticks[:-1, None] + np.zeros((1, ENVS)),
            terminated=np.zeros(shape, dtype=bool),
            truncated=np.zeros(shape, dtype=bool),
            acted=np.ones(shape, dtype=bool),
            outputs={},
            fresh=fresh,
        )


@pytest.fixture
def algorithm() -> DQNAlgorithm:
    """As much of the algorithm as remembering needs, with two remote runners."""
    made = DQNAlgorithm.__new__(DQNAlgorithm)
    made.config = SimpleNamespace(num_env_runners=2, reward_scale=1.0)
    made.local_replay_buffer = Replay(
        400, n_step=N_STEP, gamma=1.0, priority_exponent=0.0, rng=np.random.default_rng(0)
    )
    return made


def transitions(algorithm: DQNAlgorithm) -> dict[tuple[int, int], tuple[float, float, int]]:
    """Every step that can be sampled, by environment and tick: return, discount and following tick."""
    rows = algorithm.local_replay_buffer.sample(5000, importance_exponent=0.0)
    envs = rows.items % (2 * ENVS)
    return {
        (int(env), int(tick)): (float(total), float(discount), int(following))
        for env, tick, total, discount, following in zip(
            envs, rows.observations["obs"], rows.returns, rows.discounts, rows.following["obs"], strict=True
        )
    }


def ahead(tick: int, end: int) -> tuple[float, float, int]:
    """The n-step return from a tick of a life that is seen up to ``end``."""
    steps = min(N_STEP, end - tick)
    return float(sum(range(tick, tick + steps))), 1.0, tick + steps


def test_no_return_looks_across_the_loss_of_a_runner(algorithm):
    one, two = Runner(life=1), Runner(life=2)
    algorithm.remember({1: one.sample(), 2: two.sample()})
    algorithm.remember({1: one.sample(), 2: two.sample()})
    for _ in range(2):
        algorithm.remember({1: one.sample()})
    again = Runner(life=3)
    for _ in range(2):
        algorithm.remember({1: one.sample(), 2: again.sample()})
    seen = transitions(algorithm)

    unbroken = range(1000, 1000 + 6 * TICKS - N_STEP + 1)
    first_life = range(2000, 2000 + 2 * TICKS)
    second_life = range(3000, 3000 + 2 * TICKS - N_STEP + 1)
    expected = {(env, tick): ahead(tick, 1 << 20) for env in (0, 1) for tick in unbroken}
    # The last steps before the loss are kept: they stop at the last state that was seen, and count its value.
    expected |= {(env, tick): ahead(tick, 2000 + 2 * TICKS) for env in (2, 3) for tick in first_life}
    expected |= {(env, tick): ahead(tick, 1 << 20) for env in (2, 3) for tick in second_life}
    assert seen == expected


def test_a_runner_that_started_over_unnoticed_is_left_out_once(algorithm):
    one, two = Runner(life=1), Runner(life=2)
    algorithm.remember({1: one.sample(), 2: two.sample()})
    again = Runner(life=3)
    algorithm.remember({1: one.sample(), 2: again.sample()})
    for _ in range(2):
        algorithm.remember({1: one.sample(), 2: again.sample()})
    seen = {key: value for key, value in transitions(algorithm).items() if key[0] == 2}
    expected = {(2, tick): ahead(tick, 2000 + TICKS) for tick in range(2000, 2000 + TICKS)}
    second_life = range(3000 + TICKS, 3000 + 3 * TICKS - N_STEP + 1)
    expected |= {(2, tick): ahead(tick, 1 << 20) for tick in second_life}
    assert seen == expected


def test_a_runner_may_be_missing_from_the_start(algorithm):
    one, two = Runner(life=1), Runner(life=2)
    algorithm.remember({2: two.sample()})
    algorithm.remember({1: one.sample(), 2: two.sample()})
    seen = transitions(algorithm)
    assert {tick for env, tick in seen if env < ENVS} == {1000, 1001}
    assert {tick for env, tick in seen if env >= ENVS} == set(range(2000, 2000 + 2 * TICKS - N_STEP + 1))


def test_a_memory_from_a_checkpoint_is_torn_where_episodes_begin_anew(algorithm):
    one, two = Runner(life=1), Runner(life=2)
    algorithm.remember({1: one.sample(), 2: two.sample()})
    algorithm._away = set()  # what restoring a checkpoint leaves
    third, fourth = Runner(life=3), Runner(life=4)
    for _ in range(2):
        algorithm.remember({1: third.sample(), 2: fourth.sample()})
    for (_, tick), (_, _, following) in transitions(algorithm).items():
        assert tick // 1000 == following // 1000
