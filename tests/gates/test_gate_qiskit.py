"""Circuits from Qiskit and schedules back to it."""

from __future__ import annotations

import numpy as np
import pytest

from qexp.env.gate_scheduling import (
    Gate,
    GateSchedulingEnv,
    MachineProperties,
    NullCircuitGenerator,
    Scheduling,
    WorkshopCircuitGenerator,
    compile_for,
    from_qiskit,
    to_qiskit,
)
from qexp.errors import InputError

qiskit = pytest.importorskip("qiskit", reason="Qiskit is not installed")
GATES = ("x", "y", "z", "h", "rx", "rz", "cnot", "cz", "measure", "prep")


def scheduled(machine, circuit, **arguments):
    """Place whatever can be placed, the first gate of the circuit first."""
    env = GateSchedulingEnv(machine, max_gates=200, circuit_generator=NullCircuitGenerator(), **arguments)
    observation, _ = env.reset(options={"circuit": circuit})
    terminated = False
    while not terminated:
        observation, _, terminated, _, _ = env.step(int(np.flatnonzero(observation["action_mask"])[0]))
    return env.forward_schedule()


def test_circuits_in():
    circuit = qiskit.QuantumCircuit(3, 2)
    circuit.reset(0)
    circuit.h(0)
    circuit.cx(0, 2)
    circuit.barrier()
    circuit.rz(0.3, 2)
    circuit.cz(2, 1)
    circuit.measure([0, 2], [1, 0])
    expected = [
        Gate("prep", 0, 0),
        Gate("h", 0, 0),
        Gate("cnot", 0, 2),
        Gate("rz", 2, 2),
        Gate("cz", 2, 1),
        Gate("measure", 0, 0),
        Gate("measure", 2, 2),
    ]
    assert from_qiskit(circuit, GATES) == expected
    # A machine that uses Qiskit's own name keeps it.
    assert from_qiskit(circuit, (*GATES, "cx"))[2] == Gate("cx", 0, 2)
    env = Scheduling("starmon5", circuit_generator=NullCircuitGenerator())
    env.reset(options={"circuit": circuit})
    assert env.get_circuit() == expected


def test_circuits_that_cannot_be_scheduled():
    def refused(build, text):
        circuit = qiskit.QuantumCircuit(3, 3)
        circuit.x(0)
        build(circuit)
        with pytest.raises(InputError, match=text):
            from_qiskit(circuit, (*GATES, "u", "ccx"))

    refused(
        lambda c: c.swap(0, 2), r"gate 1 \(swap on 0, 2\): the machine has no gate 'swap'; its gates are x, y"
    )
    refused(lambda c: c.ccx(0, 1, 2), "only gates on one or two qubits")
    refused(lambda c: c.u(1, 2, 3, 0), "it has 3 parameters, so two of them need not commute")
    refused(lambda c: c.delay(10, 0), r"gate 1 \(delay\) cannot be scheduled")
    refused(lambda c: c.if_test((0, 1), qiskit.QuantumCircuit(3, 3), range(3), range(3)), "if_else")
    env = Scheduling("workshop2", circuit_generator=NullCircuitGenerator())
    with pytest.raises(InputError, match="no qubit 2"):
        env.reset(options={"circuit": ghz(3)})


def ghz(width, measured=True):
    circuit = qiskit.QuantumCircuit(width)
    circuit.x(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    if measured:
        circuit.measure_all()
    return circuit


def test_schedules_out():
    machine = MachineProperties.from_file("workshop2")
    circuit = ghz(2)
    starts = scheduled("workshop2", circuit)
    assert starts == [0, 2, 6, 6]
    out = to_qiskit(circuit, starts, machine)
    rows = [
        (row.operation.name, [out.find_bit(q).index for q in row.qubits], row.operation.params, row.operation)
        for row in out.data
    ]
    assert [row[:3] for row in rows] == [
        ("x", [0], []),
        ("delay", [1], [2]),
        ("cx", [0, 1], []),
        ("measure", [0], []),
        ("measure", [1], []),
    ]
    assert rows[1][3].unit == "dt"
    assert out.clbits == circuit.clbits
    # From a list of gates the same but for the bits that are measured into.
    plain = to_qiskit(from_qiskit(circuit, machine.gates), starts, machine)
    assert [row.operation.name for row in plain.data] == [row[0] for row in rows]
    assert plain.num_clbits == 2


def test_delays_are_times_where_the_machine_knows_its_cycle():
    machine = MachineProperties.from_file("starmon5")
    out = to_qiskit([Gate("x", 0, 0), Gate("cz", 0, 1)], [0, 1], machine)
    delays = [
        (out.find_bit(row.qubits[0]).index, row.operation.duration, row.operation.unit)
        for row in out.data
        if row.operation.name == "delay"
    ]
    assert delays == [(1, 20.0, "ns"), (2, 80.0, "ns"), (3, 80.0, "ns"), (4, 80.0, "ns")]


@pytest.mark.parametrize(
    ("starts", "text"),
    [([0], "1 start cycles for 2 gates"), ([0, 1], "gate 1 starts in cycle 1, when qubit 0")],
)
def test_schedules_that_do_not_fit(starts, text):
    machine = MachineProperties.from_file("workshop2")
    with pytest.raises(InputError, match=text):
        to_qiskit([Gate("x", 0, 0), Gate("y", 0, 0)], starts, machine)


def without_delays(circuit):
    out = circuit.copy_empty_like()
    for row in circuit.data:
        if row.operation.name != "delay":
            out.append(row)
    return out


@pytest.mark.parametrize("seed", range(4))
def test_a_scheduled_circuit_does_the_same(seed):
    from qiskit.quantum_info import Operator

    machine = MachineProperties(3).add_gates({"x": 2, "y": 2, "cnot": 4, "measure": 10})
    machine.add_not_in_same_cycle([("x", "y")])
    generator = WorkshopCircuitGenerator(seed)
    generator.set_state_attributes(machine_properties=machine, max_gates=20)
    circuit = [gate for gate in next(generator) if gate.name != "measure"]
    from qexp.env.gate_scheduling import CommutationRulebook, cnot_commutation

    rulebook = CommutationRulebook()
    rulebook.add_rule(cnot_commutation)
    out = to_qiskit(circuit, scheduled(machine, circuit, rulebook=rulebook), machine)
    sequential = to_qiskit(circuit, np.cumsum([0] + [4] * len(circuit))[:-1], machine)
    assert Operator(without_delays(out)) == Operator(without_delays(sequential))


@pytest.mark.parametrize("name", ["ghz", "qft", "qaoa"])
def test_benchmark_circuits(name):
    bench = pytest.importorskip("mqt.bench", reason="MQT Bench comes with the extra [catalogue]")
    machine = MachineProperties.from_file("starmon5")
    circuit = compile_for(bench.get_benchmark(name, bench.BenchmarkLevel.ALG, 4), machine)
    assert {row.operation.name for row in circuit.data} <= {
        "x",
        "y",
        "z",
        "h",
        "rx",
        "ry",
        "rz",
        "cz",
        "cx",
        "measure",
        "barrier",
    }
    starts = scheduled("starmon5", circuit)
    assert min(starts) == 0
    out = to_qiskit(circuit, starts, machine)
    assert out.count_ops().get("measure", 0) == circuit.count_ops().get("measure", 0)
    assert out.num_qubits == circuit.num_qubits


def test_circuits_that_cannot_be_compiled():
    with pytest.raises(InputError, match="the circuit has 3 qubits, the machine 2"):
        compile_for(ghz(3), MachineProperties.from_file("workshop2"))
    circuit = qiskit.QuantumCircuit(2)
    circuit.h(0)
    with pytest.raises(InputError, match=r"the machine's gates \(x, y, cnot, measure\) do not suffice"):
        compile_for(circuit, MachineProperties.from_file("workshop2"))
