"""Circuits from OpenQASM files (env/circuits=qasm env.circuits.path=FILE)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typing_extensions import Doc

from qexp.config.option import option
from qexp.errors import InputError
from qexp.gates.circuits.circuits import FixedCircuits
from qexp.gates.gate import Circuit
from qexp.gates.machine import MachineProperties
from qexp.gates.qiskit_circuits import read_qasm


@option("env/circuits", "qasm")
@dataclass
class QASM(FixedCircuits):
    """Circuits from OpenQASM files (env/circuits=qasm env.circuits.path=FILE)."""

    path: Annotated[str, Doc("A file, or a folder: each .qasm file in it is one episode.")]

    @property
    def label(self) -> str:
        """Return the file's or folder's name."""
        return Path(self.path).stem

    def load(self, machine: MachineProperties) -> dict[str, Circuit]:
        """Read the circuits, see `FixedCircuits.load`."""
        path = Path(self.path)
        files = sorted(path.glob("*.qasm")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"env.circuits.path: {path} has no .qasm files")
        try:
            return {file.stem: read_qasm(file, machine) for file in files}
        except InputError as error:
            raise InputError(f"env.circuits.path: {error}") from error
