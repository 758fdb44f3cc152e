"""One circuit on one machine: all that stays the same while its gates are scheduled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from qexp.gates.gate import Circuit
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.tables import MachineTables


@dataclass(eq=False)
class Problem:
    """A scheduling problem. Lists are indexed by gate, in the order of the circuit.

    Time runs backwards: cycle 0 is the last one of the schedule, and a gate may start only when all later
    gates that it does not commute with have been placed.
    """

    machine: MachineTables
    circuit: Circuit
    codes: Sequence[int]  # kind of each gate, see `MachineTables`
    cycles: Sequence[int]  # duration of each gate
    q1: Sequence[int]
    q2: Sequence[int]
    blockers: Sequence[int]  # later gates that have to be placed before each gate, as the bits of an integer

    @classmethod
    def of(cls, machine: MachineTables, circuit: Circuit, rulebook: CommutationRulebook) -> Problem:
        """Put circuit and machine together; the circuit is one that `checked_circuit` returned.

        Args:
            machine: The machine's tables.
            circuit: Checked gates.
            rulebook: Which gates commute.
        """
        names, q1, q2 = zip(*circuit, strict=True) if circuit else ((), (), ())
        codes = [machine.codes[name] for name in names]
        cycles = [machine.cycles[code] for code in codes]
        return cls(machine, circuit, codes, cycles, q1, q2, rulebook.blockers(circuit))

    def __len__(self) -> int:
        return len(self.circuit)

    @cached_property
    def tails(self) -> list[int]:
        """Cycles from the start of each gate to the end of the longest chain of gates that wait for it.

        In a schedule no gate can start less than this before the (backward) end: the longest chain of the
        circuit up to and including the gate. Gates that wait for each other without sharing a qubit may start
        in the same cycle, so such a pair adds nothing to a chain.
        """
        tails = list(self.cycles)
        where = [{one, other} for one, other in zip(self.q1, self.q2, strict=True)]
        for i, later in enumerate(self.blockers):
            rest = later
            while rest:
                j = (rest & -rest).bit_length() - 1
                shared = not where[i].isdisjoint(where[j])
                tails[j] = max(tails[j], tails[i] + (self.cycles[j] if shared else 0))
                # What waits for j too is at the end of a longer chain, through j.
                rest &= ~(self.blockers[j] | 1 << j) if shared and self._only_on_qubits else rest - 1
        return tails

    @cached_property
    def _only_on_qubits(self) -> bool:
        """True if gates wait only for gates they share a qubit with."""
        on_qubit = [0] * self.machine.n_qubits
        for i, (one, other) in enumerate(zip(self.q1, self.q2, strict=True)):
            on_qubit[one] |= 1 << i
            on_qubit[other] |= 1 << i
        waits = zip(self.blockers, self.q1, self.q2, strict=True)
        return all(not later & ~(on_qubit[one] | on_qubit[other]) for later, one, other in waits)


@dataclass(frozen=True)
class GateEpisode:
    """A circuit to schedule."""

    name: str  # where the circuit comes from
    problem: Problem

    def __len__(self) -> int:
        return len(self.problem)
