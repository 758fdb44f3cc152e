"""The environment under its compatible names: scripts people start from, spaces, arguments, exceptions."""

from __future__ import annotations

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from qexp.env.gate_scheduling import (
    BasicCircuitGenerator,
    BasicRewarder,
    CommutationRulebook,
    EpisodeRewarder,
    Gate,
    MachineProperties,
    NullCircuitGenerator,
    Scheduling,
    WorkshopCircuitGenerator,
)

LINE = [Gate("x", 1, 1), Gate("x", 0, 0), Gate("y", 0, 0), Gate("z", 0, 0), Gate("h", 0, 0)]


def machine(**gates):
    return MachineProperties(2).add_gates(gates or {"x": 2, "y": 2, "z": 2, "h": 2})


@pytest.fixture
def env():
    return Scheduling(machine(), max_gates=5, circuit_generator=NullCircuitGenerator(), dependency_depth=2)


def cnot_rule(gate1, gate2):
    if gate1.name == "cnot" and gate2.name == "cnot":
        return gate1.q1 == gate2.q1 or gate1.q2 == gate2.q2
    return False


@pytest.mark.parametrize("custom", [False, True])
def test_the_starting_examples(custom):
    rulebook = None
    if custom:
        rulebook = CommutationRulebook()
        rulebook.add_rule(cnot_rule)
    machine_properties = MachineProperties(n_qubits=2)
    machine_properties.add_gates({"x": 2, "y": 2, "cnot": 4, "measure": 10})
    machine_properties.add_same_start(["measure"])
    machine_properties.add_not_in_same_cycle([("x", "y")])
    env = Scheduling(
        machine_properties,
        max_gates=5,
        dependency_depth=1,
        circuit_generator=WorkshopCircuitGenerator(),
        rulebook=rulebook,
        rewarder=BasicRewarder(),
    )
    env.action_space.seed(3)
    obs, info = env.reset(seed=42)
    assert obs in env.observation_space
    assert set(info) == {"Steps done", "Cycle", "Schedule"}
    done, total = False, 0.0
    for _ in range(10_000):
        action = env.action_space.sample()
        obs, reward, done, truncated, info = env.step(action)
        assert obs in env.observation_space
        assert isinstance(reward, float)
        assert (type(done), truncated) == (bool, False)
        total += reward
        if done:
            break
    assert done
    assert (info["Schedule"] >= 0).all()
    assert len(info["Schedule"]) == len(env.get_circuit())
    assert total <= -info["Cycle"]
    # As a mapping the machine is the same.
    same = Scheduling(
        {
            "n_qubits": 2,
            "gates": {"x": 2, "y": 2, "cnot": 4, "measure": 10},
            "machine_restrictions": {"same_start": ["measure"], "not_in_same_cycle": {"x": ["y"]}},
        },
        max_gates=5,
        circuit_generator=WorkshopCircuitGenerator(),
    )
    assert same._state.machine_properties == env._state.machine_properties


def test_a_rule_of_ones_own_frees_gates():
    rulebook = CommutationRulebook()
    rulebook.add_rule(cnot_rule)
    machine_properties = MachineProperties(n_qubits=3)
    machine_properties.add_gates({"x": 2, "y": 2, "cnot": 4, "measure": 10})
    machine_properties.add_same_start(["measure"])
    machine_properties.add_not_in_same_cycle([("x", "y")])
    circuit = [Gate("cnot", 0, 1), Gate("cnot", 0, 2), Gate("x", 0, 0)]
    legal = {}
    for name, rules in {"default": None, "custom": rulebook}.items():
        env = Scheduling(
            machine_properties, max_gates=5, circuit_generator=WorkshopCircuitGenerator(), rulebook=rules
        )
        env.reset(options={"circuit": circuit})
        env.step([2, 0])
        env.step([0, 1])
        obs, *_ = env.step([0, 1])
        legal[name] = obs["legal_actions"].tolist()
    assert legal == {"default": [0, 1, 0, 0, 0], "custom": [1, 1, 0, 0, 0]}


def test_spaces_and_types(env):
    obs, info = env.reset(options={"circuit": LINE})
    assert env.action_space == gym.spaces.MultiDiscrete([5, 2])
    assert env.action_space.dtype == np.int64
    assert list(env.observation_space["gate_names"].nvec) == [5] * 5
    assert list(env.observation_space["acts_on"].nvec) == [3] * 10
    assert list(env.observation_space["dependencies"].nvec) == [5] * 10
    assert env.observation_space["legal_actions"] == gym.spaces.MultiBinary(5)
    assert {key: (value.dtype, value.shape) for key, value in obs.items()} == {
        "gate_names": (np.int64, (5,)),
        "acts_on": (np.int64, (10,)),
        "dependencies": (np.int64, (10,)),
        "legal_actions": (np.int8, (5,)),
    }
    assert (type(info["Steps done"]), type(info["Cycle"]), info["Schedule"].dtype) == (int, int, np.int64)


def test_the_worked_example(env):
    obs, info = env.reset(options={"circuit": LINE})
    assert obs["gate_names"].tolist() == [1, 1, 2, 3, 4]
    assert obs["acts_on"].tolist() == [1, 0, 0, 0, 0] * 2
    assert obs["dependencies"].tolist() == [0, 1, 1, 1, 0, 0, 2, 2, 0, 0]
    assert obs["legal_actions"].tolist() == [1, 0, 0, 0, 1]
    assert info["Schedule"].tolist() == [-1] * 5
    obs, reward, terminated, _, info = env.step((4, 0))
    assert (reward, terminated) == (0.0, False)
    # z waits for nothing more, and y only for z; the qubit is busy for this cycle and the next.
    assert obs["dependencies"].tolist() == [0, 1, 1, 0, 0, 0, 2, 0, 0, 0]
    assert obs["legal_actions"].tolist() == [1, 0, 0, 0, 0]
    assert env.step((3, 0))[1] == -5.0
    assert env.step((99, 1))[1] == -1.0  # the gate is not looked at when a cycle passes
    obs, _, _, _, info = env.step((0, 1))
    assert obs["legal_actions"].tolist() == [1, 0, 0, 1, 0]
    assert (info["Steps done"], info["Cycle"], info["Schedule"].tolist()) == (4, 2, [-1, -1, -1, -1, 0])


def test_exclusion_lasts_as_long_as_the_excluded_gate():
    for exclusion, expected in {"own_duration": [3, 3, 5, 2], "no_overlap": [5, 5, 3, 2]}.items():
        properties = MachineProperties(3, exclusion=exclusion).add_gates({"x": 5, "y": 3, "m": 2})
        properties.add_not_in_same_cycle([("x", "y")]).add_same_start(["m"])
        env = Scheduling(properties, max_gates=3, circuit_generator=NullCircuitGenerator())

        def first_legal(placed, other, env=env, start=0):
            env.reset(options={"circuit": [Gate(other, 1, 1), Gate(placed, 0, 0)]})
            obs, *_ = env.step((1, 0))
            cycle = start
            for _ in range(start):
                obs, *_ = env.step((0, 1))
            while not obs["legal_actions"][0]:
                obs, *_ = env.step((0, 1))
                cycle += 1
            return cycle

        # y after x, once more, x after y, and m after m in the cycle after it.
        found = [
            first_legal("x", "y"),
            first_legal("x", "y"),
            first_legal("y", "x"),
            first_legal("m", "m", start=1),
        ]
        assert found == expected
        assert first_legal("m", "m") == 0


def test_an_empty_circuit_is_done(env):
    env.reset()
    assert env._state.is_done()
    assert not env._state.is_truncated()
    assert env.step((0, 1))[2]
    assert env.step((0, 0))[1:3] == (-5.0, True)  # stepping goes on after the end


def test_get_circuit_gives_copies(env):
    env.reset(options={"circuit": LINE})
    for _ in range(2):
        circuit = env.get_circuit()
        assert circuit == env.get_circuit("HUMAN") == LINE
        circuit.clear()
        encoded = env.get_circuit("encoded")
        assert encoded == [Gate(1, 1, 1), Gate(1, 0, 0), Gate(2, 0, 0), Gate(3, 0, 0), Gate(4, 0, 0)]
        encoded.clear()
    with pytest.raises(ValueError, match="'human' or 'encoded'"):
        env.get_circuit("robot")
    with pytest.raises(TypeError):
        env.get_circuit(1)


def test_what_is_given_is_copied_and_what_is_handed_out_too(env):
    properties, rewarder, rulebook = machine(), BasicRewarder(), CommutationRulebook()
    env = Scheduling(
        properties,
        max_gates=5,
        rewarder=rewarder,
        rulebook=rulebook,
        circuit_generator=NullCircuitGenerator(),
    )
    assert properties == machine()
    rulebook.add_rule(lambda *_: True)
    obs, info = env.reset(options={"circuit": LINE})
    assert obs["legal_actions"].tolist() == [1, 0, 0, 0, 1]
    kept, kept_info = copy.deepcopy(obs), copy.deepcopy(info)
    for array in (*obs.values(), info["Schedule"]):
        array[...] = 7
    after, _, _, _, info = env.step((0, 1))
    for key in kept:
        assert np.array_equal(after[key], kept[key]), key
    assert np.array_equal(info["Schedule"], kept_info["Schedule"])


def test_seeds_decide_the_circuits_and_sampling_does_not():
    def circuits(generator, sample):
        env = Scheduling("ten_qubit", max_gates=30, circuit_generator=generator)
        seen = []
        for seed in (5, None, None):
            env.reset(seed=seed)
            seen.append(env.get_circuit())
            if sample:
                env.action_space.sample()
                env.step((0, 1))
        return seen

    first = circuits(None, sample=False)
    assert first == circuits(None, sample=True) == circuits(BasicCircuitGenerator(3), sample=True)
    assert first[0] != first[1] != first[2]
    workshop = circuits(WorkshopCircuitGenerator(1), sample=False)
    assert workshop == circuits(WorkshopCircuitGenerator(2), sample=True)
    # Without a seed for the environment, the generator's own counts.
    envs = [Scheduling("ten_qubit", circuit_generator=WorkshopCircuitGenerator(9)) for _ in range(2)]
    for env in envs:
        env.reset()
    assert envs[0].get_circuit() == envs[1].get_circuit()
    shared = Scheduling("ten_qubit")
    assert shared._state.utils.circuit_generator.rng is shared.rng is shared._state.rng


def test_steps_can_be_limited():
    env = Scheduling("workshop2", max_gates=5, circuit_generator=WorkshopCircuitGenerator(), max_steps=3)
    env.reset(seed=0)
    assert [env.step((0, 1))[3] for _ in range(4)] == [False, False, True, True]
    env.reset(options={"circuit": [Gate("x", 0, 0)]})
    env.step((0, 1))
    env.step((0, 1))
    assert env.step((0, 0))[2:4] == (True, False)


def test_the_rewarder_can_be_changed(env):
    assert env.rewarder == BasicRewarder()
    assert env.reward_range == (-np.inf, 0)
    rewarder = BasicRewarder(schedule_gate_bonus=2)
    env.rewarder = rewarder
    assert env.rewarder is rewarder
    assert env.reward_range == (-np.inf, np.inf)
    env.reset(options={"circuit": LINE})
    assert env.step((0, 0))[1] == 2.0


def test_gymnasiums_checker_has_no_complaint():
    env = Scheduling(
        "workshop2", max_gates=8, rewarder=EpisodeRewarder(), circuit_generator=WorkshopCircuitGenerator()
    )
    check_env(env, skip_render_check=True)  # without an id it cannot make others with other render modes


def test_whole_floats_are_whole():
    env = Scheduling(
        "workshop2", max_gates=5.0, circuit_generator=NullCircuitGenerator(), render_mode="RGB_array"
    )
    assert env.action_space == gym.spaces.MultiDiscrete([5, 2])
    assert env.render_mode == "rgb_array"


def test_options_nobody_knows_are_ignored(env):
    env.reset(seed=1, options={"colour": "red", "circuit": None})
    assert env.get_circuit() == []


def test_the_state_can_be_looked_at(env):
    env.reset(options={"circuit": LINE})
    env.step((4, 0))
    state = env._state
    assert (state.steps_done, state.cycle, state.busy.tolist()) == (1, 0, [2, 0])
    assert state.machine_properties.gates == {1: 2, 2: 2, 3: 2, 4: 2}
    assert state.utils.gate_encoder.decode_gates(state.circuit_info.encoded) == LINE
    assert state.circuit_info.names.tolist() == [1, 1, 2, 3, 4]
    assert state.circuit_info.acts_on.shape == (2, 5)
    assert state.circuit_info.dependencies.shape == (2, 5)
    assert state.circuit_info.schedule.tolist() == [-1, -1, -1, -1, 0]
    assert state.circuit_info.blocking_matrix.sum() == 6
    assert (state.gates[1].cycle_length, state.gates[1].exclude) == (2, 0)
    twin = copy.deepcopy(env)
    twin.step((0, 0))
    assert twin._state.circuit_info.schedule.tolist() == [0, -1, -1, -1, 0]
    assert state.circuit_info.schedule.tolist() == [-1, -1, -1, -1, 0]


def test_random_numbers_can_be_replaced():
    env, other = (Scheduling("ten_qubit", max_gates=20) for _ in range(2))
    env.rng = np.random.default_rng(4)
    other._state.seed = 4
    assert other._state.seed == 4
    for _ in range(3):
        env.reset()
        other._state.reset()
        assert env.get_circuit() == other.get_circuit()
    one, two = (copy.deepcopy(env), env)
    one.reset()
    two.reset()
    assert one.get_circuit() == two.get_circuit()
    # The state takes a seed itself, and ignores what it does not know.
    circuits = [list(env._state.reset(seed=3, colour="red").circuit_info.human) for _ in range(2)]
    assert circuits[0] == circuits[1]
