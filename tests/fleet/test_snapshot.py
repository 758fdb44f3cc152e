"""Snapshots of fake and live machines, the latter through the unmodified client from a server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cases import quick_first
from ibm_stand_in import CRN, TOKEN, Device, Reply, stand_in

from qexp.fleet import snapshot
from qexp.fleet.fleet import load_fleet

ROOT = Path(__file__).parents[2]
SETTINGS = (
    "QISKIT_IBM_CHANNEL",
    "QISKIT_IBM_INSTANCE",
    "QISKIT_IBM_TOKEN",
    "QISKIT_IBM_URL",
    "IAM_URL",
    "GLOBAL_SEARCH_URL",
    "GLOBAL_CATALOG_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
)


@pytest.fixture
def service(monkeypatch):
    """IBM Quantum with three machines, and an account for it in the environment."""
    devices = [
        Device.of_fake("torino", pending=3),
        Device.of_fake("aachen", operational=False, status="maintenance"),
        Device.of_fake("fez", pending=120),
    ]
    with stand_in(devices) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def command(*arguments, folder, env=None):
    """Run the command as a user does, in a home without a saved account."""
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return subprocess.run(
        [sys.executable, "-m", "qexp.fleet.snapshot", *map(str, arguments)],
        check=False,
        cwd=folder,
        env=clean | {"HOME": str(folder), "PYTHONPATH": str(ROOT)} | (env or {}),
        capture_output=True,
        text=True,
        timeout=120,
    )


def fails(capsys, *arguments):
    """Run a command that is to fail, and return the one line it says."""
    assert snapshot.main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert TOKEN not in error
    assert CRN not in error
    return error


@pytest.mark.slow
def test_a_live_snapshot_is_a_fleet_of_what_the_account_sees(service, tmp_path, capsys):
    begun = datetime.now(UTC).replace(microsecond=0)
    out = tmp_path / "live.yaml"
    assert snapshot.main(["ibm", str(out)]) == 0
    fleet = load_fleet(out)
    assert fleet.name == "live"
    assert begun <= fleet.taken <= datetime.now(UTC)
    assert fleet.names == ["ibm_aachen", "ibm_fez", "ibm_torino"]
    aachen, fez, torino = fleet.nodes
    assert [node.live.pending_jobs for node in fleet.nodes] == [0, 120, 3]
    assert (aachen.live.operational, aachen.live.status) == (False, "maintenance")
    assert (fez.live.operational, fez.live.status) == (True, "active")
    # The shipped fleet is made from the same data, on another road.
    shipped = {node.name: node for node in load_fleet("heron").nodes}
    for node in (fez, torino):
        same = shipped[node.machine]
        for key in ("qubits", "clops", "clops_h", "calibration", "machine"):
            assert getattr(node, key) == getattr(same, key), key
        assert node.source["broken_gates"] == same.source["broken_gates"]
        assert node.source["snapshot"].startswith("2025-02-26")
    # Aachen is in no catalogue; a Heron of its size stands for it, and a note says so.
    assert aachen.machine in shipped
    said = capsys.readouterr().out
    assert "note: ibm_aachen (cz, heavy-hex, 156 qubits) is not in the circuit catalogue" in said
    assert f"circuits for {aachen.machine} (cz, heavy-hex, 156 qubits) stand for its own" in said
    assert "3 machines" in said


@pytest.mark.slow
def test_the_token_is_nowhere(service, tmp_path):
    done = command(
        *("ibm", "live.yaml"),
        folder=tmp_path,
        env=service.environment
        | {
            "QISKIT_IBM_RUNTIME_LOG_LEVEL": "DEBUG",
            "QISKIT_IBM_RUNTIME_LOG_FILE": str(tmp_path / "client.log"),
        },
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["client.log", "live.yaml"]
    for text in (done.stdout, *(path.read_text() for path in tmp_path.iterdir())):
        assert TOKEN not in text
        assert "stand-in-instance" not in text  # nor the instance
    assert any(line == "POST /identity/token" for line in service.requests)


@pytest.mark.slow
def test_the_hash_is_of_the_machines_not_of_their_queues_or_the_time(service, tmp_path):
    snapshot.main(["ibm", str(tmp_path / "a.yaml")])
    service.devices.reverse()
    service.devices[0].pending = 7
    service.devices[1].operational = True
    snapshot.main(["ibm", str(tmp_path / "b.yaml")])
    before, after = (load_fleet(tmp_path / name) for name in ("a.yaml", "b.yaml"))
    assert before.hash == after.hash
    assert before.nodes != after.nodes
    service.devices.pop()
    snapshot.main(["ibm", str(tmp_path / "c.yaml")])
    assert load_fleet(tmp_path / "c.yaml").hash != before.hash


@pytest.mark.slow
def test_machines_that_cannot_be_read_are_left_out_with_a_note(service, tmp_path, capsys):
    service.devices += [
        Device.of_fake("kyoto"),  # every gate of its snapshot is broken
        Device(service.devices[0].configuration | {"backend_name": "ibm_new"}, None),
        Device(service.devices[0].configuration | {"backend_name": "ibm_simulator", "simulator": True}, None),
    ]
    service.devices += [Device.of_fake("boston"), Device.of_fake("marrakesh")]
    service.instead = {
        r"GET /backends/ibm_fez/configuration": Reply(404),
        r"GET /backends/ibm_boston/properties": Reply(404),
        r"GET /backends/ibm_marrakesh/status": Reply(404),
    }
    assert snapshot.main(["ibm", str(tmp_path / "live.yaml")]) == 0
    fleet = load_fleet(tmp_path / "live.yaml")
    assert fleet.names == ["ibm_aachen", "ibm_marrakesh", "ibm_torino"]
    assert fleet.nodes[1].live is None
    said = capsys.readouterr().out
    assert "note: ibm_boston is left out: its calibration cannot be read" in said
    assert "note: ibm_marrakesh: its status cannot be read" in said
    assert "note: ibm_fez is left out: its configuration cannot be read" in said
    assert "note: ibm_kyoto is left out: no two-qubit gate is calibrated" in said
    assert "note: ibm_new is left out: it has no calibration" in said
    assert "simulator" not in said


ANSWERS = {
    "a token that is not known": (
        {r"POST /identity/token": Reply(400)},
        "the account was refused: its token",
    ),
    "a token that has expired": ({r"POST /v3/resources/search": Reply(401)}, "the account was refused"),
    "a service that is busy": (
        {r"POST /v3/resources/search": Reply(429)},
        "answers with status 429; try again",
    ),
    "a service that is away": ({r"POST /v3/resources/search": Reply(503)}, "answers with status 503; try"),
    "a token that ends halfway": ({r"GET /backends/[^/]+/status": Reply(401)}, "the account was refused"),
    "an instance that is closed": ({r"GET /backends": Reply(403)}, "the account was refused"),
    "no list of machines": ({r"GET /backends": Reply(503)}, "answers with status 503; try again later"),
    "machines without a description": (
        {r"GET /backends/.*": Reply(404)},
        "has no machines (ibm_torino is left out: its configuration cannot be read; ibm_aachen",
    ),
    "no answer": ({r"GET /backends": Reply(delay=20)}, "no answer within 0.5 s; --timeout"),
}


@pytest.mark.parametrize("case", quick_first(ANSWERS, 2))
def test_what_the_service_refuses_is_one_line_and_no_file(case, service, tmp_path, capsys):
    service.instead, words = ANSWERS[case]
    begun = time.monotonic()
    patience = ["--timeout", "0.5"] if case == "no answer" else []
    assert words in fails(capsys, "ibm", tmp_path / "live.yaml", *patience)
    assert time.monotonic() - begun < 10
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_account_is_one_line(service, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", CRN.replace("stand-in", "other"))
    assert "no access to the instance it names" in fails(capsys, "ibm", tmp_path / "live.yaml")
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", CRN)
    monkeypatch.setenv("QISKIT_IBM_TOKEN", f"{TOKEN}x")
    assert "the account was refused" in fails(capsys, "ibm", tmp_path / "live.yaml")
    service.devices.clear()
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    assert "the account's instance has no machines\n" in fails(capsys, "ibm", tmp_path / "live.yaml")


@pytest.mark.slow
def test_no_account_and_no_network_are_one_line(service, tmp_path):
    done = command("ibm", "live.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("IBM Quantum: no account: set QISKIT_IBM_TOKEN")
    assert done.stderr.count("\n") == 1
    # Nothing listens on port 9 of the loopback interface.
    away = {
        name: value.replace(service.url, "http://127.0.0.1:9") for name, value in service.environment.items()
    }
    done = command("ibm", "live.yaml", "--timeout", "60", folder=tmp_path, env=away)
    assert (done.returncode, done.stderr) == (
        2,
        "IBM Quantum: no connection; are the network and any proxy up?\n",
    )
    assert not (tmp_path / "live.yaml").exists()


@pytest.mark.slow
def test_an_account_that_the_client_has_saved_is_used(service, tmp_path):
    saved = {
        "default-ibm-quantum-platform": {
            "channel": "ibm_quantum_platform",
            "url": f"{service.url}/experimental",
            "token": TOKEN,
            "instance": CRN,
            "is_default_account": True,
        }
    }
    (tmp_path / ".qiskit").mkdir()
    (tmp_path / ".qiskit" / "qiskit-ibm.json").write_text(json.dumps(saved))
    servers = ("IAM_URL", "GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL", "NO_PROXY")
    env = {name: service.environment[name] for name in servers}
    done = command("ibm", "live.yaml", folder=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(load_fleet(tmp_path / "live.yaml")) == 3


@pytest.mark.slow
def test_nothing_is_replaced_without_being_asked(service, tmp_path, capsys):
    out = tmp_path / "live.yaml"
    out.write_text("mine")
    assert fails(capsys, "ibm", out) == f"{out} exists: --force replaces it\n"
    assert (out.read_text(), service.requests) == ("mine", [])
    assert snapshot.main(["ibm", str(out), "--force"]) == 0
    assert len(load_fleet(out)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["live.yaml"]


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "folder.yaml").mkdir()
    assert "there is no folder" in fails(capsys, "fake", tmp_path / "no" / "a.yaml", "fez")
    assert "name it .yaml" in fails(capsys, "fake", tmp_path / "a.txt", "fez")
    assert "cannot be written" in fails(capsys, "fake", tmp_path / "folder.yaml", "fez", "--force")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.yaml"]


def test_fake_backends_become_a_fleet_in_the_order_given(tmp_path, capsys):
    out = tmp_path / "mine.yaml"
    assert snapshot.main(["fake", str(out), "FakeFez", "perth", "ibm_brisbane"]) == 0
    fleet = load_fleet(out)
    assert fleet.names == ["fez", "perth", "brisbane"]
    assert [node.catalogue_machine for node in fleet.nodes] == ["fez", "perth", "sherbrooke"]
    assert [node.live for node in fleet.nodes] == [None] * 3
    # CLOPS: of CLOPS_h, the papers', of CLOPS_h; each node says which.
    assert [node.clops for node in fleet.nodes] == [58600, 2900, 54100]
    assert "the placement papers' figure" in fleet.nodes[1].source["clops"]
    assert fleet.nodes[2].source["clops"] == "0.3008 * CLOPS_h"
    assert fleet.nodes[0].calibration == load_fleet("heron").nodes[1].calibration
    assert fleet.nodes[1].calibration == load_fleet("ibm13").nodes[3].calibration
    assert "note: brisbane (ecr, heavy-hex, 127 qubits)" in capsys.readouterr().out


def test_a_machine_without_a_speed_of_its_own_has_that_of_the_one_that_stands_for_it(tmp_path):
    assert snapshot.main(["fake", str(tmp_path / "mine.yaml"), "bogota"]) == 0
    [bogota] = load_fleet(tmp_path / "mine.yaml").nodes
    papers = {node.name: node.clops for node in load_fleet("ibm13").nodes}
    assert bogota.clops == papers[bogota.machine]
    assert bogota.source["clops"] == f"the figure of {bogota.machine}"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["atlantis"], "atlantis: the client has no such fake backend; it has "),
        (["fez", "FakeFez"], "FakeFez: named twice"),
        (["kyoto"], "kyoto: no two-qubit gate is calibrated"),
        (["nighthawk"], "nighthawk: its snapshot has neither CLOPS nor CLOPS_h"),
        (["poughkeepsie"], "poughkeepsie: none of the gate sets"),
    ],
)
def test_a_fake_backend_that_will_not_do_is_one_line(names, words, tmp_path, capsys):
    assert fails(capsys, "fake", tmp_path / "a.yaml", *names).startswith(words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_snapshots_are_compared_in_a_table(service, tmp_path, capsys):
    snapshot.main(["ibm", str(tmp_path / "a.yaml")])
    service.devices[0] = Device.of_fake("boston")
    service.devices[2].pending = 0
    snapshot.main(["ibm", str(tmp_path / "b.yaml")])
    capsys.readouterr()
    assert snapshot.main(["diff", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "3 machines, not the same by content",
        "ibm_boston",
        "added",
        "ibm_torino",
        "removed",
        "120",
    ):
        assert words in said
    assert fails(capsys, "diff", tmp_path / "a.yaml", tmp_path / "no.yaml").startswith("diff: cannot read")


@pytest.mark.slow
def test_the_list_shows_what_there_is(capsys):
    assert snapshot.main(["list"]) == 0
    said = capsys.readouterr().out
    for words in ("fez", "156", "cz", "Heron r2", "2025-02-26", "miami", "square", "washington"):
        assert words in said


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "1e9", "soon"])
def test_the_longest_wait_is_a_sensible_one(seconds, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        snapshot.main(["ibm", str(tmp_path / "a.yaml"), "--timeout", seconds])
    assert stop.value.code == 2
    assert "--timeout" in capsys.readouterr().err
