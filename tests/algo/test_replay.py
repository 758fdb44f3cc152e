from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qexp.algo.replay import Replay, SumTree


def make_replay(capacity=1000, n_step=3, gamma=0.9, priority_exponent=0.6, seed=0):
    return Replay(
        capacity,
        n_step=n_step,
        gamma=gamma,
        priority_exponent=priority_exponent,
        rng=np.random.default_rng(seed),
    )


class Tape:
    """Random episodes in a few environments, recorded tick by tick as a lockstep runner would.

    The observation is the tick's number, so a sampled row says where it comes from.
    """

    def __init__(self, ticks: int, envs: int, seed: int, end: float = 0.3) -> None:
        rng = np.random.default_rng(seed)
        shape = (ticks, envs)
        self.observations = np.arange(ticks + 1)[:, None] + np.zeros((1, envs), dtype=int)
        self.rewards = rng.integers(1, 100, shape).astype(float)
        self.actions = rng.integers(0, 5, shape)
        self.terminated = np.zeros(shape, dtype=bool)
        self.truncated = np.zeros(shape, dtype=bool)
        self.acted = np.ones(shape, dtype=bool)
        for tick in range(ticks):
            self.acted[tick] = ~(self.terminated | self.truncated)[tick - 1] if tick else True
            ends = (rng.random(envs) < end) & self.acted[tick]
            cut = ends & (rng.random(envs) < 0.5)
            self.terminated[tick], self.truncated[tick] = ends & ~cut, cut
        self.rewards[~self.acted] = 0.0

    def feed(self, replay: Replay, chunk: int) -> None:
        for start in range(0, len(self.actions), chunk):
            part = slice(start, start + chunk)
            names = ("actions", "rewards", "terminated", "truncated", "acted")
            ticks = len(self.actions[part])
            replay.add(
                {name: getattr(self, name)[part] for name in names},
                {"tick": self.observations[start : start + ticks + 1]},
            )

    def look_ahead(self, tick, env, n_step, gamma):
        """Return, discount and following tick of one step, walked through one reward at a time."""
        total, discount = 0.0, 1.0
        for _ in range(n_step):
            total += discount * self.rewards[tick, env]
            discount *= gamma
            tick += 1
            if self.terminated[tick - 1, env]:
                return total, 0.0, tick
            if self.truncated[tick - 1, env]:
                break
        return total, discount, tick


@given(
    ticks=st.integers(8, 40),
    envs=st.integers(1, 3),
    n_step=st.integers(1, 5),
    chunk=st.integers(1, 7),
    capacity=st.integers(1, 60),
    gamma=st.sampled_from([0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_sample_is_the_n_step_return_of_a_step_still_in_memory(
    ticks, envs, n_step, chunk, capacity, gamma, seed
):
    tape = Tape(ticks, envs, seed)
    # What the memory holds must outlast a chunk and its look-ahead; below that it refuses.
    replay = make_replay(envs * (capacity + chunk + n_step + 2), n_step, gamma, seed=seed)
    tape.feed(replay, chunk)
    rows = replay.sample(200, importance_exponent=0.4)
    for row in range(200):
        tick = int(rows.observations["tick"][row])
        env = int(rows.items[row]) % envs
        assert tape.acted[tick, env]
        assert rows.actions[row] == tape.actions[tick, env]
        total, discount, following = tape.look_ahead(tick, env, n_step, gamma)
        assert rows.returns[row] == pytest.approx(total)
        assert rows.discounts[row] == pytest.approx(discount)
        assert rows.following["tick"][row] == following


def test_every_complete_step_can_be_sampled_the_last_of_an_episode_included():
    tape = Tape(ticks=30, envs=2, seed=3)
    replay = make_replay(n_step=3)
    tape.feed(replay, chunk=4)
    complete = tape.acted[: 30 - 3 + 1]
    assert len(replay) == complete.sum()
    rows = replay.sample(4000, importance_exponent=0.0)
    seen = set(zip(rows.observations["tick"].tolist(), (rows.items % 2).tolist(), strict=True))
    assert seen == {(int(tick), int(env)) for tick, env in np.argwhere(complete)}


def test_a_full_memory_forgets_the_oldest_steps_first():
    tape = Tape(ticks=100, envs=1, seed=4, end=0.0)
    replay = make_replay(capacity=20, n_step=2)
    tape.feed(replay, chunk=5)
    ticks = replay.sample(2000, importance_exponent=0.0).observations["tick"]
    # 20 slots, one of which holds the newest observation, and the newest step is still incomplete.
    assert set(ticks.tolist()) == set(range(81, 99))
    assert len(replay) == 18


def test_steps_are_drawn_in_proportion_to_the_power_of_their_error():
    tape = Tape(ticks=10, envs=1, seed=0, end=0.0)
    replay = make_replay(n_step=1, priority_exponent=0.5)
    tape.feed(replay, chunk=10)
    replay.update(np.arange(10), np.array([0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0, 64.0, 81.0]))
    counts = np.bincount(replay.sample(45_000, importance_exponent=0.0).items, minlength=10)
    expected = 1000 * np.arange(10)
    expected[0] = 1000 * np.sqrt(1e-3)
    # Systematic sampling misses a share by less than one draw per boundary.
    assert np.abs(counts - expected).max() < 0.01 * 45_000
    assert counts[9] > counts[5] > counts[1] > counts[0]


def test_importance_weights_undo_the_priorities():
    tape = Tape(ticks=10, envs=1, seed=0, end=0.0)
    replay = make_replay(n_step=1, priority_exponent=1.0)
    tape.feed(replay, chunk=10)
    replay.update(np.arange(10), np.arange(1.0, 11.0) - 1e-3)
    rows = replay.sample(5000, importance_exponent=1.0)
    # Drawn i times as often, weighted 1 / i: every step counts the same in the end.
    total = np.bincount(rows.items, weights=rows.weights, minlength=10)
    np.testing.assert_allclose(total / total.mean(), 1.0, rtol=0.05)
    assert rows.weights.max() == 1.0


def test_without_a_priority_exponent_every_step_is_drawn_alike():
    tape = Tape(ticks=10, envs=1, seed=0, end=0.0)
    replay = make_replay(n_step=1, priority_exponent=0.0)
    tape.feed(replay, chunk=10)
    replay.update(np.arange(5), np.full(5, 1e6))
    rows = replay.sample(1000, importance_exponent=0.7)
    assert np.bincount(rows.items, minlength=10).tolist() == [100] * 10
    assert (rows.weights == 1.0).all()


def test_the_same_seed_draws_the_same_steps():
    def draw():
        replay = make_replay(seed=5)
        Tape(ticks=50, envs=3, seed=1).feed(replay, chunk=5)
        return replay.sample(64, importance_exponent=0.4).items.tolist()

    assert draw() == draw()


def test_a_memory_too_small_for_a_rollout_says_so():
    replay = make_replay(capacity=4, n_step=1)
    with pytest.raises(ValueError, match="memory of 4 ticks cannot take 10"):
        Tape(ticks=10, envs=1, seed=0).feed(replay, chunk=10)


@given(
    weights=st.lists(st.floats(0.0, 1e6, allow_subnormal=False), min_size=1, max_size=40).filter(any),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_sum_tree_finds_the_item_that_a_cumulated_sum_finds(weights, seed):
    tree = SumTree(len(weights))
    tree[np.arange(len(weights))] = np.array(weights)
    assert tree.total == pytest.approx(sum(weights))
    marks = np.random.default_rng(seed).random(50) * tree.total
    found = tree.find(marks)
    assert (np.array(weights)[found] > 0).all()
    ends = np.cumsum(weights)
    tolerance = 1e-9 * tree.total
    assert (marks <= ends[found] + tolerance).all()
    assert (marks >= ends[found] - np.array(weights)[found] - tolerance).all()


def test_a_sum_tree_keeps_its_sums_through_partial_updates_with_repeated_items():
    tree = SumTree(7)
    tree[np.arange(7)] = 1.0
    tree[np.array([2, 5, 2])] = np.array([9.0, 3.0, 4.0])
    assert tree[np.arange(7)].tolist() == [1, 1, 4, 1, 1, 3, 1]
    assert tree.total == 12.0
