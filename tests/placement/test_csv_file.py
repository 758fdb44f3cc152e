"""Datasets in QSimPy's layout: what is read, and how a malformed file is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from qexp.errors import InputError
from qexp.placement.workload.csv_file import CSV

TASKS = """subset,algorithm,original_width,original_depth,original_gates,ibmq7_width,ibmq7_depth,ibmq7_gates,\
ibmq27_width,ibmq27_depth,ibmq27_gates
4,ghz,3,4,"{'cx': 2}",7,11,"{'cx': 2, 'rz': 9, 'measure': 3}",27,12,"{'ecr': 3, 'sx': 5, 'measure': 3}"
4,qft,9,20,"{'cx': 2}",-1,-1,{},27,150,"{'cx': 99, 'measure': 9}"
1,ghz,5,6,"{'cx': 4}",7,21,"{'cx': 4, 'measure': 5}",27,22,"{'cx': 4, 'measure': 5}"
4,ghz,3,4,"{'cx': 2}",7,55,"{'cx': 2, 'measure': 3}",27,66,"{'cx': 2, 'measure': 3}"
"""


@pytest.fixture(scope="session")
def fleet(make_fleet):
    """A large and a small machine; 1-qubit error 0.001, 2-qubit error 0.01."""
    return make_fleet([27, 7], readout=[0.02, 0.05])


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the dataset into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> str:
        data = content if isinstance(content, bytes) else content.encode()
        Path("tasks.csv").write_bytes(data)
        return "tasks.csv"

    return write


def test_rows_are_circuits_and_subsets_are_episodes_in_file_order(write, fleet):
    circuits = CSV(path=write(TASKS)).circuits(fleet)
    assert circuits.names == ["ghz_3", "qft_9", "ghz_5", "ghz_3"]
    assert circuits.width.tolist() == [3, 9, 5, 3]
    assert circuits.depth.tolist() == [4, 20, 6, 4]
    assert circuits.compiled_depth.tolist()[:1] + circuits.compiled_depth.tolist()[2:] == [
        [12, 11],
        [22, 21],
        [66, 55],
    ]
    assert circuits.compiled_depth[1, 0] == 150
    assert np.isnan(circuits.compiled_depth[1, 1])
    assert circuits.feasible.tolist() == [[True, True], [True, False], [True, True], [True, True]]
    assert [subset.tolist() for subset in circuits.subsets] == [[0, 1, 3], [2]]
    assert np.isnan(circuits.duration).all()


def test_duplicates_are_one_task_if_wanted(write, fleet):
    circuits = CSV(path=write(TASKS), merge_duplicates=True).circuits(fleet)
    assert circuits.names == ["ghz_3", "qft_9", "ghz_5"]
    assert [subset.tolist() for subset in circuits.subsets] == [[0, 1], [2]]
    assert circuits.compiled_depth[0].tolist() == [12, 11]


def test_the_same_circuit_of_two_subsets_is_no_duplicate(write, fleet):
    text = TASKS.replace("1,ghz,5,", "1,ghz,3,")
    circuits = CSV(path=write(text), merge_duplicates=True).circuits(fleet)
    assert [subset.tolist() for subset in circuits.subsets] == [[0, 1], [2]]


def test_success_probabilities_come_from_gates_and_average_errors(write, fleet):
    esp = CSV(path=write(TASKS)).circuits(fleet).esp
    assert esp[0, 0] == pytest.approx(0.99**3 * 0.999**5 * 0.98**3)
    assert esp[0, 1] == pytest.approx(0.99**2 * 0.95**3)  # virtual rz gates make no error
    assert esp[1].tolist() == pytest.approx([0.99**99 * 0.98**9, 0.0])


def test_a_wrong_error_rate_cannot_make_a_probability(write, make_fleet):
    esp = CSV(path=write(TASKS)).circuits(make_fleet([27, 7], readout=[1.0, -0.3])).esp
    assert (esp >= 0).all()
    assert (esp <= 1).all()
    assert np.isfinite(esp).all()


def test_a_circuit_wider_than_the_machine_does_not_fit_whatever_its_depth(write, fleet):
    circuits = CSV(path=write(TASKS.replace("4,qft,9,20,\"{'cx': 2}\",-1,-1,", '4,qft,9,20,"{}",7,30,')))
    assert circuits.circuits(fleet).feasible[1].tolist() == [True, False]


def test_columns_may_come_in_any_order_and_be_more(write, fleet):
    lines = [line.split(",", 2) for line in TASKS.replace("', '", "'; '").splitlines()]
    text = "\n".join(f"x,{rest},{algorithm},{subset}" for subset, algorithm, rest in lines)
    text = text.replace("'; '", "', '")
    circuits = CSV(path=write(text)).circuits(fleet)
    assert circuits.names == ["ghz_3", "qft_9", "ghz_5", "ghz_3"]


@pytest.mark.parametrize("change", [("\n", "\r\n"), ("subset", "\ufeffsubset"), ("ghz,5,6", "ghz, 5,6")])
def test_what_spreadsheets_do_to_files_is_harmless(write, fleet, change):
    assert CSV(path=write(TASKS.replace(*change))).circuits(fleet).width.tolist() == [3, 9, 5, 3]


MALFORMED = {
    "too few fields": (TASKS.replace("1,ghz,5,6,", "1,ghz,5,"), r":4: .*fields"),
    "too many fields": (TASKS.replace("1,ghz,5,6,", "1,ghz,5,6,7,"), r":4: .*fields"),
    "not a number": (TASKS.replace("4,qft,9,", "4,qft,nine,"), r":3: original_width: .*'nine'"),
    "fraction": (TASKS.replace("27,150,", "27,150.5,"), r":3: ibmq27_depth: .*'150\.5'"),
    "no qubits": (TASKS.replace("1,ghz,5,", "1,ghz,0,"), r":4: original_width: .*'0'"),
    "below -1": (TASKS.replace(",7,21,", ",7,-2,"), r":4: ibmq7_depth: .*'-2'"),
    "monstrous number": (TASKS.replace("1,ghz,5,6,", f"1,ghz,5,1{'0' * 30},"), r":4: original_depth"),
    "missing column": (TASKS.replace("algorithm", "algo"), r":1: .*'algorithm'"),
    "missing gates": (TASKS.replace("ibmq7_gates", "gates"), r":1: .*'ibmq7_gates'"),
    "no machines": (TASKS.replace("ibmq", "machine"), r":1: .*ibmq<qubits>_depth"),
    "gates that are no mapping": (TASKS.replace("{'cx': 99, 'measure': 9}", "[1, 2]"), r":3: gates: "),
    "gates that are code": (TASKS.replace("{'cx': 99, 'measure': 9}", "print(1)"), r":3: gates: "),
    "gates of words": (TASKS.replace("'cx': 99", "'cx': 'many'"), r":3: gates: "),
    "gates without end": (TASKS.replace("'cx': 99", "'cx': 1e999"), r":3: gates: "),
    "fewer gates than none": (TASKS.replace("'cx': 99", "'cx': -99"), r":3: gates: "),
    "only a header": (TASKS.split("\n4,", maxsplit=1)[0] + "\n", r":1: .*no circuits"),
    "empty": ("", r":1: missing column"),
    "fits no machine": (TASKS.replace(',27,150,"', ',-1,-1,"'), r":3: qft .*9 qubits.* fits no machine"),
    "machines of another size": (TASKS.replace("ibmq7_", "ibmq16_"), r":1: no column ibmq7_depth .*'n1'"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00\xff\xfe" * 20, "is not a (CSV )?text file"),
    "an open quote": (TASKS.replace("{'cx': 4}\"", "{'cx': 4}"), "tasks.csv"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_with_the_line(case, write, fleet):
    content, pattern = MALFORMED[case]
    assert content != TASKS
    workload = CSV(path=write(content))
    with pytest.raises(InputError) as refused:
        workload.circuits(fleet)
    assert "\n" not in str(refused.value)
    assert "tasks.csv" in str(refused.value)
    assert re.search(pattern, str(refused.value)), refused.value


@pytest.mark.parametrize("path", ["nowhere.csv", ".", "nowhere/tasks.csv"])
def test_files_that_cannot_be_read(path, write, fleet):
    write(TASKS)
    with pytest.raises(InputError, match=r"^env\.workload\.path: cannot read"):
        CSV(path=path).circuits(fleet)
