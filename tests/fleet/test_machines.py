"""Which catalogue machine stands for one that is not in the catalogue."""

from __future__ import annotations

import pytest
from cases import quick_first

from qexp.fleet.calibration import native_gate
from qexp.fleet.fleet import load_fleet
from qexp.fleet.ibm import fake_backend
from qexp.fleet.machines import MACHINES, lattice_of, most_similar, plain


@pytest.mark.parametrize("name", quick_first(MACHINES, 5))
def test_the_table_says_what_the_snapshots_say(name):
    backend, machine = fake_backend(name), MACHINES[name]
    assert backend.configuration().n_qubits == machine.qubits
    assert lattice_of(backend.configuration().coupling_map) == machine.lattice
    if name != "cairo":  # half of its links have ecr gates, see docs/catalogue.md
        gates = [gate for gate in ("cx", "ecr", "cz") if gate in backend.target.operation_names]
        assert gates == [machine.native]
    assert native_gate(backend.target) == machine.native


@pytest.mark.parametrize(
    ("machine", "stands_in"),
    [
        ((127, "ecr", "heavy-hex", 0.008), "sherbrooke"),
        ((127, "cx", "heavy-hex", 0.01), "washington"),
        ((133, "cz", "heavy-hex", 0.005), "torino"),
        ((120, "cz", "square", 0.005), "miami"),
        # One with all the qubits goes before one with nearly as many.
        ((28, "cx", "heavy-hex", 0.01), "washington"),
        # The gate goes before lattice and size; the largest of its kind stands for a larger one.
        ((20, "ecr", "heavy-hex", 0.01), "sherbrooke"),
        ((400, "cz", "square", 0.001), "miami"),
        ((127, "ecr", "square", 0.01), "sherbrooke"),
    ],
)
def test_the_most_similar_machine_has_the_gate_the_lattice_the_room_and_the_error(machine, stands_in):
    assert most_similar(*machine) == stands_in


def test_of_equal_machines_the_one_with_the_nearest_error_is_taken():
    errors = {node.name: node.calibration.two_qubit_error for node in load_fleet("heron").nodes}
    for name in ("fez", "marrakesh", "boston", "kingston", "pittsburgh"):
        assert most_similar(156, "cz", "heavy-hex", errors[name]) == name


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("ibm_fez", "fez"),
        ("ibmq_kolkata", "kolkata"),
        ("fake_fez", "fez"),
        ("FakeFez", "fez"),
        ("FakeKolkataV2", "kolkata"),
        ("fez", "fez"),
        ("fake", "fake"),
    ],
)
def test_a_machine_has_one_plain_name(name, short):
    assert plain(name) == short


def test_four_neighbours_make_a_square_lattice():
    assert lattice_of([(0, 1), (0, 2), (3, 0)]) == "heavy-hex"
    assert lattice_of([(0, 1), (0, 2), (3, 0), (0, 3), (1, 0)]) == "heavy-hex"
    assert lattice_of([(0, 1), (0, 2), (3, 0), (0, 4)]) == "square"
    assert lattice_of([]) == "heavy-hex"
