import json
import sys
from importlib import resources

import pytest
import yaml

from qexp.fleet import build
from qexp.fleet.fleet import load_fleet


def raw_properties(machine):
    folder = resources.files("qiskit_ibm_runtime.fake_provider.backends") / machine
    return json.loads((folder / f"props_{machine}.json").read_text(encoding="utf-8"))


def raw_configuration(machine):
    folder = resources.files("qiskit_ibm_runtime.fake_provider.backends") / machine
    return json.loads((folder / f"conf_{machine}.json").read_text(encoding="utf-8"))


def value(parameters, name):
    return next(item["value"] for item in parameters if item["name"] == name)


def nodes_of(fleet):
    text = (resources.files("qexp.fleet") / "data" / f"{fleet}.yaml").read_text(encoding="utf-8")
    return {node["name"]: node for node in yaml.safe_load(text)["nodes"]}


@pytest.fixture(scope="module")
def retired():
    return nodes_of("ibm13")


@pytest.fixture(scope="module")
def shipped(retired):
    return retired | nodes_of("heron")


@pytest.mark.parametrize(
    "machine", ["washington", "hanoi", "lagos", "sherbrooke", "cairo", "fez", "boston", "kingston"]
)
def test_averages_match_the_raw_calibration_file(machine, shipped):
    raw = raw_properties(machine)
    qubits = raw["qubits"]
    two_qubit = {}
    for gate in raw["gates"]:
        if gate["gate"] in {"cx", "ecr", "cz"}:  # rzz is another gate, and circuits are not compiled to it
            two_qubit.setdefault(tuple(sorted(gate["qubits"])), []).append(
                value(gate["parameters"], "gate_error")
            )
    edges = [min(errors) for errors in two_qubit.values() if min(errors) < 0.5]
    sx = [value(gate["parameters"], "gate_error") for gate in raw["gates"] if gate["gate"] == "sx"]
    working_sx = [error for error in sx if error < 0.5]
    times = {
        time: [item["value"] * 1e-6 for qubit in qubits for item in qubit if item["name"] == time]
        for time in ("T1", "T2")
    }
    expected = {
        "t1": sum(times["T1"]) / len(times["T1"]),
        "t2": sum(times["T2"]) / len(times["T2"]),
        "readout_error": sum(value(qubit, "readout_error") for qubit in qubits) / len(qubits),
        "single_qubit_error": sum(working_sx) / len(working_sx),
        "two_qubit_error": sum(edges) / len(edges),
    }
    assert len(sx) == len(qubits) == shipped[machine]["qubits"]
    assert shipped[machine]["calibration"] == pytest.approx(expected, rel=1e-5)


def test_qubits_and_quantum_volume_agree_with_the_snapshots_and_clops_nearly(retired):
    for machine, node in retired.items():
        raw = raw_configuration(machine)
        assert node["qubits"] == raw["n_qubits"]
        assert node["quantum_volume"] == raw["quantum_volume"]
        if raw.get("clops"):
            assert node["clops"] == pytest.approx(raw["clops"], rel=0.02)
            assert node["source"]["snapshot_clops"] == raw["clops"]


def test_herons_are_of_todays_size_speed_and_gates(shipped):
    herons = load_fleet("heron")
    assert len(herons) == 6
    assert herons.names[:2] == ["torino", "fez"]
    assert set(herons.qubits) == {133, 156}
    for node in herons.nodes:
        raw = raw_configuration(node.name)
        assert raw["processor_type"]["family"] == "Heron"
        assert "cz" in raw["basis_gates"]
        assert node.qubits == raw["n_qubits"]
        # Two benchmarks, two columns: the newer figure as it is, and what it means in layers of depth.
        assert node.clops_h == raw["clops_h"]
        assert node.clops == pytest.approx(raw["clops_h"] * 6 / 19.95, rel=5e-3)
        assert node.source["clops"] == "0.3008 * CLOPS_h"
        assert node.source["processor"].startswith("Heron r")
    assert "sx 146" in shipped["kingston"]["source"]["broken_gates"]


def test_shipped_fleets_load_in_order_with_matching_hashes():
    thirteen, five = load_fleet("ibm13"), load_fleet("qce5")
    assert five.names == ["washington", "kolkata", "hanoi", "perth", "lagos"]
    assert thirteen.names == [
        *five.names,
        *("sherbrooke", "mumbai", "cairo", "guadalupe", "nairobi", "belem", "lima", "quito"),
    ]
    assert thirteen.nodes[:5] == five.nodes
    assert thirteen.hash != five.hash


def test_every_node_says_where_its_figures_come_from(shipped):
    for machine, node in shipped.items():
        source = node["source"]
        assert machine in source["backend"].lower()
        assert source["snapshot"][:10] == raw_properties(machine)["last_update_date"][:10]
        assert source["package"].startswith("qiskit-ibm-runtime 0.")
    assert shipped["hanoi"]["source"]["broken_gates"] == ["cx 19-20", "cx 5-8"]
    assert shipped["sherbrooke"]["source"]["snapshot_clops_h"] == 30000


@pytest.mark.slow
def test_the_command_writes_the_shipped_files(tmp_path, capsys):
    assert build.main([str(tmp_path / "new")]) == 0
    for name in build.FLEETS:
        again = (tmp_path / "new" / f"{name}.yaml").read_text(encoding="utf-8")
        assert again == (resources.files("qexp.fleet") / "data" / f"{name}.yaml").read_text(encoding="utf-8")
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_without_the_runtime_client_the_command_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime", None)
    assert build.main([str(tmp_path / "new")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install -e '.[catalogue]'" in error
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert build.main([str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("OUT_DIR: cannot make folder")
    assert (tmp_path / "file").read_text() == ""
