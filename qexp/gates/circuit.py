"""Circuits as users give them: checked against the machine that has to run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qexp.errors import InputError
from qexp.gates.gate import Circuit, Gate

if TYPE_CHECKING:
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
    codes, pairs, n_qubits = machine.codes, machine.two_qubit_gates, machine.n_qubits
    gates = []
    for i, gate in enumerate(circuit):
        try:
            name, q1, q2 = gate
            checked = Gate(name, int(q1), int(q2))
        except (TypeError, ValueError) as error:
            raise TypeError(f"gate {i} should be Gate(name, q1, q2), but was {gate!r}") from error
        if name not in codes:
            raise InputError(
                f"gate {i} ({_text(checked)}): the machine has no gate {name!r}; {_known(machine)}"
            )
        if not (0 <= checked.q1 < n_qubits and 0 <= checked.q2 < n_qubits):
            wrong = q2 if 0 <= checked.q1 < n_qubits else q1
            raise InputError(
                f"gate {i} ({_text(checked)}): no qubit {wrong}; the machine's are 0 to {n_qubits - 1}"
            )
        if checked.q1 == checked.q2 and name in pairs:
            raise InputError(f"gate {i} ({_text(checked)}): {name} needs two different qubits")
        gates.append(checked)
    return gates


def _text(gate: Gate) -> str:
    qubits = f"{gate.q1}" if gate.q1 == gate.q2 else f"{gate.q1}, {gate.q2}"
    return f"{gate.name} on {qubits}"


def _known(machine: MachineTables) -> str:
    return f"its gates are {', '.join(machine.codes)}"
