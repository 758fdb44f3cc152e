"""What every executor must do: tests that simulator, local machines and IBM Quantum all pass.

A test module subclasses `ExecutorContract` as ``TestSomething`` and gives it the fixture ``make``: a callable
that returns a new executor, its clock not set going yet. Executors that keep their jobs elsewhere must find
them again from the next one that ``make`` returns.
"""

from __future__ import annotations

import re
from itertools import count, pairwise

import pytest

from qexp.deploy.executors.errors import RefusedError
from qexp.deploy.executors.executor import Executor, Job, JobState, Order

NUMBERS = count(1)


def finish(executor: Executor, jobs: list[str], longest: float) -> dict[str, Job]:
    """Let time pass until all jobs are over, and return them by id.

    Args:
        executor: Who runs them; its clock goes.
        jobs: Ids.
        longest: Seconds on the campaign's clock after which they should be.
    """
    until = executor.now() + longest
    while True:
        seen = {job.id: job for job in executor.poll(jobs)}
        if all(job.state.final for job in seen.values()) and len(seen) == len(jobs):
            return seen
        assert executor.now() < until, f"not over after {longest} s: {seen}"
        executor.wait(longest / 100)


class ExecutorContract:
    """The tests, with what a subclass may have to say otherwise.

    Attributes:
        nodes: Two machines that take jobs.
        circuit: One that fits on both.
        width: Classical bits of the circuit.
        shots: Repetitions.
        measures: Whether something real runs: `Executor.counts` is not None then.
        longest: Seconds on the campaign's clock within which a few jobs are over.
    """

    nodes = ("perth", "lagos")
    circuit = "ghz_3"
    width = 3
    shots = 100
    measures = True
    longest = 600.0

    @pytest.fixture
    def executor(self, make):
        with make() as executor:
            executor.start(0.0)
            yield executor

    @pytest.fixture
    def campaign(self):
        return f"campaign-{next(NUMBERS)}"

    def order(self, campaign, node=0, **other) -> Order:
        fields = {"circuit": self.circuit, "shots": self.shots, "max_seconds": 60.0} | other
        return Order(f"{campaign}-{next(NUMBERS)}", campaign, self.nodes[node], **fields)

    def test_the_clock_starts_where_it_is_told_and_never_goes_back(self, make):
        with make() as executor:
            executor.start(50.0)
            shown = [executor.now()]
            assert shown[0] >= 50.0
            for _ in range(5):
                executor.wait(0.1)
                shown.append(executor.now())
            assert shown == sorted(shown)

    def test_waiting_lets_time_pass(self, executor):
        begun = executor.now()
        for _ in range(1000):
            executor.wait(0.05)
            if executor.now() > begun:
                return
        pytest.fail("time stands still")

    def test_machines_are_named_and_open(self, executor):
        machines = {machine.name: machine for machine in executor.machines()}
        assert machines.keys() >= set(self.nodes)
        for node in self.nodes:
            assert machines[node].open
            assert machines[node].pending is None or machines[node].pending >= 0

    def test_an_order_becomes_a_job_that_runs(self, executor, campaign):
        order = self.order(campaign)
        job = executor.submit(order)
        assert isinstance(job, str)
        [seen] = executor.poll([job])
        assert (seen.id, seen.tag) == (job, order.tag)
        done = finish(executor, [job], self.longest)[job]
        assert (done.tag, done.state, done.error) == (order.tag, JobState.DONE, None)
        times = [time for time in (done.created, done.running, done.finished) if time is not None]
        assert times == sorted(times)
        assert done.quantum_seconds is None or done.quantum_seconds >= 0
        assert executor.poll([job]) == [done]  # what is over stays as it is

    def test_what_was_measured_is_told_as_often_as_asked(self, executor, campaign):
        job = executor.submit(self.order(campaign))
        finish(executor, [job], self.longest)
        counts = executor.counts(job)
        assert executor.counts(job) == counts
        if not self.measures:
            assert counts is None
            return
        assert sum(counts.values()) == self.shots
        assert all(re.fullmatch(f"[01]{{{self.width}}}", outcome) for outcome in counts)

    def test_jobs_are_found_by_their_tags(self, executor, campaign):
        orders = [self.order(campaign, node=i % 2) for i in range(3)]
        jobs = [executor.submit(order) for order in orders]
        other = executor.submit(self.order(f"{campaign}-other"))
        assert len({*jobs, other}) == 4
        for order, job in zip(orders, jobs, strict=True):
            [found] = executor.find(order.tag)
            assert (found.id, found.tag) == (job, order.tag)
        assert [job.id for job in executor.find(campaign)] == jobs
        assert [job.tag for job in executor.find(campaign)] == [order.tag for order in orders]
        finish(executor, jobs, self.longest)
        assert [job.id for job in executor.find(campaign)] == jobs  # those that are over too
        assert executor.find(f"{campaign}-none") == []

    def test_jobs_that_do_not_exist_are_left_out(self, executor, campaign):
        assert executor.poll([]) == []
        assert executor.poll(["no-such-job"]) == []
        job = executor.submit(self.order(campaign))
        assert [seen.id for seen in executor.poll(["no-such-job", job])] == [job]

    def test_jobs_of_one_machine_run_in_turn(self, executor, campaign):
        jobs = [executor.submit(self.order(campaign)) for _ in range(3)]
        done = finish(executor, jobs, self.longest)
        spans = [(done[job].running, done[job].finished) for job in jobs]
        if all(None not in span for span in spans):
            assert all(before[1] <= after[0] for before, after in pairwise(spans))

    def test_a_job_that_is_over_cannot_be_cancelled(self, executor, campaign):
        job = executor.submit(self.order(campaign))
        done = finish(executor, [job], self.longest)[job]
        assert executor.cancel(job) is False
        assert executor.poll([job]) == [done]

    def test_cancelling_ends_a_job_or_says_that_it_did_not(self, executor, campaign):
        jobs = [executor.submit(self.order(campaign)) for _ in range(3)]
        cancelled = executor.cancel(jobs[-1])
        done = finish(executor, jobs, self.longest)
        assert done[jobs[-1]].state is (JobState.CANCELLED if cancelled else JobState.DONE)
        assert {done[job].state for job in jobs[:-1]} == {JobState.DONE}

    @pytest.mark.parametrize("wrong", [{"node": "atlantis"}, {"circuit": "no_such_3"}, {"circuit": "ghz"}])
    def test_an_order_that_makes_no_sense_is_refused(self, executor, campaign, wrong):
        order = self.order(campaign)
        order = Order(**(vars(order) | wrong))
        with pytest.raises(RefusedError) as refusal:
            executor.submit(order)
        assert "\n" not in str(refusal.value)
        assert executor.find(order.tag) == []

    def test_jobs_outlive_the_executor_or_are_gone(self, make, campaign):
        order = self.order(campaign)
        with make() as executor:
            executor.start(0.0)
            job = executor.submit(order)
            at = executor.now()
        with make() as executor:
            executor.start(at)
            assert executor.now() >= at
            if not executor.keeps_jobs:
                assert executor.find(order.tag) == []
                assert executor.poll([job]) == []
                return
            assert [found.id for found in executor.find(order.tag)] == [job]
            assert finish(executor, [job], self.longest)[job].state is JobState.DONE
            assert (executor.counts(job) is not None) is self.measures
