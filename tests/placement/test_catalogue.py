"""Workloads that draw from the shipped catalogue: which circuits, and as compiled for which machine."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from qexp.errors import InputError
from qexp.fleet.fleet import Fleet, load_fleet
from qexp.placement.workload.catalogue import MQT50, QCE, load_catalogue

DATA = Path(__file__).parents[2] / "qexp" / "circuits" / "data" / "catalogue.csv.gz"


@pytest.fixture(scope="module")
def rows():
    with gzip.open(DATA, "rt", encoding="ascii") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def qce5():
    return load_fleet("qce5")


def circuit(name):
    algorithm, _, width = name.rpartition("_")
    return algorithm, int(width)


def test_qce_is_the_papers_set(qce5):
    circuits = QCE().circuits(qce5)
    names = [circuit(name) for name in circuits.names]
    assert len(names) == len(set(names)) == 12 * 26
    assert {width for _, width in names} == set(range(2, 28))
    families = "ae dj ghz qft qftentangled qnn qpeexact qpeinexact randomcircuit"
    assert {family for family, _ in names} == {*families.split(), "vqe_real_amp", "vqe_su2", "vqe_two_local"}
    assert circuits.subsets is None


def test_the_numbers_are_the_catalogues(qce5, rows):
    circuits = QCE().circuits(qce5)
    table = {(row["algorithm"], int(row["width"]), row["machine"]): row for row in rows}
    for c in range(0, len(circuits.names), 7):
        for n, machine in enumerate(qce5.names):
            row = table.get((*circuit(circuits.names[c]), machine))
            assert circuits.feasible[c, n] == (row is not None)
            if row is None:
                assert np.isnan(circuits.compiled_depth[c, n])
                assert circuits.esp[c, n] == 0
            else:
                assert circuits.compiled_depth[c, n] == int(row["depth"])
                assert circuits.duration[c, n] == float(row["duration"])
                assert circuits.esp[c, n] == pytest.approx(10 ** float(row["log10_esp"]))
                assert circuits.depth[c] == int(row["logical_depth"])


def test_a_circuit_fits_where_there_are_enough_qubits(qce5):
    circuits = QCE().circuits(qce5)
    assert np.array_equal(circuits.feasible, circuits.width[:, None] <= qce5.qubits)


def test_a_node_may_stand_for_a_catalogue_machine_and_be_smaller(qce5):
    [kolkata] = [node for node in qce5.nodes if node.name == "kolkata"]
    small = kolkata.model_copy(update={"name": "mine", "machine": "kolkata", "qubits": 10})
    fleet = Fleet("mine", (kolkata, small))
    circuits = QCE().circuits(fleet)
    wide = circuits.width > 10
    assert not circuits.feasible[wide, 1].any()
    assert np.array_equal(circuits.compiled_depth[~wide, 0], circuits.compiled_depth[~wide, 1])


def test_a_part_of_the_catalogue_can_be_chosen(qce5):
    circuits = QCE(min_width=3, max_width=5, families=["ghz", "qft"]).circuits(qce5)
    assert sorted(circuits.names) == ["ghz_3", "ghz_4", "ghz_5", "qft_3", "qft_4", "qft_5"]


def test_mqt50_reaches_fifty_qubits_and_holds_the_qce_set(qce5):
    circuits = MQT50().circuits(qce5)
    assert circuits.width.max() == 50
    assert set(QCE().circuits(qce5).names) < set(circuits.names)
    assert not circuits.feasible[circuits.width > 27, 1:].any()


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (QCE(families=["gzh"]), ["env.workload.families", "'gzh'", "ghz"]),
        (QCE(families=["grover"]), ["env.workload.families", "'grover'"]),  # in mqt50, not in this set
        (QCE(min_width=28), ["env.workload.min_width", "env.workload.max_width"]),
        (QCE(min_width=9, max_width=8), ["env.workload.min_width", "9 to 8"]),
    ],
)
def test_empty_choices_are_refused(workload, words, qce5):
    with pytest.raises(InputError) as refused:
        workload.circuits(qce5)
    for word in words:
        assert word in str(refused.value)


def test_circuits_that_fit_nowhere_are_refused(qce5):
    small = Fleet("small", tuple(node for node in qce5.nodes if node.qubits <= 27))
    assert QCE().circuits(small).feasible.any(axis=1).all()
    with pytest.raises(InputError, match=r"env\.workload\.max_width: .*27 qubits"):
        MQT50().circuits(small)
    smaller = Fleet("smaller", small.nodes[2:])
    with pytest.raises(InputError, match=r"env\.workload\.max_width: .* of 312 circuits .*7 qubits"):
        QCE().circuits(smaller)


def test_machines_without_compiled_circuits_are_refused(make_fleet):
    with pytest.raises(InputError, match=r"node 'n0' has no compiled circuits: set its 'machine' .*kolkata"):
        QCE().circuits(make_fleet([27]))


def test_every_machine_of_the_shipped_fleets_is_in_the_catalogue():
    machines = set(load_catalogue().machines)
    for name in ("qce5", "ibm13", "heron"):
        assert {node.catalogue_machine for node in load_fleet(name).nodes} <= machines
