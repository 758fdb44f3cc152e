"""A machine as plain lists indexed by gate code: what the inner loops of scheduling read."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.gates.machine import MachineProperties


@dataclass(frozen=True)
class MachineTables:
    """A machine, compiled. Lists are indexed by gate code; code 0 is the padding of a circuit.

    Attributes:
        n_qubits: Qubits.
        names: Name of each code; that of 0 is empty.
        codes: Code of each name.
        cycles: Cycles each gate takes.
        same_start: Whether two gates of the kind may only run at once if they start in the same cycle.
        excludes: For each kind (other kind, cycles) pairs: starting it in cycle c keeps the other from
            starting before cycle c plus cycles.
        two_qubit_gates: Names of gates that need two different qubits.
    """

    n_qubits: int
    names: tuple[str, ...]
    codes: dict[str, int]
    cycles: tuple[int, ...]
    same_start: tuple[bool, ...]
    excludes: tuple[tuple[tuple[int, int], ...], ...]
    two_qubit_gates: frozenset[str]

    @classmethod
    def of(cls, machine: MachineProperties) -> MachineTables:
        """Compile a machine that is not encoded.

        Raises:
            ValueError: It is encoded.
        """
        mapping = machine.to_mapping()
        cycles: dict[str, int] = mapping["gates"]
        codes = {name: code for code, name in enumerate(cycles, start=1)}
        own = machine.exclusion == "own_duration"
        excludes = tuple(
            tuple(
                (codes[other], cycles[other] if own else cycles[name])
                for other in sorted(machine.not_in_same_cycle[name])
            )
            for name in codes
        )
        return cls(
            n_qubits=machine.n_qubits,
            names=("", *codes),
            codes=codes,
            cycles=(0, *cycles.values()),
            same_start=(False, *(name in machine.same_start for name in codes)),
            excludes=((), *excludes),
            two_qubit_gates=frozenset(machine.two_qubit_gates),
        )
