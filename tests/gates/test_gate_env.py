"""The environment for learning: Gymnasium's contract, seeds, masks, vector environments, pictures."""

from __future__ import annotations

import copy
import pickle
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import qexp.env
from qexp.env.gate_scheduling import (
    BasicRewarder,
    EpisodeRewarder,
    Gate,
    GateSchedulingEnv,
    MachineProperties,
    NullCircuitGenerator,
    Scheduling,
    WorkshopCircuitGenerator,
)
from qexp.errors import InputError

ID = qexp.env.QGYM_ID


@pytest.fixture(autouse=True)
def no_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def play(env, rng, seed=None):
    said = [env.reset(seed=seed)]
    over = False
    while not over:
        mask = said[-1][0]["action_mask"]
        said.append(env.step(int(rng.choice(np.flatnonzero(mask)))))
        over = said[-1][2] or said[-1][3]
    return said


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a[0][key], b[0][key]) for a, b in zip(one, other, strict=True) for key in a[0]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"machine": "starmon5", "max_gates": 12, "dependency_depth": 3},
        {"machine": "ten_qubit", "max_gates": 12, "max_steps": 5, "rewarder": EpisodeRewarder()},
        {"circuit_generator": NullCircuitGenerator()},
    ],
    ids=["default", "starmon5", "ten_qubit", "empty"],
)
def test_gymnasiums_checker_has_no_complaint(arguments):
    # Warnings are errors here; the checker draws in both render modes too.
    check_env(gym.make(ID, **arguments).unwrapped)


def test_importing_the_package_registers_the_environment():
    env = gym.make("qexp/QgymScheduling-v0", machine="workshop2", max_gates=6)
    assert isinstance(env.unwrapped, GateSchedulingEnv)
    assert env.action_space == gym.spaces.Discrete(7)
    assert env.observation_space["action_mask"] == gym.spaces.MultiBinary(7)


@pytest.mark.slow
def test_machines_can_be_given_in_every_form(tmp_path):
    mapping = MachineProperties.from_file("workshop2").to_mapping()
    path = tmp_path / "machine.json"
    qexp.env.gate_scheduling.write_machine(MachineProperties.from_mapping(mapping), path)
    forms = ["workshop2", mapping, MachineProperties.from_mapping(mapping), path, str(path)]
    one, *others = [play(gym.make(ID, machine=form), np.random.default_rng(0), 3) for form in forms]
    assert all(same(one, other) for other in others)
    with pytest.raises(InputError, match="unknown machine 'workshop3'"):
        gym.make(ID, machine="workshop3")


def test_the_same_seed_gives_the_same_episode():
    env = GateSchedulingEnv("starmon5", max_gates=20)
    one, again, other = (play(env, np.random.default_rng(0), seed) for seed in (7, 7, 8))
    assert same(one, again)
    assert not np.array_equal(one[0][0]["gate_names"], other[0][0]["gate_names"])
    # Without a seed the stream goes on, and is decided by the last one.
    streams = []
    for _ in range(2):
        env.reset(seed=1)
        streams.append([env.reset()[0]["acts_on"].tolist() for _ in range(4)])
    assert streams[0] == streams[1]
    assert all(a != b for a, b in zip(streams[0], streams[0][1:], strict=False))


def test_observations_are_the_callers_to_keep():
    env = GateSchedulingEnv(max_gates=10)
    observation, info = env.reset(seed=0)
    kept = copy.deepcopy(observation)
    for array in (*observation.values(), info["schedule"]):
        array[...] = 99
    again, _ = env.reset(seed=0)
    assert same([(again,)], [(kept,)])


def test_waiting_is_offered_while_it_can_change_anything():
    env = GateSchedulingEnv(max_gates=3, circuit_generator=NullCircuitGenerator())
    circuit = [Gate("y", 1, 1), Gate("x", 0, 0)]
    observation, _ = env.reset(options={"circuit": circuit})
    masks = [observation["action_mask"].tolist()]
    for action in (1, 3, 3, 0):
        observation, *_ = env.step(action)
        masks.append(observation["action_mask"].tolist())
    assert masks == [
        [1, 1, 0, 0],  # nothing runs: waiting would lead to the same state
        [0, 0, 0, 1],  # x keeps y out
        [0, 0, 0, 1],
        [1, 0, 0, 0],  # all is over
        [0, 0, 0, 1],  # done: what is left changes nothing
    ]


def test_what_an_observation_tells_of_time():
    env = GateSchedulingEnv(max_gates=4, circuit_generator=NullCircuitGenerator())
    circuit = [Gate("x", 0, 0), Gate("cnot", 0, 1), Gate("measure", 0, 0)]
    observation, info = env.reset(options={"circuit": circuit})
    assert observation["durations"].tolist() == [2, 4, 10, 0]
    assert observation["critical_path"].tolist() == [2, 6, 16, 0]
    assert observation["kind_durations"].tolist() == [2, 2, 4, 10]
    assert observation["kind_same_start"].tolist() == [0, 0, 0, 1]
    assert observation["kind_keeps_out"].tolist() == [[0, 2, 0, 0], [2, 0, 0, 0], [0] * 4, [0] * 4]
    observation, _, _, _, info = env.step(2)
    assert observation["kept_out_next"].tolist() == [0, 0, 0, 9]
    assert observation["critical_path"].tolist() == [2, 6, 0, 0]
    assert observation["placed"].tolist() == [0, 0, 1, 0]
    assert (info["makespan"], info["schedule"].tolist()) == (10, [-1, -1, 0, -1])
    observation, *_ = env.step(4)
    assert observation["cycle"].tolist() == [1]
    assert observation["qubit_busy"].tolist() == [9, 0]
    assert observation["kept_out"].tolist() == [0, 0, 0, 9]
    assert observation["kept_out_next"].tolist() == [0, 0, 0, 0]


def test_an_empty_circuit_costs_nothing():
    env = GateSchedulingEnv(circuit_generator=NullCircuitGenerator())
    observation, _ = env.reset()
    assert np.flatnonzero(observation["action_mask"]).tolist() == [50]
    _, reward, terminated, truncated, info = env.step(50)
    assert (reward, terminated, truncated, info["makespan"]) == (0, True, False, 0)


def test_steps_can_be_limited():
    env = GateSchedulingEnv(max_gates=20, max_steps=4)
    said = play(env, np.random.default_rng(0), seed=2)
    assert len(said) == 5
    assert said[-1][2:4] == (False, True)


@pytest.mark.parametrize("action", [-1, 51])
def test_actions_out_of_range(action):
    env = GateSchedulingEnv()
    env.reset()
    with pytest.raises(InputError, match=f"action {action}: it must be between 0 and 50"):
        env.step(action)


def test_rewarders_of_the_compatible_surface_work_too():
    env = GateSchedulingEnv(rewarder=BasicRewarder())
    said = play(env, np.random.default_rng(0), seed=0)
    assert sum(reward for _, reward, *_ in said[1:]) == -env._state.cycle


def make(rank):
    def build():
        return gym.make(ID, machine="ten_qubit", max_gates=14, circuit_generator=WorkshopCircuitGenerator())

    return build


@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
def test_vector_environments(vector):
    envs = vector([make(rank) for rank in range(2)])
    try:
        observations, infos = envs.reset(seed=5)
        finished = 0
        rng = np.random.default_rng(0)
        for _ in range(120):
            assert infos["schedule"].shape == (2, 14)
            assert infos["makespan"].shape == (2,)
            actions = [int(rng.choice(np.flatnonzero(mask))) for mask in observations["action_mask"]]
            observations, _, terminated, truncated, infos = envs.step(np.array(actions))
            finished += terminated.sum()
            assert not truncated.any()
        assert finished >= 2
    finally:
        envs.close()


def test_an_environment_can_be_pickled():
    env = GateSchedulingEnv(max_gates=8)
    observation, _ = env.reset(seed=1)
    env.step(int(np.flatnonzero(observation["action_mask"])[0]))
    twin = pickle.loads(pickle.dumps(env))  # noqa: S301 - it was pickled here
    rng = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(20):
        actions = [
            int(r.choice(np.flatnonzero(e.action_masks()))) for e, r in zip((env, twin), rng, strict=True)
        ]
        one, other = env.step(actions[0]), twin.step(actions[1])
        assert same([one], [other])
        if one[2]:
            assert np.array_equal(env.reset()[0]["acts_on"], twin.reset()[0]["acts_on"])


@pytest.mark.slow
def test_pictures():
    env = Scheduling(
        "workshop2", max_gates=4, circuit_generator=NullCircuitGenerator(), render_mode="rgb_array"
    )
    env.reset(options={"circuit": [Gate("x", 0, 0), Gate("cnot", 0, 1)]})
    frames = [env.render()]
    for action in ((1, 0), (0, 1), (0, 1), (0, 1), (0, 1), (0, 0)):
        env.step(action)
        frames.append(env.render())
    for frame in frames:
        assert (frame.dtype, frame.shape) == (np.uint8, (800, 1500, 3))
    assert not np.array_equal(frames[0], frames[1])
    # Once both are placed, half of what is not axis or legend is gates; before, nothing is.
    colourful = [(np.ptp(frame.astype(int), axis=2) > 60).mean() for frame in frames]
    assert colourful[0] == 0
    assert colourful[-1] > 0.25
    env.close()
    assert Scheduling("workshop2", circuit_generator=NullCircuitGenerator()).render() is None


def test_the_window():
    pygame = pytest.importorskip("pygame", reason="render_mode='human' needs the extra [human]")
    env = gym.make(ID, render_mode="human")
    observation, _ = env.reset(seed=0)
    assert pygame.display.get_surface().get_size() == (1500, 800)
    before = pygame.surfarray.array3d(pygame.display.get_surface())
    env.step(int(np.flatnonzero(observation["action_mask"])[0]))
    after = pygame.surfarray.array3d(pygame.display.get_surface())
    assert not np.array_equal(before, after)
    assert env.render() is None
    env.close()
    assert not pygame.display.get_init()
    env.close()


def test_a_window_without_pygame_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    env = GateSchedulingEnv(render_mode="human")
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"qexp\[human\]"):
        env.reset()
