"""Circuits by name: what they should give, and how they are put on a machine."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import QFTGate
from qiskit.quantum_info import hellinger_fidelity
from qiskit_aer import AerSimulator

from qexp.circuits.compilation import measure_figures
from qexp.circuits.compiled import circuit_of, compiled, distribution, ideal_distribution, known, machine_of
from qexp.errors import InputError
from qexp.fleet.ibm import fake_backend


def test_the_outcomes_of_a_ghz_state():
    assert ideal_distribution("ghz_3") == pytest.approx({"000": 0.5, "111": 0.5})


def test_the_outcomes_of_a_w_state():
    assert ideal_distribution("wstate_4") == pytest.approx(
        dict.fromkeys(("0001", "0010", "0100", "1000"), 0.25)
    )


def test_the_last_classical_bit_comes_first():
    circuit = QuantumCircuit(3, 3)
    circuit.x(0)
    circuit.ry(2 * math.asin(math.sqrt(0.2)), 2)
    circuit.measure(0, 1)
    circuit.measure(2, 0)
    assert distribution(circuit) == pytest.approx({"010": 0.8, "011": 0.2})


def test_a_circuit_that_measures_half_way_has_none():
    again = QuantumCircuit(1, 2)
    again.h(0)
    again.measure(0, 0)
    again.h(0)
    again.measure(0, 1)
    assert distribution(again) is None
    conditional = QuantumCircuit(2, 1)
    conditional.h(0)
    conditional.measure(0, 0)
    with conditional.if_test((0, 1)):
        conditional.x(1)
    assert distribution(conditional) is None


def test_a_wide_circuit_has_none():
    assert ideal_distribution("ghz_17") is None


def test_blocks_are_opened_and_resets_of_fresh_qubits_do_nothing():
    circuit = QuantumCircuit(3)
    circuit.reset(0)
    circuit.append(QFTGate(3), range(3))
    circuit.measure_all()
    assert distribution(circuit) == pytest.approx({f"{outcome:03b}": 1 / 8 for outcome in range(8)})


@pytest.mark.parametrize("name", ["qpeinexact_5", "hhl_4", "vqe_su2_4", "bv_6"])
def test_sampling_without_noise_comes_near(name):
    circuit = transpile(circuit_of(name), basis_gates=["u", "cx"])
    counts = AerSimulator(seed_simulator=1).run(circuit, shots=20_000).result().get_counts()
    assert hellinger_fidelity(counts, ideal_distribution(name)) > 0.99


def test_unknown_names():
    assert known("ghz_5")
    assert not known("ghz")
    assert not known("ghz_1000")
    assert not known("nothing_5")
    with pytest.raises(InputError, match="qft_99: the catalogue has no such circuit"):
        circuit_of("qft_99")


def test_compiled_for_a_machine_of_which_a_part_is_broken():
    backend = fake_backend("washington")
    machine = machine_of(backend)
    assert len(machine.qubits) == machine.healthy.num_qubits < 127
    circuit = compiled("qpeinexact_4", backend)
    assert circuit is compiled("qpeinexact_4", backend)
    assert circuit.num_qubits == 127
    used = {circuit.find_bit(qubit).index for step in circuit.data for qubit in step.qubits}
    assert used <= set(machine.qubits)
    # Every gate exists there, under the machine's numbers, and works.
    assert measure_figures(circuit, backend.target).log10_esp > -0.5
    # And it is still the same circuit.
    counts = AerSimulator(seed_simulator=1).run(circuit, shots=20_000).result().get_counts()
    assert hellinger_fidelity(counts, ideal_distribution("qpeinexact_4")) > 0.99


def test_a_circuit_wider_than_the_machine_is_refused():
    with pytest.raises(InputError, match="ghz_9 does not fit on fake_perth, which has 7 qubits"):
        compiled("ghz_9", fake_backend("perth"))


def test_one_line_without_the_extra():
    code = (
        "import sys; sys.modules['mqt'] = None\n"
        "from qexp.circuits.compiled import circuit_of\n"
        "from qexp.errors import InputError\n"
        "try: circuit_of('ghz_3')\n"
        "except InputError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "module 'mqt.bench' is not installed: pip install -e '.[deploy]' in a checkout\n"
