"""What changed between two snapshots, said per machine."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from qexp.fleet.difference import Change, differences, report
from qexp.fleet.fleet import Calibration, Fleet, Live, QNode

AVERAGES = {
    "t1": 1e-4,
    "t2": 8e-5,
    "readout_error": 0.02,
    "single_qubit_error": 1e-3,
    "two_qubit_error": 1e-2,
}


def node(name, pending=0, machine="fez", source=None, **averages):
    live = Live(operational=True, status="active", pending_jobs=pending)
    calibration = Calibration(**AVERAGES | averages)
    source = {} if source is None else {"snapshot": source}
    return QNode(
        name=name, qubits=156, clops=1000, machine=machine, calibration=calibration, live=live, source=source
    )


def fleet(*nodes, day=1):
    return Fleet("mine", nodes, datetime(2026, 11, day, 12, tzinfo=UTC))


def text(before, after):
    out = io.StringIO()
    Console(file=out, width=120).print(report(before, after))
    return out.getvalue()


def test_equal_snapshots_of_different_days_do_not_differ():
    before, after = fleet(node("ibm_fez")), fleet(node("ibm_fez"), day=2)
    assert differences(before, after) == []
    assert "2026-11-01 12:00" in text(before, after)
    assert "the same by content" in text(before, after)
    assert "no difference" in text(before, after)


def test_machines_that_came_and_went_are_told_from_those_that_changed():
    before = fleet(node("ibm_fez"), node("ibm_osaka"), node("ibm_torino"))
    after = fleet(node("ibm_torino"), node("ibm_boston"), node("ibm_fez", two_qubit_error=0.0125))
    assert differences(before, after) == [
        Change("ibm_boston", "added"),
        Change("ibm_fez", "two_qubit_error", 0.01, 0.0125),
        Change("ibm_osaka", "removed"),
    ]


def test_the_queue_is_a_difference_but_not_of_content():
    before, after = fleet(node("ibm_fez", pending=3)), fleet(node("ibm_fez", pending=30))
    assert differences(before, after) == [Change("ibm_fez", "pending_jobs", 3, 30)]
    assert before.hash == after.hash
    assert "the same by content" in text(before, after)
    assert "%" not in text(before, after)


def test_calibration_changes_in_percent():
    before = fleet(node("ibm_fez", source="2026-10-31"))
    after = fleet(node("ibm_fez", source="2026-11-01", t1=1.5e-4, readout_error=0.019))
    changes = differences(before, after)
    assert [(change.what, change.percent) for change in changes] == [
        ("t1", pytest.approx(50)),
        ("readout_error", pytest.approx(-5)),
        ("calibrated", None),
    ]
    shown = text(before, after)
    assert "+50.0 %" in shown
    assert "-5.0 %" in shown
    assert "2026-10-31" in shown
    assert "not the same by content" in shown
    assert shown.count("ibm_fez") == 1


def test_the_clients_prefixes_do_not_make_another_machine():
    assert differences(fleet(node("fez")), fleet(node("ibm_fez"))) == []
    # Unless a fleet has both: then they are two.
    both = fleet(node("fez"), node("ibm_fez"))
    assert differences(both, both) == []
    assert differences(both, fleet(node("fez"))) == [Change("ibm_fez", "removed")]


def test_a_machine_that_stands_for_itself_is_the_same_with_and_without_saying_so():
    assert differences(fleet(node("fez", machine="")), fleet(node("fez", machine="fez"))) == []
    assert differences(fleet(node("fez")), fleet(node("fez", machine="boston"))) == [
        Change("fez", "machine", "fez", "boston")
    ]
