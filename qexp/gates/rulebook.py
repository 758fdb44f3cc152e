"""Which gates may swap places: two that commute need no order in a schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qexp.errors import InputError
from qexp.gates.gate import Gate
from qexp.problem.arrays import Bools

Rule = Callable[[Gate, Gate], bool]


def disjoint_qubits(gate1: Gate, gate2: Gate) -> bool:
    """Gates without a common qubit commute.

    Args:
        gate1: The earlier gate of the circuit.
        gate2: The later one.
    """
    return gate1.q1 not in (gate2.q1, gate2.q2) and gate1.q2 not in (gate2.q1, gate2.q2)


def same_gate(gate1: Gate, gate2: Gate) -> bool:
    """Equal gates commute.

    Args:
        gate1: The earlier gate of the circuit.
        gate2: The later one.
    """
    return gate1.name == gate2.name and gate1.q1 == gate2.q1 and gate1.q2 == gate2.q2


def cnot_commutation(gate1: Gate, gate2: Gate) -> bool:
    """Z-like gates commute with a cnot on its control, x-like ones on its target.

    On the qubits that two gates share, both must act diagonally (a cnot's control, z, rz, s, t, cz) or both
    as a function of X (a cnot's target, x, rx). Not among the default rules: give it to a rulebook with
    ``rulebook.add_rule(cnot_commutation)``.

    Args:
        gate1: The earlier gate of the circuit.
        gate2: The later one.
    """
    shared = {gate1.q1, gate1.q2} & {gate2.q1, gate2.q2}
    axes = ((_axis(gate1, qubit), _axis(gate2, qubit)) for qubit in shared)
    return all(one == other and one is not None for one, other in axes)


_AXES = dict.fromkeys(("z", "rz", "s", "sdg", "t", "tdg", "cz"), "z") | dict.fromkeys(("x", "rx", "sx"), "x")


def _axis(gate: Gate, qubit: int) -> str | None:
    if gate.name in {"cnot", "cx"}:
        return "z" if qubit == gate.q1 else "x"
    return _AXES.get(str(gate.name))


class CommutationRulebook:
    """A list of rules; two gates commute when any rule says so.

    Rules are asked about named gates, the earlier one of the circuit first, and must always give the same
    answer to the same question. For example, with the rule for cnots::

        rulebook = CommutationRulebook()
        rulebook.add_rule(cnot_commutation)

    Args:
        default_rules: Start with `disjoint_qubits` and `same_gate`. Without any rule nothing commutes.
    """

    def __init__(self, *, default_rules: bool = True) -> None:
        self._rules: list[Rule] = [disjoint_qubits, same_gate] if default_rules else []

    def add_rule(self, rule: Rule) -> None:
        """Append a rule, a function of an earlier and a later gate."""
        self._rules.append(rule)

    def commutes(self, gate1: Gate, gate2: Gate) -> bool:
        """Tell whether the earlier gate may swap places with the later one.

        Args:
            gate1: The earlier gate of the circuit.
            gate2: The later one.
        """
        return any(rule(gate1, gate2) for rule in self._rules)

    def make_blocking_matrix(self, circuit: Sequence[Gate]) -> Bools:
        """Return which gate (row) may be placed only after which (column) from the circuit's end.

        It is strictly upper triangular, shape ``[gates, gates]``.
        """
        matrix = np.zeros((len(circuit), len(circuit)), dtype=bool)
        for row, later in enumerate(self.blockers(circuit)):
            matrix[row, set_bits(later)] = True
        return matrix

    def blockers(self, circuit: Sequence[Gate]) -> list[int]:
        """Return for each gate the later gates it does not commute with, as the bits of an integer.

        Circuits repeat their gates, so each pair of different gates is checked once, and the default rules
        are worked out for whole sets of gates: a subclass with other `commutes` is asked about each pair.
        """
        if type(self).make_blocking_matrix is not CommutationRulebook.make_blocking_matrix:
            rows = np.packbits(self.make_blocking_matrix(circuit), axis=1, bitorder="little")
            return [int.from_bytes(row.tobytes(), "little") for row in rows]
        where: dict[Gate, int] = {}
        on_qubit: dict[int, int] = {}
        bit = 1
        for gate in circuit:
            where[gate] = where.get(gate, 0) | bit
            on_qubit[gate.q1] = on_qubit.get(gate.q1, 0) | bit
            on_qubit[gate.q2] = on_qubit.get(gate.q2, 0) | bit
            bit <<= 1
        rules = list(self._rules)
        disjoint = same = False
        if type(self).commutes is CommutationRulebook.commutes:
            disjoint, same = disjoint_qubits in rules, same_gate in rules
            rules = [rule for rule in rules if rule not in (disjoint_qubits, same_gate)]
        else:
            rules = [self.commutes]
        everything = bit - 1
        against = {}
        for gate, here in where.items():
            candidates = on_qubit[gate.q1] | on_qubit[gate.q2] if disjoint else everything
            if same:
                candidates &= ~here
            if rules:
                # Nothing before the first of these gates can be later than one of them.
                candidates &= -(here & -here) << 1
                for other, there in where.items():
                    if there & candidates and any(rule(gate, other) for rule in rules):
                        candidates &= ~there
            against[gate] = candidates
        return [against[gate] >> i + 1 << i + 1 for i, gate in enumerate(circuit)]

    def __repr__(self) -> str:
        names = ", ".join(getattr(rule, "__name__", repr(rule)) for rule in self._rules)
        return f"{type(self).__name__}(rules=[{names}])"


RULEBOOKS = ("cnot", "default")  # their names, for files and command lines


def named_rulebook(name: str) -> CommutationRulebook:
    """Return a rulebook by its name: ``default``, or ``cnot`` for those rules and `cnot_commutation`.

    Raises:
        InputError: There is no such rulebook.
    """
    if name not in RULEBOOKS:
        raise InputError(f"unknown rulebook {name!r}; choose one of {', '.join(RULEBOOKS)}")
    rulebook = CommutationRulebook()
    if name == "cnot":
        rulebook.add_rule(cnot_commutation)
    return rulebook


def set_bits(bits: int) -> list[int]:
    """Return the positions of the set bits of an integer, ascending."""
    positions = []
    while bits:
        low = bits & -bits
        positions.append(low.bit_length() - 1)
        bits ^= low
    return positions
