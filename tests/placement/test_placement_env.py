"""The environment for one episode at a time: Gymnasium's contract, and numbers worked out by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import qexp.env
from qexp.fleet.fleet import Fleet
from qexp.placement.batched import NEVER
from qexp.placement.env import PlacementEnv
from qexp.placement.placement import Placement
from qexp.placement.reward.inverse import Inverse

INF = np.inf


@pytest.fixture
def two(make_episode):
    """Two tasks on five machines, of which the last two are too small for the second."""
    return make_episode([1, 2], [[4, 3, 9, 9, 9], [3, 6, 9, INF, INF]])


def play(env, rng, *, seed=None, masked=True):
    """Play one episode at random; return all that the environment said."""
    said = [env.reset(seed=seed)]
    over = False
    while not over:
        observation = said[-1][0]
        allowed = observation["action_mask"] if masked else np.ones(env.action_space.n)
        said.append(env.step(rng.choice(np.flatnonzero(allowed))))
        over = said[-1][2] or said[-1][3]
    return said


def assert_same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a[1:] == b[1:]
        assert a[0].keys() == b[0].keys()
        for key in a[0]:
            assert np.array_equal(a[0][key], b[0][key]), key


@pytest.mark.parametrize("observation", ["dict", "flat"])
@pytest.mark.parametrize("mask", [True, False])
def test_gymnasiums_checker_has_no_complaint(qce25, observation, mask):
    scenario = replace(qce25, observation=observation, mask=mask, max_refusals=3)
    # Warnings are errors here, and the checker warns about what is legal but unwise.
    check_env(gym.make(qexp.env.PLACEMENT_ID, scenario=scenario).unwrapped)


def test_importing_the_package_registers_the_environment():
    env = gym.make("qexp/Placement-v0")
    assert isinstance(env.unwrapped, PlacementEnv)
    assert env.unwrapped.scenario.fleet.names == ["washington", "kolkata", "hanoi", "perth", "lagos"]
    assert env.unwrapped.scenario.tasks == 25
    other = gym.make("qexp/Placement-v0", scenario=replace(env.unwrapped.scenario, tasks=3))
    said = play(other, np.random.default_rng(0))
    assert len(said) == 1 + 3


def test_the_same_seed_gives_the_same_episode(qce25):
    one, again, other = (play(PlacementEnv(qce25), np.random.default_rng(0), seed=s) for s in (7, 7, 8))
    assert_same(one, again)
    assert not np.array_equal(one[0][0]["task"], other[0][0]["task"])


def test_resets_without_a_seed_continue_the_stream(qce25):
    env, again = PlacementEnv(qce25), PlacementEnv(qce25)
    seen = [env.reset(seed=3)[0]["nodes"]] + [env.reset()[0]["nodes"] for _ in range(4)]
    for before, after in pairwise(seen):
        assert not np.array_equal(before, after)
    # Playing an episode to its end takes nothing from the stream.
    for k, nodes in enumerate(seen):
        assert np.array_equal(again.reset(seed=3 if k == 0 else None)[0]["nodes"], nodes)
        for _ in range(5):
            again.step(0)


def test_nothing_leaks_from_one_episode_to_the_next(qce25, two):
    used, fresh = PlacementEnv(replace(qce25, mask=False)), PlacementEnv(replace(qce25, mask=False))
    play(used, np.random.default_rng(1), seed=1, masked=False)
    used.reset()
    for node in (3, 3, 0):
        used.step(node)
    for env in (used, fresh):
        env.reset(seed=5)
    assert_same(
        *([env.reset(options={"episode": two}), *(env.step(a) for a in (0, 3, 0))] for env in (used, fresh))
    )


def test_observations_are_the_callers_to_keep(qce25):
    env = PlacementEnv(qce25)
    observation, _ = env.reset(seed=0)
    kept = copy.deepcopy(observation)
    after, *_ = env.step(0)
    for key, value in kept.items():
        assert np.array_equal(observation[key], value)
        after[key][...] = 0
    # Writing into an observation does not reach the features remembered for the circuit.
    clean, _ = env.reset(seed=0)
    for key, value in kept.items():
        assert np.array_equal(clean[key], value)


def test_completion_times_worked_out_by_hand(qce25, two):
    # Task 0: node 0 at 1, done at 5. Task 1: asks at 2, waits 3 for node 0 and runs 3.
    env = PlacementEnv(qce25)
    observation, info = env.reset(options={"episode": two})
    assert info == {}
    assert observation["action_mask"].tolist() == [1, 1, 1, 1, 1]
    observation, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated, info) == (pytest.approx(-4 / 30), False, False, {})
    assert observation["action_mask"].tolist() == [1, 1, 1, 0, 0]
    _, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated) == (pytest.approx(-6 / 30), True, False)
    assert info == {"total_completion_time": 10.0, "reschedules": 0}


@pytest.mark.parametrize("mask", [True, False])
def test_a_refusal_costs_the_delay_and_the_task_returns(qce25, two, mask):
    env = PlacementEnv(replace(qce25, mask=mask, rescheduling_delay=2.5, observation="flat"))
    env.reset(options={"episode": two})
    env.step(0)
    observation, reward, terminated, truncated, _ = env.step(4)  # does not fit
    assert (reward, terminated, truncated) == (pytest.approx(-2.5 / 30), False, False)
    assert observation[:4].tolist() == [2, 2, 10, 1]  # the same task, refused once
    # At 4.5 node 0 is busy until 5: it waits 0.5 and runs 3.
    _, reward, terminated, _, info = env.step(0)
    assert (reward, terminated) == (pytest.approx(-3.5 / 30), True)
    assert info == {"total_completion_time": pytest.approx(4 + 2.5 + 3.5), "reschedules": 1}


def test_mask_off_allows_every_node_and_still_tells_what_fits(qce25, two):
    observed = []
    for mask in (True, False):
        env = PlacementEnv(replace(qce25, mask=mask))
        env.reset(options={"episode": two})
        observed.append(env.step(0)[0])
    with_mask, without = observed
    assert with_mask["action_mask"].tolist() == [1, 1, 1, 0, 0]
    assert without["action_mask"].tolist() == [1] * 5
    assert np.array_equal(with_mask["task"], without["task"])
    assert np.array_equal(with_mask["nodes"], without["nodes"])


def test_an_episode_is_cut_off_when_one_task_was_refused_too_often(qce25, two):
    env = PlacementEnv(replace(qce25, mask=False, max_refusals=3))
    env.reset(options={"episode": two})
    env.step(1)
    ends = [env.step(3)[2:] for _ in range(3)]
    assert [(terminated, truncated) for terminated, truncated, _ in ends] == [
        (False, False),
        (False, False),
        (False, True),
    ]
    assert [bool(info) for *_, info in ends] == [False, False, True]
    assert ends[-1][2] == {"total_completion_time": 3.0 + 3 * 1.0, "reschedules": 3}


def test_an_initial_backlog_is_waited_for(qce25, two):
    env = PlacementEnv(replace(qce25, initial_backlog=10.0))
    env.reset(options={"episode": two})
    assert env.step(1)[1] == pytest.approx(-(9 + 3) / 30)


def test_the_flat_layout_is_the_papers(qce25, two):
    env = PlacementEnv(replace(qce25, observation="flat"))
    first, _ = env.reset(options={"episode": two})
    second, *_ = env.step(0)
    machines = [(127, 850), (27, 2000), (27, 2300), (7, 2900), (7, 2700)]  # qubits and CLOPS
    idle = [x for qubits, clops in machines for x in (qubits, clops, NEVER)]
    assert first.tolist() == [1, 2, 10, 0, *idle]
    busy = list(idle)
    busy[2] = 5.0  # node 0 is free at 5
    assert second.tolist() == [2, 2, 10, 0, *busy]
    assert first.dtype == second.dtype == np.float64
    assert second in env.observation_space


def test_the_reward_is_the_scenarios(qce25, two):
    env = PlacementEnv(replace(qce25, reward=Inverse(refusal=-7.0)))
    env.reset(options={"episode": two})
    rewards = [env.step(node)[1] for node in (0, 4, 0)]
    # Task 1: one second of delay, then from 3 on 2 seconds of wait and 3 of service.
    assert rewards == pytest.approx([1 / 4, -7.0, 1 / 6])


def test_a_step_needs_a_reset_and_none_follows_the_last(qce25, make_episode):
    env = PlacementEnv(qce25)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.reset(options={"episode": make_episode([0], [[1] * 5])})
    env.step(0)
    with pytest.raises(RuntimeError, match="episode is over"):
        env.step(0)


def test_any_number_of_machines(make_fleet):
    [node] = make_fleet([27]).nodes
    nodes = tuple(node.model_copy(update={"name": f"m{i}", "machine": "kolkata"}) for i in range(40))
    env = PlacementEnv(Placement(Fleet("forty", nodes), tasks=3))
    said = play(env, np.random.default_rng(0), seed=0)
    assert said[0][0]["nodes"].shape[0] == 40
    assert all(step[0] in env.observation_space for step in said)
