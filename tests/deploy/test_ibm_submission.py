"""What a submission to IBM Quantum comes to, whatever goes wrong on the way: it is one request, always."""

from __future__ import annotations

import time
from dataclasses import replace
from email.utils import formatdate

import pytest
from ibm_account import NODES, SECRETS, Fault, account, another, executor, finish, order, sent, told
from ibm_stand_in import CRN, TOKEN, Reply

from qexp.circuits.compiled import compiled
from qexp.deploy.executors.errors import AccountError, LaterError, RefusedError, UnsureError
from qexp.deploy.executors.executor import JobState
from qexp.fleet.ibm import quiet

UNSURE = {
    "an error before it was accepted": (Fault("POST /jobs", body=SECRETS), 0),
    "an error after it was accepted": (Fault("POST /jobs", after=True, body=SECRETS), 1),
    "a gateway that gave up": (Fault("POST /jobs", status=504, after=True), 1),
    "a time-out of the request": (Fault("POST /jobs", status=408), 0),
    "a connection cut before": (Fault("POST /jobs", kind="reset"), 0),
    "a connection cut after": (Fault("POST /jobs", kind="reset", after=True), 1),
    "silence before": (Fault("POST /jobs", kind="stall", seconds=2), 0),
    "silence after": (Fault("POST /jobs", kind="stall", seconds=2, after=True), 1),
    "no JSON": (Fault("POST /jobs", kind="malformed", after=True), 1),
    "half an answer": (Fault("POST /jobs", kind="truncated", after=True), 1),
    "no id": (Fault("POST /jobs", status=200, body={"backend": "ibm_fez"}, after=True), 1),
    "another way": (Fault("POST /jobs", status=307, headers={"Location": "/experimental/jobs"}), 0),
}


@pytest.mark.parametrize("case", UNSURE)
def test_what_may_have_been_accepted_is_not_sent_again(case, server, first, tag):
    fault, accepted = UNSURE[case]
    server.faults = [replace(fault)]
    with another(first, timeout=0.5 if "silence" in case else 20.0) as ibm:
        with pytest.raises(UnsureError) as error:
            ibm.submit(order(tag))
        told(error)
        assert sent(server) == 1
        assert server.queues.accepted[tag] == accepted
        # The tag tells.
        found = ibm.find(tag)
        assert [job.tag for job in found] == [tag] * accepted
        for job in found:
            assert finish(ibm, job.id).state is JobState.DONE


def test_the_client_alone_repeats_a_submission(tag):
    """Without this, the test above would prove nothing."""
    from qiskit_ibm_runtime import QiskitRuntimeService
    from qiskit_ibm_runtime.executor_sampler import Sampler

    with account() as server, quiet():
        backend = QiskitRuntimeService().backend(NODES[0])
        sampler = Sampler(mode=backend)
        sampler.options.environment.job_tags = [tag]
        server.faults = [Fault("POST /jobs", after=True, times=2)]
        sampler.run([compiled("ghz_3", backend)])
        assert server.queues.accepted[tag] == 3


LATER = {
    "a number": ({"Retry-After": "7"}, 7.0),
    "nonsense": ({"Retry-After": "soon"}, 12.0),
    "nothing": ({}, 12.0),  # five a minute
}


@pytest.mark.parametrize("case", LATER)
def test_too_many_orders_are_paced_as_the_service_asks(case, server, ibm, tag):
    headers, seconds = LATER[case]
    server.faults = [Fault("POST /jobs", status=429, headers=headers, body=SECRETS)]
    with pytest.raises(LaterError) as error:
        ibm.submit(order(tag))
    told(error)
    assert error.value.seconds == pytest.approx(seconds)
    # Whoever asks again too early is told to wait, and nothing is sent.
    with pytest.raises(LaterError) as error:
        ibm.submit(order(tag))
    assert 0 < error.value.seconds <= seconds
    assert sent(server) == 1
    assert server.queues.accepted[tag] == 0


def coded(code: object) -> dict:
    """An answer with one of the service's own codes."""
    return {"errors": [{"code": code, "message": TOKEN, "solution": CRN}], "trace": "t"}


@pytest.mark.parametrize("status", [400, 403, 409, 429])
@pytest.mark.parametrize(
    ("code", "headers", "seconds"), [(3458, {}, 60.0), ("1012", {}, 60.0), (3458, {"Retry-After": "9"}, 9.0)]
)
def test_an_account_with_as_many_jobs_as_it_may_have_waits(status, code, headers, seconds, server, ibm, tag):
    server.faults = [Fault("POST /jobs", status=status, headers=headers, body=coded(code))]
    with pytest.raises(LaterError, match="as many jobs in queues as it may") as error:
        ibm.submit(order(tag))
    told(error)
    assert error.value.seconds == seconds
    with pytest.raises(LaterError):
        ibm.submit(order(tag))
    assert sent(server) == 1


@pytest.mark.parametrize("status", [400, 403])
def test_quantum_time_that_is_used_up_stops_everything(status, server, ibm, tag):
    server.faults = [Fault("POST /jobs", status=status, body=coded(4317))]
    with pytest.raises(AccountError, match=r"quantum time is used up \(error code 4317") as error:
        ibm.submit(order(tag))
    told(error)


@pytest.mark.parametrize("body", [b"", b"[]", {"errors": 7}, {"errors": [1, {"code": None}]}, coded("none")])
def test_a_refusal_without_a_code_is_one(body, server, ibm, tag):
    server.instead = {"POST /jobs": Reply(400, body)}
    with pytest.raises(RefusedError, match=r"refused the order \(status 400"):
        ibm.submit(order(tag))


def test_a_pause_until_a_date_is_kept_and_then_orders_go_on(server, ibm, tag):
    date = formatdate(time.time() + 2, usegmt=True)
    server.faults = [Fault("POST /jobs", status=429, headers={"Retry-After": date})]
    with pytest.raises(LaterError) as error:
        ibm.submit(order(tag))
    assert 1 <= error.value.seconds <= 3
    time.sleep(error.value.seconds)
    assert ibm.submit(order(tag))
    assert sent(server) == 2


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_clear_no_is_final(status, server, ibm, tag):
    server.faults = [Fault("POST /jobs", status=status, body=SECRETS)]
    with pytest.raises(RefusedError) as error:
        ibm.submit(order(tag))
    assert str(status) in told(error)
    assert sent(server) == 1


def test_an_firstthat_is_refused_stops_everything(server, ibm, tag):
    server.faults = [Fault("POST /jobs", status=403, body=SECRETS)]
    with pytest.raises(AccountError) as error:
        ibm.submit(order(tag))
    told(error)
    assert sent(server) == 1


def test_an_access_token_that_expired_is_renewed_once(server, ibm, tag):
    server.revoke()
    with pytest.raises(LaterError) as error:  # the order was not accepted: to send it again is the caller's
        ibm.submit(order(tag))
    told(error)
    assert error.value.seconds == 0.0
    assert ibm.submit(order(tag))
    assert (sent(server), server.queues.accepted[tag]) == (2, 1)
    server.faults = [Fault("POST /jobs", status=401, times=None)]
    with pytest.raises(LaterError):
        ibm.submit(order(f"{tag}-2"))
    with pytest.raises(AccountError):
        ibm.submit(order(f"{tag}-2"))


def test_without_an_access_token_nothing_is_sent(server, ibm, tag):
    server.revoke()
    with pytest.raises(LaterError):
        ibm.submit(order(tag))
    server.requests.clear()
    server.instead = {"POST /identity/token": Reply(503, SECRETS)}
    with pytest.raises(LaterError) as error:
        ibm.submit(order(tag))
    told(error)
    server.instead = {"POST /identity/token": Reply(400, SECRETS)}
    with pytest.raises(AccountError) as error:
        ibm.submit(order(tag))
    told(error)
    assert set(server.requests) == {"POST /identity/token"}
    server.instead = {}
    assert ibm.submit(order(tag))


def test_an_order_to_a_service_that_is_away_was_not_sent():
    with account() as server:
        ibm = executor()
        ibm.submit(order("first"))
    ibm.close()  # the connection that is open would still be served
    with pytest.raises(LaterError) as error:
        ibm.submit(order("second"))
    assert "nothing was sent" in told(error)
    assert server.queues.accepted["second"] == 0


def test_a_job_that_the_answer_names_is_taken_whatever_else_it_says(server, ibm, tag):
    answer = {"id": "d42", "backend": "elsewhere", "surprise": [1]}
    server.faults = [Fault("POST /jobs", status=201, body=answer)]
    assert ibm.submit(order(tag)) == "d42"
    server.faults = [Fault("POST /jobs", status=200, body={"id": "d43"})]
    assert ibm.submit(order(tag)) == "d43"


def test_what_is_sent_is_what_was_ordered(server, ibm, tag):
    job = server.queues.jobs[ibm.submit(order(tag, campaign="all", shots=77, max_seconds=12.3))]
    assert (job.backend, job.tags, job.shots, job.cost) == ("ibm_fez", ["all", tag], 77, 13)
    assert job.program == "executor"
    assert server.requests == ["POST /jobs"]


def test_a_closed_batch_is_replaced(server, first, tag):
    with another(first, batch=True) as ibm:
        first = server.queues.jobs[ibm.submit(order(f"{tag}-1"))]
        second = server.queues.jobs[ibm.submit(order(f"{tag}-2"))]
        other = server.queues.jobs[ibm.submit(order(f"{tag}-3", node="ibm_torino"))]
        assert first.session == second.session != other.session
        server.close_sessions()
        with pytest.raises(LaterError) as error:
            ibm.submit(order(f"{tag}-4"))
        told(error)
        third = server.queues.jobs[ibm.submit(order(f"{tag}-4"))]
        assert third.session not in {first.session, other.session, None}
        # A batch that takes nothing at all is no reason to open ever more.
        server.faults = [Fault("POST /jobs", status=400, times=None)]
        with pytest.raises(LaterError):
            ibm.submit(order(f"{tag}-5"))
        with pytest.raises(RefusedError):
            ibm.submit(order(f"{tag}-5"))
        assert server.queues.accepted[f"{tag}-5"] == 0
        server.requests.clear()
    assert [line.split("/")[0] for line in server.requests] == ["PATCH "]


def test_a_batch_that_cannot_be_opened_sends_nothing(server, first, tag):
    with another(first, batch=True) as ibm:
        server.faults = [Fault("POST /sessions", status=503, body=SECRETS)]
        with pytest.raises(LaterError) as error:
            ibm.submit(order(tag))
        told(error)
        # An account without batches: no order is to blame.
        server.faults = [Fault("POST /sessions", status=400, body=SECRETS)]
        with pytest.raises(AccountError, match=r"opens no batch .*status 400.* deploy\.mode=job") as error:
            ibm.submit(order(tag))
        told(error)
        assert sent(server, "POST /sessions") == 2
        assert sent(server) == 0
        assert ibm.submit(order(tag))


def test_machines_that_cannot_be_described_take_no_orders(tag):
    with account() as server, executor() as ibm:
        server.faults = [Fault("GET /backends/ibm_fez/properties", times=None)]
        with pytest.raises(LaterError) as error:
            ibm.submit(order(tag))
        told(error)
        server.faults = [Fault("GET /backends/ibm_fez/properties", status=404, times=None)]
        with pytest.raises(RefusedError) as error:
            ibm.submit(order(tag))
        told(error)
        assert sent(server) == 0
