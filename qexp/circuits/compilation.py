"""How one circuit is compiled for one machine, and the figures of the result.

Needs the `catalogue` or the `deploy` extra: Qiskit for the compiler, MQT Bench for the circuits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import rustworkx as rx
from mqt.bench import BenchmarkLevel, get_benchmark
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CXGate, CZGate, ECRGate, RZGate, SXGate, XGate
from qiskit.providers import BackendV2
from qiskit.transpiler import InstructionProperties, Target

from qexp.fleet.calibration import BROKEN
from qexp.fleet.machines import NATIVE_GATES

Gates = dict[tuple[str, tuple[int, ...]], InstructionProperties]

ONE_QUBIT = ("measure", "rz", "sx", "x")
_OPERATIONS = {
    "cx": CXGate(),
    "cz": CZGate(),
    "ecr": ECRGate(),
    "measure": Measure(),
    "rz": RZGate(Parameter("angle")),
    "sx": SXGate(),
    "x": XGate(),
}

OPTIONS: dict[str, dict[str, Any]] = {
    "graphstate": {"seed": 10},
    "vqe_real_amp": {"entanglement": "full"},
    "vqe_su2": {"entanglement": "full"},
}
"""Generator options. Graph states are random unless seeded (10 is MQT Bench's seed elsewhere). MQT Bench 2
entangles the two ansatz circuits linearly by default; the placement papers' circuits, made with MQT Bench
1, were fully entangled, and so more than ten times as deep at 27 qubits."""


class Figures(NamedTuple):
    """The catalogue's figures of one compiled circuit.

    Attributes:
        depth: Longest chain of gates and measurements, as `QuantumCircuit.depth` counts it: virtual rz
            gates are layers of their own, barriers and idle time are not.
        two_qubit_gates: cx or ecr gates.
        duration: Length of one shot when every operation starts as soon as its qubits are free, seconds.
        log10_esp: Base-10 logarithm of the estimated success probability.
    """

    depth: int
    two_qubit_gates: int
    duration: float
    log10_esp: float


@dataclass(frozen=True)
class Machine:
    """The parts of a machine that the compiler may use.

    Attributes:
        healthy: Largest part of the machine that working links hold together; qubits are renumbered.
        whole: All qubits, for circuits wider than that part. Links without a working gate have error
            `BROKEN` there, so that the compiler avoids them and log10 of the success probability is finite.
        qubits: The machine's numbers of the qubits of ``healthy``.
    """

    healthy: Target
    whole: Target
    qubits: Sequence[int]

    @classmethod
    def from_backend(cls, backend: BackendV2) -> Machine:
        """Sort a machine's links into working and broken ones.

        A snapshot that mixes cx and ecr links (Cairo), which Qiskit cannot compile for, is taken to have cx
        in both directions on every link, as the snapshots of the other 27-qubit machines do: the two gates
        differ by one-qubit gates only.
        """
        target = backend.target
        one_qubit = {(name, qubits): gate for name in ONE_QUBIT for qubits, gate in _measured(target, name)}
        dead = {
            qubits[0]
            for (name, qubits), gate in one_qubit.items()
            if name != "measure" and gate.error >= BROKEN
        }
        kinds = [name for name in NATIVE_GATES if name in target.operation_names]
        native = kinds[0]
        gates = {(native, qubits): gate for name in kinds for qubits, gate in _measured(target, name)}
        if len(kinds) > 1:
            gates |= {(native, qubits[::-1]): gate for (_, qubits), gate in gates.items()}
        working = {
            key: gate for key, gate in gates.items() if gate.error < BROKEN and dead.isdisjoint(key[1])
        }
        linked = {frozenset(qubits) for _, qubits in working}
        slowest = max(gate.duration for gate in gates.values())
        broken = {
            (native, (min(link), max(link))): InstructionProperties(duration=slowest, error=BROKEN)
            for link in map(frozenset, backend.configuration().coupling_map)
            if link not in linked
        }
        graph = rx.PyGraph()
        graph.add_nodes_from(range(target.num_qubits))
        graph.add_edges_from_no_data([(min(link), max(link)) for link in linked])
        component: set[int] = max(rx.connected_components(graph), key=len)
        largest = sorted(component)
        poor = {
            key: InstructionProperties(duration=gate.duration, error=min(gate.error, BROKEN))
            for key, gate in one_qubit.items()
        }
        return cls(
            _target(one_qubit | working, largest, target.dt),
            _target(poor | working | broken, range(target.num_qubits), target.dt),
            largest,
        )

    def target_for(self, width: int) -> Target:
        """Return the part of the machine that a circuit of this many qubits is compiled for."""
        return self.healthy if width <= self.healthy.num_qubits else self.whole


def _measured(target: Target, name: str) -> Iterator[tuple[tuple[int, ...], InstructionProperties]]:
    """Yield a kind of gate by its qubits; one without a measured error counts as broken, or else as slow."""
    known = [gate.duration for gate in target[name].values() if gate is not None]
    slowest = max((duration for duration in known if duration is not None), default=0.0)
    for qubits, gate in target[name].items():
        if gate is not None and gate.duration is not None and gate.error is not None:
            yield qubits, gate
            continue
        duration = slowest if gate is None or gate.duration is None else gate.duration
        error = BROKEN if gate is None or gate.error is None else gate.error
        yield qubits, InstructionProperties(duration=duration, error=error)


def _target(gates: Gates, qubits: Sequence[int], dt: float) -> Target:
    # Built in sorted order: a target's order of operations must not depend on Python's hash seed.
    number = {qubit: index for index, qubit in enumerate(qubits)}
    target = Target(num_qubits=len(number), dt=dt)
    by_name: dict[str, dict[tuple[int, ...], InstructionProperties]] = {}
    for (name, where), properties in sorted(gates.items(), key=itemgetter(0)):
        if all(qubit in number for qubit in where):
            by_name.setdefault(name, {})[tuple(number[qubit] for qubit in where)] = properties
    for name, properties_of in by_name.items():
        target.add_instruction(_OPERATIONS[name], properties_of)
    return target


def benchmark_circuit(algorithm: str, width: int) -> QuantumCircuit:
    """Return MQT Bench's circuit at its algorithm level, with measurements.

    Families that come without any measurement (qaoa) get one on every qubit, else nothing would be read.

    Args:
        algorithm: MQT Bench's name of the family.
        width: Number of qubits.
    """
    circuit = get_benchmark(algorithm, BenchmarkLevel.ALG, width, **OPTIONS.get(algorithm, {}))
    if not any(instruction.operation.name == "measure" for instruction in circuit.data):
        circuit.measure_all()
    return circuit


def logical_depth(circuit: QuantumCircuit, seed: int) -> int:
    """Return the depth over arbitrary one-qubit gates and cx, any qubit next to any other.

    Blocks such as "inverse QFT" count one layer at the algorithm level, which would say nothing about
    size. Neighbouring one-qubit gates are merged.

    Args:
        circuit: One that is not compiled.
        seed: Of the compiler's randomness.
    """
    unrolled = transpile(circuit, basis_gates=["u", "cx"], optimization_level=1, seed_transpiler=seed)
    return int(unrolled.depth())


def compile_circuit(circuit: QuantumCircuit, target: Target, level: int, seed: int) -> QuantumCircuit:
    """Compile for a machine: native gates, native connectivity.

    Args:
        circuit: One that is not compiled.
        target: Gates, connectivity and errors of the machine.
        level: Qiskit's optimisation level, 0 to 3.
        seed: Of the compiler's randomness.
    """
    return transpile(circuit, target=target, optimization_level=level, seed_transpiler=seed)


def compile_to_run(circuit: QuantumCircuit, machine: Machine, level: int, seed: int) -> QuantumCircuit:
    """Compile for a machine and put the circuit on its qubits, as the machine numbers them.

    Args:
        circuit: One that is not compiled.
        machine: Where it is to run.
        level: Qiskit's optimisation level, 0 to 3.
        seed: Of the compiler's randomness.
    """
    target = machine.target_for(circuit.num_qubits)
    compiled = compile_circuit(circuit, target, level, seed)
    if target is machine.whole:
        return compiled
    on_machine = QuantumCircuit(machine.whole.num_qubits, name=circuit.name)
    on_machine.add_bits(compiled.clbits)
    for register in compiled.cregs:
        on_machine.add_register(register)
    on_machine.compose(compiled, machine.qubits, compiled.clbits, inplace=True)
    return on_machine


def measure_figures(circuit: QuantumCircuit, target: Target) -> Figures:
    """Measure a compiled circuit.

    The estimated success probability is the product of (1 - error) over all gates and measurements
    (S. Nishio et al., "Extracting Success from IBM's 20-Qubit Machines Using Error-Aware Compilation", ACM
    J. Emerg. Technol. Comput. Syst. 16(3), 2020). Errors of idle qubits are not in it: durations are
    stored, so a study that wants exp(-t/T1) can add it.

    Args:
        circuit: One that was compiled for the target.
        target: Durations and errors of the machine's gates.
    """
    free_at = [0.0] * circuit.num_qubits
    two_qubit_gates = 0
    log10_esp = 0.0
    index = {qubit: position for position, qubit in enumerate(circuit.qubits)}
    for instruction in circuit.data:
        qubits = tuple(index[qubit] for qubit in instruction.qubits)
        start = max(free_at[qubit] for qubit in qubits)
        if instruction.name != "barrier":
            properties = target[instruction.name][qubits]
            start += properties.duration
            log10_esp += math.log1p(-properties.error) / math.log(10)
            two_qubit_gates += len(qubits) == 2
        for qubit in qubits:
            free_at[qubit] = start
    return Figures(int(circuit.depth()), two_qubit_gates, max(free_at), log10_esp)
