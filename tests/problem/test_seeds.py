"""A list of seeds: each environment of a vector follows its own, in every episode."""

from __future__ import annotations

import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import qexp.env
from qexp.errors import InputError
from qexp.gates.circuits.workshop import Workshop
from qexp.gates.gate_scheduling import GateScheduling
from qexp.placement.env import PlacementEnv
from qexp.placement.random_fleets import RandomFleetVectorEnv
from qexp.placement.vector_env import PlacementVectorEnv


@pytest.fixture(scope="module")
def problems(qce25):
    """How to make each vector environment, with episodes of different lengths where there are any."""
    placement = replace(qce25, tasks=4, mask=False, max_refusals=2)
    gates = GateScheduling(circuits=Workshop(min_gates=6, max_gates=14))
    return {
        "placement": lambda n: PlacementVectorEnv(placement, n),
        "random fleets": lambda n: RandomFleetVectorEnv(placement, n, seed=0, count=6),
        "make_vec": lambda n: gym.make_vec(
            qexp.env.PLACEMENT_ID, num_envs=n, vectorization_mode="vector_entry_point", scenario=placement
        ),
        "gates": gates.make_vector_env,
    }


NAMES = ("placement", "random fleets", "make_vec", "gates")


def step(env, observation):
    """Choose by what an environment sees alone, so that equal episodes are played equally."""
    mask = observation["action_mask"].astype(bool)
    scores = np.where(mask, observation["nodes"][..., :5].sum(axis=-1), -np.inf)
    return env.step(scores.argmax(axis=1))


def played(env, seeds, steps=40):
    """What each environment saw and was paid in several episodes: ``[num_envs][steps + 1]``."""
    observation, _ = env.reset(seed=seeds)
    said, ends = [observation], 0
    rewards = [np.zeros(env.num_envs)]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = step(env, observation)
        said.append(observation)
        rewards.append(reward)
        ends += terminated | truncated
    assert (ends >= 3).all()
    return [
        [
            {key: value[b] for key, value in seen.items()} | {"reward": paid[b]}
            for seen, paid in zip(said, rewards, strict=True)
        ]
        for b in range(env.num_envs)
    ]


def same(one, other):
    return all(np.array_equal(a[key], b[key]) for a, b in zip(one, other, strict=True) for key in a)


@pytest.mark.parametrize("name", NAMES)
def test_each_environment_follows_its_own_seed_alone(problems, name):
    seven, eight = played(problems[name](2), [7, 8])
    again, other = played(problems[name](2), [7, 99])
    assert same(seven, again)
    assert not same(eight[:1], other[:1])
    # Whatever stands beside it, and wherever it stands.
    elsewhere = played(problems[name](4), (99, 8, 5, 7))
    assert same(elsewhere[0], other)
    assert same(elsewhere[1], eight)
    assert same(elsewhere[3], seven)
    twins = played(problems[name](2), np.array([7, 7]))
    assert same(twins[0], seven)
    assert same(twins[1], seven)


def test_an_environment_of_a_list_plays_what_the_single_one_does(qce25):
    scenario = replace(qce25, tasks=3)
    vector, singles = PlacementVectorEnv(scenario, 2), [PlacementEnv(scenario) for _ in range(2)]
    seen, _ = vector.reset(seed=[3, 4])
    expected = [single.reset(seed=seed)[0] for single, seed in zip(singles, (3, 4), strict=True)]
    for k in range(12):
        for b in range(2):
            assert all(np.array_equal(seen[key][b], expected[b][key]) for key in seen)
        seen, *_ = vector.step(np.zeros(2, dtype=np.int64))
        expected = [single.reset()[0] if k % 4 == 3 else single.step(0)[0] for single in singles]


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_and_none_mean_what_they_did(problems, name):
    one, other = problems[name](2), problems[name](2)
    other.reset(seed=[1, 2])
    for b, expected in enumerate(played(one, 5)):
        assert same(played(other, 5)[b], expected)
    # Without a seed, streams go on: the shared one, or those of a list.
    for seed in (5, [5, 6]):
        first = one.reset(seed=seed)[0]
        second, third = one.reset()[0], one.reset(seed=[None, None])[0]
        other.reset(seed=seed)
        assert np.array_equal(other.reset()[0]["nodes"], second["nodes"])
        assert np.array_equal(other.reset()[0]["nodes"], third["nodes"])
        assert not np.array_equal(first["nodes"], second["nodes"])


def test_draws_of_one_seed_are_those_of_a_single_stream(qce25):
    env, rng = PlacementVectorEnv(qce25, 3), np.random.default_rng(11)
    for seed in (11, None):
        env.reset(seed=seed)
        batch = qce25.draw(rng, 3)
        assert np.array_equal(env.cloud.circuit, batch.rows[:, 0])


@pytest.mark.parametrize("name", ["placement", "gates"])
def test_none_in_a_list_lets_that_stream_go_on(problems, name):
    env, control = problems[name](2), problems[name](2)
    env.reset(seed=[1, 2])
    mixed, _ = env.reset(seed=[9, None])
    control.reset(seed=[1, 2])
    going_on, _ = control.reset()
    assert np.array_equal(mixed["nodes"][1], going_on["nodes"][1])
    assert np.array_equal(mixed["nodes"][0], control.reset(seed=[9, 9])[0]["nodes"][0])
    # After one seed for all, that decides the streams that a list leaves open.
    opened = []
    for each in (env, control):
        each.reset(seed=4)
        opened.append(each.reset(seed=[9, None])[0]["nodes"])
    assert np.array_equal(*opened)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([7], "1 seeds for 2 environments"),
        ([7, 8, 9], "3 seeds for 2 environments"),
        ([], "0 seeds for 2 environments"),
        ([7, -1], "-1: a seed is a whole number from 0 on"),
        ([7, 1.5], "1.5: a seed is a whole number from 0 on"),
    ],
)
def test_other_lists_are_refused_in_one_line(problems, name, seeds, said):
    with pytest.raises(InputError, match=f"^seed: {said}") as refused:
        problems[name](2).reset(seed=seeds)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["placement", "random fleets", "gates"])
@pytest.mark.parametrize("seeds", [3, [3, 4]])
def test_a_state_holds_every_stream(problems, name, seeds):
    one, other = problems[name](2), problems[name](2)
    seen, _ = one.reset(seed=seeds)
    for _ in range(9):
        seen, *_ = step(one, seen)
    state = one.get_state()
    assert ("streams" in state) == isinstance(seeds, list)
    json.dumps({key: state[key] for key in state.keys() & {"rng", "streams"}})  # checkpoints write it so
    other.reset(seed=[8, 8])
    other.set_state(state)
    for _ in range(40):
        actions = seen["action_mask"].argmax(axis=1)
        seen, *_ = one.step(actions)
        again, *_ = other.step(actions)
        assert all(np.array_equal(seen[key], again[key]) for key in seen)
