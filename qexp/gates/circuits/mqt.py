"""Circuits of MQT Bench, by family and width, in the machine's gates; each is one episode."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.errors import InputError
from qexp.gates.circuits.circuits import FixedCircuits, _span
from qexp.gates.gate import Circuit
from qexp.gates.machine import MachineProperties
from qexp.gates.qiskit_circuits import families, mqt_bench


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
        widest = f"env.circuits.max_width={self.max_width}"
        if self.min_width > self.max_width:
            raise InputError(f"env.circuits.min_width={self.min_width}: more than {widest}")
        if (qubits := machine.n_qubits) < self.max_width:
            raise InputError(f"{widest}: the machine has {qubits} qubits; choose another env.machine")
        listed = ", ".join(known)
        if unknown := [family for family in self.families if family not in known]:
            raise InputError(f"env.circuits.families: unknown family {unknown[0]!r}; known: {listed}")
        if not self.families:
            raise InputError(f"env.circuits.families: name at least one of {listed}")
        every = product(self.families, range(self.min_width, self.max_width + 1))
        try:
            return {f"{family}_{width}": mqt_bench(family, width, machine) for family, width in every}
        except InputError as error:
            raise InputError(f"env/circuits=mqt: {error}") from error
