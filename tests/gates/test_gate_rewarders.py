"""Rewards: parameters, ranges, equality; their values are compared with the oracle's elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from qexp.env.gate_scheduling import (
    BasicRewarder,
    EpisodeRewarder,
    Gate,
    MakespanRewarder,
    NullCircuitGenerator,
    Rewarder,
    Scheduling,
)

INF = float("inf")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (-INF, 0)),
        ((-1, -1, 1), (-INF, INF)),
        ((0, 0, 0), (0, 0)),
        ((0, 0, 3), (0, INF)),
        ((-INF,), (-INF, 0)),
    ],
)
def test_ranges(arguments, expected):
    assert BasicRewarder(*arguments).reward_range == expected
    if len(arguments) < 3:
        assert EpisodeRewarder(*arguments).reward_range == expected


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: BasicRewarder(1), "'illegal_action_penalty' was positive"),
        (lambda: BasicRewarder(update_cycle_penalty=1), "'update_cycle_penalty' was positive"),
        (lambda: BasicRewarder(schedule_gate_bonus=-1), "'schedule_gate_bonus' was negative"),
        (lambda: EpisodeRewarder(1), "'illegal_action_penalty' was positive"),
        (lambda: EpisodeRewarder(update_cycle_penalty=1), "'update_cycle_penalty' was positive"),
    ],
)
def test_odd_signs_are_warned_about(make, text):
    with pytest.warns(UserWarning, match="positive|negative") as warned:
        make()
    assert [str(warning.message) for warning in warned] == [text]
    assert warned[0].filename == __file__


@pytest.mark.parametrize("value", ["1", None, 1j])
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (BasicRewarder, "illegal_action_penalty"),
        (BasicRewarder, "update_cycle_penalty"),
        (BasicRewarder, "schedule_gate_bonus"),
        (EpisodeRewarder, "illegal_action_penalty"),
        (EpisodeRewarder, "update_cycle_penalty"),
        (MakespanRewarder, "illegal_action_penalty"),
    ],
)
def test_parameters_are_real(cls, name, value):
    with pytest.raises(TypeError, match=name):
        cls(**{name: value})


def test_equality_is_of_type_and_values():
    assert BasicRewarder() == BasicRewarder(-5.0, -1, 0)
    assert BasicRewarder() != BasicRewarder(-4)
    assert EpisodeRewarder() == EpisodeRewarder()
    assert EpisodeRewarder() != BasicRewarder()
    assert MakespanRewarder() != MakespanRewarder(shaped=False)
    assert "update_cycle_penalty=-1.0" in repr(EpisodeRewarder())


def schedule(rewarder, *actions):
    env = Scheduling("workshop2", circuit_generator=NullCircuitGenerator(), rewarder=rewarder)
    env.reset(options={"circuit": [Gate("x", 0, 0), Gate("measure", 1, 1)]})
    return [env.step(action)[1] for action in actions]


ACTIONS = ((1, 0), (1, 0), (0, 1), (0, 0))


def test_an_episode_worked_out_by_hand():
    assert schedule(BasicRewarder(-3, -2, 1), *ACTIONS) == [1, -3, -2, 1]
    rewards = schedule(EpisodeRewarder(-3, -2), *ACTIONS)
    assert rewards == [0, -3, 0, -20]
    assert [type(reward) for reward in rewards] == [int, float, int, np.float64]
    assert schedule(MakespanRewarder(), *ACTIONS, (0, 1)) == [0, -5, -1, -9, 0]
    assert schedule(MakespanRewarder(shaped=False), *ACTIONS) == [0, -5, 0, -10]
    with pytest.warns(UserWarning, match="positive"):
        backwards = EpisodeRewarder(update_cycle_penalty=2)
    assert schedule(backwards, *ACTIONS)[-1] == 0


def test_states_can_be_compared_directly():
    env = Scheduling("workshop2", circuit_generator=NullCircuitGenerator())
    env.reset(options={"circuit": [Gate("x", 0, 0), Gate("x", 0, 0)]})
    for rewarder in (BasicRewarder(-3, -2, 1), EpisodeRewarder(-3)):
        old = env._state.copy()
        assert rewarder._is_illegal((5, 0), old)
        assert not rewarder._is_illegal((5, 1), old)
        assert rewarder.compute_reward(old_state=old, action=(5, 0), new_state=env._state) == -3


class Stubborn(BasicRewarder):
    """A subclass that has its own idea of what is illegal."""

    def _is_illegal(self, action, old_state):
        return action[0] == 1


def test_a_subclass_keeps_its_own_ideas():
    assert schedule(Stubborn(-3, -2, 1), *ACTIONS) == [-3, -3, -2, 1]


def test_a_rewarder_must_say_how_it_rewards():
    with pytest.raises(TypeError):
        Rewarder()
