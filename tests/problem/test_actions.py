"""Actions that there are not: refused in one line, before anything happens."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import qexp.env
from qexp.env.gate_scheduling import BasicRewarder, GateSchedulingEnv, NullCircuitGenerator, Scheduling
from qexp.errors import InputError
from qexp.gates.circuits.workshop import Workshop
from qexp.gates.gate_scheduling import GateScheduling
from qexp.placement.env import PlacementEnv
from qexp.placement.random_fleets import RandomFleetVectorEnv
from qexp.placement.vector_env import PlacementVectorEnv

NO_NUMBERS = (1.5, 1.0, np.nan, np.inf, None, "1", [1, 2], np.array([0.5]), np.array([1, 2]), {})


@pytest.fixture(params=["placement", "made", "gates", "basic rewards"])
def single(request, qce25):
    """A single environment with its first observation, and how many actions there are."""
    return {
        "placement": lambda: (PlacementEnv(qce25), 5),
        "made": lambda: (gym.make(qexp.env.PLACEMENT_ID), 5),
        "gates": lambda: (GateSchedulingEnv(max_gates=8), 9),
        "basic rewards": lambda: (GateSchedulingEnv(max_gates=8, rewarder=BasicRewarder()), 9),
    }[request.param]()


def test_the_single_environments_refuse_what_is_no_action(single):
    env, count = single
    before, _ = env.reset(seed=1)
    for action in (-1, -count, count, 99, 2**70, np.int64(-1), np.array(count), *NO_NUMBERS):
        kind = "an integer " if any(action is no_number for no_number in NO_NUMBERS) else ""
        with pytest.raises(InputError, match=f"it must be {kind}between 0 and {count - 1}$") as refused:
            env.step(action)
        assert str(refused.value).startswith("action ")
        assert "\n" not in str(refused.value)
    # Nothing has happened.
    action = int(before["action_mask"].argmax())
    after = env.step(action)
    env.reset(seed=1)
    again = env.step(action)
    assert all(np.array_equal(after[0][key], again[0][key]) for key in after[0])
    assert after[1:4] == again[1:4]


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.array, lambda x: np.array([x])])
def test_integers_of_every_kind_are_actions(single, kind):
    env, _ = single
    observation, _ = env.reset(seed=1)
    env.step(kind(int(observation["action_mask"].argmax())))


@pytest.fixture(params=["placement", "random fleets", "gates"])
def vector(request, qce25):
    gates = GateScheduling(circuits=Workshop(min_gates=6, max_gates=10))
    return {
        "placement": lambda: PlacementVectorEnv(qce25, 3),
        "random fleets": lambda: RandomFleetVectorEnv(qce25, 3, seed=0, count=3),
        "gates": lambda: gates.make_vector_env(3),
    }[request.param]()


def test_vector_environments_refuse_what_is_no_action(vector):
    count = int(vector.single_action_space.n)
    before, _ = vector.reset(seed=1)
    allowed = before["action_mask"].argmax(axis=1)
    wrong = {}
    for action in (-1, count, 99, -(2**40)):
        for env in range(3):
            actions = allowed.copy()
            actions[env] = action
            said = f"^action {action} of environment {env}: it must be between 0 and {count - 1}$"
            wrong[said] = actions
            with pytest.raises(InputError, match=said):
                vector.step(actions)
    for actions in (allowed.astype(float), [0, np.nan, 1], [None] * 3, ["0"] * 3, allowed > 9):
        with pytest.raises(
            InputError, match=f"each must be an integer between 0 and {count - 1}$"
        ) as refused:
            vector.step(actions)
        assert "\n" not in str(refused.value)
    for actions in (allowed[:2], [*allowed, 0], allowed[None], int(allowed[0]), []):
        with pytest.raises(InputError, match=r"3 environments need shape \(3,\)$"):
            vector.step(actions)
    after = vector.step(allowed.tolist())
    vector.reset(seed=1)
    again = vector.step(allowed)
    assert all(np.array_equal(after[0][key], again[0][key]) for key in after[0])


def test_an_action_that_does_not_count_may_be_anything(qce25):
    env, control = (PlacementVectorEnv(replace(qce25, tasks=1), 2) for _ in range(2))
    for each in (env, control):
        each.reset(seed=0)
        each.step(np.zeros(2, dtype=np.int64))
    one, other = env.step(np.array([-1, 99])), control.step(np.zeros(2, dtype=np.int64))
    assert all(np.array_equal(one[0][key], other[0][key]) for key in one[0])


def test_a_choice_that_gates_do_not_allow_names_its_environment():
    env = GateScheduling(circuits=Workshop(min_gates=6, max_gates=10)).make_vector_env(3)
    mask = env.reset(seed=0)[0]["action_mask"]
    actions = mask.argmax(axis=1)
    actions[1] = mask[1].argmin()
    with pytest.raises(InputError, match=f"^action {actions[1]} of environment 1: its action_mask does not"):
        env.step(actions)


@pytest.mark.parametrize(
    "action",
    [
        *[(gate, 0) for gate in (-1, 50, 99, 1.5, np.nan, None)],
        *[(0, wait) for wait in (-1, 2, np.nan, None, 0.5)],
        *[(), (0,), (0, 0, 0), 3, None, "ab", np.zeros((1, 2), dtype=int)],
    ],
    ids=str,
)
def test_the_compatible_surface_refuses_what_is_no_pair(action):
    env = Scheduling("workshop2", max_gates=50, circuit_generator=NullCircuitGenerator())
    env.reset(options={"circuit": [("x", 0, 0), ("y", 0, 0)]})
    with pytest.raises(InputError, match=r"^action") as refused:
        env.step(action)
    assert "\n" not in str(refused.value)
    assert "between 0 and 49" in str(refused.value)
    assert env.step((1, 0))[4]["Steps done"] == 1
