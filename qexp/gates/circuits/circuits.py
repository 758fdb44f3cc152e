"""Which circuits are scheduled: the options of the config group ``env/circuits``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import Configurable, group
from qexp.errors import InputError
from qexp.gates.gate import Circuit
from qexp.gates.generators import RandomCircuitGenerator
from qexp.gates.machine import MachineProperties


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

    min_gates: Annotated[int, Ge(1), Doc("Gates of the shortest circuit; lengths are uniform.")] = 20
    max_gates: Annotated[int, Ge(1), Doc("Gates of the longest circuit.")] = 30

    @property
    def label(self) -> str:
        """Return how many gates circuits have."""
        return f"{_span(self.min_gates, self.max_gates)}gates"

    def check(self, machine: MachineProperties) -> None:
        """Raise `InputError` unless the machine can run what is drawn."""
        least = f"env.circuits.min_gates={self.min_gates}"
        if self.min_gates > self.max_gates:
            raise InputError(f"{least}: more than env.circuits.max_gates={self.max_gates}")
        if (qubits := machine.n_qubits) > self.min_gates:
            raise InputError(f"{least}: circuits have a gate for each of the machine's {qubits} qubits")
        if lacking := self.generator.kinds() - machine.gates.keys():
            raise InputError(
                f"env/circuits: the machine has no gate {', '.join(sorted(lacking))}; its gates are "
                f"{', '.join(machine.gates)}: choose another env.machine"
            )

    def draw(self, rng: np.random.Generator, machine: MachineProperties) -> Circuit:
        """Draw a circuit; its length is uniform between the two limits.

        Args:
            rng: Source of the randomness.
            machine: Whose gates and qubits the circuit uses.
        """
        source = self.generator(rng)
        source.set_state_attributes(machine_properties=machine, max_gates=self.max_gates)
        return source.circuit(int(rng.integers(self.min_gates, self.max_gates, endpoint=True)))


class FixedCircuits(Circuits):
    """A list of circuits; each is one episode."""

    @abstractmethod
    def load(self, machine: MachineProperties) -> dict[str, Circuit]:
        """Return the circuits in the machine's gates, by name.

        Raises:
            InputError: They cannot be read or made, or the machine cannot run one.
        """


def _span(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low}to{high}"
