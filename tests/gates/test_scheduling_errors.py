"""What the environment refuses under its compatible names: arguments, circuits, actions."""

from __future__ import annotations

import pytest

from qexp.env.gate_scheduling import (
    BasicRewarder,
    Gate,
    MachineProperties,
    NullCircuitGenerator,
    Scheduling,
    WorkshopCircuitGenerator,
)

LINE = [Gate(name, 0, 0) for name in "xxyzh"]


def machine():
    return MachineProperties(2).add_gates({"x": 2, "y": 2, "z": 2, "h": 2})


@pytest.fixture
def env():
    return Scheduling(machine(), max_gates=5, circuit_generator=NullCircuitGenerator())


@pytest.mark.parametrize("value", [3, None, [("x", 1)]])
def test_machine_of_a_wrong_type(value):
    text = f"{type(value)} is not a supported type for 'machine_properties'"
    with pytest.raises(TypeError) as raised:
        Scheduling._parse_machine_properties(value)
    assert str(raised.value) == text
    with pytest.raises(TypeError):
        Scheduling(value)


class Finite(NullCircuitGenerator):
    def __init__(self):
        self.finite = True


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"max_gates": 0}, ValueError, "max_gates"),
        ({"max_gates": 5.5}, ValueError, "max_gates"),
        ({"max_gates": "5"}, TypeError, "max_gates"),
        ({"dependency_depth": 0}, ValueError, "dependency_depth"),
        ({"dependency_depth": None}, TypeError, "dependency_depth"),
        ({"max_steps": 0}, ValueError, "max_steps"),
        ({"circuit_generator": [LINE]}, TypeError, "circuit_generator"),
        ({"circuit_generator": Finite()}, ValueError, "^'circuit_generator' should be an infinite iterator$"),
        ({"rulebook": [lambda *_: True]}, TypeError, "rulebook"),
        ({"rewarder": BasicRewarder}, TypeError, "rewarder"),
        ({"render_mode": "ascii"}, ValueError, "render_mode"),
        ({"render_mode": 1}, TypeError, "render_mode"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, error, text):
    with pytest.raises(error, match=text):
        Scheduling(machine(), **({"circuit_generator": NullCircuitGenerator()} | arguments))


@pytest.mark.parametrize(
    ("circuit", "text"),
    [
        ([*LINE, LINE[0]], "the circuit has 6 gates, more than max_gates=5"),
        (
            [LINE[0], Gate("w", 0, 0)],
            "gate 1 (w on 0): the machine has no gate 'w'; its gates are x, y, z, h",
        ),
        ([Gate("x", 2, 2)], "gate 0 (x on 2): no qubit 2; the machine's are 0 to 1"),
        ([Gate("x", 0, -1)], "gate 0 (x on 0, -1): no qubit -1; the machine's are 0 to 1"),
    ],
)
def test_circuits_the_machine_cannot_run(env, circuit, text):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole text is compared
        env.reset(options={"circuit": circuit})
    assert str(raised.value) == text


def test_circuits_that_are_none(env):
    for circuit in (5, ["x"], [("x", 1)], [("x", "a", "b")]):
        with pytest.raises(TypeError):
            env.reset(options={"circuit": circuit})


def test_a_two_qubit_gate_needs_two_qubits():
    env = Scheduling("workshop2", circuit_generator=NullCircuitGenerator())
    with pytest.raises(ValueError, match="cnot needs two different qubits"):
        env.reset(options={"circuit": [("cnot", 1, 1)]})


@pytest.mark.parametrize("gate", [-1, 5])
def test_actions_out_of_range(env, gate):
    env.reset(options={"circuit": LINE})
    with pytest.raises(ValueError, match=f"no gate {gate}; it must be between 0 and 4"):
        env.step((gate, 0))


def test_a_generator_whose_circuits_do_not_fit():
    with pytest.raises(ValueError, match="has no gate 'prep'"):
        Scheduling(machine())
    with pytest.raises(ValueError, match="max_gates=1 is too small"):
        Scheduling("workshop2", max_gates=1, circuit_generator=WorkshopCircuitGenerator())
