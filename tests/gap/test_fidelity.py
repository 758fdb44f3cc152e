"""Fidelities of measured counts: hand calculations, Qiskit's own function, and simulated jobs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.quantum_info import hellinger_fidelity as reference

from qexp.circuits.compiled import ideal_distribution
from qexp.gap.measure.fidelity import Scale, hellinger_fidelity, normalised_fidelity

BELL = {"00": 0.5, "11": 0.5}
COUNTS = st.dictionaries(
    st.integers(0, 15).map(lambda outcome: f"{outcome:04b}"), st.integers(1, 1000), min_size=1
)


def test_by_hand():
    # sqrt(0.4 * 0.5) + sqrt(0.4 * 0.5) = 2 sqrt(0.2); squared 0.8.
    assert hellinger_fidelity({"00": 40, "11": 40, "01": 20}, BELL) == pytest.approx(0.8)
    # Uniform: 2 sqrt(0.25 * 0.5), squared 0.5; with many shots (0.8 - 0.5) / (1 - 0.5).
    many = {"00": 40_000, "11": 40_000, "01": 20_000}
    assert normalised_fidelity(many, BELL) == pytest.approx(0.6, abs=1e-3)


def test_one_outcome_of_eight():
    # 90 of 100 right: 0.9; uniform 1/8: (0.9 - 0.125) / 0.875. With one outcome shots take nothing away.
    assert hellinger_fidelity({"101": 90, "100": 10}, {"101": 1.0}) == pytest.approx(0.9)
    scale = Scale.of({"101": 1.0}, 1000)
    assert scale.perfect == 1
    assert scale.noise == pytest.approx(1 / 8, abs=2e-3)
    assert normalised_fidelity({"101": 900, "100": 100}, {"101": 1.0}) == pytest.approx(
        0.775 / 0.875, abs=3e-3
    )


def test_noise_alone_reaches_nothing_and_worse_than_noise_less():
    even = dict.fromkeys(("00", "01", "10", "11"), 25_000)
    assert normalised_fidelity(even, BELL) == pytest.approx(0, abs=1e-3)
    assert normalised_fidelity({"01": 100_000}, BELL) == pytest.approx(-1, abs=0.01)
    assert hellinger_fidelity({"01": 1}, BELL) == 0


def test_a_flat_ideal_tells_nothing():
    flat = dict.fromkeys(("00", "01", "10", "11"), 0.25)
    assert normalised_fidelity({"00": 10, "01": 30}, flat) is None
    assert hellinger_fidelity({"00": 10, "01": 30}, flat) == pytest.approx(0.25 * (0.5 + 0.75**0.5) ** 2)


def test_few_shots_tell_less_than_many():
    assert not Scale.of(BELL, 10).separates
    assert Scale.of(BELL, 1000).separates


@pytest.mark.parametrize("name", ["ghz_8", "bmw_quark_copula_8", "qftentangled_8", "vqe_su2_8", "qaoa_8"])
def test_a_perfect_machine_reaches_one_and_noise_nothing(name):
    """By other simulated jobs than those of the scale; without their shots in it, qaoa_8 reached 0.68."""
    ideal, rng = ideal_distribution(name), np.random.default_rng(12)
    outcomes = [f"{k:08b}" for k in range(256)]
    p, scale = np.array([ideal.get(outcome, 0.0) for outcome in outcomes]), Scale.of(ideal, 1024)
    for q, expected in ((p / p.sum(), 1.0), (np.full(256, 1 / 256), 0.0)):
        jobs = (dict(zip(outcomes, row, strict=True)) for row in rng.multinomial(1024, q, size=200).tolist())
        mean = np.mean([normalised_fidelity(counts, ideal, scale) for counts in jobs])
        assert mean == pytest.approx(expected, abs=0.03)


def test_nothing_measured_is_refused():
    with pytest.raises(ValueError, match="without any outcome"):
        hellinger_fidelity({}, BELL)
    with pytest.raises(ValueError, match="without any outcome"):
        normalised_fidelity({"00": 0}, BELL)


@given(COUNTS, COUNTS)
def test_as_qiskit_has_it(measured, ideal):
    found = hellinger_fidelity(measured, ideal)
    assert found == pytest.approx(reference(measured, ideal), abs=1e-9)
    assert found == pytest.approx(hellinger_fidelity(ideal, measured))
    assert 0 <= found <= 1
