"""What IBM Quantum's answers are taken to mean: every field optional, every word in any case."""

from __future__ import annotations

import json
import time
from email.utils import formatdate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibm_account import finish, order

from qexp.deploy.executors.executor import JobState, Machine
from qexp.deploy.executors.ibm.answers import (
    charged,
    decode,
    machine_from_status,
    machine_of,
    moment,
    order_tag,
    state_of,
)
from qexp.fleet.ibm_connection import retry_after

STATES = [
    ({"status": "Queued"}, JobState.QUEUED),
    ({"state": {"status": "QUEUED"}}, JobState.QUEUED),
    ({"state": {"status": "Running"}, "status": "Queued"}, JobState.RUNNING),
    ({"state": {"status": "Running: post-processing"}}, JobState.RUNNING),
    ({"state": "completed"}, JobState.DONE),
    ({"state": {"status": "DONE"}}, JobState.DONE),
    ({"state": {"status": "Failed", "reason": "token"}}, JobState.FAILED),
    ({"state": {"status": "ERROR"}}, JobState.FAILED),
    ({"state": {"status": "Cancelled"}}, JobState.CANCELLED),
    ({"state": {"status": "CANCELED"}}, JobState.CANCELLED),
    ({"state": {"status": "Cancelled - Ran too long"}}, JobState.FAILED),
    ({"state": {"status": "Cancelled", "reason_code": 1305}}, JobState.FAILED),
    ({"state": {"status": "Cancelled", "reasonCode": "1305"}}, JobState.FAILED),
    ({"state": {"status": "Cancelled", "reason": "Ran too long"}}, JobState.FAILED),
    ({"state": {"status": "Validating"}}, JobState.QUEUED),
    ({"state": {"status": None}, "status": "Completed"}, JobState.DONE),
    ({"state": [], "status": None}, JobState.QUEUED),
    ({}, JobState.QUEUED),
]


@pytest.mark.parametrize(("answer", "state"), STATES)
def test_states(answer, state):
    assert state_of(answer)[0] is state
    assert "token" not in str(state_of(answer)[1])


# 2026-11-25 10:00:00 UTC, by `date -u -d ... +%s`.
AT = 1795600800.0
MOMENTS = {
    "2026-11-25T10:00:00Z": AT,
    "2026-11-25T10:00:00.250000Z": AT + 0.25,
    "2026-11-25T10:00:00": AT,
    "2026-11-25 10:00:00+00:00": AT,
    "2026-11-25T12:30:00+02:30": AT,
    "20261125T100000Z": AT,
    AT: AT,
    "yesterday": None,
    "": None,
    None: None,
    True: None,
    float("nan"): None,
}


@pytest.mark.parametrize("text", MOMENTS)
def test_moments_are_utc_unless_they_say_otherwise(text, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment(text) == MOMENTS[text]
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


CHARGES = [
    ({"usage": {"qpu_charge_time_seconds": 3, "quantum_seconds": 5}}, 3.0),
    ({"usage": {"qpu_charge_time_seconds": None, "quantum_seconds": 5}}, 5.0),
    ({"usage": {"quantum_seconds": 0, "status": "final"}}, 0.0),
    ({"usage": {"quantum_seconds": 0, "status": "pending"}}, None),
    ({"usage": {}, "bss": {"seconds": 4}}, 4.0),
    ({"usage": "none", "bss": None}, None),
    ({"usage": {"quantum_seconds": -1}}, None),
    ({"usage": {"quantum_seconds": "2"}}, None),
    ({}, None),
]


@pytest.mark.parametrize(("metrics", "seconds"), CHARGES)
def test_charges(metrics, seconds):
    assert charged(metrics) == seconds


@pytest.mark.parametrize(
    ("tags", "orders", "campaigns", "tag"),
    [
        (["c", "o"], {"o"}, set(), "o"),
        (["o", "c"], set(), {"c"}, "o"),
        (["o", "c", "added"], {"o"}, {"c"}, "o"),
        (["c-1", "c"], set(), set(), "c-1"),  # as campaigns name their orders
        (["c", "o"], set(), set(), "o"),  # as sent
        ([], set(), set(), ""),
    ],
)
def test_the_order_s_tag(tags, orders, campaigns, tag):
    assert order_tag(tags, orders, campaigns) == tag


MACHINES = [
    ({"status": {"name": "online", "reason": "available"}, "queue_length": 3}, (True, "active", 3)),
    ({"status": {"name": "Online"}}, (True, "active", None)),
    ({"status": {"name": "online", "reason": "internal"}, "queue_length": -1}, (False, "internal", None)),
    ({"status": {"name": "offline", "reason": "maintenance"}}, (False, "maintenance", None)),
    ({"status": "online", "queue_length": 2.0}, (True, "active", 2)),
    ({"status": {"name": "paused"}, "queue_length": "many"}, (False, "paused", None)),
    ({"status": {"name": "online", "reason": "<b>crn:v1:x</b>"}}, (True, "active", None)),
]


@pytest.mark.parametrize(("entry", "machine"), MACHINES)
def test_machines_in_the_list(entry, machine):
    assert machine_of({"name": "m"} | entry) == Machine("m", *machine)


def test_machines_by_themselves():
    assert machine_of({"name": "m"}) is None
    assert machine_from_status("m", {"state": True, "status": "active", "length_queue": 7}) == Machine(
        "m", True, "active", 7
    )
    assert machine_from_status("m", {"state": True, "status": "internal"}) == Machine("m", False, "internal")
    assert machine_from_status("m", {}) == Machine("m", False, "unknown")


@given(st.text(), st.floats(0, 100))
def test_any_retry_after_gives_a_pause(text, default):
    pause = retry_after({"Retry-After": text}, default)
    assert pause == default or 1 <= pause <= 3600


PAUSES = [
    ("7", 7.0),
    ("7.5", 7.5),
    ("0", 1.0),
    ("-3", 1.0),
    ("1000000", 3600.0),
    ("inf", 12.0),
    (20.0, 20.0),
    (-20.0, 1.0),
    (1e6, 3600.0),
]


@pytest.mark.parametrize("ahead", [-420.0, 0.0, 420.0])
@pytest.mark.parametrize(("text", "seconds"), PAUSES)
def test_a_pause_until_a_date_is_one_by_the_service_s_clock(text, seconds, ahead):
    now = time.time() + ahead
    until = text if isinstance(text, str) else formatdate(now + text, usegmt=True)
    headers = {"Retry-After": until, "Date": formatdate(now, usegmt=True)}
    assert retry_after(headers, 12.0) == pytest.approx(seconds, abs=1.0)
    assert retry_after(headers, 12.0) >= 1.0


def test_a_pause_until_a_date_is_one_by_our_clock_where_the_answer_has_none():
    until = formatdate(time.time() + 20, usegmt=True)
    assert retry_after({"Retry-After": until, "Date": "today"}, 12.0) == pytest.approx(20, abs=1.1)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["state", "status", "usage", "bss", "name", "queue_length"]), JSON))
def test_whatever_an_answer_holds_it_is_taken(answer):
    state_of(answer)
    charged(answer)
    machine_of(answer)
    machine_from_status("m", answer)
    moment(answer.get("status"))


def encoded(registers):
    """The result of one circuit, by register, in the executor's encoding."""
    from ibm_quantum_schemas.common import CompressedTensorModel

    results = {
        name: json.loads(CompressedTensorModel.from_numpy(np.array(bits, dtype=bool)).model_dump_json())
        for name, bits in registers.items()
    }
    return json.dumps(
        {
            "schema_version": "v2.0",
            "data": [{"results": results, "metadata": {}}],
            "metadata": {"chunk_timing": []},
            "semantic_role": "sampler_v2",
            "passthrough_data": {
                "post_processor": {
                    "version": "v0.1",
                    "twirling": False,
                    "meas_type": "classified",
                    "shots": 2,
                    "options": {},
                    "circuits_metadata": [{"registers": ["a", "b"]}],
                }
            },
        }
    )


def test_registers_are_joined_in_the_circuit_s_order_whatever_the_answer_s():
    # Two shots: a = (bit 0, bit 1), b = (bit 0); the last bit of the last register is written first.
    a, b = [[1, 0], [1, 1]], [[0], [1]]
    assert decode(encoded({"a": a, "b": b})) == {"001": 1, "111": 1}
    assert decode(encoded({"b": b, "a": a})) == {"001": 1, "111": 1}
    assert decode(encoded({"x": b, "y": a})) == {
        "010": 1,
        "111": 1,
    }  # not the circuit's: in the answer's order


def test_results_of_the_older_sampler_are_read_too():
    from qiskit.primitives.containers import BitArray, DataBin, PrimitiveResult, SamplerPubResult
    from qiskit_ibm_runtime.json import RuntimeEncoder

    bits = BitArray.from_samples(["011", "011", "100"], num_bits=3)
    result = PrimitiveResult([SamplerPubResult(DataBin(meas=bits))])
    assert decode(json.dumps(result, cls=RuntimeEncoder)) == {"011": 2, "100": 1}


@pytest.mark.slow
def test_a_noisy_ghz_state_is_mostly_one(server, ibm, tag):
    server.noisy = True
    job = ibm.submit(order(tag, shots=2000))
    finish(ibm, job)
    counts = ibm.counts(job)
    good = counts["000"] + counts["111"]
    assert 0.8 * 2000 < good < 2000
    assert 0.35 < counts["000"] / good < 0.65
