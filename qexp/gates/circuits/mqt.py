"""Circuits of MQT Bench."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from qexp.errors import InputError
from qexp.gates.circuits.circuits import FixedCircuits
from qexp.gates.gate import Circuit
from qexp.gates.machine import MachineProperties
from qexp.option import option


@option("env/circuits")
@dataclass
class MQT(FixedCircuits):
    """Every family in every width, in the machine's gates.

    Attributes:
        families: Names as MQT Bench has them.
        min_width: Qubits of the narrowest circuits.
        max_width: Qubits of the widest.
    """

    families: list[str] = field(default_factory=lambda: ["ghz", "qft", "qaoa"])
    min_width: Annotated[int, Field(ge=2)] = 3
    max_width: Annotated[int, Field(ge=2)] = 5

    @property
    def label(self) -> str:
        """Return families and widths."""
        low, high = self.min_width, self.max_width
        return f"{'+'.join(self.families)}{low if low == high else f'{low}to{high}'}"

    def load(self, machine: MachineProperties) -> dict[str, Circuit]:
        """Make the circuits, see `FixedCircuits.load`."""
        try:
            from qexp.gates import qiskit_sources as sources

            known = sources.families()
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
                f"{family}_{width}": sources.mqt_bench(family, width, machine)
                for family in self.families
                for width in widths
            }
        except InputError as error:
            raise InputError(f"env/circuits=mqt: {error}") from error
