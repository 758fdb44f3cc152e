"""A machine as plain lists indexed by gate code: what the inner loops of scheduling read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qexp.gates.machine import MachineProperties


@dataclass(frozen=True)
class MachineTables:
    """A machine, compiled. Lists are indexed by gate code; code 0 is the padding of a circuit."""

    n_qubits: int
    names: tuple[str, ...]  # of each code; that of 0 is empty
    codes: dict[str, int]  # of each name
    cycles: tuple[int, ...]  # durations
    same_start: tuple[bool, ...]  # two of the kind may only run at once if they start in the same cycle
    excludes: tuple[tuple[tuple[int, int], ...], ...]  # (other kind, cycles until it may start)
    two_qubit_gates: frozenset[str]  # names of those that need two different qubits

    @classmethod
    def of(cls, machine: MachineProperties) -> MachineTables:
        """Compile a machine that is not encoded.

        Raises:
            ValueError: It is encoded.
        """
        cycles: dict[str, int] = machine.to_mapping()["gates"]
        codes = {name: code for code, name in enumerate(cycles, start=1)}
        own = machine.exclusion == "own_duration"

        def kept_out(name: str) -> tuple[tuple[int, int], ...]:
            others = sorted(machine.not_in_same_cycle[name])
            return tuple((codes[other], cycles[other if own else name]) for other in others)

        return cls(
            n_qubits=machine.n_qubits,
            names=("", *codes),
            codes=codes,
            cycles=(0, *cycles.values()),
            same_start=(False, *(name in machine.same_start for name in codes)),
            excludes=((), *map(kept_out, codes)),
            two_qubit_gates=frozenset(machine.two_qubit_gates),
        )

    def keeps_out(self) -> npt.NDArray[np.int32]:
        """Return for how long a kind, the row, keeps out another, ``[kinds, kinds]``, see `excludes`."""
        keeps_out = np.zeros((len(self.cycles), len(self.cycles)), dtype=np.int32)
        for code, pairs in enumerate(self.excludes):
            for other, cycles in pairs:
                keeps_out[code, other] = cycles
        return keeps_out
