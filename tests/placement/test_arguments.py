"""Keyword arguments of ``gymnasium.make`` and ``make_vec``: those of the scenario, with its bounds."""

from __future__ import annotations

from dataclasses import fields, replace
from importlib import resources

import gymnasium as gym
import numpy as np
import pytest

import qexp.env
from qexp.env.gate_scheduling import GateSchedulingEnv
from qexp.errors import InputError
from qexp.fleet.fleet import load_fleet
from qexp.placement.arrivals.poisson import Poisson
from qexp.placement.env import PlacementEnv
from qexp.placement.placement import Placement
from qexp.placement.reward.weighted import Weighted
from qexp.placement.workload.catalogue import QCE

NAMES = [field.name for field in fields(Placement) if field.init]


def make(**settings):
    return gym.make(qexp.env.PLACEMENT_ID, **settings)


def make_vec(**settings):
    return gym.make_vec(
        qexp.env.PLACEMENT_ID, num_envs=2, vectorization_mode="vector_entry_point", **settings
    )


def make_sync(**settings):
    return gym.make_vec(qexp.env.PLACEMENT_ID, num_envs=2, vectorization_mode="sync", **settings).envs[0]


DOORS = (make, make_vec, make_sync, PlacementEnv)


@pytest.mark.parametrize("door", DOORS)
def test_arguments_of_the_scenario_are_taken(door):
    settings = {
        "fleet": "ibm13",
        "tasks": 50,
        "mask": False,
        "rescheduling_delay": 2,
        "max_refusals": np.int64(7),
        "initial_backlog": 1.5,
        "observation": "flat",
        "workload": QCE(families=["ghz"]),
        "arrivals": Poisson(),
        "reward": Weighted(fidelity_weight=0.3),
    }
    scenario = door(**settings).unwrapped.scenario
    assert scenario.fleet.hash == load_fleet("ibm13").hash
    for name in settings.keys() - {"fleet"}:
        assert getattr(scenario, name) == settings[name]
    assert type(scenario.max_refusals) is int
    expected = Placement(**{**settings, "fleet": load_fleet("ibm13")})
    assert np.array_equal(scenario.service, expected.service)


def test_an_episode_is_as_long_as_asked_for():
    env = make(tasks=3)
    env.reset(seed=0)
    assert [env.step(0)[2] for _ in range(3)] == [False, False, True]
    vector = make_vec(tasks=3, fleet="ibm13")
    assert vector.reset(seed=0)[0]["nodes"].shape == (2, 13, 14)
    ends = [vector.step(np.zeros(2, dtype=int))[2].all() for _ in range(3)]
    assert ends == [False, False, True]


@pytest.mark.parametrize("door", DOORS)
def test_a_scenario_can_be_given_whole_and_changed(door, qce25):
    assert door(scenario=qce25).unwrapped.scenario is qce25
    changed = door(scenario=replace(qce25, mask=False), tasks=4).unwrapped.scenario
    assert (changed.tasks, changed.mask, changed.fleet) == (4, False, qce25.fleet)
    assert qce25.tasks == 25


def test_fleets_are_given_in_every_form(tmp_path):
    fleet = load_fleet("heron")
    assert make(fleet=fleet).unwrapped.scenario.fleet is fleet
    path = tmp_path / "own.yaml"
    path.write_bytes((resources.files("qexp.fleet") / "data" / "qce5.yaml").read_bytes())
    for form in (path, str(path)):
        assert make(fleet=form).unwrapped.scenario.fleet.hash == load_fleet("qce5").hash


REFUSED = [
    ({"tasks": 0}, r"tasks=0: must be greater than or equal to 1"),
    ({"tasks": -3}, r"tasks=-3: must be greater than or equal to 1"),
    ({"tasks": 2.5}, r"tasks=2.5: must be a valid integer"),
    ({"tasks": "50"}, r"tasks=50: must be a valid integer"),
    ({"tasks": None}, r"tasks=None: must be a valid integer"),
    ({"rescheduling_delay": 0}, r"rescheduling_delay=0: must be greater than 0"),
    ({"rescheduling_delay": float("nan")}, r"rescheduling_delay=nan: must be a finite number"),
    ({"max_refusals": 0}, r"max_refusals=0: must be greater than or equal to 1"),
    ({"initial_backlog": -1.0}, r"initial_backlog=-1.0: must be greater than or equal to 0"),
    ({"mask": "yes"}, r"mask=yes: must be a valid boolean"),
    ({"observation": "image"}, r"env.observation: expected dict or flat, got 'image'"),
    ({"reward": "weighted"}, r"reward=weighted: must be an instance of Reward"),
    ({"workload": Weighted()}, r"workload=Weighted\(.*\): must be an instance of Workload"),
    ({"fleet": "ibm14"}, r"fleet: cannot read fleet file ibm14: .*; fleets that .*: heron, ibm13, qce5$"),
    ({"fleet": 5}, r"fleet=5: must be an instance of Fleet"),
    ({"scenario": 5}, r"scenario=5: must be a Scenario"),
    ({"taks": 5}, rf"unknown argument taks: choose among scenario, {', '.join(NAMES)}"),
    ({"tasks": 0, "max_refusals": 0}, r"tasks=0: must be .*; max_refusals=0: must be"),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("settings", "said"), REFUSED)
def test_others_are_refused_in_one_line(door, settings, said):
    with pytest.raises(InputError, match=f"^{said}") as refused:
        door(**settings)
    assert "\n" not in str(refused.value)


def test_unknown_arguments_of_the_gate_environment_are_refused():
    known = (
        "machine, max_gates, dependency_depth, circuit_generator, rulebook, rewarder, max_steps, render_mode"
    )
    for door in (GateSchedulingEnv, lambda **given: gym.make(qexp.env.QGYM_ID, **given)):
        with pytest.raises(InputError, match=f"^unknown argument machin: choose among {known}$"):
            door(machin="workshop2")
    for bad in ({"max_gates": 0}, {"max_gates": -3}, {"dependency_depth": 0}, {"max_steps": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))) as refused:
            gym.make(qexp.env.QGYM_ID, **bad)
        assert "\n" not in str(refused.value)
