"""Writes the fleet files that ship with qexp from the calibration snapshots in qiskit-ibm-runtime.

Run as `python -m qexp.backend.build [OUT_DIR]`. Averages come from real calibration data, never from
hand-typed tables; only what the snapshots lack or contradict (CLOPS) is written down here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import yaml

from qexp.backend.fleet import FORMAT, content_hash
from qexp.errors import InputError

if TYPE_CHECKING:
    from qiskit.transpiler import InstructionProperties, Target
    from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

BROKEN = 0.5
"""A two-qubit gate with this error or more (IBM reports 1.0) could not be calibrated."""

MACHINES = {
    "washington": (127, 850, 64),
    "kolkata": (27, 2000, 128),
    "hanoi": (27, 2300, 64),
    "perth": (7, 2900, 32),
    "lagos": (7, 2700, 32),
    "sherbrooke": (127, 904, 32),
    "mumbai": (27, 1800, 128),
    "cairo": (27, 2400, 64),
    "guadalupe": (16, 2400, 32),
    "nairobi": (7, 2600, 32),
    "belem": (5, 2500, 16),
    "lima": (5, 2700, 8),
    "quito": (5, 1500, 16),
}
"""Qubits, CLOPS and quantum volume as the placement papers use them (rounded vendor figures)."""

FLEETS = {
    "qce5": ("Five IBM machines of 7 to 127 qubits: the cloud of the placement papers.", list(MACHINES)[:5]),
    "ibm13": ("Thirteen IBM machines of 5 to 127 qubits; the first five are qce5.", list(MACHINES)),
}


def fake_backend(machine: str) -> FakeBackendV2:
    """Return qiskit-ibm-runtime's snapshot of a machine in `MACHINES`.

    Raises:
        InputError: qiskit-ibm-runtime is not installed.
    """
    try:
        from qiskit_ibm_runtime import fake_provider
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    name = f"Fake{machine.capitalize()}"
    backend = getattr(fake_provider, f"{name}V2", None) or getattr(fake_provider, name)
    return backend()


def missing_extra(error: ModuleNotFoundError) -> InputError:
    """Return the message for a build without the packages it needs."""
    return InputError(f"module {error.name!r} is not installed: pip install 'qexp[catalogue]'")


def provenance(backend: FakeBackendV2) -> dict[str, Any]:
    """Return where a machine's figures come from."""
    configuration = backend.configuration()
    source = {
        "backend": type(backend).__name__,
        "backend_version": backend.backend_version,
        "snapshot": backend.properties().last_update_date.isoformat(),
        "package": f"qiskit-ibm-runtime {version('qiskit-ibm-runtime')}",
    }
    for key in ("clops", "clops_h"):
        value = getattr(configuration, key, None)
        if isinstance(value, int | float):
            source[f"snapshot_{key}"] = value
    broken = [
        f"{name} {'-'.join(map(str, qubits))}"
        for name in ("cx", "ecr")
        for qubits, gate in _gates(backend.target, name).items()
        if gate.error >= BROKEN
    ]
    return source | ({"broken_gates": sorted(broken)} if broken else {})


def calibration(target: Target) -> dict[str, float]:
    """Average a machine's calibration over its qubits and its pairs of linked qubits.

    A pair that has a gate in both directions counts once, with the better one. Broken gates are left
    out; every other value is kept, however poor (FakeLagos reads one qubit wrongly 46 % of the time).
    Rounded to six digits.
    """
    pairs: dict[frozenset[int], float] = {}
    for name in ("cx", "ecr"):
        for qubits, gate in _gates(target, name).items():
            pair = frozenset(qubits)
            pairs[pair] = min(gate.error, pairs.get(pair, 1.0))
    averages = {
        "t1": fmean(qubit.t1 for qubit in target.qubit_properties),
        "t2": fmean(qubit.t2 for qubit in target.qubit_properties),
        "readout_error": fmean(gate.error for gate in target["measure"].values()),
        "single_qubit_error": fmean(gate.error for gate in target["sx"].values()),
        "two_qubit_error": fmean(error for error in pairs.values() if error < BROKEN),
    }
    return {key: float(f"{value:.6g}") for key, value in averages.items()}


def _gates(target: Target, name: str) -> dict[tuple[int, ...], InstructionProperties]:
    return dict(target[name]) if name in target.operation_names else {}


def node(machine: str) -> dict[str, Any]:
    """Return a machine as a node of the fleet format."""
    backend = fake_backend(machine)
    qubits, clops, quantum_volume = MACHINES[machine]
    return {
        "name": machine,
        "qubits": qubits,
        "clops": clops,
        "quantum_volume": quantum_volume,
        "machine": machine,
        "calibration": calibration(backend.target),
        "source": provenance(backend),
    }


def fleet_text(name: str, nodes: Sequence[dict[str, Any]]) -> str:
    """Return a fleet file."""
    record = {
        "format": FORMAT,
        "name": name,
        "description": FLEETS[name][0],
        "hash": content_hash(nodes),
        "nodes": list(nodes),
    }
    head = "# Made by `python -m qexp.backend.build`; do not edit: the hash covers the nodes.\n"
    return head + yaml.safe_dump(record, sort_keys=False, width=110)


def make_folder(path: Path, argument: str) -> None:
    """Make the output folder, before the work rather than after it.

    Raises:
        InputError: It cannot be made; the message names the command-line argument.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{argument}: cannot make folder {path}: {error.strerror}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the new one, never half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write `ibm13.yaml` and `qce5.yaml`; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m qexp.backend.build", description=__doc__)
    shipped = Path(__file__).parent / "data"
    parser.add_argument("out_dir", nargs="?", type=Path, default=shipped, help="default: %(default)s")
    out_dir: Path = parser.parse_args(arguments).out_dir
    try:
        nodes = {machine: node(machine) for machine in MACHINES}
        make_folder(out_dir, "OUT_DIR")
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for name, (_, machines) in FLEETS.items():
        path = out_dir / f"{name}.yaml"
        write_atomically(path, fleet_text(name, [nodes[machine] for machine in machines]).encode())
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
