"""Machines, from code and from files, and the codes of their gates."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cases import examples
from gate_oracle import machines
from hypothesis import given

from qexp.errors import InputError
from qexp.gates.gate import Gate, GateEncoder
from qexp.gates.machine import MachineProperties, machine_names, write_machine

MAPPING = {
    "n_qubits": 2,
    "gates": {"X": 2, "y": 3.0, "measure": 10},
    "machine_restrictions": {"same_start": ["measure"], "not_in_same_cycle": {"x": ["Y", "x"]}},
}


def changed(**keys):
    return {**MAPPING, **keys}


def restrictions(**keys):
    return changed(machine_restrictions={**MAPPING["machine_restrictions"], **keys})


def test_a_machine_from_a_mapping():
    machine = MachineProperties.from_mapping(MAPPING)
    assert (machine.n_qubits, machine.n_gates) == (2, 3)
    assert machine.gates == {"x": 2, "y": 3, "measure": 10}
    assert type(machine.gates["y"]) is int
    assert machine.same_start == {"measure"}
    assert machine.not_in_same_cycle == {"x": {"x", "y"}, "y": {"x"}, "measure": set()}
    assert "\n" not in repr(machine)
    assert len(str(machine).splitlines()) > 5
    with pytest.raises(AttributeError):
        machine.n_qubits = 3


@pytest.mark.parametrize("value", [0, -1, 1.5, float("inf")])
def test_numbers_out_of_range(value):
    with pytest.raises(ValueError, match="n_qubits"):
        MachineProperties(value)
    with pytest.raises(ValueError, match="'x'"):
        MachineProperties(1).add_gates({"x": value})


@pytest.mark.parametrize("value", ["1", None, 1j, [1]])
def test_numbers_that_are_none(value):
    with pytest.raises(TypeError, match="n_qubits"):
        MachineProperties(value)
    with pytest.raises(TypeError, match="'x'"):
        MachineProperties(1).add_gates({"x": value})


def test_gates_of_a_wrong_type():
    for gates in ([("x", 1)], "x", None):
        with pytest.raises(TypeError):
            MachineProperties(1).add_gates(gates)
    with pytest.raises(TypeError):
        MachineProperties(1).add_gates({1: 1})


def test_a_gate_given_twice_is_overwritten():
    machine = MachineProperties(2).add_gates({"x": 1, "y": 1}).add_not_in_same_cycle([("x", "y")])
    text = "Gate 'x' was already given. Overwriting it with the new value."
    with pytest.warns(UserWarning, match="already given") as warned:
        machine.add_gates({"X": 4})
    assert [str(warning.message) for warning in warned] == [text]
    assert machine.gates == {"x": 4, "y": 1}
    assert machine.not_in_same_cycle == {"x": set(), "y": {"x"}}


def test_unknown_gates():
    machine = MachineProperties(1).add_gates({"x": 1})
    for wrong in (
        lambda: machine.add_same_start(["z"]),
        lambda: machine.add_not_in_same_cycle([("x", "z")]),
        lambda: machine.add_two_qubit_gates(["z"]),
    ):
        with pytest.raises(ValueError, match=r"^unknown gate 'z'$"):
            wrong()


def test_options_out_of_range():
    with pytest.raises(ValueError, match="own_duration, no_overlap"):
        MachineProperties(1, exclusion="never")
    for cycle in (0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="cycle_ns"):
            MachineProperties(1, cycle_ns=cycle)


KEYS = "'machine_properties' must have the keys 'n_qubits', 'gates' and 'machine_restrictions'"
INNER = "'machine_restrictions' must have the keys 'same_start' and 'not_in_same_cycle'"


@pytest.mark.parametrize(
    ("mapping", "error", "text"),
    [
        ([MAPPING], TypeError, None),
        ({}, ValueError, KEYS),
        ({key: MAPPING[key] for key in ("n_qubits", "gates")}, ValueError, KEYS),
        (changed(machine_restrictions={"same_start": []}), ValueError, INNER),
        (changed(machine_restrictions=["same_start"]), TypeError, None),
        (restrictions(not_in_same_cycle=[("x", "y")]), AttributeError, None),
        (restrictions(same_start=["z"]), ValueError, "unknown gate 'z'"),
    ],
)
def test_mappings_that_are_no_machine(mapping, error, text):
    with pytest.raises(error) as raised:
        MachineProperties.from_mapping(mapping)
    assert text is None or str(raised.value) == text


def test_encoding_a_machine():
    machine = MachineProperties.from_mapping(MAPPING)
    encoder = machine.encode()
    assert machine.gates == {1: 2, 2: 3, 3: 10}
    assert machine.same_start == {3}
    assert machine.not_in_same_cycle == {1: [1, 2], 2: [1], 3: []}
    assert encoder.n_gates == 3
    with pytest.raises(ValueError, match="encoded already"):
        machine.encode()


@examples(50)
@given(machines())
def test_files_give_back_the_machine(tmp_path_factory, machine):
    folder = tmp_path_factory.mktemp("machine")
    for name in ("machine.yaml", "machine.json"):
        write_machine(machine, folder / name)
        assert MachineProperties.from_file(folder / name) == machine
        assert MachineProperties.from_file(str(folder / name)) == machine


def test_machines_that_ship():
    assert machine_names() == ["starmon5", "ten_qubit", "workshop2", "workshop5"]
    sizes = {name: MachineProperties.from_file(name).n_qubits for name in machine_names()}
    assert sizes == {"starmon5": 5, "ten_qubit": 10, "workshop2": 2, "workshop5": 5}
    workshop = MachineProperties.from_file("workshop2")
    assert workshop.gates == {"x": 2, "y": 2, "cnot": 4, "measure": 10}
    # Published: 20 ns for one qubit, 60 ns for a cz, 2 us for a measurement.
    starmon = MachineProperties.from_file("starmon5")
    assert [starmon.gates[name] * starmon.cycle_ns for name in ("x", "cz", "measure")] == [20, 60, 2000]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("missing.yaml", None, "No such file"),
        ("broken.json", "{", "broken.json"),
        ("broken.yaml", "a: [", "broken.yaml"),
        ("binary.yaml", b"\xff", "not UTF-8"),
        ("list.yaml", "[1]", "a machine is a mapping"),
        ("typo.json", json.dumps(changed(exclusions="no_overlap")), "unknown key 'exclusions'"),
        ("deep.json", json.dumps(restrictions(same_stop=[])), "unknown key 'machine_restrictions.same_stop'"),
        ("none.json", "{}", KEYS),
        ("pairs.json", json.dumps(restrictions(not_in_same_cycle=[])), "no attribute"),
        (
            "machine.toml",
            "",
            "give the path of a .yaml or .json file, or one of starmon5, ten_qubit, workshop2",
        ),
    ],
)
def test_files_that_are_no_machine(tmp_path, name, content, text):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=text) as raised:
        MachineProperties.from_file(tmp_path / name)
    assert isinstance(raised.value, NotImplementedError)  # what scripts for qgym catch
    assert "\n" not in str(raised.value)


def test_an_encoder():
    encoder = GateEncoder()
    assert encoder.n_gates == 0
    assert encoder.learn_gates({"x": 3, "cnot": 1}) is encoder
    assert encoder._encoding_dct == {"x": 1, "cnot": 2}
    assert encoder._decoding_dct == {1: "x", 2: "cnot"}
    assert encoder._longest_name == 4
    pairs = [
        ("x", 1),
        ({"x": 7, "cnot": ["x", "cnot"]}, {1: 7, 2: [1, 2]}),
        ([Gate("x", 0, 0), Gate("cnot", 1, 0)], [Gate(1, 0, 0), Gate(2, 1, 0)]),
        ({"x", "cnot"}, {1, 2}),
        (["cnot", "x", "x"], [2, 1, 1]),
    ]
    for names, codes in pairs:
        assert encoder.encode_gates(names) == codes
        assert encoder.decode_gates(codes) == names
    assert encoder.encode_gates(("x",)) == [1]
    assert encoder.decode_gates(np.int64(2)) == "cnot"
    for unknown in ("z", ["z"], {"z": 1}, {"z"}, [Gate("z", 0, 0)]):
        with pytest.raises(KeyError):
            encoder.encode_gates(unknown)
    with pytest.raises(KeyError):
        encoder.decode_gates(3)
    for neither in (encoder.encode_gates, encoder.decode_gates):
        with pytest.raises(TypeError):
            neither(None)


def test_an_encoder_skips_names_it_knows():
    with pytest.warns(UserWarning, match="multiple") as warned:
        encoder = GateEncoder().learn_gates(["x", "h", "h", "z"])
    assert [str(warning.message) for warning in warned] == ["'gates' contains multiple entries of h"]
    assert encoder._encoding_dct == {"x": 1, "h": 2, "z": 4}
    assert encoder.n_gates == 3
