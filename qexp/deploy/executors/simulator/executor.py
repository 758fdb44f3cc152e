"""A simulated cloud that runs a campaign's circuits in no time."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qexp.deploy.executors.executor import Executor, Job, JobState, Machine, Order, RefusedError
from qexp.placement.scenario import Scenario


class SimulatorExecutor(Executor):
    """Machines that serve their queues first come, first served, in simulated time (SimPy).

    Args:
        scenario: The placement problem; its service times are the true ones.
        jitter: Standard deviation of the logarithm of actual over predicted service time; 0 for none.
        seed: Of the jitter, which depends on it and on an order's tag alone.
    """

    def __init__(self, scenario: Scenario, jitter: float = 0.0, seed: int = 0) -> None:
        self._service = dict(zip(scenario.circuits.names, scenario.service, strict=True))
        self._names = scenario.fleet.names
        self._jitter, self._seed = jitter, seed
        self.start(0.0)

    def start(self, at: float) -> None:
        """Set the clock going, see `Executor.start`."""
        import simpy

        self._env = simpy.Environment(initial_time=at)
        self._queues = {name: simpy.Store(self._env) for name in self._names}
        self._jobs: dict[str, Job] = {}
        self._campaigns: dict[str, str] = {}
        self._place: dict[str, str] = {}
        self._pending = dict.fromkeys(self._names, 0)
        self._changes = 0
        for queue in self._queues.values():
            self._env.process(self._work(queue))

    def now(self) -> float:
        """Return simulated time, seconds."""
        return float(self._env.now)

    def wait(self, seconds: float) -> None:
        """Go on to the next change of a job, or for so many seconds, whichever is sooner."""
        until, changes = self._env.now + seconds, self._changes
        while self._env.peek() <= until and self._changes == changes:
            self._env.step()
        if self._changes == changes and until > self._env.now:
            self._env.run(until)

    def machines(self) -> list[Machine]:
        """Return all machines; they never close."""
        return [Machine(name, pending=count) for name, count in self._pending.items()]

    def submit(self, order: Order) -> str:
        """Queue an order, see `Executor.submit`."""
        row = self._service.get(order.circuit)
        if row is None or order.node not in self._queues:
            raise RefusedError(f"no circuit {order.circuit} on a machine {order.node}")
        service = float(row[self._names.index(order.node)])
        if not np.isfinite(service):
            raise RefusedError(f"{order.circuit} does not fit {order.node}")
        if self._jitter:
            rng = np.random.default_rng([self._seed, zlib.crc32(order.tag.encode())])
            service *= float(np.exp(rng.normal(0.0, self._jitter)))
        job = Job(f"simulated-{len(self._jobs)}", order.tag, JobState.QUEUED, created=self.now())
        self._jobs[job.id], self._campaigns[job.id] = job, order.campaign
        self._place[job.id] = order.node
        self._pending[order.node] += 1
        self._queues[order.node].put((job.id, service))
        return job.id

    def find(self, tag: str) -> list[Job]:
        """Return the jobs with a tag, see `Executor.find`."""
        return [job for job in self._jobs.values() if tag in {job.tag, self._campaigns[job.id]}]

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, see `Executor.poll`."""
        return [self._jobs[name] for name in jobs if name in self._jobs]

    def counts(self, job: str) -> Mapping[str, int] | None:
        """Return nothing: no circuit ran."""
        return None

    def cancel(self, job: str) -> bool:
        """Cancel a job that has not begun, see `Executor.cancel`."""
        if self._jobs[job].state is not JobState.QUEUED:
            return False
        self._change(job, state=JobState.CANCELLED, finished=self.now())
        return True

    def _work(self, queue: Any) -> Generator[Any, Any, None]:
        while True:
            name, service = yield queue.get()
            if self._jobs[name].state is JobState.CANCELLED:
                continue
            self._change(name, state=JobState.RUNNING, running=self.now())
            yield self._env.timeout(service)
            self._change(name, state=JobState.DONE, finished=self.now(), quantum_seconds=service)

    def _change(self, name: str, **values: Any) -> None:
        self._jobs[name] = job = replace(self._jobs[name], **values)
        self._pending[self._place[name]] -= job.state.final
        self._changes += 1
