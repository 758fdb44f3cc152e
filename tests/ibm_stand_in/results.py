"""Results in the encodings of the client's two samplers."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from ibm_stand_in.devices import Device
    from ibm_stand_in.jobs import Job

NONSENSE = b'{"schema_version": "v2.0", "data": [{"results": {"meas": "'


def encoded(job: Job, device: Device | None) -> bytes:
    """The result of a job that is done.

    Args:
        job: Of program ``executor`` (the client-side sampler) or ``sampler``.
        device: Its machine, to simulate its noise; None for cheap bits that nothing was run for.
    """
    if job.fate == "undecodable":
        return NONSENSE
    return _executor(job, device) if job.program == "executor" else _sampler(job, device)


def _executor(job: Job, device: Device | None) -> bytes:
    from ibm_quantum_schemas.common import CompressedTensorModel
    from ibm_quantum_schemas.executor.version_2_0 import (
        ItemMetadataModel,
        MetadataModel,
        ParamsModel,
        QuantumProgramResultItemModel,
        QuantumProgramResultModel,
    )

    program = ParamsModel.model_validate(job.params).quantum_program
    items = [
        QuantumProgramResultItemModel(
            results={
                name: CompressedTensorModel.from_numpy(bits)
                for name, bits in _registers(circuit, job, program.shots, device).items()
            },
            metadata=ItemMetadataModel(),
        )
        for circuit in program.circuits.to_python()
    ]
    return (
        QuantumProgramResultModel(
            data=items,
            metadata=MetadataModel(chunk_timing=[]),
            passthrough_data=program.passthrough_data,
            semantic_role=program.semantic_role,
        )
        .model_dump_json()
        .encode()
    )


def _sampler(job: Job, device: Device | None) -> bytes:
    from qiskit.primitives.containers import BitArray, DataBin, PrimitiveResult, SamplerPubResult
    from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder

    params = json.loads(json.dumps(job.params), cls=RuntimeDecoder)
    pubs = [
        {
            name: BitArray.from_bool_array(bits, order="little")
            for name, bits in _registers(pub[0], job, job.shots, device).items()
        }
        for pub in params["pubs"]
    ]
    result = PrimitiveResult([SamplerPubResult(DataBin(**pub)) for pub in pubs], metadata={"version": 2})
    return json.dumps(result, cls=RuntimeEncoder).encode()


def _registers(circuit: QuantumCircuit, job: Job, shots: int, device: Device | None) -> dict[str, Any]:
    """Measured bits by register, each of shape ``[shots, bits]``, the register's first bit first."""
    rng = np.random.default_rng([zlib.crc32(job.id.encode()), shots])
    if device is None:
        # Mostly two outcomes, now and then any.
        bits = np.repeat(rng.random((shots, 1)) < 0.5, circuit.num_clbits, axis=1)
        bits ^= rng.random(bits.shape) < 0.02
    else:
        bits = _measured(circuit, shots, device, int(rng.integers(2**31)))
    where = {bit: index for index, bit in enumerate(circuit.clbits)}
    return {register.name: bits[:, [where[bit] for bit in register]] for register in circuit.cregs}


def _measured(circuit: QuantumCircuit, shots: int, device: Device, seed: int) -> Any:
    """Run on the qubits in use, with each gate's error as depolarisation, and the readout's."""
    from qiskit_aer import AerSimulator

    small, used = _compact(circuit)
    simulator = AerSimulator(noise_model=_noise(device, used), method="density_matrix")
    memory = simulator.run(small, shots=shots, seed_simulator=seed, memory=True).result().get_memory()
    return np.array([[bit == "1" for bit in reversed(line.replace(" ", ""))] for line in memory])


def _compact(circuit: QuantumCircuit) -> tuple[QuantumCircuit, list[int]]:
    """The same circuit without idle qubits, and which it keeps."""
    from qiskit import QuantumCircuit, QuantumRegister

    index = {qubit: number for number, qubit in enumerate(circuit.qubits)}
    used = sorted({index[qubit] for item in circuit.data if item.name != "barrier" for qubit in item.qubits})
    assert len(used) <= 9, "too wide to run here with its noise"
    small = QuantumCircuit(QuantumRegister(len(used)), *circuit.cregs)
    for item in circuit.data:
        qubits = [used.index(index[qubit]) for qubit in item.qubits if index[qubit] in used]
        if item.name != "barrier":
            small.append(item.operation, qubits, item.clbits)
    return small, used


def _noise(device: Device, used: list[int]) -> Any:
    from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

    model = NoiseModel(basis_gates=["cz", "cx", "ecr", "rz", "sx", "x", "id"])
    assert device.properties is not None
    for gate in device.properties["gates"]:
        qubits = gate["qubits"]
        error = {value["name"]: value["value"] for value in gate["parameters"]}.get("gate_error", 0.0)
        if set(qubits) <= set(used) and 0 < error < 0.5 and gate["gate"] in {"cz", "cx", "ecr", "sx", "x"}:
            size = 2 ** len(qubits)  # the average gate error is (size - 1) / size of the depolarisation
            noise = depolarizing_error(min(error * size / (size - 1), 1.0), len(qubits))
            model.add_quantum_error(noise, gate["gate"], [used.index(qubit) for qubit in qubits])
    for number, qubit in enumerate(used):
        of = {value["name"]: value["value"] for value in device.properties["qubits"][qubit]}
        wrong = of.get("readout_error", 0.0)
        model.add_readout_error(ReadoutError([[1 - wrong, wrong], [wrong, 1 - wrong]]), [number])
    return model
