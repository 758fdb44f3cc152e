"""Circuits as users give them: checked against the machine that has to run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qexp.errors import InputError
from qexp.gates.gate import Circuit, Gate
from qexp.gates.tables import MachineTables


def checked_circuit(circuit: Any, machine: MachineTables, max_gates: int | None = None) -> Circuit:
    """Return a circuit as a new list of gates that the machine can run.

    Args:
        circuit: Gates in execution order, as `Gate` or as (name, q1, q2), or a Qiskit ``QuantumCircuit``.
        machine: What has to run it.
        max_gates: Longer circuits are refused.

    Raises:
        InputError: The circuit is too long, or a gate is not the machine's or on qubits it does not have; the
            message names the gate, its index and the limit.
        TypeError: Not a sequence of gates.
    """
    # By name, since looking for the class would import Qiskit for every list of gates.
    if any(cls.__name__ == "QuantumCircuit" for cls in type(circuit).__mro__):
        from qexp.gates.qiskit_circuits import from_qiskit

        circuit = from_qiskit(circuit, machine.codes)
    if not isinstance(circuit, Sequence):
        raise TypeError(f"a circuit should be a list of gates, but was of type {type(circuit)}")
    if max_gates is not None and len(circuit) > max_gates:
        raise InputError(f"the circuit has {len(circuit)} gates, more than max_gates={max_gates}")
    gates = []
    for i, gate in enumerate(circuit):
        try:
            name, q1, q2 = gate
            gates.append(Gate(name, int(q1), int(q2)))
        except (TypeError, ValueError) as error:
            raise TypeError(f"gate {i} should be Gate(name, q1, q2), but was {gate!r}") from error
        if wrong := _wrong(gates[-1], machine):
            where = f"{gates[-1].q1}" if gates[-1].q1 == gates[-1].q2 else f"{gates[-1].q1}, {gates[-1].q2}"
            raise InputError(f"gate {i} ({name} on {where}): {wrong}")
    return gates


def _wrong(gate: Gate, machine: MachineTables) -> str | None:
    """Return why a machine cannot run a gate, or None."""
    if gate.name not in machine.codes:
        return f"the machine has no gate {gate.name!r}; its gates are {', '.join(machine.codes)}"
    for qubit in (gate.q1, gate.q2):
        if not 0 <= qubit < machine.n_qubits:
            return f"no qubit {qubit}; the machine's are 0 to {machine.n_qubits - 1}"
    if gate.q1 == gate.q2 and gate.name in machine.two_qubit_gates:
        return f"{gate.name} needs two different qubits"
    return None
