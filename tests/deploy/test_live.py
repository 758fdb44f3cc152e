"""What a campaign believes of the queues, from its own jobs and from what machines report."""

from __future__ import annotations

import numpy as np
import pytest

from qexp.deploy.campaign.journal import State, Task
from qexp.deploy.campaign.live import LiveFleet
from qexp.deploy.executors.executor import Machine


@pytest.fixture
def live(qce25) -> LiveFleet:
    return LiveFleet(qce25)


def task(node: str, state: State, decided: float, service: float = 10.0, **times: float) -> Task:
    made = Task(0, 0, 0, "mct", 0, "ghz_3", 3, 3, 100, 0.0, state=state, node=node)
    made.decided, made.predicted_service = decided, service
    for name, value in times.items():
        setattr(made, name, value)
    return made


def reports(live: LiveFleet, **pending: int | None) -> dict[str, Machine]:
    return {name: Machine(name, pending=pending.get(name)) for name in live.fleet.names}


def test_an_idle_fleet_has_never_worked(live):
    state = live.state([], reports(live), now=100.0, began=90.0)
    assert (state.free_at == -1).all()
    assert (state.pending == 0).all()


def test_our_own_queue_adds_up(live):
    tasks = [
        task("hanoi", State.RUNNING, 100.0, created=100.0, running=101.0),
        task("hanoi", State.QUEUED, 102.0, 5.0, created=102.0),
        task("perth", State.DONE, 100.0, created=100.0, running=100.0, finished=104.0),
        task("lagos", State.UNKNOWN, 103.0, 7.0),
    ]
    state = live.state(tasks, reports(live), now=105.0, began=100.0)
    names = live.fleet.names
    free, pending = dict(zip(names, state.free_at, strict=True)), dict(zip(names, state.pending, strict=True))
    assert free["hanoi"] == pytest.approx(1.0 + 10.0 + 5.0)
    assert free["perth"] == pytest.approx(4.0)
    assert free["lagos"] == pytest.approx(3.0 + 7.0)
    assert (pending["hanoi"], pending["perth"], pending["lagos"]) == (2, 0, 1)


def test_a_job_that_runs_longer_than_predicted_ends_now_at_the_earliest(live):
    tasks = [
        task("hanoi", State.RUNNING, 0.0, 10.0, created=0.0, running=0.0),
        task("hanoi", State.QUEUED, 1.0, 5.0, created=1.0),
    ]
    state = live.state(tasks, reports(live), now=60.0, began=0.0)
    assert state.free_at[live.index["hanoi"]] == pytest.approx(65.0)


def test_jobs_of_others_come_before_ours_that_wait_and_after_ours_that_runs(live):
    mean = live.of_others[live.index["hanoi"]]
    waiting = [task("hanoi", State.QUEUED, 0.0, 5.0, created=0.0)]
    state = live.state(waiting, reports(live, hanoi=4), now=10.0, began=0.0)
    assert state.pending[live.index["hanoi"]] == 4
    assert state.free_at[live.index["hanoi"]] == pytest.approx(10.0 + 3 * mean + 5.0)
    both = [
        task("hanoi", State.RUNNING, 0.0, 5.0, created=0.0),
        task("hanoi", State.QUEUED, 1.0, 7.0, created=1.0),
    ]
    state = live.state(both, reports(live, hanoi=5), now=2.0, began=0.0)
    assert state.free_at[live.index["hanoi"]] == pytest.approx(5.0 + 3 * mean + 7.0)


def test_a_report_of_fewer_jobs_than_ours_is_stale(live):
    tasks = [task("hanoi", State.QUEUED, 0.0, 5.0, created=0.0) for _ in range(3)]
    for reported in (0, None):
        state = live.state(tasks, reports(live, hanoi=reported), now=1.0, began=0.0)
        assert state.pending[live.index["hanoi"]] == 3
        assert state.free_at[live.index["hanoi"]] == pytest.approx(15.0)


def test_what_nothing_is_known_of_is_closed(live):
    machines = {"hanoi": Machine("hanoi"), "perth": Machine("perth", open=False, status="maintenance")}
    assert live.fleet.names[np.flatnonzero(live.open(machines))[0]] == "hanoi"
    assert live.open(machines).sum() == 1
    assert not live.open({}).any()
