"""Stand-ins for machines: real ones by the contract; queues and times to the digit, simulations made up."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from cases import examples
from executor_contract import ExecutorContract, finish
from hypothesis import given
from hypothesis import strategies as st

from qexp.deploy.campaign.campaign import Campaign
from qexp.deploy.campaign.journal import Journal, State
from qexp.deploy.campaign.plan import planned_tasks, segments
from qexp.deploy.executors.errors import BrokenError, LaterError, RefusedError, UndecodableError
from qexp.deploy.executors.executor import JobState, Order
from qexp.deploy.executors.local import noise
from qexp.deploy.executors.local.executor import LocalExecutor, MachineTime
from qexp.deploy.executors.queue import MachineQueue, QueuedJob
from qexp.deploy.local import Local
from qexp.placement.schedulers.mct import MCT
from qexp.placement.workload.catalogue import QCE

NODES = {"perth": "perth", "lagos": "lagos"}
EXACT = MachineTime(overhead=2.0, jitter=0.0)


class Inline(Pool):
    """Does what it is given at once."""

    def submit(self, what: Callable, /, *arguments, **named) -> Future:
        future: Future = Future()
        try:
            future.set_result(what(*arguments, **named))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future


class Later(Pool):
    """Keeps what it is given until it is told to go on."""

    def __init__(self) -> None:
        self.kept: list[tuple[Future, Callable, tuple]] = []

    def submit(self, what: Callable, /, *arguments, **named) -> Future:
        future: Future = Future()
        self.kept.append((future, what, arguments))
        return future

    def go_on(self) -> None:
        kept, self.kept = self.kept, []
        for future, what, arguments in kept:
            if future.set_running_or_notify_cancel():
                future.set_result(what(*arguments))


class Dying(Inline):
    """Has a process that dies with all that it was given.

    Args:
        lives: How much each of such processes takes before it dies, the last first; then they live.
    """

    def __init__(self, lives: list[int]) -> None:
        self.left, self.waiting = (lives.pop() if lives else None), []

    def submit(self, what: Callable, /, *arguments, **named) -> Future:
        if what is noise.load or self.left is None:
            return super().submit(what, *arguments, **named)
        if self.left < 0:
            raise BrokenProcessPool("it has died before")
        if self.left:
            self.left -= 1
            self.waiting.append(Future())
            return self.waiting[-1]
        self.left = -1
        dead: Future = Future()
        for future in (*self.waiting, dead):
            future.set_exception(BrokenProcessPool("it died"))
        return dead


@pytest.fixture
def made_up(monkeypatch):
    """Simulations that take no time: a repetition takes a millisecond for each qubit."""
    monkeypatch.setattr(noise, "load", lambda machine: None)
    monkeypatch.setattr(noise, "shot_seconds", lambda machine, circuit: int(circuit.split("_")[1]) / 1000)
    monkeypatch.setattr(noise, "sample", lambda machine, circuit, shots, seed: {"000": shots})


def opened(*, model=EXACT, speed=1000.0, compiling=None, sampling=None) -> LocalExecutor:
    executor = LocalExecutor(
        NODES,
        model,
        speed=speed,
        compiling=lambda: compiling or Inline(),
        sampling=sampling if callable(sampling) else lambda: sampling or Inline(),
    )
    executor.start(0.0)
    return executor


def order(tag: str, *, node="perth", circuit="ghz_3", shots=100, campaign="c", limit=None) -> Order:
    return Order(f"{campaign}-{tag}", campaign, node, circuit, shots, limit)


class TestLocal(ExecutorContract):
    @pytest.fixture
    def make(self):
        return lambda: LocalExecutor(
            NODES,
            MachineTime(),
            speed=200.0,
            compiling=partial(ThreadPoolExecutor, 1),
            sampling=partial(ThreadPoolExecutor, 2),
        )


def test_first_come_first_served_to_the_digit(made_up):
    executor = opened()
    jobs = [executor.submit(order(f"{i}", circuit=f"ghz_{2 + i}")) for i in range(4)]
    other = executor.submit(order("other", node="lagos", circuit="ghz_7", shots=1000))
    done = finish(executor, [*jobs, other], 100.0)
    # 2 s + 100 repetitions of 2, 3, 4 and 5 ms.
    assert [done[job].quantum_seconds for job in jobs] == pytest.approx([2.2, 2.3, 2.4, 2.5])
    assert done[jobs[0]].running == done[jobs[0]].created
    for before, after in pairwise(done[job] for job in jobs):
        assert after.running == max(before.finished, after.created)
    for job in done.values():
        assert job.finished == job.running + job.quantum_seconds
    # The other machine does not wait for this one.
    assert done[other].running == done[other].created
    assert done[other].quantum_seconds == pytest.approx(9.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 5)), min_size=1, max_size=20))
def test_a_queue_is_what_a_queue_is(work):
    """Against W(n+1) = max(0, W(n) + S(n) - A(n+1)) (D. V. Lindley, 1952)."""
    queue, now, wait, expected = MachineQueue("perth"), 0.0, 0.0, []
    jobs = []
    for position, (gap, seconds) in enumerate(work):
        now += gap
        if position:
            wait = max(0.0, wait + work[position - 1][1] - gap)
        expected.append(wait)
        jobs.append(QueuedJob(str(position), order(str(position)), now, seconds, ready=True))
        queue.jobs.append(jobs[-1])
        queue.plan(now)
    queue.plan(now + 1000)
    assert not queue.jobs
    assert [job.start - job.created for job in jobs] == pytest.approx(expected, abs=1e-9)


def test_a_cancelled_job_leaves_no_gap(made_up):
    executor = opened()
    jobs = [executor.submit(order(f"{i}", shots=10_000)) for i in range(3)]
    assert executor.cancel(jobs[1])
    assert not executor.cancel(jobs[0])  # it runs
    done = finish(executor, jobs, 200.0)
    assert done[jobs[1]].state is JobState.CANCELLED
    assert done[jobs[1]].running is None
    assert done[jobs[1]].quantum_seconds == 0
    assert done[jobs[2]].running == done[jobs[0]].finished
    with pytest.raises(UndecodableError):
        executor.counts(jobs[1])


def test_pending_are_the_jobs_that_a_machine_has_not_worked_off(made_up):
    executor = opened(speed=10.0)
    jobs = [executor.submit(order(f"{i}")) for i in range(3)]
    assert {machine.name: machine.pending for machine in executor.machines()} == {"perth": 3, "lagos": 0}
    executor.cancel(jobs[2])
    assert executor.machines()[0].pending == 2
    finish(executor, jobs, 100.0)
    assert executor.machines()[0].pending == 0


def test_a_closed_machine_takes_nothing_and_ends_what_it_has(made_up):
    executor = opened()
    job = executor.submit(order("a"))
    executor.set_open("perth", False)
    assert [machine.open for machine in executor.machines()] == [False, True]
    with pytest.raises(LaterError) as later:
        executor.submit(order("b"))
    assert later.value.seconds > 0
    assert finish(executor, [job], 100.0)[job].state is JobState.DONE
    executor.set_open("perth", True)
    executor.submit(order("b"))


def test_a_circuit_that_does_not_fit_is_refused(made_up):
    with pytest.raises(RefusedError, match="ghz_8 does not fit perth"):
        opened().submit(order("a", circuit="ghz_8"))


def test_a_machine_stops_what_takes_too_long(made_up):
    executor = opened()
    jobs = [executor.submit(order("long", shots=10_000, limit=5.0)), executor.submit(order("next"))]
    done = finish(executor, jobs, 100.0)
    long = done[jobs[0]]
    assert (long.state, long.quantum_seconds) == (JobState.FAILED, 5.0)
    assert "5 s" in long.error
    assert done[jobs[1]].running == long.finished == long.running + 5.0
    with pytest.raises(UndecodableError):
        executor.counts(jobs[0])


@pytest.mark.parametrize("broken", ["shot_seconds", "sample"])
def test_what_cannot_be_simulated_fails_and_the_next_goes_on(made_up, monkeypatch, broken):
    def fail(*_):
        raise ValueError("no such thing\nsecond line")

    executor = opened()
    with monkeypatch.context() as patch:
        patch.setattr(noise, broken, fail)
        bad = executor.submit(order("bad"))
    good = executor.submit(order("good"))
    done = finish(executor, [bad, good], 100.0)
    assert (done[bad].state, done[bad].error) == (JobState.FAILED, "ValueError: no such thing")
    assert done[good].state is JobState.DONE


def test_a_compressed_clock_stands_still_while_a_simulation_is_behind(made_up):
    compiling, sampling = Later(), Later()
    executor = opened(speed=100_000.0, compiling=compiling, sampling=sampling)
    job = executor.submit(order("a"))
    [seen] = executor.poll([job])
    time.sleep(0.01)  # a thousand seconds otherwise
    assert executor.now() == seen.created
    compiling.go_on()
    time.sleep(0.01)
    [seen] = executor.poll([job])
    assert seen.state is JobState.RUNNING
    assert executor.now() == seen.created + 2.3
    sampling.go_on()
    [done] = executor.poll([job])
    assert (done.state, done.finished) == (JobState.DONE, done.created + 2.3)
    time.sleep(0.01)
    assert executor.now() > done.finished


def test_on_a_real_clock_a_late_simulation_changes_no_time(made_up):
    sampling = Later()
    executor = opened(model=MachineTime(0.01, 0.0), speed=None, sampling=sampling)
    jobs = [executor.submit(order(f"{i}", shots=1)) for i in range(2)]
    executor.wait(0.1)
    while executor.now() < 0.1:
        executor.wait(0.1)
    assert [job.state for job in executor.poll(jobs)] == [JobState.RUNNING, JobState.RUNNING]
    assert executor.machines()[0].pending == 0
    sampling.go_on()
    first, second = executor.poll(jobs)
    assert first.state is second.state is JobState.DONE
    assert first.finished == pytest.approx(first.created + 0.013)
    assert second.finished == pytest.approx(first.finished + 0.013)


@pytest.mark.parametrize("speed", [None, 50.0])
def test_how_fast_time_goes(made_up, speed):
    executor = opened(speed=speed)
    begun, shown = time.monotonic(), executor.now()
    executor.wait(0.05 * (speed or 1.0))
    passed, real = executor.now() - shown, time.monotonic() - begun
    assert passed >= 0.05 * (speed or 1.0)
    assert passed <= real * (speed or 1.0)


def test_waiting_ends_when_a_job_changes(made_up):
    executor = opened(speed=100.0)
    job = executor.submit(order("a"))
    executor.wait(1000.0)  # ten seconds
    assert executor.poll([job])[0].state is JobState.DONE
    assert executor.now() < 1000


@examples(20)
@given(st.integers(0, 100), st.integers(0, 100))
def test_jitter_depends_on_seed_and_place_in_the_campaign(seed, number):
    model = MachineTime(2.0, 0.2, seed)
    here = order(f"{number}-1", campaign="qexp-0123")
    assert model.seconds(here, 1e-3) == model.seconds(order(f"{number}-1", campaign="qexp-abcd"), 1e-3)
    assert model.seconds(here, 1e-3) == pytest.approx(model.seconds(here, 2e-3) * 2.1 / 2.2)
    assert model.seconds(here, 1e-3) != model.seconds(order(f"{number + 1}-1", campaign="qexp-0123"), 1e-3)
    assert model.seconds(here, 1e-3) != MachineTime(2.0, 0.2, seed + 1).seconds(here, 1e-3)


def test_a_campaign_repeats():
    def outcome(campaign: str) -> list[tuple]:
        with opened(model=MachineTime(seed=3)) as executor:
            jobs = [executor.submit(order(f"{i}-1", campaign=campaign, circuit="qft_3")) for i in range(4)]
            done = finish(executor, jobs, 100.0)
            return [(done[job].quantum_seconds, executor.counts(job)) for job in jobs]

    first = outcome("qexp-0123")
    assert first == outcome("qexp-abcd")
    assert len({seconds for seconds, _ in first}) == 4
    assert first[0][1] != first[1][1]


def test_jitter_is_one_on_average():
    model = MachineTime(1.0, 0.1, 7)
    factors = [model.seconds(order(str(i)), 0.0) for i in range(2000)]
    assert np.mean(factors) == pytest.approx(1, abs=0.01)
    assert np.std(np.log(factors)) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("lives", [[0], [2], [3, 1], [2, 0, 1]])
def test_what_a_process_was_at_when_it_died_is_done_by_another(made_up, lives):
    executor = opened(speed=10_000.0, sampling=lambda: Dying(lives))
    jobs = [executor.submit(order(f"{i}")) for i in range(6)]
    done = finish(executor, jobs, 1000.0)
    assert lives == []
    assert {job.state for job in done.values()} == {JobState.DONE}
    assert [done[job].quantum_seconds for job in jobs] == pytest.approx([2.3] * 6)
    for before, after in pairwise(done[job] for job in jobs):
        assert after.running == max(before.finished, after.created)
    assert all(executor.counts(job) == {"000": 100} for job in jobs)


def test_processes_that_die_again_and_again_stop_it_all(made_up):
    executor = opened(sampling=lambda: Dying([0]))
    job = executor.submit(order("a"))
    with pytest.raises(BrokenError, match="died 4 times") as error:
        finish(executor, [job], 1000.0)
    assert "\n" not in str(error.value)
    for question in (partial(executor.submit, order("b")), partial(executor.poll, [job])):
        with pytest.raises(BrokenError):
            question()
    executor.close()


def test_a_campaign_that_broken_processes_stop_goes_on_later(made_up, qce25, tmp_path):
    scenario = replace(qce25, workload=QCE(max_width=4, families=["ghz", "qft"]))
    deployment = Local(tasks=5, block=5, clock="immediate", schedulers=["mct"], retries=0)
    plan = segments(scenario, deployment, deployment.schedulers)
    Journal.create(tmp_path / "journal.db", planned_tasks(plan, deployment), {"campaign": "c"}).close()

    def go_on(sampling: Callable[[], Pool]) -> Campaign:
        executor = LocalExecutor(
            {name: name for name in scenario.fleet.names},
            EXACT,
            speed=10_000.0,
            compiling=Inline,
            sampling=sampling,
        )
        with Journal(tmp_path / "journal.db") as journal, executor:
            executor.start(journal.last_time)
            campaign = Campaign(journal, scenario, plan, {"mct": MCT()}, executor, deployment)
            campaign.run()
        return campaign

    with pytest.raises(BrokenError):
        go_on(lambda: Dying([1]))
    assert [(task.error, task.state) for task in go_on(Inline).tasks] == [(None, State.DONE)] * 5
