"""``deploy=ibm`` and ``backend=ibm``: what they refuse, and what they connect to."""

from __future__ import annotations

import traceback
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from ibm_account import NODES, account, executor, order
from ibm_stand_in import CRN, TOKEN, Fault, Reply

from qexp.backend.fleet import load_fleet
from qexp.backend.live_fleet import LiveFleet
from qexp.deploy.circuits import compiled
from qexp.deploy.guard import Guard
from qexp.deploy.ibm import IBM
from qexp.deploy.ibm_executor import IBMQuantumExecutor
from qexp.env.scenario import Scenario
from qexp.errors import InputError


def line(error: pytest.ExceptionInfo) -> str:
    """What an error says: one line, and nothing of the account, its traceback included."""
    text = "".join(traceback.format_exception(error.value))
    assert TOKEN not in text
    assert "stand-in-instance" not in text
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"clock": "slow"}, "deploy.clock: expected one of"),
        ({"mode": "session"}, "deploy.mode: expected one of job, batch, got 'session'"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(settings, words):
    with pytest.raises(InputError, match=words):
        IBM(**settings)


def test_machines_cannot_be_hurried_but_arrivals_can():
    arrival = np.array([0.0, 10.0, 60.0])
    expected = {"real": [0.0, 10.0, 60.0], "compressed": [0.0, 2.0, 12.0], "immediate": [0.0, 0.0, 0.0]}
    for clock, offsets in expected.items():
        assert IBM(clock=clock, speed=5.0).offsets(arrival).tolist() == offsets


def test_nothing_is_submitted_and_limits_hold_unless_said_otherwise():
    default = IBM()
    assert not default.confirmed
    assert default.guard == Guard(100, 300.0, 10.0)
    assert default.max_execution_seconds == 10.0
    assert IBM(confirm=True).confirmed


def test_the_live_fleet_is_what_the_account_sees():
    with account() as server:
        server.devices[0].pending = 9
        fleet = LiveFleet().load()
        assert fleet.names == list(NODES)
        assert [node.live.pending_jobs for node in fleet.nodes] == [9, 0]
        shipped = {node.name: node for node in load_fleet("heron").nodes}
        assert [node.calibration for node in fleet.nodes] == [
            shipped[name].calibration for name in ("fez", "torino")
        ]
        with IBM(timeout=20.0).executor(Scenario(fleet)) as ibm:
            assert [machine.name for machine in ibm.machines()] == list(NODES)


def test_a_fleet_that_the_account_does_not_see_is_refused():
    with account(), pytest.raises(InputError) as error:
        IBM(timeout=20.0).executor(Scenario(load_fleet("qce5")))
    assert "the account sees none of the fleet's machines (hanoi, " in line(error)
    assert "it sees ibm_fez, ibm_torino: backend=ibm takes those" in line(error)


def test_circuits_that_nobody_can_draw_are_refused():
    scenario = SimpleNamespace(circuits=SimpleNamespace(names=["ghz_3", "mine_4"]))
    with pytest.raises(InputError, match="only circuits of the catalogue can be run, and mine_4 is none"):
        IBM().executor(scenario)


@pytest.mark.parametrize("request_", ["POST /identity/token", "POST /v3/resources/search", "GET /backends"])
def test_a_service_that_stumbles_once_is_connected_to(request_):
    with account() as server:
        server.faults = [Fault(request_, body={"errors": [{"message": TOKEN}]})]
        executor().close()
        assert server.faults[0].struck == 1


def test_a_machine_with_holes_in_its_calibration_takes_orders():
    with account() as server, executor() as before:
        circuit = compiled("ghz_3", before._desk._backends[NODES[0]])
        used = {circuit.find_bit(qubit).index for item in circuit.data for qubit in item.qubits}
        properties = deepcopy(server.devices[0].properties)
        for gate in properties["gates"]:
            if set(gate["qubits"]) <= used:  # what was best is not known any more
                gate["parameters"] = [] if gate["gate"] == "cz" else gate["parameters"]
                gate["parameters"] = [value for value in gate["parameters"] if value["name"] != "gate_error"]
        for qubit in used:
            values = properties["qubits"][qubit]
            properties["qubits"][qubit] = [value for value in values if value["name"] in {"T1", "frequency"}]
        server.devices[0].properties = properties
        with executor() as ibm:
            circuit = compiled("ghz_3", ibm._desk._backends[NODES[0]])
            measured = [item.qubits[0] for item in circuit.data if item.name == "measure"]
            assert used.isdisjoint(circuit.find_bit(qubit).index for qubit in measured)
            assert ibm.submit(order("holes"))


REFUSED = {
    "no account": ({}, "no account"),
    "a wrong key": ({"POST /identity/token": Reply(400, {"m": TOKEN})}, "the account was refused"),
    "a service that is away": ({"POST /v3/resources/search": Reply(503, {"m": CRN})}, "status 503"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("ask", [lambda: IBMQuantumExecutor.connect(NODES), lambda: LiveFleet().load()])
def test_no_connection_is_one_line(case, ask, monkeypatch, tmp_path):
    with account() as server:
        server.instead, words = REFUSED[case]
        if case == "no account":
            monkeypatch.setenv("HOME", str(tmp_path))
            monkeypatch.delenv("QISKIT_IBM_TOKEN")
        with pytest.raises(InputError) as error:
            ask()
    assert words in line(error)
