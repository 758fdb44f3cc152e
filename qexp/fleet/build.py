"""Writes the fleet files that ship with qexp from the calibration snapshots in qiskit-ibm-runtime.

Run as `qexp fleet build [OUT_DIR]`. Averages come from real calibration data, never from
hand-typed tables; only what the snapshots lack or contradict (CLOPS) is written down, in
`qexp.fleet.machines`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qexp.errors import InputError, answered
from qexp.fleet.calibration import calibration, node_of, provenance
from qexp.fleet.fleet import fleet_text
from qexp.fleet.ibm import fake_backend
from qexp.fleet.machines import MACHINES
from qexp.runfolder import write_atomically

RETIRED = [name for name, machine in MACHINES.items() if machine.clops]
HERON = ["torino", "fez", "marrakesh", "boston", "kingston", "pittsburgh"]

FLEETS = {
    "qce5": ("Five IBM machines of 7 to 127 qubits: the cloud of the placement papers.", RETIRED[:5]),
    "ibm13": ("Thirteen IBM machines of 5 to 127 qubits; the first five are qce5.", RETIRED),
    "heron": ("Six IBM machines with Heron processors of 133 and 156 qubits.", HERON),
}


def node(machine: str) -> dict[str, Any]:
    """Return a machine as a node of the fleet format; a retired one with the figures of the papers."""
    backend, known = fake_backend(machine), MACHINES[machine]
    if not known.clops:
        return node_of(backend, machine)[0]
    papers = {"qubits": known.qubits, "clops": known.clops, "quantum_volume": known.quantum_volume}
    measured = {"calibration": calibration(backend.target), "source": provenance(backend)}
    return {"name": machine, **papers, "machine": machine, **measured}


def make_folder(path: Path, argument: str) -> None:
    """Make the output folder before the work; raise `InputError`, naming the argument, if it cannot be.

    Args:
        path: Folder to make, with those above it.
        argument: Of the command line, for the message.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{argument}: cannot make folder {path}: {error.strerror}") from error


def command(arguments: Sequence[str] | None, prog: str) -> int:
    """Write the shipped fleets; return the exit status.

    Args:
        arguments: Of the command line; None for the process's own.
        prog: Name of the command in its help.
    """
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    shipped = Path(__file__).parent / "data"
    parser.add_argument("out_dir", nargs="?", type=Path, default=shipped, help="default: %(default)s")
    out_dir: Path = parser.parse_args(arguments).out_dir
    nodes = {machine: node(machine) for machine in dict.fromkeys(RETIRED + HERON)}
    make_folder(out_dir, "OUT_DIR")
    head = "Made by `python -m qexp.fleet.build`; do not edit: the hash covers the nodes."
    for name, (description, machines) in FLEETS.items():
        path, facts = out_dir / f"{name}.yaml", {"name": name, "description": description}
        write_atomically(path, fleet_text(head, facts, [nodes[machine] for machine in machines]).encode())
        sys.stdout.write(f"{path}\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return answered(partial(command, arguments, "python -m qexp.fleet.build"), prefix="")


if __name__ == "__main__":
    sys.exit(main())
