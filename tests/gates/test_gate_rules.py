"""Which gates may swap places."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from cases import examples
from gate_oracle import NAMES, circuits, earlier_has_lower_qubit, rulebooks
from hypothesis import given
from hypothesis import strategies as st

from qexp.gates.gate import Gate
from qexp.gates.rulebook import CommutationRulebook, cnot_commutation, disjoint_qubits, same_gate

UNITARY = {
    "x": np.array([[0, 1], [1, 0]]),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.diag([1, -1]),
    "h": np.array([[1, 1], [1, -1]]) / np.sqrt(2),
    "s": np.diag([1, 1j]),
    "sx": np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2,
    "cnot": np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]),
    "cz": np.diag([1, 1, 1, -1]),
}
QUBITS = 3


def matrix(gate):
    """The gate on three qubits, entry by entry from what it does to the bits it acts on."""
    small = UNITARY[gate.name]
    where = [gate.q1] if len(small) == 2 else [gate.q1, gate.q2]
    whole = np.zeros((2**QUBITS, 2**QUBITS), dtype=complex)
    for row, column in product(product((0, 1), repeat=QUBITS), repeat=2):
        if all(row[q] == column[q] for q in range(QUBITS) if q not in where):
            i, j = (int("".join(str(bits[q]) for q in where), 2) for bits in (row, column))
            whole[int("".join(map(str, row)), 2), int("".join(map(str, column)), 2)] = small[i, j]
    return whole


GATES = [
    Gate(name, a, b)
    for name, unitary in UNITARY.items()
    for a, b in product(range(QUBITS), repeat=2)
    if (a == b) == (len(unitary) == 2)
]


@pytest.mark.parametrize("rule", [disjoint_qubits, same_gate, cnot_commutation])
def test_gates_said_to_commute_do(rule):
    assert len(GATES) == 6 * 3 + 2 * 6
    said = 0
    for one, other in product(GATES, repeat=2):
        if rule(one, other):
            said += 1
            assert np.allclose(matrix(one) @ matrix(other), matrix(other) @ matrix(one)), (one, other)
    assert said >= len(GATES)


def test_the_cnot_rule_finds_all_that_involves_cnots_and_paulis():
    names = {"x", "z", "cnot", "s", "sx", "cz"}
    for one, other in product(GATES, repeat=2):
        if "cnot" in (one.name, other.name) and {one.name, other.name} <= names:
            commute = np.allclose(matrix(one) @ matrix(other), matrix(other) @ matrix(one))
            assert cnot_commutation(one, other) == commute, (one, other)


@examples(150)
@given(circuits(3, max_size=15), rulebooks())
def test_the_blocking_matrix_asks_about_every_pair(circuit, rulebook):
    n = len(circuit)
    expected = np.zeros((n, n), dtype=bool)
    for i in range(n):
        for j in range(i + 1, n):
            expected[i, j] = not rulebook.commutes(circuit[i], circuit[j])
    found = rulebook.make_blocking_matrix(circuit)
    assert (found.dtype, found.shape) == (bool, (n, n))
    assert np.array_equal(found, expected)

    class Own(CommutationRulebook):
        def commutes(self, gate1, gate2):
            return rulebook.commutes(gate1, gate2)

    class OwnMatrix(CommutationRulebook):
        def make_blocking_matrix(self, gates):
            return expected

    assert np.array_equal(Own().make_blocking_matrix(circuit), expected)
    assert OwnMatrix().blockers(circuit) == rulebook.blockers(circuit)


@examples(50)
@given(st.data())
def test_rules_are_asked_about_the_earlier_gate_first(data):
    circuit = [Gate(data.draw(st.sampled_from(NAMES)), q, q) for q in range(6)]
    asked = []

    def rule(gate1, gate2):
        asked.append((gate1.q1, gate2.q1))
        return False

    rulebook = CommutationRulebook(default_rules=False)
    assert rulebook.add_rule(rule) is None
    assert rulebook.make_blocking_matrix(circuit).sum() == 15
    assert sorted(asked) == [(i, j) for i in range(6) for j in range(i + 1, 6)]


def test_a_rulebook_lists_its_rules():
    rulebook = CommutationRulebook()
    assert rulebook._rules == [disjoint_qubits, same_gate]
    rulebook.add_rule(earlier_has_lower_qubit)
    for name in ("disjoint_qubits", "same_gate", "earlier_has_lower_qubit"):
        assert name in repr(rulebook)
    empty = CommutationRulebook(default_rules=False)
    assert empty._rules == []
    assert not empty.commutes(Gate("x", 0, 0), Gate("x", 1, 1))
