"""Turns what qiskit-ibm-runtime knows of a machine, fake or live, into a node of the fleet format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from importlib.metadata import version
from statistics import StatisticsError, fmean
from typing import TYPE_CHECKING, Any

from qexp.errors import InputError
from qexp.fleet import machines

if TYPE_CHECKING:
    from qiskit.providers import BackendV2
    from qiskit.transpiler import Target

BROKEN = 0.5
"""A gate with this error or more (IBM reports 1.0) could not be calibrated."""


def native_gate(target: Target) -> str:
    """Return a machine's two-qubit gate, the first of several; raise `InputError` if it has none we know."""
    known = [name for name in machines.NATIVE_GATES if name in target.operation_names]
    if not known or "sx" not in target.operation_names:
        sets = ", ".join(machines.NATIVE_GATES)
        raise InputError(f"none of the gate sets {sets} with sx: not a machine qexp knows")
    return known[0]


def calibration(target: Target) -> dict[str, float]:
    """Average a machine's calibration over its qubits and its pairs of linked qubits.

    A pair that has a gate in both directions counts once, with the better one. Broken gates, and values that
    were not measured, are left out; every other value is kept, however poor (FakeLagos reads one qubit
    wrongly 46 % of the time). Rounded to six digits; `InputError` if nothing is left to average.
    """
    pairs: dict[frozenset[int], float] = {}
    for name in machines.NATIVE_GATES:
        for qubits, error in _errors(target, name):
            pairs[frozenset(qubits)] = min(error, pairs.get(frozenset(qubits), 1.0))
    measured = [properties for properties in target.qubit_properties or () if properties is not None]
    averages = {
        "t1": _mean("T1", (properties.t1 for properties in measured if properties.t1)),
        "t2": _mean("T2", (properties.t2 for properties in measured if properties.t2)),
        "readout_error": _mean("readout", (error for _, error in _errors(target, "measure"))),
        "single_qubit_error": _mean("sx gate", (e for _, e in _errors(target, "sx") if e < BROKEN)),
        "two_qubit_error": _mean("two-qubit gate", (error for error in pairs.values() if error < BROKEN)),
    }
    return {key: float(f"{value:.6g}") for key, value in averages.items()}


def _mean(what: str, values: Iterable[float]) -> float:
    try:
        return fmean(values)
    except StatisticsError:
        raise InputError(f"no {what} is calibrated") from None


def _errors(target: Target, name: str) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield qubits and error of every gate of a kind whose error is known."""
    for qubits, gate in (target[name] if name in target.operation_names else {}).items():
        if gate is not None and gate.error is not None:
            yield qubits, gate.error


def provenance(backend: BackendV2) -> dict[str, Any]:
    """Return where a machine's figures come from, and what of it is broken."""
    configuration, measured = backend.configuration(), backend.properties().last_update_date
    fake = type(backend).__name__.startswith("Fake")
    source: dict[str, Any] = {
        "backend": type(backend).__name__ if fake else backend.name,
        "backend_version": backend.backend_version,
        # The client turns the time of a live machine into the local one.
        "snapshot": (measured if fake else measured.astimezone(UTC)).isoformat(),
        "package": f"qiskit-ibm-runtime {version('qiskit-ibm-runtime')}",
    }
    for key in ("clops", "clops_h"):
        if isinstance(value := getattr(configuration, key, None), int | float):
            source[f"snapshot_{key}"] = value
    broken = [
        f"{name} {'-'.join(map(str, qubits))}"
        for name in (*machines.NATIVE_GATES, "sx")
        for qubits, error in _errors(backend.target, name)
        if error >= BROKEN
    ]
    return source | ({"broken_gates": sorted(broken)} if broken else {})


def node_of(backend: BackendV2, name: str) -> tuple[dict[str, Any], str | None]:
    """Return a machine, fake or live, as a node of the fleet format, and what a person should know about it.

    Args:
        backend: The machine.
        name: What the node is to be called.

    Raises:
        InputError: The machine has no calibration.
    """
    if backend.properties() is None:
        raise InputError("it has no calibration")
    configuration, native = backend.configuration(), native_gate(backend.target)
    qubits, averages = configuration.n_qubits, calibration(backend.target)
    machine, note = machines.plain(name), None
    if machine not in machines.MACHINES:
        lattice = machines.lattice_of(configuration.coupling_map)
        machine = machines.most_similar(qubits, native, lattice, averages["two_qubit_error"])
        known = machines.MACHINES[machine]
        note = (
            f"{name} ({native}, {lattice}, {qubits} qubits) is not in the circuit catalogue; circuits for "
            f"{machine} ({known.native}, {known.lattice}, {known.qubits} qubits) stand for its own"
        )
    clops, origin = _clops(configuration, machines.plain(name), machine)
    node = {"name": name, "qubits": qubits, "clops": clops}
    for key in ("clops_h", "quantum_volume"):
        if value := _number(configuration, key):
            node[key] = value
    source = {key: value for key, value in provenance(backend).items() if not key.startswith("snapshot_")}
    source |= {"processor": processor(configuration), "clops": origin}
    return node | {"machine": machine, "calibration": averages, "source": source}, note


def processor(configuration: Any) -> str:
    """Return family and revision of a machine's processor, empty where the snapshot does not say."""
    kind = getattr(configuration, "processor_type", None) or {}
    return f"{kind['family']} r{kind.get('revision', '?')}" if "family" in kind else ""


def _clops(configuration: Any, name: str, machine: str) -> tuple[float, str]:
    """Return a machine's CLOPS and where the figure comes from: measured ones first, borrowed ones last."""
    if name in machines.MACHINES and (papers := machines.MACHINES[name].clops):
        return papers, "the placement papers' figure"
    if clops := _number(configuration, "clops"):
        return clops, "the snapshot's CLOPS"
    if clops_h := _number(configuration, "clops_h"):
        rounded = round(float(f"{clops_h * machines.CLOPS_PER_CLOPS_H:.3g}"))
        return rounded, f"{machines.CLOPS_PER_CLOPS_H:.4g} * CLOPS_h"
    if machine in machines.shipped():
        return machines.shipped()[machine].clops, f"the figure of {machine}"
    raise InputError("its snapshot has neither CLOPS nor CLOPS_h")


def _number(configuration: Any, key: str) -> float | None:
    value = getattr(configuration, key, None)
    return value if isinstance(value, int | float) and value > 0 else None
