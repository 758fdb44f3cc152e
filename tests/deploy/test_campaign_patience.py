"""What a campaign waits for, how long, and what it may cost meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cloud_in_memory import InMemory, Service

from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.journal import Journal, State
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.campaign.spend_guard import Guard, StoppedError, spent
from qexp.deploy.deployment import Deployment
from qexp.deploy.executors.errors import LaterError, UnreachableError, UnsureError
from qexp.deploy.executors.executor import Job, JobState
from qexp.deploy.simulator import Simulator
from qexp.placement.placement import Placement
from qexp.placement.schedulers.mct import MCT
from qexp.placement.schedulers.random import Random
from qexp.placement.schedulers.round_robin import RoundRobin


@dataclass
class Limited(Simulator):
    limits: Guard = field(default_factory=Guard)

    @property
    def guard(self) -> Guard:
        return self.limits


class Billing(InMemory):
    """Bills so many seconds for a job, so long after its end."""

    def __init__(self, service: Service, charge: float, late: float, left: float | None = None) -> None:
        super().__init__(service)
        self.charge, self.late, self.left = charge, late, left

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        return [replace(job, quantum_seconds=self.bill(job)) for job in super().poll(jobs)]

    def bill(self, job: Job) -> float | None:
        over = job.finished is not None and job.state is JobState.DONE
        return self.charge if over and self.service.now >= job.finished + self.late else None

    @property
    def charged(self) -> float:
        return self.charge * sum(job.state is JobState.DONE for job in self.service.jobs.values())

    def quantum_seconds_left(self) -> float | None:
        return None if self.left is None else self.left - self.charged


@pytest.fixture
def service(qce25: Placement) -> Service:
    return Service(qce25.fleet.names)


def make(
    scenario: Placement, executor: InMemory, folder: Path, deployment: Deployment, scheduler=None
) -> Campaign:
    plan = segments(scenario, deployment, ["mct"])
    path = folder / "journal.db"
    if not path.exists():
        Journal.create(path, planned_tasks(plan, deployment), {"campaign": "qexp-test"}).close()
    executor.start(executor.service.now)
    return Campaign(Journal(path), scenario, plan, {"mct": scheduler or MCT()}, executor, deployment)


def test_a_second_unclear_order_is_waited_for_as_long_as_the_first(qce25, service, tmp_path):
    service.hidden = 2.0
    orders = []

    def trouble(question: str) -> None:
        if question == "submit":
            orders.append(question)
        if question == "submit" and len(orders) == 1:
            raise UnsureError("503, and it was not accepted")
        if question == "accepted" and len(orders) == 2:
            raise UnsureError("502, and it was")

    service.trouble = trouble
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=1, settle=5.0))
    campaign.run()
    assert max(service.accepted.values()) == 1
    assert campaign.tasks[0].state is State.DONE


def test_an_order_that_turns_up_too_late_is_cancelled_or_paid_for(qce25, service, tmp_path):
    service.hidden, service.service = 8.0, 30.0
    seen = []

    def trouble(question: str) -> None:
        if question == "accepted" and not seen:
            seen.append(question)
            raise UnsureError("502, and it was accepted")

    service.trouble = trouble
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=1, settle=3.0))
    campaign.run()
    assert len(service.jobs) == 2  # no finite wait can exclude it
    charged = sum(job.quantum_seconds or 0.0 for job in service.jobs.values())
    assert spent(campaign.tasks)[1] == pytest.approx(charged)
    assert [event[3] for event in campaign.journal.events()].count("twice") == 1


@pytest.mark.parametrize("late", [0.0, 6.0, 200.0])
def test_what_is_charged_stays_below_the_limit_whatever_the_estimate(qce25, service, tmp_path, late):
    executor = Billing(service, charge=9.0, late=late)
    limits = Guard(max_quantum_seconds=50.0, most=10.0)
    campaign = make(
        qce25, executor, tmp_path, Limited(tasks=10, limits=limits, settle=10.0, clock="immediate")
    )
    with pytest.raises(StoppedError, match=r"deploy\.max_quantum_seconds=50"):
        campaign.run()
    assert 36.0 <= executor.charged <= 50.0
    if late < 200.0:
        assert spent(campaign.tasks)[1] == pytest.approx(executor.charged)


def test_bills_are_waited_for_where_they_leave_room(qce25, service, tmp_path):
    executor = Billing(service, charge=1.0, late=2.0)
    limits = Guard(max_quantum_seconds=22.0, most=10.0)
    campaign = make(
        qce25, executor, tmp_path, Limited(tasks=8, limits=limits, settle=10.0, clock="immediate")
    )
    campaign.run()
    assert all(task.state is State.DONE for task in campaign.tasks)
    assert spent(campaign.tasks) == (8, pytest.approx(8.0))


def test_what_the_account_has_left_is_a_limit_too(qce25, service, tmp_path):
    executor = Billing(service, charge=9.0, late=0.0, left=25.0)
    limits = Guard(max_quantum_seconds=500.0, most=10.0)
    campaign = make(qce25, executor, tmp_path, Limited(tasks=8, limits=limits, clock="immediate"))
    with pytest.raises(StoppedError, match="the account had left"):
        campaign.run()
    assert executor.charged <= 25.0


def test_a_task_without_a_machine_holds_up_no_other(qce25, service, tmp_path):
    wide = [name for name, qubits in zip(qce25.fleet.names, qce25.fleet.qubits, strict=True) if qubits > 7]
    service.closed = set(wide)

    def trouble(question: str) -> None:
        if service.now > 600.0:
            service.closed = set()

    service.trouble = trouble
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=25))
    campaign.run()
    assert all(task.state is State.DONE for task in campaign.tasks)
    narrow = [task for task in campaign.tasks if task.width <= 7]
    assert narrow
    assert all(task.decided - task.arrival < 1.0 for task in narrow)


def test_patience_for_a_machine_begins_when_the_wait_does(qce25, service, tmp_path):
    service.now = 4000.0
    service.closed = set(service.names)

    def trouble(question: str) -> None:
        if service.now > 4010.0:
            service.closed = set()

    service.trouble = trouble
    deployment = Simulator(tasks=5, patience=30.0, clock="immediate")
    campaign = make(qce25, InMemory(service), tmp_path, deployment)
    campaign.journal.begin_segment(0, 0.0)  # the tasks arrived more than an hour ago
    campaign.run()
    assert all(task.state is State.DONE for task in campaign.tasks)


def test_a_result_that_never_comes_fails_its_task_alone(qce25, service, tmp_path):
    class Broken(InMemory):
        def counts(self, job: str) -> dict[str, int]:
            if job == "job-1":
                raise UnreachableError("500")
            return {"00": 1024}

    campaign = make(qce25, Broken(service), tmp_path, Simulator(tasks=4, patience=60.0))
    campaign.run()
    assert [task.state for task in campaign.tasks].count(State.FAILED) == 1
    assert [task.state for task in campaign.tasks].count(State.DONE) == 3


def test_a_service_that_puts_off_every_order_stops_the_campaign(qce25, service, tmp_path):
    def trouble(question: str) -> None:
        if question == "submit":
            raise LaterError("429", 20.0)

    service.trouble = trouble
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=2, patience=100.0))
    with pytest.raises(StoppedError, match=r"deploy\.patience"):
        campaign.run()
    assert service.now < 1000.0
    assert all(task.state is State.PLANNED for task in campaign.tasks)


def test_no_more_jobs_than_allowed(qce25, service, tmp_path):
    campaign = make(qce25, InMemory(service), tmp_path, Limited(tasks=10, limits=Guard(max_jobs=7)))
    with pytest.raises(StoppedError, match=r"deploy\.max_jobs=7"):
        campaign.run()
    assert len(service.jobs) == spent(campaign.tasks)[0] == 7
    assert not any(task.state in {State.QUEUED, State.RUNNING} for task in campaign.tasks)


def test_queued_jobs_can_be_cancelled_and_their_tasks_are_planned_again(qce25, service, tmp_path):
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=20, clock="immediate"))
    service.service = 1000.0
    rounds = []

    def trouble(question: str) -> None:
        rounds.append(question)
        if question == "wait" and rounds.count("wait") == 3:
            raise KeyboardInterrupt

    service.trouble = trouble
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    waiting = sum(task.state in {State.SUBMITTED, State.QUEUED} for task in campaign.tasks)
    assert campaign.cancel_queued() == waiting > 0
    assert sum(job.state == "cancelled" for job in service.jobs.values()) == waiting
    service.service, service.trouble = 3.0, lambda _: None
    campaign.journal.close()
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=20, clock="immediate"))
    campaign.run()
    assert max(service.accepted.values()) == 1
    assert all(task.state is State.DONE for task in campaign.tasks)


def test_a_cancellation_at_the_users_wish_is_no_retry(qce25, service, tmp_path):
    service.service = 1000.0
    rounds = []

    def trouble(question: str) -> None:
        rounds.append(question)
        if question == "wait" and rounds.count("wait") == 3:
            raise KeyboardInterrupt

    service.trouble = trouble
    deployment = Simulator(tasks=12, clock="immediate", retries=0)
    campaign = make(qce25, InMemory(service), tmp_path, deployment)
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    assert campaign.cancel_queued() > 0
    campaign.journal.close()
    service.service, service.trouble = 3.0, lambda _: None
    campaign = make(qce25, InMemory(service), tmp_path, deployment)
    campaign.run()
    assert all(task.state is State.DONE for task in campaign.tasks)


def test_an_interrupt_in_the_middle_of_cancelling_loses_no_task(qce25, service, tmp_path):
    """The second Ctrl-C comes after the service has cancelled, and before the journal knows of it."""
    service.service = 1000.0
    deployment = Simulator(tasks=12, clock="immediate", retries=0)
    campaign = make(qce25, InMemory(service), tmp_path, deployment)
    rounds = []

    def trouble(question: str) -> None:
        rounds.append(question)
        if question == "wait" and rounds.count("wait") == 3:
            raise KeyboardInterrupt

    service.trouble = trouble
    with pytest.raises(KeyboardInterrupt):
        campaign.run()

    class Interrupted(InMemory):
        def cancel(self, job: str) -> bool:
            super().cancel(job)
            raise KeyboardInterrupt

    service.trouble = lambda _: None
    campaign.executor = Interrupted(service)
    with pytest.raises(KeyboardInterrupt):
        campaign.cancel_queued()
    campaign.journal.close()
    service.service = 3.0
    campaign = make(qce25, InMemory(service), tmp_path, deployment)
    campaign.run()
    assert all(task.state is State.DONE for task in campaign.tasks)


@pytest.mark.parametrize("scheduler", [RoundRobin, Random])
def test_a_resumed_campaign_goes_on_with_the_schedulers_turn(qce25, tmp_path, scheduler):
    def nodes(folder: str, stop: bool) -> list[str | None]:
        service = Service(qce25.fleet.names)
        (tmp_path / folder).mkdir()
        deployment = Simulator(tasks=20)

        def trouble(question: str) -> None:
            if question == "wait" and len(service.jobs) == 9:
                raise KeyboardInterrupt

        if stop:
            service.trouble = trouble
            campaign = make(qce25, InMemory(service), tmp_path / folder, deployment, scheduler())
            with pytest.raises(KeyboardInterrupt):
                campaign.run()
            campaign.journal.close()
            service.trouble = lambda _: None
        campaign = make(qce25, InMemory(service), tmp_path / folder, deployment, scheduler())
        campaign.run()
        return [task.node for task in campaign.tasks]

    assert nodes("whole", stop=False) == nodes("resumed", stop=True)


def test_a_journal_of_an_earlier_version_is_gone_on_with(qce25, service, tmp_path):
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=3))
    campaign.journal._db.execute("ALTER TABLE task DROP COLUMN excused")
    campaign.journal._db.commit()
    campaign.journal.close()
    campaign = make(qce25, InMemory(service), tmp_path, Simulator(tasks=3))
    campaign.run()
    assert all(task.state is State.DONE for task in campaign.journal.tasks())
