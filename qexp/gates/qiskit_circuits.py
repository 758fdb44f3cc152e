"""Circuits from Qiskit, MQT Bench and OpenQASM files, and schedules back to Qiskit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qexp.errors import InputError
from qexp.gates.gate import Circuit, Gate
from qexp.gates.machine import MachineProperties

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

# What machines here usually call Qiskit's operations.
_ALIASES = {"cx": "cnot", "reset": "prep"}
_TO_QISKIT = {ours: qiskits for qiskits, ours in _ALIASES.items()}


def from_qiskit(circuit: QuantumCircuit, gates: Collection[str]) -> Circuit:
    """Return a Qiskit circuit as a list of gates, barriers left out: they forbid rewriting, not moving.

    A gate keeps its name, but where the machine does not know that, ``cx`` becomes ``cnot`` and ``reset``
    becomes ``prep``. Angles are dropped: rotations about one axis of the same qubits commute, so they may be
    taken for equal. Gates with more than one angle may not, and are refused.

    Args:
        circuit: What is to be scheduled. `compile_for` makes one of other gates.
        gates: Names of the machine's gates.

    Raises:
        InputError: An operation that the machine lacks, that acts on three or more qubits or on none, or that
            depends on measured bits; the message names it and its index.
    """
    converted = []
    for i, instruction in enumerate(_scheduled(circuit)):
        operation = instruction.operation
        where = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        text = f"gate {i} ({operation.name} on {', '.join(map(str, where))})"
        name = operation.name if operation.name in gates else _ALIASES.get(operation.name, operation.name)
        if name not in gates:
            known = ", ".join(name for name in gates if name)
            raise InputError(
                f"{text}: the machine has no gate {operation.name!r}; its gates are {known}. "
                "compile_for(circuit, machine) may express the circuit in them"
            )
        if len(where) not in {1, 2}:
            raise InputError(f"{text}: only gates on one or two qubits can be scheduled")
        if len(operation.params) > 1:
            raise InputError(
                f"{text}: it has {len(operation.params)} parameters, so two of them need not commute; "
                "decompose it into rotations about an axis first"
            )
        converted.append(Gate(name, where[0], where[-1]))
    return converted


def compile_for(circuit: QuantumCircuit, machine: MachineProperties, *, seed: int = 0) -> QuantumCircuit:
    """Express a circuit in the machine's gates, with Qiskit's transpiler, any qubit next to any other.

    Args:
        circuit: For example one of MQT Bench.
        machine: Its gates, as far as Qiskit knows them.
        seed: Of the transpiler.

    Raises:
        InputError: The machine is too small, or its gates do not suffice.
    """
    from qiskit import transpile
    from qiskit.circuit.library import get_standard_gate_name_mapping
    from qiskit.transpiler.exceptions import TranspilerError

    if circuit.num_qubits > machine.n_qubits:
        raise InputError(f"the circuit has {circuit.num_qubits} qubits, the machine {machine.n_qubits}")
    standard = get_standard_gate_name_mapping()
    basis = [name for ours in machine.gates if (name := _TO_QISKIT.get(ours, ours)) in standard]
    try:
        return transpile(circuit, basis_gates=basis, optimization_level=1, seed_transpiler=seed)
    except TranspilerError as error:
        reason = str(error).strip("'\"").splitlines()[0]
        gates = ", ".join(machine.gates)
        raise InputError(f"the machine's gates ({gates}) do not suffice: {reason}") from error


def to_qiskit(
    circuit: Circuit | QuantumCircuit, starts: Sequence[int], machine: MachineProperties
) -> QuantumCircuit:
    """Return a schedule as a Qiskit circuit: gates in order of their starts, delays where a qubit idles.

    Delays are in nanoseconds where the machine knows its ``cycle_ns``, else in cycles, written as ``dt``. All
    qubits end together.

    Args:
        circuit: What was scheduled: the Qiskit circuit it came from, whose angles and measured bits are kept,
            or a list of gates.
        starts: Forward start cycle of each gate, see `qexp.gates.schedule.forward_starts`.
        machine: How long gates take; not encoded.

    Raises:
        InputError: Starts that do not fit the circuit, or gates that overlap on a qubit.
    """
    from qiskit import QuantumCircuit

    source = circuit if isinstance(circuit, QuantumCircuit) else _as_qiskit(circuit, machine.n_qubits)
    gates = from_qiskit(circuit, machine.gates) if isinstance(circuit, QuantumCircuit) else circuit
    instructions = _scheduled(source)
    if len(starts) != len(gates):
        raise InputError(f"there are {len(starts)} start cycles for {len(gates)} gates")
    out = source.copy_empty_like()
    free_at = [0] * source.num_qubits
    end = 0

    def idle(qubit: int, until: int) -> None:
        cycles = until - free_at[qubit]
        if cycles and machine.cycle_ns is not None:
            out.delay(cycles * machine.cycle_ns, qubit, unit="ns")
        elif cycles:
            out.delay(cycles, qubit, unit="dt")
        free_at[qubit] = until

    for i in sorted(range(len(gates)), key=lambda i: (starts[i], i)):
        gate, start = gates[i], int(starts[i])
        for qubit in dict.fromkeys((gate.q1, gate.q2)):
            if start < free_at[qubit]:
                raise InputError(f"gate {i} starts in cycle {start}, when qubit {qubit} is busy")
            idle(qubit, start)
            free_at[qubit] = start + machine.gates[gate.name]
            end = max(end, free_at[qubit])
        out.append(instructions[i])
    for qubit in range(source.num_qubits):
        idle(qubit, end)
    return out


def families() -> list[str]:
    """Return the names of MQT Bench's families of circuits."""
    from mqt.bench.benchmarks import get_available_benchmark_names

    return sorted(get_available_benchmark_names())


def mqt_bench(family: str, width: int, machine: MachineProperties) -> Circuit:
    """Return an MQT Bench circuit in a machine's gates, any qubit next to any other.

    Args:
        family: One of `families`.
        width: Qubits.
        machine: What has to run it.

    Raises:
        InputError: MQT Bench has no such circuit, or the machine cannot run it.
    """
    from mqt.bench import BenchmarkLevel, get_benchmark

    try:
        circuit = get_benchmark(family, BenchmarkLevel.ALG, circuit_size=width, random_parameters=True)
    except (ValueError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"MQT Bench has no {family} of {width} qubits: {reason}") from error
    return _in_gates_of(machine, circuit)


def read_qasm(path: Path, machine: MachineProperties) -> Circuit:
    """Return the circuit of an OpenQASM file, version 2 or 3, in a machine's gates.

    Args:
        path: The file.
        machine: What has to run it.

    Raises:
        InputError: It cannot be read, or the machine cannot run it.
    """
    from qiskit import qasm2, qasm3

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"cannot read {path}: {reason}") from error
    try:
        if "OPENQASM 3" in text:
            circuit = qasm3.loads(text)
        else:
            circuit = qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    except Exception as error:  # whatever the two parsers raise: each has a family of its own
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    return _in_gates_of(machine, circuit)


def _in_gates_of(machine: MachineProperties, circuit: QuantumCircuit) -> Circuit:
    """Return a circuit as gates of a machine: as it stands where that is possible, else compiled."""
    if circuit.num_qubits <= machine.n_qubits:
        try:
            return from_qiskit(circuit, machine.gates)
        except InputError:
            pass
    return from_qiskit(compile_for(circuit, machine), machine.gates)


def _scheduled(circuit: QuantumCircuit) -> list[Any]:
    """The instructions that take part in a schedule; what cannot is refused."""
    from qiskit.circuit import ControlFlowOp

    instructions = [instruction for instruction in circuit.data if instruction.operation.name != "barrier"]
    for i, instruction in enumerate(instructions):
        name = instruction.operation.name
        if isinstance(instruction.operation, ControlFlowOp) or name in {"delay", "store"}:
            why = "its time is fixed or depends on measured bits"
            raise InputError(f"gate {i} ({name}) cannot be scheduled: {why}")
    return instructions


def _as_qiskit(circuit: Circuit, n_qubits: int) -> QuantumCircuit:
    from qiskit import QuantumCircuit
    from qiskit.circuit import Gate as QiskitGate
    from qiskit.circuit.library import get_standard_gate_name_mapping

    standard = get_standard_gate_name_mapping()
    measured = sorted({gate.q1 for gate in circuit if gate.name == "measure"})
    bit = {qubit: index for index, qubit in enumerate(measured)}
    out = QuantumCircuit(n_qubits, len(measured))
    for gate in circuit:
        qubits = list(dict.fromkeys((gate.q1, gate.q2)))
        name = _TO_QISKIT.get(str(gate.name), str(gate.name))
        operation = standard.get(name)
        # A gate without its angle, or one that Qiskit does not know, stays a box with a name.
        if operation is None or operation.params or operation.num_qubits != len(qubits):
            operation = QiskitGate(name, len(qubits), [])
        out.append(operation, qubits, [bit[gate.q1]] if gate.name == "measure" else [])
    return out
