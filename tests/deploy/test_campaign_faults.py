"""Whatever goes wrong, and wherever the process dies: no order is sent twice and no task is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from cases import examples
from cloud_in_memory import Crash, InMemory, Service, Watched
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from ibm_stand_in.oracle import Record, judge

from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.job_monitor import JobMonitor
from qexp.deploy.campaign.journal import UNSETTLED, Journal, State, Task
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.campaign.spend_guard import StoppedError
from qexp.deploy.deployment import Deployment
from qexp.deploy.executors.errors import (
    AccountError,
    LaterError,
    RefusedError,
    UndecodableError,
    UnreachableError,
    UnsureError,
)
from qexp.deploy.executors.executor import JobState
from qexp.deploy.simulator import Simulator
from qexp.placement.placement import Placement
from qexp.placement.schedulers.least_busy import LeastBusy
from qexp.placement.schedulers.mct import MCT

SCHEDULERS = {"mct": MCT(), "least_busy": LeastBusy()}


def make(scenario: Placement, service: Service, folder: Path, deployment: Deployment) -> Campaign:
    """Begin a campaign in a folder, or resume the one that is there."""
    plan = segments(scenario, deployment, list(SCHEDULERS))
    path = folder / "journal.db"
    if not path.exists():
        Journal.create(path, planned_tasks(plan, deployment), {"campaign": "qexp-test"}).close()
    executor = InMemory(service)
    executor.start(service.now)
    return Campaign(Watched(path, service), scenario, plan, SCHEDULERS, executor, deployment)


def check(campaign: Campaign, service: Service) -> None:
    """No order was accepted twice, every task is over, and the journal knows every job and its cost."""
    assert judge(campaign.journal, service.records).findings == []
    done = [task for task in campaign.tasks if task.state is State.DONE]
    assert all(task.counts and task.running is not None and task.finished is not None for task in done)


@pytest.fixture
def service(qce25: Placement) -> Service:
    return Service(qce25.fleet.names)


def once(where: str, error: Callable[[], BaseException], skip: int = 3) -> Callable[[str], None]:
    """Go wrong at the fourth question of a kind, and never again."""
    seen = {"count": 0}

    def trouble(question: str) -> None:
        if question == where:
            seen["count"] += 1
            if seen["count"] == skip + 1:
                raise error()

    return trouble


@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_deaths_and_faults_at_random_moments(qce25: Placement, tmp_path_factory, seed: int):
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("campaign")
    service = Service(qce25.fleet.names, hidden=float(rng.choice([0.0, 2.0])))
    faults = {
        "submit": [
            lambda: UnsureError("reset"),
            lambda: RefusedError("no"),
            lambda: LaterError("429", 7.0),
            Crash,
        ],
        "accepted": [lambda: UnsureError("503"), Crash],
        "find": [lambda: UnreachableError("503"), Crash],
        "poll": [lambda: UnreachableError("503"), Crash],
        "machines": [lambda: UnreachableError("503"), Crash],
        "counts": [lambda: UnreachableError("503"), Crash, lambda: UndecodableError("?")],
        "wait": [Crash],
        "commit": [Crash],
        "committed": [Crash],
    }

    def trouble(question: str) -> None:
        if question == "wait" and rng.random() < 0.05:
            service.closed = set(
                rng.choice(service.names, rng.integers(0, len(service.names) + 1), replace=False).tolist()
            )
        if question in faults and rng.random() < 0.08:
            kinds = faults[question]
            error = kinds[rng.integers(len(kinds))]()
            raise error

    service.trouble = trouble
    deployment = Simulator(
        tasks=6, block=3, retries=int(rng.choice([0, 1, 3])), settle=5.0, patience=1e6, clock="immediate"
    )
    campaign = make(qce25, service, folder, deployment)
    for _ in range(500):
        try:
            campaign.run()
            break
        except Crash:
            campaign.journal.close()
            service.now += float(rng.choice([0.0, 1.0, 30.0]))
            service.settle_queues()
            campaign = make(qce25, service, folder, deployment)
    check(campaign, service)
    campaign.journal.close()


def eventful(service: Service) -> Callable[[str], None]:
    """Return what happens to a campaign: much of what can, once each, always at the same moments."""
    seen: Counter[str] = Counter()

    def trouble(question: str) -> None:
        seen[question] += 1
        match question, seen[question]:
            case ("submit", 1) | ("accepted", 1 | 4):
                raise UnsureError("no answer")
            case "submit", 4:
                raise LaterError("too many", 2.0)
            case "submit", 6:
                raise RefusedError("not this one")
            case ("find", 2) | ("poll", 3) | ("machines", 3) | ("counts", 2):
                raise UnreachableError("away")
            case "poll", 6:
                for key in [key for key, job in service.jobs.items() if job.state == "queued"][-1:]:
                    InMemory(service).cancel(key)
            case "wait", 8:
                raise KeyboardInterrupt

    return trouble


def live(scenario: Placement, folder: Path, deaths: Collection[int], hidden: float) -> tuple[int, list[str]]:
    """Run a campaign whose process dies at some of all instants.

    Returns:
        How many instants there were, and what is wrong in the end.
    """
    service = Service(scenario.fleet.names, hidden=hidden)
    happens, instants = eventful(service), count()

    def trouble(question: str) -> None:
        if next(instants) in deaths:
            raise Crash
        happens(question)

    service.trouble = trouble
    deployment = Simulator(tasks=3, block=3, retries=3, settle=3.0, clock="immediate")
    while True:
        campaign = make(scenario, service, folder, deployment)
        with closing(campaign.journal), suppress(Crash):
            try:
                campaign.run()
            except KeyboardInterrupt:
                campaign.cancel_queued()
            else:
                return next(instants), judge(campaign.journal, service.records).findings
        service.now += 1.0
        service.settle_queues()


@pytest.mark.slow
def test_the_process_dies_at_every_commit_and_every_call_in_turn(qce25, tmp_path):
    def run(death: int) -> tuple[int, list[str]]:
        (folder := tmp_path / str(death)).mkdir()
        return live(qce25, folder, {death}, hidden=1.0)

    instants, wrong = run(-1)
    assert wrong == []
    assert instants > 150
    assert {death: wrong for death in range(instants) if (wrong := run(death)[1])} == {}


@pytest.mark.slow
def test_the_process_dies_again_and_again(qce25, tmp_path):
    rng = np.random.default_rng(0)
    wrong = {}
    for number in range(100):
        (folder := tmp_path / str(number)).mkdir()
        deaths = set(rng.integers(0, 300, 6).tolist())
        wrong[number] = live(qce25, folder, deaths, float(rng.choice([0.0, 1.0, 2.0])))[1]
    assert {number: findings for number, findings in wrong.items() if findings} == {}


@pytest.mark.parametrize("where", ["submit", "accepted"])
def test_an_order_of_unknown_fate_is_looked_up_before_it_is_repeated(qce25, service, tmp_path, where):
    service.trouble = once(where, lambda: UnsureError("the connection was reset"))
    campaign = make(qce25, service, tmp_path, Simulator(tasks=6, settle=2.0))
    campaign.run()
    check(campaign, service)
    assert all(task.state is State.DONE and task.attempt == 1 for task in campaign.tasks)
    states = [event[3] for event in campaign.journal.events()]
    assert states.count("unknown") == 1


def test_a_second_unclear_order_of_a_task_is_waited_for_like_the_first(qce25, tmp_path):
    service = Service(qce25.fleet.names, hidden=0.5)
    seen: list[str] = []

    def trouble(question: str) -> None:
        # The first order does not arrive; the second does, and its answer does not.
        seen.append(question)
        if question == "submit" and seen.count("submit") == 1:
            raise UnsureError("503")
        if question == "accepted" and seen.count("accepted") == 1:
            raise UnsureError("502")

    service.trouble = trouble
    campaign = make(qce25, service, tmp_path, Simulator(tasks=1, settle=3.0, block=1))
    campaign.run()
    check(campaign, service)
    assert len(service.jobs) == len(campaign.tasks)


def under_a_new_tag(monitor: JobMonitor, tasks: Sequence[Task]) -> None:
    """Send each unclear order again at once, under a tag that was not used before."""
    for task in tasks:
        if task.state in UNSETTLED:
            task.attempt += 1
            monitor._transitions.withdraw(task, "sent again at once")


def under_the_same_tag(monitor: JobMonitor, tasks: Sequence[Task]) -> None:
    """Send each unclear order again at once."""
    for task in tasks:
        if task.state in UNSETTLED:
            monitor._transitions.withdraw(task, "sent again at once")


def given_up(monitor: JobMonitor, tasks: Sequence[Task]) -> None:
    """Take each unclear order for one that did not arrive, and the task for failed."""
    for task in tasks:
        if task.state in UNSETTLED:
            monitor._transitions.fail(task, "it is not known whether the order arrived")


@pytest.mark.parametrize(
    ("mutant", "wrong"),
    [(under_a_new_tag, "twice"), (under_the_same_tag, "twice"), (given_up, "lost")],
)
def test_campaigns_that_are_wrong_on_purpose_are_found_out(
    qce25, service, tmp_path, monkeypatch, mutant, wrong
):
    monkeypatch.setattr(JobMonitor, "settle", mutant)
    service.trouble = once("accepted", lambda: UnsureError("502"))
    campaign = make(qce25, service, tmp_path, Simulator(tasks=6, settle=2.0))
    campaign.run()
    verdict = judge(campaign.journal, service.records)
    assert len(getattr(verdict, wrong)) == 1


def test_the_oracle_takes_attempts_one_after_the_other_for_what_they_are(tmp_path):
    task = Task(0, 0, 0, "mct", 0, "ghz_3", 3, 4, 100, 0.0)
    Journal.create(tmp_path / "journal.db", [task], {"campaign": "c"}).close()
    cancelled = Record("a", "c-0-1", accepted=1.0, over=4.0, done=False, charged=1.5)
    with Journal(tmp_path / "journal.db") as journal:
        for attempt, job in ((1, "a"), (2, "b")):
            task.state, task.attempt, task.job = State.SUBMITTED, attempt, job
            journal.save(task, 5.0, f"job {job}")
        task.state, task.spent, task.quantum_seconds = State.DONE, 1.5, 2.0
        journal.save(task, 8.0)
        second = Record("b", "c-0-2", accepted=4.0, over=7.0, done=True, charged=2.0)
        assert judge(journal, [cancelled, second]).findings == []
        early = replace(second, accepted=3.9)
        assert len(judge(journal, [cancelled, early]).twice) == 1
        assert len(judge(journal, [replace(cancelled, over=None), second]).twice) == 1
        assert len(judge(journal, [cancelled, replace(second, done=False)]).lost) == 1
        assert len(judge(journal, [cancelled]).lost) == 1
        assert len(judge(journal, [cancelled, replace(second, charged=2.1)]).charges) == 1
        assert len(judge(journal, [cancelled, second, replace(second, id="z", tag="c-1-1")]).unseen) == 1


def test_a_pause_the_service_asks_for_is_kept(qce25, service, tmp_path):
    paused = {}

    def trouble(question: str) -> None:
        if question != "submit":
            return
        if not paused:
            paused["at"] = service.now
            raise LaterError("too many requests", 20.0)
        assert service.now >= paused["at"] + 20.0

    service.trouble = trouble
    campaign = make(qce25, service, tmp_path, Simulator(tasks=3, clock="immediate"))
    campaign.run()
    check(campaign, service)


def test_a_refused_account_stops_the_campaign_and_it_goes_on_later(qce25, service, tmp_path):
    service.trouble = once("submit", lambda: AccountError("the account was refused"))
    campaign = make(qce25, service, tmp_path, Simulator(tasks=6))
    with pytest.raises(StoppedError, match="the account was refused"):
        campaign.run()
    assert not any(task.state is State.SUBMITTING for task in campaign.journal.tasks())
    campaign.journal.close()
    campaign = make(qce25, service, tmp_path, Simulator(tasks=6))
    campaign.run()
    check(campaign, service)


def test_a_machine_in_maintenance_gets_no_order(qce25, service, tmp_path):
    service.closed = {"hanoi", "kolkata", "washington"}
    campaign = make(qce25, service, tmp_path, Simulator(tasks=10, patience=30.0))
    campaign.run()
    check(campaign, service)
    for task in campaign.tasks:
        if task.width > 7:
            assert (task.state, task.node) == (State.FAILED, None)
            assert "deploy.patience" in task.error
        else:
            assert task.node in {"perth", "lagos"}


@pytest.mark.parametrize(("retries", "ending"), [(0, State.CANCELLED), (1, State.DONE)])
def test_a_job_cancelled_by_others_is_placed_anew_so_often(qce25, service, tmp_path, retries, ending):
    campaign = make(qce25, service, tmp_path, Simulator(tasks=4, retries=retries))
    cancelled = []

    def trouble(question: str) -> None:
        if question == "poll" and not cancelled:
            waiting = [key for key, job in service.jobs.items() if job.state == "queued"]
            if waiting and InMemory(service).cancel(waiting[0]):
                cancelled.append(service.orders[waiting[0]].tag)

    service.trouble = trouble
    campaign.run()
    check(campaign, service)
    task = campaign.tasks[int(cancelled[0].split("-")[-2])]
    assert task.state is ending
    assert task.attempt == 1 + retries


def test_the_bill_of_a_cancelled_job_is_waited_for(qce25, service, tmp_path):
    campaign = make(qce25, service, tmp_path, Simulator(tasks=2, retries=1, settle=5.0))
    cancelled: dict[str, float] = {}

    def trouble(question: str) -> None:
        running = [key for key, job in service.jobs.items() if job.state == "running"]
        if question == "poll" and running and not cancelled:
            cancelled[running[0]] = service.now
            job = service.jobs[running[0]]
            service.jobs[running[0]] = replace(job, state=JobState.CANCELLED, finished=service.now)
        for key, since in cancelled.items():
            if service.now > since + 2.0:
                service.jobs[key] = replace(service.jobs[key], quantum_seconds=1.25)

    service.trouble = trouble
    campaign.run()
    assert len(cancelled) == 1
    check(campaign, service)


def test_a_result_that_cannot_be_read_fails_its_task_alone(qce25, service, tmp_path):
    def trouble(question: str) -> None:
        if question == "counts" and len(service.jobs) == 2:
            raise UndecodableError("not a result")

    service.trouble = trouble
    campaign = make(qce25, service, tmp_path, Simulator(tasks=5))
    campaign.run()
    check(campaign, service)
    failed = [task for task in campaign.tasks if task.state is State.FAILED]
    assert all("cannot be read" in task.error for task in failed)
    assert len(failed) < len(campaign.tasks)


def test_silence_ends_a_campaign_after_its_patience(qce25, service, tmp_path):
    def trouble(question: str) -> None:
        if question == "poll":
            raise UnreachableError("no connection")

    service.trouble = trouble
    campaign = make(qce25, service, tmp_path, Simulator(tasks=3, patience=50.0))
    with pytest.raises(StoppedError, match=r"deploy\.patience"):
        campaign.run()
