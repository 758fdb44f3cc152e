"""What is learned of jobs and machines at IBM Quantum, whatever goes wrong and whatever is missing."""

from __future__ import annotations

import time
from functools import partial

import pytest
from ibm_account import NODES, SECRETS, Fault, another, finish, order, sent, told
from ibm_stand_in import Reply

from qexp.deploy.executors.errors import AccountError, UndecodableError, UnreachableError
from qexp.deploy.executors.executor import JobState, Machine

SILENT = {
    "errors": Fault(r"GET /jobs.*", times=None, body=SECRETS),
    "too many": Fault(r"GET /jobs.*", status=429, times=None, headers={"Retry-After": "3600"}, body=SECRETS),
    "a cut connection": Fault(r"GET /jobs.*", kind="reset", times=None),
    "silence": Fault(r"GET /jobs.*", kind="stall", seconds=2, times=None),
    "no JSON": Fault(r"GET /jobs.*", kind="malformed", times=None),
    "half an answer": Fault(r"GET /jobs.*", kind="truncated", times=None),
    "another shape": Fault(r"GET /jobs.*", status=200, body=[1], times=None),
    "no list": Fault(r"GET /jobs.*", status=200, body={"state": 1, "jobs": None}, times=None),
}


@pytest.mark.parametrize("case", SILENT)
def test_no_answer_is_no_news(case, server, first, tag):
    with another(first, timeout=0.3 if case == "silence" else 20.0) as ibm:
        job = ibm.submit(order(tag))
        server.faults = [SILENT[case]]
        begun = time.monotonic()
        with pytest.raises(UnreachableError) as error:
            ibm.find(tag)
        assert ("no answer in deploy.timeout seconds" in told(error)) is (case == "silence")
        time.sleep(0.02)
        if case != "no list":  # a description of a job that says nothing sensible of its state is an answer
            with pytest.raises(UnreachableError) as error:
                ibm.poll([job])
            told(error)
        assert time.monotonic() - begun < 15
        server.faults = []
        assert finish(ibm, job).state is JobState.DONE


def test_a_question_is_repeated_a_little(server, ibm, tag):
    ibm.submit(order(tag))
    server.faults = [Fault("GET /jobs", times=2)]
    assert [job.tag for job in ibm.find(tag)] == [tag]
    assert sent(server, "GET /jobs") == 3


def test_an_expired_access_token_is_nothing_that_anybody_notices(server, ibm, tag):
    job = ibm.submit(order(tag))
    server.revoke()
    assert [job.tag for job in ibm.find(tag)] == [tag]
    server.revoke()
    ibm.cancel(job)
    assert server.queues.jobs[job].final


def test_access_tokens_are_renewed_in_time(server, ibm, tag):
    ibm.submit(order(tag))
    server.token_seconds = 1
    server.revoke()
    server.requests.clear()
    for _ in range(5):
        assert [job.tag for job in ibm.find(tag)] == [tag]
        time.sleep(0.5)
    server.token_seconds = 3600
    assert 2 <= sent(server, "POST /identity/token") <= 6


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_account_is_told_apart_from_silence(status, server, ibm, tag):
    job = ibm.submit(order(tag))
    everything = r"(GET|POST) /(jobs|backends|instances).*"
    server.faults = [Fault(everything, status=status, times=None, body=SECRETS)]
    of_jobs = [partial(ibm.find, tag), partial(ibm.counts, job), partial(ibm.cancel, job)]
    for question in (ibm.machines, ibm.quantum_seconds_left, *of_jobs):
        with pytest.raises(AccountError) as error:
            question()
        told(error)


def test_jobs_are_listed_together_and_measured_once(server, ibm, tag):
    server.devices[0].operational = False
    jobs = [ibm.submit(order(f"{tag}-{i}", campaign=tag)) for i in range(5)]
    time.sleep(0.02)
    server.requests.clear()
    assert {job.state for job in ibm.poll(jobs)} == {JobState.QUEUED}
    assert server.requests == ["GET /jobs"]
    server.devices[0].operational = True
    done = [finish(ibm, job) for job in jobs]
    assert all(job.finished - job.running == pytest.approx(0.01, abs=1e-3) for job in done)  # 1 s, 100-fold
    assert {job.quantum_seconds for job in done} == {1.0}
    server.requests.clear()
    assert ibm.poll(jobs) == done
    assert server.requests == []
    assert [job.state for job in ibm.find(tag)] == [JobState.DONE] * 5


def test_of_jobs_that_nobody_asks_about_only_the_list_is_read(server, first, ibm, tag):
    jobs = [ibm.submit(order(f"{tag}-{i}", campaign=tag)) for i in range(5)]
    done = [finish(ibm, job) for job in jobs]
    with another(first) as resumed:
        server.requests.clear()
        assert [job.state for job in resumed.find(tag)] == [JobState.DONE] * 5
        assert server.requests == ["GET /jobs"]
        resumed.start(ibm.now())
        [job] = resumed.poll(jobs[:1])
        assert server.requests == ["GET /jobs", f"GET /jobs/{jobs[0]}/metrics"]
        assert job.quantum_seconds == 1.0
        assert job.finished - job.running == pytest.approx(done[0].finished - done[0].running)


def test_when_a_job_began_is_known_while_it_runs(server, ibm, tag):
    server.queues.run_seconds = (60.0, 60.0)  # 0.6 s of ours
    job = ibm.submit(order(tag))
    server.queues.run_seconds = (1.0, 1.0)
    while (seen := ibm.poll([job])[0]).state is not JobState.RUNNING:
        time.sleep(0.02)
    begun = server.queues.jobs[job].running
    assert seen.running == pytest.approx(begun - time.time() + ibm.now(), abs=0.05)
    assert (seen.finished, seen.quantum_seconds) == (None, None)
    for _ in range(3):
        time.sleep(0.02)
        ibm.poll([job])
    assert sent(server, f"GET /jobs/{job}/metrics") == 1
    done = finish(ibm, job)
    assert (done.state, done.running, done.quantum_seconds) == (JobState.DONE, seen.running, 60.0)


def test_a_job_that_does_not_say_when_it_began_runs_all_the_same(server, ibm, tag):
    server.queues.run_seconds = (30.0, 30.0)
    job = ibm.submit(order(tag))
    server.queues.run_seconds = (1.0, 1.0)
    server.omit = {"timestamps"}
    while (seen := ibm.poll([job])[0]).state is not JobState.RUNNING:
        time.sleep(0.02)
    assert seen.running is None
    server.omit = set()
    assert finish(ibm, job).running is not None


def test_a_bill_that_comes_late_is_read(server, ibm, tag):
    server.queues.bill_after = 0.4
    job = ibm.submit(order(tag))
    done = finish(ibm, job)
    assert (done.state, done.quantum_seconds) == (JobState.DONE, None)
    assert done.finished - done.running == pytest.approx(0.01, abs=1e-3)
    asked = sent(server, f"GET /jobs/{job}/metrics")
    time.sleep(0.02)
    assert ibm.poll([job]) == [done]  # neither more nor less is known
    assert sent(server, f"GET /jobs/{job}/metrics") == asked + 1
    time.sleep(0.5)
    [billed] = ibm.poll([job])
    assert (billed.state, billed.quantum_seconds, billed.finished) == (JobState.DONE, 1.0, done.finished)
    server.requests.clear()
    time.sleep(0.02)
    assert ibm.poll([job]) == [billed]
    assert server.requests == []  # nothing is left to ask


def test_a_bill_is_asked_for_no_more_often_than_jobs_are(server, first, tag):
    server.queues.bill_after = 60.0
    with another(first, poll_interval=60.0) as ibm:
        job = ibm.submit(order(tag))
        time.sleep(0.1)
        ibm._jobs[job].asked = -float("inf")
        for _ in range(5):
            assert [seen.state for seen in ibm.poll([job])] == [JobState.DONE]
        assert sent(server, f"GET /jobs/{job}/metrics") == 1


def test_lists_are_read_to_their_ends(server, ibm, tag):
    server.page = 2
    jobs = [ibm.submit(order(f"{tag}-{i}", campaign=tag)) for i in range(5)]
    assert [job.id for job in ibm.find(tag)] == jobs
    assert [job.tag for job in ibm.find(tag)] == [f"{tag}-{i}" for i in range(5)]
    server.page = 200


def test_looks_at_jobs_are_rare(server, first, tag):
    with another(first, poll_interval=60.0) as ibm:
        job = ibm.submit(order(tag))
        server.requests.clear()
        for _ in range(5):
            assert [seen.state for seen in ibm.poll([job])] == [JobState.QUEUED]
        assert server.requests == []


def test_a_job_that_is_not_listed_yet_is_asked_for_itself(server, ibm, tag):
    server.queues.hidden = 60.0
    jobs = [ibm.submit(order(f"{tag}-{i}", campaign=tag)) for i in range(2)]
    assert [finish(ibm, job).state for job in jobs] == [JobState.DONE] * 2
    assert ibm.find(tag) == []


def test_times_that_cannot_be_had_do_not_hold_a_job_up_for_ever(server, ibm, tag):
    job = ibm.submit(order(tag))
    server.faults = [Fault("GET /jobs/.*/metrics", times=None)]
    done = finish(ibm, job)
    assert (done.state, done.running, done.quantum_seconds) == (JobState.DONE, None, None)
    assert done.created is not None


@pytest.mark.parametrize(
    "field", ["status", "state", "tags", "created", "timestamps", "usage", "program", "count"]
)
def test_no_field_is_needed(field, server, ibm, tag):
    server.omit = {field}
    job = ibm.submit(order(tag))
    done = finish(ibm, job)
    assert (done.state, done.tag) == (JobState.DONE, tag)
    assert [found.id for found in ibm.find(tag)] == [job]
    assert sum(ibm.counts(job).values()) == 100


def test_lists_that_say_nothing_but_ids_will_do(server, ibm, tag):
    server.brief = True
    jobs = [ibm.submit(order(f"{tag}-{i}", campaign=tag)) for i in range(3)]
    assert [finish(ibm, job).state for job in jobs] == [JobState.DONE] * 3
    assert [job.id for job in ibm.find(tag)] == jobs
    [found] = ibm.find(f"{tag}-1")
    assert (found.id, found.tag) == (jobs[1], f"{tag}-1")


FATES = {
    "failed": (JobState.FAILED, "the job failed at the service (error code 1517)", 1.0),
    "cancelled": (JobState.CANCELLED, None, 0.5),
}


@pytest.mark.parametrize("fate", FATES)
def test_jobs_that_come_to_nothing(fate, server, ibm, tag):
    server.queues.fates = {fate: 1.0}
    job = finish(ibm, ibm.submit(order(tag)))
    assert (job.state, job.error, job.quantum_seconds) == FATES[fate]


def test_a_job_that_ran_too_long_failed(server, ibm, tag):
    server.queues.run_seconds = (5.0, 5.0)
    job = finish(ibm, ibm.submit(order(tag, max_seconds=2.0)))
    server.queues.run_seconds = (1.0, 1.0)
    assert (job.state, job.quantum_seconds) == (JobState.FAILED, 2.0)
    assert "too long" in job.error


def test_a_job_that_is_deleted_is_left_out(server, ibm, tag):
    job = ibm.submit(order(tag))
    time.sleep(0.02)
    server.queues.remove(server.queues.jobs[job])
    assert ibm.poll([job]) == []


def test_nonsense_is_not_taken_for_counts(server, ibm, tag):
    server.queues.fates = {"undecodable": 1.0}
    job = ibm.submit(order(tag))
    finish(ibm, job)
    with pytest.raises(UndecodableError) as error:
        ibm.counts(job)
    told(error)
    for body in (b"", b"[]", b'"text"', b'{"schema_version": "v99"}', b'{"a": 1}', b"\xff"):
        server.instead = {r"GET /jobs/.*/results": Reply(200, body)}
        with pytest.raises(UndecodableError) as error:
            ibm.counts(job)
        told(error)
    server.instead = {r"GET /jobs/.*/results": Reply(503, SECRETS)}
    with pytest.raises(UnreachableError):
        ibm.counts(job)


def test_cancelling(server, ibm, tag):
    server.devices[0].operational = False
    job = ibm.submit(order(tag))
    server.faults = [Fault("POST /jobs/.*/cancel", body=SECRETS)]
    with pytest.raises(UnreachableError) as error:
        ibm.cancel(job)
    told(error)
    assert ibm.cancel(job) is True
    assert finish(ibm, job).state is JobState.CANCELLED
    assert ibm.cancel(job) is False
    assert ibm.cancel("no-such-job") is False


def test_machines_close_open_and_vanish(server, ibm):
    server.devices[0].pending = 4
    fez, torino = ibm.machines()
    assert fez == Machine(NODES[0], True, "active", 4)
    assert torino == Machine(NODES[1], True, "active", 0)
    server.devices[0].status = "internal"  # online, and works nothing off
    server.devices[1].operational, server.devices[1].status = False, "maintenance"
    assert [(machine.open, machine.status) for machine in ibm.machines()] == [
        (False, "internal"),
        (False, "maintenance"),
    ]
    server.devices[0].status = "active"
    gone = server.devices.pop()
    assert [machine.name for machine in ibm.machines()] == [NODES[0]]
    server.devices.append(gone)


READINGS = {"zero": 0, "null": None, "missing": None, "true": 3}


@pytest.mark.parametrize("reading", READINGS)
def test_queue_lengths_are_passed_on_as_they_are(reading, server, ibm, tag):
    server.devices[0].pending, server.devices[0].reading = 3, reading
    pending = READINGS[reading]
    assert ibm.machines()[0].pending == pending
    # The same where the list says nothing and each machine is asked.
    server.instead = {"GET /backends": Reply(404)}
    assert ibm.machines()[0] == Machine(NODES[0], True, "active", pending)
    # And whatever is read, jobs are sent: the client alone would stop at a length that is null.
    assert ibm.submit(order(tag))


def test_a_machine_that_cannot_be_read_is_left_out(server, ibm):
    server.instead = {
        "GET /backends": Reply(200, {"devices": [{"name": NODES[0]}, {"name": NODES[1], "status": {}}, 7]}),
        f"GET /backends/{NODES[1]}/status": Reply(503, SECRETS),
    }
    assert [machine.name for machine in ibm.machines()] == [NODES[0]]
    server.instead = {"GET /backends": Reply(503, SECRETS)}
    with pytest.raises(UnreachableError) as error:
        ibm.machines()
    told(error)


def test_looks_at_machines_are_rare(server, first):
    with another(first, status_interval=60.0) as ibm:
        assert ibm.machines() == ibm.machines()
        assert server.requests == ["GET /backends"]


def test_what_is_left_of_the_plan(server, ibm):
    assert 0.0 < ibm.quantum_seconds_left() <= 600.0
    for body, left in (
        ({"usage_consumed_seconds": 12, "usage_limit_seconds": 30}, 18.0),
        ({"usage_consumed_seconds": 12}, None),
        ({"usage_consumed_seconds": 12, "usage_allocation_seconds": 30}, 18.0),
        ({"usage_consumed_seconds": 12, "usage_limit_seconds": 30, "usage_limit_reached": True}, 0.0),
        ({"usage_consumed_seconds": 12, "usage_limit_reached": None}, None),
        ({"usage_limit_reached": True}, 0.0),
        ({}, None),
        ([], None),
    ):
        server.instead = {"GET /instances/usage": Reply(200, body)}
        assert ibm.quantum_seconds_left() == left
