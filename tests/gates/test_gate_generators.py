"""Random circuits: lengths, shares, reproducibility."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from qexp.gates.gate import Gate
from qexp.gates.generators import (
    BasicCircuitGenerator,
    CircuitGenerator,
    NullCircuitGenerator,
    WorkshopCircuitGenerator,
)

RANDOM = [BasicCircuitGenerator, WorkshopCircuitGenerator]


def ready(generator, n_qubits=3, max_gates=8):
    generator.set_state_attributes(
        machine_properties=SimpleNamespace(n_qubits=n_qubits), max_gates=max_gates, rulebook=None
    )
    return generator


@pytest.mark.parametrize("cls", RANDOM)
def test_lengths_are_uniform(cls):
    generator = ready(cls(1))
    lengths = Counter(len(next(generator)) for _ in range(3000))
    assert set(lengths) == {3, 4, 5, 6, 7, 8}
    assert all(abs(count - 500) < 100 for count in lengths.values())


@pytest.mark.parametrize(
    ("cls", "shares"),
    [
        (BasicCircuitGenerator, {"x": 0.16, "y": 0.16, "z": 0.16, "cnot": 0.5, "measure": 0.02}),
        (WorkshopCircuitGenerator, {"x": 0.2, "y": 0.2, "cnot": 0.5, "measure": 0.1}),
    ],
)
def test_gates_are_drawn_by_their_shares(cls, shares):
    generator = ready(cls(2), max_gates=400)
    gates = []
    for _ in range(100):
        circuit = next(generator)
        if cls is BasicCircuitGenerator:
            assert circuit[:3] == [Gate("prep", qubit, qubit) for qubit in range(3)]
            circuit = circuit[3:]
        gates += circuit
    counts = Counter(gate.name for gate in gates)
    assert set(counts) == set(shares)
    for name, share in shares.items():
        assert counts[name] / len(gates) == pytest.approx(share, abs=0.02)
    assert all((gate.q1 == gate.q2) == (gate.name != "cnot") for gate in gates)
    pairs = Counter((gate.q1, gate.q2) for gate in gates if gate.name == "cnot")
    assert len(pairs) == 6
    assert max(pairs.values()) < 1.2 * min(pairs.values())
    assert all(type(gate) is Gate and type(gate.q1) is type(gate.q2) is int for gate in gates)


@pytest.mark.parametrize("cls", RANDOM)
def test_seeds_and_generators(cls):
    one, same, shared = ready(cls(7)), ready(cls(7)), ready(cls(np.random.default_rng(7)))
    circuits = [next(one) for _ in range(5)]
    assert circuits == [next(same) for _ in range(5)] == [next(shared) for _ in range(5)]
    assert isinstance(one, CircuitGenerator)
    assert iter(one) is one
    assert one.finite is False


@pytest.mark.parametrize("cls", RANDOM)
def test_attributes_come_with_the_state(cls):
    generator = cls(0)
    for name in ("n_qubits", "max_gates"):
        assert not hasattr(generator, name)
    ready(generator)
    assert (generator.n_qubits, generator.max_gates) == (3, 8)
    with pytest.raises(ValueError, match="max_gates=2 is too small"):
        ready(generator, max_gates=2)


def test_one_qubit_has_no_cnot():
    generator = ready(BasicCircuitGenerator(0), n_qubits=1, max_gates=200)
    assert {gate.name for _ in range(20) for gate in next(generator)} == {"prep", "x", "y", "z", "measure"}


def test_nothing_at_all():
    generator = NullCircuitGenerator()
    generator.set_state_attributes(max_gates=3)
    assert [next(generator), next(generator)] == [[], []]
    assert vars(generator) == {"finite": False}


def test_a_generator_must_say_what_comes_next():
    with pytest.raises(TypeError):
        CircuitGenerator()
