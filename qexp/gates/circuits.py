"""Which circuits are scheduled: the options of the config group ``env/circuits``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import Configurable, group, option
from qexp.errors import InputError
from qexp.gates.gate import Circuit
from qexp.gates.generators import BasicCircuitGenerator, RandomCircuitGenerator, WorkshopCircuitGenerator
from qexp.gates.machine import MachineProperties
from qexp.gates.qiskit_circuits import families, mqt_bench, read_qasm


@group("env/circuits")
class Circuits(Configurable, ABC):
    """A source of circuits for a machine."""

    @property
    @abstractmethod
    def label(self) -> str:
        """A few letters for the names of runs."""


@dataclass
class RandomCircuits(Circuits):
    """Circuits drawn at random, as many as are asked for."""

    generator: ClassVar[type[RandomCircuitGenerator]]

    min_gates: Annotated[int, Ge(1), Doc("Gates of the shortest circuit; the length is drawn uniformly.")] = (
        20
    )
    max_gates: Annotated[int, Ge(1), Doc("Gates of the longest circuit.")] = 30

    @property
    def label(self) -> str:
        """Return how many gates circuits have."""
        return f"{_span(self.min_gates, self.max_gates)}gates"

    def check(self, machine: MachineProperties) -> None:
        """Raise `InputError` unless the machine can run what is drawn."""
        if self.min_gates > self.max_gates:
            raise InputError(
                f"env.circuits.min_gates={self.min_gates}: more than env.circuits.max_gates={self.max_gates}"
            )
        if self.min_gates < machine.n_qubits:
            raise InputError(
                f"env.circuits.min_gates={self.min_gates}: circuits have at least a gate for each of the "
                f"machine's {machine.n_qubits} qubits"
            )
        if lacking := self.generator.kinds() - machine.gates.keys():
            raise InputError(
                f"env/circuits: the machine has no gate {', '.join(sorted(lacking))}; its gates are "
                f"{', '.join(machine.gates)}: choose another env.machine"
            )

    def draw(self, rng: np.random.Generator, machine: MachineProperties) -> Circuit:
        """Draw a circuit; its length is uniform between the two limits."""
        source = self.generator(rng)
        source.set_state_attributes(machine_properties=machine, max_gates=self.max_gates)
        return source.circuit(int(rng.integers(self.min_gates, self.max_gates, endpoint=True)))


@option("env/circuits")
@dataclass
class Basic(RandomCircuits):
    """Every qubit prepared, then x, y, z, cnot and a few measurements."""

    generator = BasicCircuitGenerator


@option("env/circuits")
@dataclass
class Workshop(RandomCircuits):
    """x, y, cnot and measure: what every machine here has."""

    generator = WorkshopCircuitGenerator


class FixedCircuits(Circuits):
    """A list of circuits; each is one episode."""

    @abstractmethod
    def load(self, machine: MachineProperties) -> dict[str, Circuit]:
        """Return the circuits in the machine's gates, by name.

        Raises:
            InputError: They cannot be read or made, or the machine cannot run one.
        """


@option("env/circuits")
@dataclass
class MQT(FixedCircuits):
    """Circuits of MQT Bench, by family and width, in the machine's gates; each is one episode."""

    families: Annotated[list[str], Doc("Families, as MQT Bench names them.")] = field(
        default_factory=lambda: ["ghz", "qft", "qaoa"]
    )
    min_width: Annotated[int, Ge(2), Doc("Qubits of the narrowest circuits.")] = 3
    max_width: Annotated[int, Ge(2), Doc("Qubits of the widest circuits.")] = 5

    @property
    def label(self) -> str:
        """Return families and widths."""
        return f"{'+'.join(self.families)}{_span(self.min_width, self.max_width)}"

    def load(self, machine: MachineProperties) -> dict[str, Circuit]:
        """Make the circuits, see `FixedCircuits.load`."""
        try:
            known = families()
        except ModuleNotFoundError as error:
            raise InputError("env/circuits=mqt needs MQT Bench: pip install 'qexp[catalogue]'") from error
        if self.min_width > self.max_width:
            raise InputError(
                f"env.circuits.min_width={self.min_width}: more than env.circuits.max_width={self.max_width}"
            )
        if self.max_width > machine.n_qubits:
            raise InputError(
                f"env.circuits.max_width={self.max_width}: the machine has {machine.n_qubits} qubits; "
                "lower it, or choose another env.machine"
            )
        if unknown := [family for family in self.families if family not in known]:
            raise InputError(
                f"env.circuits.families: unknown family {unknown[0]!r}; known: {', '.join(known)}"
            )
        if not self.families:
            raise InputError(f"env.circuits.families: name at least one of {', '.join(known)}")
        widths = range(self.min_width, self.max_width + 1)
        try:
            return {
                f"{family}_{width}": mqt_bench(family, width, machine)
                for family in self.families
                for width in widths
            }
        except InputError as error:
            raise InputError(f"env/circuits=mqt: {error}") from error


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


def _span(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low}to{high}"
