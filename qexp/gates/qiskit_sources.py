"""Circuits that Qiskit makes or reads: MQT Bench by family and width, OpenQASM from files."""

from __future__ import annotations

from pathlib import Path

from qiskit import QuantumCircuit

from qexp.errors import InputError
from qexp.gates.gate import Circuit
from qexp.gates.machine import MachineProperties
from qexp.gates.qiskit_circuits import compile_for, from_qiskit


def families() -> list[str]:
    """Return the names of MQT Bench's families of circuits."""
    from mqt.bench.benchmarks import get_available_benchmark_names

    return sorted(get_available_benchmark_names())


def mqt_bench(family: str, width: int, machine: MachineProperties) -> Circuit:
    """Return an MQT Bench circuit in a machine's gates.

    Args:
        family: One of `families`.
        width: Qubits.
        machine: What has to run it; its gates are used, any qubit next to any other.

    Raises:
        InputError: MQT Bench has no such circuit, or the machine cannot run it.
    """
    from mqt.bench import BenchmarkLevel, get_benchmark

    try:
        circuit = get_benchmark(family, BenchmarkLevel.ALG, circuit_size=width, random_parameters=True)
    except (ValueError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"MQT Bench has no {family} of {width} qubits: {reason}") from error
    return in_gates_of(machine, circuit)


def read_qasm(path: Path) -> QuantumCircuit:
    """Read a circuit from an OpenQASM file, version 2 or 3.

    Raises:
        InputError: It cannot be read.
    """
    from qiskit import qasm2, qasm3

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"cannot read {path}: {reason}") from error
    try:
        if "OPENQASM 3" in text:
            return qasm3.loads(text)
        return qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    except Exception as error:  # whatever the two parsers raise: each has a family of its own
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error


def in_gates_of(machine: MachineProperties, circuit: QuantumCircuit) -> Circuit:
    """Return a circuit as gates of a machine: as it stands where that is possible, else compiled.

    Raises:
        InputError: The machine is too small, or its gates do not suffice.
    """
    if circuit.num_qubits <= machine.n_qubits:
        try:
            return from_qiskit(circuit, machine.gates)
        except InputError:
            pass
    return from_qiskit(compile_for(circuit, machine), machine.gates)
