"""The circuits behind the names that a workload uses: as drawn, as compiled, and their ideal distributions.

Needs the `deploy` extra. Qiskit and MQT Bench are imported when the first circuit is asked for.
"""

from __future__ import annotations

from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from qexp.circuits.catalogue import load_catalogue
from qexp.errors import InputError
from qexp.fleet.ibm import missing_extra

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

    from qexp.circuits.compilation import Machine

LEVEL = 3
"""Qiskit's optimisation level. The catalogue's circuits were compiled at level 1, which the placement papers'
depths call for; what really runs may as well be as good as the compiler can make it."""

SEED = 1

WIDEST_IDEAL = 16
"""Qubits up to which the ideal distribution is worked out: seconds and a few megabytes there."""


def circuit_of(name: str) -> QuantumCircuit:
    """Return a circuit of the catalogue (``ghz_5``), with measurements, as its generator draws it.

    Raises:
        InputError: The catalogue has no such circuit, or a package is not installed.
    """
    return _drawn(name).copy()


def known(name: str) -> bool:
    """Return whether the catalogue has a circuit of this name."""
    algorithm, _, width = name.rpartition("_")
    return width.isdecimal() and (algorithm, int(width)) in load_catalogue().logical_depth


@lru_cache(maxsize=4096)
def compiled(name: str, backend: BackendV2, *, level: int = LEVEL, seed: int = SEED) -> QuantumCircuit:
    """Compile a circuit to all qubits of a machine and its native gates, avoiding its broken links.

    The circuit is remembered: do not change it.

    Args:
        name: Algorithm and width.
        backend: The machine, fake or live; its calibration is read once.
        level: Qiskit's optimisation level.
        seed: Of the compiler's random choices: the same seed gives the same circuit.

    Raises:
        InputError: There is no such circuit, it does not fit, or a package is not installed.
    """
    source, machine = _drawn(name), machine_of(backend)
    if source.num_qubits > backend.num_qubits:
        raise InputError(f"{name} does not fit on {backend.name}, which has {backend.num_qubits} qubits")
    return _compilation().compile_to_run(source, machine, level, seed)


@cache
def machine_of(backend: BackendV2) -> Machine:
    """Return what the compiler may use of a machine; read once per backend object."""
    machine: Machine = _compilation().Machine.from_backend(backend)
    return machine


@cache
def ideal_distribution(name: str) -> dict[str, float] | None:
    """Return probabilities by outcome of a circuit on a perfect machine; do not change them.

    Outcomes are bit strings, the last classical bit first, as Qiskit writes counts. Exact but for rounding,
    from the circuit's state vector; outcomes of less than 1e-12 are left out. None for a circuit of more than
    `WIDEST_IDEAL` qubits, or one that uses a qubit after measuring it.

    Raises:
        InputError: There is no such circuit, or a package is not installed.
    """
    source = _drawn(name)
    return distribution(source) if source.num_qubits <= WIDEST_IDEAL else None


def distribution(circuit: QuantumCircuit) -> dict[str, float] | None:
    """Return the outcomes of any circuit, see `ideal_distribution`."""
    from qiskit import QuantumCircuit, transpile
    from qiskit.quantum_info import Statevector

    # Blocks of many qubits would be multiplied out as one huge matrix.
    plain = transpile(circuit, basis_gates=["u", "cx"], optimization_level=1, seed_transpiler=SEED)
    reads = _reads(plain)
    if reads is None:
        return None
    gates = QuantumCircuit(plain.num_qubits, global_phase=plain.global_phase)
    for instruction in plain.data:
        if instruction.name not in {"measure", "barrier", "reset"}:
            gates.append(instruction.operation, [plain.find_bit(qubit).index for qubit in instruction.qubits])
    bits = sorted(reads)
    # The first qubit asked for is the last bit of the index.
    probabilities = Statevector(gates).probabilities([reads[bit] for bit in bits])
    outcomes: dict[str, float] = {}
    for outcome in np.flatnonzero(probabilities >= 1e-12).tolist():
        text = ["0"] * plain.num_clbits
        for position, bit in enumerate(bits):
            text[-1 - bit] = str(outcome >> position & 1)
        outcomes["".join(text)] = float(probabilities[outcome])
    return outcomes


def _reads(circuit: QuantumCircuit) -> dict[int, int] | None:
    """Return which qubit each classical bit reads at the end; None if something is read or reset before."""
    reads: dict[int, int] = {}
    touched: set[int] = set()
    for instruction in circuit.data:
        name, qubits = instruction.name, [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        if name == "barrier" or (name == "reset" and touched.isdisjoint(qubits)):
            continue
        if name == "measure":
            reads[circuit.find_bit(instruction.clbits[0]).index] = qubits[0]
        elif name == "reset" or instruction.clbits or not set(reads.values()).isdisjoint(qubits):
            return None
        touched.update(qubits)
    return reads if len(set(reads.values())) == circuit.count_ops().get("measure", 0) else None


@cache
def _drawn(name: str) -> QuantumCircuit:
    if not known(name):
        raise InputError(f"{name}: the catalogue has no such circuit")
    algorithm, _, width = name.rpartition("_")
    return _compilation().benchmark_circuit(algorithm, int(width))


def _compilation() -> ModuleType:
    """Return the compiler's module, with one line for who has not installed what it needs."""
    try:
        from qexp.circuits import compilation
    except ModuleNotFoundError as error:
        raise missing_extra(error, "deploy") from error
    return compilation
