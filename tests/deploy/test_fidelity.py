"""Fidelities of measured counts: hand calculations, Qiskit's own function, and what must always hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit.quantum_info import hellinger_fidelity as reference

from qexp.deploy.fidelity import hellinger_fidelity, normalised_fidelity

BELL = {"00": 0.5, "11": 0.5}
COUNTS = st.dictionaries(
    st.integers(0, 15).map(lambda outcome: f"{outcome:04b}"), st.integers(1, 1000), min_size=1
)


def test_by_hand():
    # sqrt(0.4 * 0.5) + sqrt(0.4 * 0.5) = 2 sqrt(0.2); squared 0.8.
    assert hellinger_fidelity({"00": 40, "11": 40, "01": 20}, BELL) == pytest.approx(0.8)
    # Uniform: 2 sqrt(0.25 * 0.5), squared 0.5; so (0.8 - 0.5) / (1 - 0.5).
    assert normalised_fidelity({"00": 40, "11": 40, "01": 20}, BELL) == pytest.approx(0.6)


def test_one_outcome_of_eight():
    # 90 of 100 right: 0.9; uniform 1/8: (0.9 - 0.125) / 0.875.
    assert hellinger_fidelity({"101": 90, "100": 10}, {"101": 1.0}) == pytest.approx(0.9)
    assert normalised_fidelity({"101": 90, "100": 10}, {"101": 1.0}) == pytest.approx(0.775 / 0.875)


def test_noise_alone_and_worse_reach_nothing():
    assert normalised_fidelity(dict.fromkeys(("00", "01", "10", "11"), 25), BELL) == pytest.approx(
        0, abs=1e-12
    )
    assert normalised_fidelity({"01": 1}, BELL) == 0
    assert hellinger_fidelity({"01": 1}, BELL) == 0


def test_a_flat_ideal_tells_nothing():
    flat = dict.fromkeys(("00", "01", "10", "11"), 0.25)
    assert normalised_fidelity({"00": 10, "01": 30}, flat) is None
    assert hellinger_fidelity({"00": 10, "01": 30}, flat) == pytest.approx(0.25 * (0.5 + 0.75**0.5) ** 2)


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


@given(COUNTS, COUNTS, st.floats(0.01, 100))
def test_what_always_holds_of_the_normalised_one(measured, ideal, scale):
    found = normalised_fidelity(measured, ideal)
    if found is not None:
        assert 0 <= found <= hellinger_fidelity(measured, ideal) + 1e-12
        assert normalised_fidelity(ideal, ideal) == pytest.approx(1)
        scaled = {outcome: count * scale for outcome, count in measured.items()}
        assert normalised_fidelity(scaled, ideal) == pytest.approx(found, abs=1e-9)
