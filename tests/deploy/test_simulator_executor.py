"""The simulator as an executor, by the tests that all executors pass."""

from __future__ import annotations

import numpy as np
import pytest
from executor_contract import ExecutorContract, finish

from qexp.deploy.executors.executor import Order
from qexp.deploy.executors.simulator import SimulatorExecutor


class TestSimulator(ExecutorContract):
    measures = False

    @pytest.fixture
    def make(self, qce25):
        return lambda: SimulatorExecutor(qce25)


@pytest.mark.slow
def test_jitter_depends_on_seed_and_tag_alone(qce25):
    def seconds(tags: list[str], seed: int) -> dict[str, float]:
        executor = SimulatorExecutor(qce25, jitter=0.3, seed=seed)
        executor.start(0.0)
        jobs = [executor.submit(Order(tag, "c", "hanoi", "qft_5", 1024)) for tag in tags]
        done = finish(executor, jobs, 600.0)
        return {job.tag: job.quantum_seconds for job in done.values()}

    tags = [f"t{i}" for i in range(200)]
    first = seconds(tags, 1)
    # Sums of other start times round differently.
    again = seconds(tags[::-1], 1)
    assert all(np.isclose(first[tag], again[tag], rtol=1e-9) for tag in tags)
    assert seconds(tags[:3], 2) != {tag: first[tag] for tag in tags[:3]}
    logs = np.log(list(first.values()))
    assert 0.25 < logs.std() < 0.35


def test_pending_are_the_jobs_that_are_not_over(qce25):
    executor = SimulatorExecutor(qce25)
    rng = np.random.default_rng(0)
    jobs: dict[str, str] = {}
    for number in range(60):
        node = str(rng.choice(["hanoi", "kolkata"]))
        jobs[executor.submit(Order(f"c-{number}", "c", node, "qft_5", 1024))] = node
        if number % 3 == 0:
            executor.cancel(str(rng.choice(list(jobs))))
        executor.wait(1.0)
        left = [jobs[job.id] for job in executor.poll(list(jobs)) if not job.state.final]
        pending = {machine.name: machine.pending for machine in executor.machines()}
        assert pending == {name: left.count(name) for name in pending}
    assert 0 < len(left) < 60
