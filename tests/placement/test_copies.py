"""Copies and pickles of the single environments in mid-episode: a search tree grows from them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from cases import quick_first

import qexp.env
from qexp.env.gate_scheduling import BasicRewarder, GateSchedulingEnv, Scheduling
from qexp.placement.engine import SimulatedCloud
from qexp.placement.env import PlacementEnv
from qexp.placement.episode import Rules
from qexp.placement.reward.inverse import Inverse

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}  # noqa: S301


@pytest.fixture
def environments(qce25):
    """How to make each environment, and the key of its mask in observations, if there is one."""
    refusing = replace(qce25, mask=False, max_refusals=4, initial_backlog=3.0, reward=Inverse())
    return {
        "placement": lambda: PlacementEnv(qce25),
        "made": lambda: gym.make(qexp.env.PLACEMENT_ID, scenario=qce25),
        "made by default": lambda: gym.make(qexp.env.PLACEMENT_ID),
        "limited": lambda: gym.wrappers.TimeLimit(PlacementEnv(qce25), 9),
        "refusing": lambda: PlacementEnv(refusing),
        "flat": lambda: gym.make(qexp.env.PLACEMENT_ID, scenario=replace(qce25, observation="flat")),
        "gates": lambda: GateSchedulingEnv(max_gates=10),
        "gates made": lambda: gym.make(qexp.env.QGYM_ID, machine="ten_qubit", max_gates=12),
        "compatible": lambda: Scheduling("workshop5", max_gates=12, rewarder=BasicRewarder()),
    }


NAMES = (
    *("placement", "made", "made by default", "limited", "refusing", "flat"),
    *("gates", "gates made", "compatible"),
)


def act(env, rng, said):
    """Step by chance, or begin the next episode; return what the environment says."""
    if len(said) == 5 and (said[2] or said[3]):
        return env.reset()
    mask = said[0].get("action_mask") if isinstance(said[0], dict) else None
    if mask is None or rng.random() < 0.2:
        return env.step(rng.integers(env.action_space.nvec if hasattr(env.action_space, "nvec") else 5))
    return env.step(int(rng.choice(np.flatnonzero(mask))))


def play(env, seed, said, steps=60):
    rng, all_said = np.random.default_rng(seed), []
    for _ in range(steps):
        said = act(env, rng, said)
        all_said.append(copy.deepcopy(said))
    return all_said


@pytest.mark.slow
@pytest.mark.parametrize("way", quick_first(WAYS))
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_goes_on_equal_and_on_its_own(environments, name, way):
    env, rng = environments[name](), np.random.default_rng(0)
    said = env.reset(seed=3)
    for steps in (0, 1, 7, 30, 60):  # within episodes, and over the ends of some
        for _ in range(steps):
            said = act(env, rng, said)
        twin, third = WAYS[way](env), WAYS[way](env)
        # Another course first: it must not reach the others.
        play(third, 9, said)
        third.reset(seed=1)
        once = play(twin, steps, said)
        fourth = WAYS[way](env)
        np.testing.assert_equal(play(env, steps, said), once)
        np.testing.assert_equal(play(fourth, steps, said), once)
        said = once[-1]


@pytest.mark.parametrize("way", quick_first(WAYS))
@pytest.mark.parametrize("name", NAMES)
def test_copies_before_the_first_reset_and_of_copies(environments, name, way):
    env = environments[name]()
    twin = WAYS[way](WAYS[way](env))
    np.testing.assert_equal(twin.reset(seed=2), env.reset(seed=2))
    again = WAYS[way](WAYS[way](env))
    np.testing.assert_equal(again.reset(), twin.reset())


def test_a_copy_samples_actions_of_its_own(environments):
    env = environments["made"]()
    env.reset(seed=0)
    env.action_space.seed(5)
    twin = copy.deepcopy(env)
    expected = [twin.action_space.sample() for _ in range(20)]
    assert [env.action_space.sample() for _ in range(20)] == expected


def test_a_copy_shares_what_never_changes(qce25):
    env = gym.make(qexp.env.PLACEMENT_ID, scenario=qce25)
    env.reset(seed=0)
    assert copy.deepcopy(env).unwrapped.scenario is qce25


@pytest.mark.parametrize("way", WAYS)
def test_a_given_episode_is_copied_too(qce25, make_episode, way):
    env = PlacementEnv(qce25)
    env.reset(options={"episode": make_episode([1, 2], [[4, 3, 9, 9, 9], [3, 6, 9, np.inf, np.inf]])})
    env.step(0)
    twin = WAYS[way](env)
    np.testing.assert_equal(twin.step(0), env.step(0))
    assert twin.unwrapped._total == 10.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("placed", [0, 3, 25])
@pytest.mark.parametrize("finished", [False, True])
def test_the_log_of_a_cloud_is_complete_in_a_copy(qce25, way, placed, finished):
    cloud = SimulatedCloud(qce25.fleet, qce25.episode(0, 0), Rules(initial_backlog=2.0))
    for _ in range(placed):
        cloud.place(0)
    if finished:
        cloud.finish()
    twin = WAYS[way](cloud)
    np.testing.assert_equal([vars_of(t) for t in twin.tasks], [vars_of(t) for t in cloud.tasks])
    assert twin.now == cloud.now
    for each in (cloud, twin):
        while each.waiting is not None:
            each.place(1 if each.task_state().mask[1] else 0)
        each.finish()
    np.testing.assert_equal([vars_of(t) for t in twin.tasks], [vars_of(t) for t in cloud.tasks])


def vars_of(task):
    return [getattr(task, name) for name in type(task).__slots__]
