"""A fleet file is read as written, its hash tells fleets apart, and a bad file is one clear error."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from qexp.errors import InputError
from qexp.fleet.fleet import Fleet, FleetFile, content_hash, load_fleet

CALIBRATION = {
    "t1": 1e-4,
    "t2": 8e-5,
    "readout_error": 0.02,
    "single_qubit_error": 1e-3,
    "two_qubit_error": 1e-2,
}
ALPHA = {
    "name": "alpha",
    "qubits": 27,
    "clops": 2000,
    "quantum_volume": 64,
    "machine": "kolkata",
    "calibration": CALIBRATION,
    "source": {"backend": "FakeKolkataV2"},
}
BETA = ALPHA | {"name": "beta", "qubits": 7, "clops": 2900.5, "machine": "", "source": {}}
CONTENT = {"format": "qexp-fleet/1", "name": "mine", "description": "Two machines.", "nodes": [ALPHA, BETA]}


def write(folder: Path, content: object, name: str = "fleet.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_a_file_is_read_as_written(tmp_path):
    fleet = load_fleet(write(tmp_path, CONTENT))
    assert (fleet.name, len(fleet), fleet.names) == ("mine", 2, ["alpha", "beta"])
    assert fleet.qubits.tolist() == [27, 7]
    assert fleet.clops.tolist() == [2000.0, 2900.5]
    assert fleet.readout_error.tolist() == [0.02, 0.02]
    # A node without a machine of its own stands for itself.
    assert [node.catalogue_machine for node in fleet.nodes] == ["kolkata", "beta"]
    assert [node.model_dump(exclude_none=True) for node in fleet.nodes] == CONTENT["nodes"]


def test_json_is_read_too_and_is_the_same_fleet(tmp_path):
    path = tmp_path / "fleet.json"
    path.write_text(json.dumps(CONTENT, indent=1), encoding="utf-8")
    fleet = load_fleet(path)
    assert fleet == load_fleet(write(tmp_path, CONTENT))
    assert fleet.hash == load_fleet(write(tmp_path, CONTENT)).hash


def test_what_was_read_can_be_written_and_read_again_with_its_hash(tmp_path):
    fleet = load_fleet("qce5")
    content = {
        "format": "qexp-fleet/1",
        "name": fleet.name,
        "nodes": [node.model_dump() for node in fleet.nodes],
        "hash": fleet.hash,
    }
    again = load_fleet(write(tmp_path, content))
    assert again == fleet
    assert again.hash == fleet.hash


def test_what_may_be_left_out_has_defaults(tmp_path):
    node = {key: ALPHA[key] for key in ("name", "qubits", "clops", "calibration")}
    (loaded,) = load_fleet(write(tmp_path, {"format": "qexp-fleet/1", "name": "one", "nodes": [node]})).nodes
    assert (loaded.quantum_volume, loaded.catalogue_machine, loaded.source) == (1, "alpha", {})


LIVE = {"operational": True, "status": "active", "pending_jobs": 12}


def test_what_a_snapshot_adds_is_read_too(tmp_path):
    alpha = ALPHA | {"clops_h": 195000, "live": LIVE}
    content = CONTENT | {"taken": "2026-11-21T12:00:00+00:00", "nodes": [alpha, BETA]}
    fleet = load_fleet(write(tmp_path, content))
    assert fleet.taken == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert fleet.nodes[0].clops_h == 195000
    assert fleet.nodes[0].live.model_dump() == LIVE
    assert (fleet.nodes[1].clops_h, fleet.nodes[1].live) == (None, None)
    assert load_fleet(write(tmp_path, CONTENT)).taken is None


def changed(change) -> str:
    nodes = copy.deepcopy(CONTENT["nodes"])
    change(nodes)
    return content_hash(nodes)


CHANGES = {
    "order": lambda nodes: nodes.reverse(),
    "name": lambda nodes: nodes[0].update(name="gamma"),
    "qubits": lambda nodes: nodes[1].update(qubits=8),
    "clops": lambda nodes: nodes[1].update(clops=2900.6),
    "clops_h": lambda nodes: nodes[0].update(clops_h=195000),
    "quantum volume": lambda nodes: nodes[0].update(quantum_volume=128),
    "machine": lambda nodes: nodes[0].update(machine="hanoi"),
    "calibration": lambda nodes: nodes[0]["calibration"].update(t1=2e-4),
    "one node less": lambda nodes: nodes.pop(),
}


def test_whatever_a_machine_is_changes_the_hash():
    hashes = [content_hash(CONTENT["nodes"])] + [changed(change) for change in CHANGES.values()]
    assert len(set(hashes)) == len(hashes)


def test_where_figures_come_from_and_how_they_are_written_does_not():
    before = content_hash(CONTENT["nodes"])
    assert changed(lambda nodes: nodes[0].update(source={"read": "elsewhere"})) == before
    assert changed(lambda nodes: nodes[0].update(clops=2000.0)) == before
    assert changed(lambda nodes: nodes[0].update(live=LIVE)) == before
    assert changed(lambda nodes: nodes[0].update(clops_h=None)) == before
    assert changed(lambda nodes: nodes.append(dict(reversed(nodes.pop().items())))) == before


def test_when_it_was_read_does_not_either(tmp_path):
    hashes = {
        load_fleet(write(tmp_path, CONTENT | {"taken": f"2026-11-{day}T12:00:00Z"})).hash for day in (20, 21)
    }
    assert hashes == {load_fleet(write(tmp_path, CONTENT)).hash}


def test_the_hash_is_the_same_in_another_process_and_another_year():
    # Frozen: results name the fleet by it, and must find it again after an upgrade.
    assert content_hash(CONTENT["nodes"]) == GOLDEN
    code = "from qexp.fleet.fleet import load_fleet; print(load_fleet('qce5').hash)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == load_fleet("qce5").hash


# Independently: sha256sum of the compact JSON with sorted keys, floats where calibration and CLOPS are.
GOLDEN = "sha256:aeab52bd6af3e9f523a5cb84a3aead79004bcdc2a956ed9e6def74615dceb3e3"

NODES = {
    "no name": ({"name": ""}, r"nodes\[1\]\.name: "),
    "no qubits": ({"qubits": 0}, r"nodes\[1\]\.qubits: .*greater than or equal to 1"),
    "more qubits than an array holds": ({"qubits": 10**20}, r"nodes\[1\]\.qubits: .*less than or equal to"),
    "half a qubit": ({"qubits": 7.5}, r"nodes\[1\]\.qubits: "),
    "clops of zero": ({"clops": 0}, r"nodes\[1\]\.clops: .*greater than 0"),
    "clops not a number": ({"clops": float("nan")}, r"nodes\[1\]\.clops: .*finite"),
    "clops in words": ({"clops": "fast"}, r"nodes\[1\]\.clops: "),
    "quantum volume of zero": ({"quantum_volume": 0}, r"nodes\[1\]\.quantum_volume: "),
    "calibration missing": ({"calibration": None}, r"nodes\[1\]\.calibration: "),
    "half a calibration": ({"calibration": {"t1": 1e-4}}, r"nodes\[1\]\.calibration\.t2: field required"),
    "negative time": ({"calibration": CALIBRATION | {"t1": -1.0}}, r"nodes\[1\]\.calibration\.t1: "),
    "key unknown to calibrations": ({"calibration": CALIBRATION | {"t3": 1.0}}, r"calibration\.t3: extra"),
    "machine not a name": ({"machine": 3}, r"nodes\[1\]\.machine: "),
    "clops_h of zero": ({"clops_h": 0}, r"nodes\[1\]\.clops_h: .*greater than 0"),
    "less than no jobs": ({"live": LIVE | {"pending_jobs": -1}}, r"nodes\[1\]\.live\.pending_jobs: "),
    "half a state": ({"live": {"operational": True}}, r"nodes\[1\]\.live\.status: field required"),
    "source in words": ({"source": "measured"}, r"nodes\[1\]\.source: "),
}


@pytest.mark.parametrize("case", NODES)
def test_a_wrong_node_is_named_with_its_key(case, tmp_path):
    change, pattern = NODES[case]
    path = write(tmp_path, CONTENT | {"nodes": [ALPHA, BETA | change]})
    with pytest.raises(InputError, match=pattern) as error:
        load_fleet(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert "pydantic" not in str(error.value)


FILES = {
    "nodes are no list": (CONTENT | {"nodes": {"alpha": ALPHA}}, r"fleet\.yaml: nodes: "),
    "node is no mapping": (CONTENT | {"nodes": ["alpha"]}, r"fleet\.yaml: nodes\[0\]: "),
    "no nodes key": ({k: v for k, v in CONTENT.items() if k != "nodes"}, r"nodes: field required"),
    "no name": (CONTENT | {"name": ""}, r"fleet\.yaml: name: "),
    "time in words": (CONTENT | {"taken": "yesterday"}, r"fleet\.yaml: taken: "),
    "unknown key": (CONTENT | {"author": "me"}, r"fleet\.yaml: author: extra"),
    "no format": (
        {k: v for k, v in CONTENT.items() if k != "format"},
        r"fleet\.yaml:1: .*format: qexp-fleet/1",
    ),
    "a number": (3, r"fleet\.yaml:1: not a fleet file"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_file_is_one_line(case, tmp_path):
    content, pattern = FILES[case]
    with pytest.raises(InputError, match=pattern) as error:
        load_fleet(write(tmp_path, content))
    assert "\n" not in str(error.value)


def test_an_edited_file_with_its_old_hash_says_what_to_do(tmp_path):
    hash_ = load_fleet(write(tmp_path, CONTENT)).hash
    edited = CONTENT | {"nodes": [ALPHA, BETA | {"qubits": 16}], "hash": hash_}
    with pytest.raises(InputError, match=r"hash: .* edited: remove the hash line"):
        load_fleet(write(tmp_path, edited))


def test_syntax_errors_name_their_line(tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text("format: qexp-fleet/1\nname: x\nnodes:\n- name: [a\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"fleet\.yaml:5: not valid YAML") as error:
        load_fleet(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["name: 2023-13-45", "nodes: " + "[" * 1000, f"clops: 1{'0' * 5000}"])
def test_what_the_yaml_parser_itself_stumbles_over_is_one_line(content, tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text(f"format: qexp-fleet/1\n{content}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"fleet\.yaml: not valid YAML: [^\n]+$"):
        load_fleet(path)


@pytest.mark.parametrize("path", ["nothing.yaml", "qce6", "."])
def test_a_file_that_cannot_be_read_names_the_key(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"backend\.path: cannot read fleet file"):
        FleetFile(path).load()


def test_a_file_of_ones_own_does_not_hide_behind_a_shipped_name(tmp_path, monkeypatch):
    """The name without a suffix is the shipped fleet, the path of a file is the file."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, CONTENT, "qce5.yaml")
    assert isinstance(load_fleet("qce5"), Fleet)
    assert load_fleet("qce5").name == "qce5"
    assert load_fleet("qce5.yaml").name == "mine"
