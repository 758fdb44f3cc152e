"""Noise of the qubits that are used: the same outcomes as with all of it; times of repetitions."""

from __future__ import annotations

import pytest
from qiskit_aer import AerSimulator

from qexp.circuits.compilation import measure_figures
from qexp.circuits.compiled import compiled, ideal_distribution, machine_of
from qexp.deploy.executors.local import noise
from qexp.fleet.ibm import fake_backend
from qexp.gap.measure.fidelity import hellinger_fidelity

SHOTS = 20_000


def against_the_whole_machine(machine: str, circuit: str) -> float:
    backend = fake_backend(machine)
    whole = AerSimulator.from_backend(backend, method="density_matrix")
    counts = whole.run(compiled(circuit, backend), shots=SHOTS, seed_simulator=1).result().get_counts()
    return hellinger_fidelity(noise.sample(machine, circuit, SHOTS, 2), counts)


@pytest.mark.slow
def test_a_small_machine():
    # Two samples of the same distribution over k outcomes: 1 - F is about k / (4 SHOTS).
    assert against_the_whole_machine("perth", "qpeinexact_3") > 0.9995
    assert against_the_whole_machine("lagos", "wstate_3") > 0.9995
    assert (
        hellinger_fidelity(noise.sample("lagos", "wstate_3", SHOTS, 2), ideal_distribution("wstate_3")) < 0.95
    )


@pytest.mark.slow  # the whole machine's noise takes ten seconds and more
def test_a_large_machine():
    assert against_the_whole_machine("fez", "qpeinexact_4") > 0.9990


def test_a_machine_whose_snapshot_mixes_gates():
    counts = noise.sample("cairo", "ghz_3", 2000, 1)
    assert 0.8 < hellinger_fidelity(counts, ideal_distribution("ghz_3")) < 0.999


def test_the_same_seed_gives_the_same_counts():
    assert noise.sample("perth", "ghz_3", 500, 3) == noise.sample("perth", "ghz_3", 500, 3)
    assert noise.sample("perth", "ghz_3", 500, 3) != noise.sample("perth", "ghz_3", 500, 4)


@pytest.mark.slow
def test_trajectories_agree_with_the_density_matrix(monkeypatch):
    dense = noise.sample("perth", "ghz_3", SHOTS, 1)
    monkeypatch.setattr(noise, "DENSEST", 2)
    assert hellinger_fidelity(noise.sample("perth", "ghz_3", SHOTS, 2), dense) > 0.9995


@pytest.mark.parametrize(
    ("machine", "delay"), [("perth", 250e-6), ("kolkata", 100e-6), ("washington", 150e-6)]
)
def test_a_repetition_takes_the_machines_own_delay_and_the_circuit(machine, delay):
    backend = fake_backend(machine)
    assert backend.configuration().default_rep_delay == pytest.approx(delay)
    length = measure_figures(compiled("ghz_4", backend), machine_of(backend).whole).duration
    assert 1e-6 < length < 10e-6
    assert noise.shot_seconds(machine, "ghz_4") == pytest.approx(delay + length)
