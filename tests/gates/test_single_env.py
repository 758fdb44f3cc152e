"""``gymnasium.make("qexp/GateScheduling-v0")`` is what ``env=gate_scheduling`` trains on."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import qexp.env
from qexp.errors import InputError
from qexp.gates.circuits.workshop import Workshop
from qexp.gates.env import REFUSED, GateEnv
from qexp.gates.gate_scheduling import GateScheduling

ID = qexp.env.GATE_SCHEDULING_ID
SHORT = Workshop(min_gates=6, max_gates=12)


def make(**settings):
    return gym.make(ID, circuits=SHORT, **settings)


def test_gymnasiums_checker_has_no_complaint():
    check_env(make().unwrapped, skip_render_check=True)


@pytest.mark.parametrize("seed", [0, 7])
def test_it_is_what_the_problem_trains_on_and_what_make_vec_makes(seed):
    """The same episodes, one after another, whichever way they are played."""
    single = make()
    vectors = [
        gym.make_vec(ID, num_envs=1, vectorization_mode="vector_entry_point", circuits=SHORT),
        GateScheduling(circuits=SHORT).make_vector_env(1),
    ]
    one, _ = single.reset(seed=seed)
    seen = [vector.reset(seed=[seed])[0] for vector in vectors]
    rng, ended = np.random.default_rng(seed), 0
    for _ in range(60):
        assert all((one[key] == other[key][0]).all() for key in one for other in seen)
        assert (single.unwrapped.action_masks() == one["action_mask"]).all()
        action = rng.choice(np.flatnonzero(one["action_mask"]))
        one, reward, terminated, truncated, info = single.step(action)
        stepped = [vector.step(np.array([action])) for vector in vectors]
        seen = [observations for observations, *_ in stepped]
        for _, rewards, terminations, truncations, infos in stepped:
            assert (reward, terminated, truncated) == (rewards[0], terminations[0], truncations[0])
            assert info == {key: values[0] for key, values in infos.items() if not key.startswith("_")}
        if terminated:
            ended += 1
            one, _ = single.reset()
            # Vector environments begin their next circuit with a step.
            seen = [vector.step(np.array([0]))[0] for vector in vectors]
    assert ended > 1


def test_what_the_mask_does_not_allow_costs_and_changes_nothing():
    env = make(max_steps=3)
    before, _ = env.reset(seed=3)
    wrong = int(before["action_mask"].argmin())
    for last in (False, False, True):
        after, reward, terminated, truncated, info = env.step(wrong)
        assert all((after[key] == before[key]).all() for key in before)
        assert (reward, terminated, truncated, info) == (-REFUSED, False, last, {})
    with pytest.raises(gym.error.ResetNeeded):
        env.step(wrong)
    env.reset()
    with pytest.raises(InputError, match="action 999"):
        env.step(999)


def test_copies_continue_alike_and_alone():
    env = make().unwrapped
    env.reset(seed=1)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]  # noqa: S301 - our own
    action = int(env.action_masks().argmax())
    observation, reward, *_ = env.step(action)
    for twin in twins:
        again, paid, *_ = twin.step(action)
        assert paid == reward
        assert all((again[key] == observation[key]).all() for key in observation)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"machine": 3}, "machine=3: must be a valid string"),
        ({"machine": "nowhere"}, "unknown machine 'nowhere'"),
        ({"rulebook": "mine"}, "env.rulebook"),
        ({"max_steps": 0}, "max_steps=0: must be greater than or equal to 1"),
        ({"max_gates": 6}, "unknown argument max_gates"),
        ({"scenario": 5}, "scenario=5: must be a GateScheduling"),
    ],
)
def test_other_arguments_are_refused_in_one_line(settings, words):
    with pytest.raises(InputError, match=words) as refused:
        GateEnv(**settings)
    assert "\n" not in str(refused.value)
