"""``deploy=ibm`` and ``backend=ibm``: what they refuse, and what they connect to."""

from __future__ import annotations

import traceback
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cases import quick_first
from ibm_account import NODES, account, executor, order
from ibm_stand_in import CRN, TOKEN, Fault, Reply

from qexp.circuits.compiled import compiled
from qexp.deploy.campaign.spend_guard import Guard
from qexp.deploy.executors.ibm.executor import IBMQuantumExecutor
from qexp.deploy.ibm import IBM
from qexp.errors import InputError
from qexp.fleet.fleet import load_fleet
from qexp.fleet.ibm import LiveFleet, quiet
from qexp.placement.placement import Placement


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
    assert IBM(confirm=True).confirmed


@pytest.mark.slow
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
        with IBM(timeout=20.0).executor(Placement(fleet)) as ibm:
            assert [machine.name for machine in ibm.machines()] == list(NODES)


def test_a_fleet_that_the_account_does_not_see_is_refused():
    with account(), pytest.raises(InputError) as error:
        IBM(timeout=20.0).executor(Placement(load_fleet("qce5")))
    assert "the account sees none of the fleet's machines (hanoi, " in line(error)
    assert "it sees ibm_fez, ibm_torino: backend=ibm takes those" in line(error)


def test_circuits_that_nobody_can_draw_are_refused():
    scenario = SimpleNamespace(circuits=SimpleNamespace(names=["ghz_3", "mine_4"]))
    with pytest.raises(InputError, match="only circuits of the catalogue can be run, and mine_4 is none"):
        IBM().executor(scenario)


ASKS = [lambda: executor().close(), lambda: LiveFleet().load()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "request_", quick_first(["POST /identity/token", "POST /v3/resources/search", "GET /backends"])
)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("ask", ASKS)
def test_a_service_that_stumbles_once_is_connected_to(request_, status, ask):
    with account() as server:
        server.faults = [Fault(request_, status=status, body={"errors": [{"message": TOKEN}]})]
        ask()
        assert server.faults[0].struck == 1


@pytest.mark.parametrize("tokens", quick_first([0, 1, 2]))
@pytest.mark.parametrize("ask", ASKS)
def test_the_key_is_not_sent_where_access_tokens_run_out(tokens, ask):
    with account() as server:
        server.faults = [Fault("POST /identity/token", status=500, spare=tokens, times=None)]
        with suppress(InputError):
            ask()
        assert server.faults[0].struck or tokens == 2
        assert server.exposed == []


def test_the_client_alone_sends_the_key():
    """Without this, the test above would prove nothing."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    with account() as server, quiet():
        server.faults = [Fault("POST /identity/token", status=500, spare=1, times=None)]
        QiskitRuntimeService()
        assert "GET /backends" in server.exposed


@pytest.mark.parametrize(
    ("fault", "words"),
    quick_first(
        [
            (Fault("GET /backends", times=None), "the service answers with status 503; try again later"),
            (Fault("GET /backends", status=404, times=None), "the service answers with status 404"),
            (Fault("GET /backends", kind="reset", times=None), "no connection; are the network"),
            (Fault("GET /backends", kind="malformed", times=None), "an answer that makes no sense (no JSON)"),
        ],
        2,
    ),
)
@pytest.mark.parametrize("ask", ASKS)
def test_what_keeps_the_list_of_machines_back_is_said(fault, words, ask):
    with account() as server:
        server.faults = [replace(fault)]
        with pytest.raises(InputError) as error:
            ask()
    assert words in line(error)


def test_an_address_at_which_nobody_is_means_no_connection(monkeypatch):
    with account():
        monkeypatch.setenv("QISKIT_IBM_URL", "http://127.0.0.1:9/experimental")
        for ask in ASKS:
            with pytest.raises(InputError) as error:
                ask()
            assert line(error) == "IBM Quantum: no connection; are the network and any proxy up?"


@pytest.mark.slow
def test_a_fleet_does_without_what_one_machine_does_not_say(caplog):
    with account() as server:
        server.devices[0].reading = "null"
        server.instead = {rf"GET /backends/{NODES[1]}/status": Reply(503)}
        fleet = LiveFleet().load()
        assert fleet.names == list(NODES)
        assert [node.live for node in fleet.nodes] == [None, None]
        assert caplog.messages == [
            f"{NODES[0]}: the length of its queue is not known",
            f"{NODES[1]}: its status cannot be read",
        ]
        for answer in (Reply(200, b"<html>"), Reply(200, [1]), Reply(404)):
            caplog.clear()
            server.instead = {rf"GET /backends/{NODES[1]}/status": answer}
            assert LiveFleet().load().names == list(NODES)
            assert caplog.messages[1:] == [f"{NODES[1]}: its status cannot be read"]
        with IBM(timeout=20.0).executor(Placement(fleet)) as ibm:
            assert [machine.pending for machine in ibm.machines()] == [None, 0]


@pytest.mark.slow
def test_a_machine_with_holes_in_its_calibration_takes_orders():
    with account() as server, executor() as before:
        circuit = compiled("ghz_3", before._submitter.backends[NODES[0]])
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
            circuit = compiled("ghz_3", ibm._submitter.backends[NODES[0]])
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
