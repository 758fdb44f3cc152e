"""A machine's stand-in: its fake backend's noise, and how long one repetition of a circuit takes there.

Everything here takes and returns plain values, so that it can run in another process: Aer keeps Python's
global lock while it samples.
"""

from __future__ import annotations

import os
import signal
import threading
from functools import cache, lru_cache
from multiprocessing import parent_process

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_aer.noise.device import basic_device_gate_errors, basic_device_readout_errors

from qexp.circuits.compilation import measure_figures
from qexp.circuits.compiled import compiled, machine_of
from qexp.fleet.ibm import fake_backend

REP_DELAY = 250e-6
"""Seconds between repetitions where a snapshot does not say; the default of IBM's machines."""

DENSEST = 11
"""Qubits up to which the density matrix (64 MiB there) is quicker than 1024 repetitions of a state vector."""


def enter_process() -> None:
    """Prepare a process of a pool: one thread, and no life after its parent's or by Ctrl-C before it."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def load(machine: str) -> None:
    """Read a machine's snapshot, so that the first circuit does not wait for it."""
    machine_of(_backend(machine))


def shot_seconds(machine: str, circuit: str) -> float:
    """Return how long one repetition of a circuit takes on a machine, seconds.

    The machine's own repetition delay and the compiled circuit's length: every gate as long as the snapshot
    says, and begun as soon as its qubits are free.

    Args:
        machine: Of the catalogue.
        circuit: Algorithm and width.
    """
    backend = _backend(machine)
    delay = getattr(backend.configuration(), "default_rep_delay", None)
    length = measure_figures(compiled(circuit, backend), machine_of(backend).whole).duration
    return (REP_DELAY if delay is None else float(delay)) + length


def sample(machine: str, circuit: str, shots: int, seed: int) -> dict[str, int]:
    """Run a circuit on a machine's stand-in, and return counts by bit string, the last classical bit first.

    Args:
        machine: Of the catalogue.
        circuit: Algorithm and width.
        shots: Repetitions.
        seed: Of the noise and of the measurements.
    """
    small, noise = _noisy(machine, circuit)
    simulator = AerSimulator(
        method="density_matrix" if small.num_qubits <= DENSEST else "statevector",
        noise_model=noise,
        max_parallel_threads=1,
    )
    counts = simulator.run(small, shots=shots, seed_simulator=seed).result().get_counts()
    return {outcome.replace(" ", ""): int(count) for outcome, count in counts.items()}


def compact(circuit: QuantumCircuit, backend: BackendV2) -> tuple[QuantumCircuit, NoiseModel]:
    """Cut a compiled circuit and its machine's noise down to the qubits that are used.

    The noise is what `NoiseModel.from_backend` makes of the whole machine, which takes it many seconds for a
    hundred qubits: every gate is followed by relaxation for as long as it takes and by depolarisation that
    makes up its calibrated error; measurements err as calibrated. Idle qubits do not decay.

    Args:
        circuit: Compiled, on the machine's qubits.
        backend: The machine, with its calibration.
    """
    steps = [
        (step, tuple(circuit.find_bit(qubit).index for qubit in step.qubits))
        for step in circuit.data
        if step.name != "barrier"
    ]
    used = sorted({qubit for _, qubits in steps for qubit in qubits})
    number = {qubit: position for position, qubit in enumerate(used)}
    small = QuantumCircuit(len(used), circuit.num_clbits)
    whole, snapshot = machine_of(backend).whole, backend.target
    gates: dict[str, dict[tuple[int, ...], InstructionProperties]] = {}
    for step, qubits in steps:
        here = tuple(number[qubit] for qubit in qubits)
        small.append(step.operation, here, [circuit.find_bit(bit).index for bit in step.clbits])
        # The snapshot may know more than the compiler's target (both readout errors), or lack a direction.
        known = snapshot[step.name] if step.name in snapshot.operation_names else {}
        gates.setdefault(step.name, {})[here] = known.get(qubits) or whole[step.name][qubits]
    target = Target(
        num_qubits=len(used), dt=snapshot.dt, qubit_properties=[snapshot.qubit_properties[q] for q in used]
    )
    for name, properties in gates.items():
        target.add_instruction(whole.operation_from_name(name), properties)
    noise = NoiseModel(basis_gates=list(gates))
    for where, error in basic_device_readout_errors(target=target):
        noise.add_readout_error(error, where)
    for name, where, error in basic_device_gate_errors(target=target):
        noise.add_quantum_error(error, name, where)
    return small, noise


@lru_cache(maxsize=512)
def _noisy(machine: str, circuit: str) -> tuple[QuantumCircuit, NoiseModel]:
    return compact(compiled(circuit, _backend(machine)), _backend(machine))


_backend = cache(fake_backend)
