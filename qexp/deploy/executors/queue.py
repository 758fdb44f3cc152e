"""Machines that serve their jobs one by one, first come, first served: simulated and local ones."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from qexp.deploy.executors.executor import Executor, Job, JobState, Machine, Order
from qexp.placement.fcfs import served


@dataclass
class QueuedJob:
    """One order on a machine; times in seconds on the campaign's clock.

    Attributes:
        seconds: How long the machine works on it, None until that is known.
        ready: Whether nothing is left to simulate.
        error: Why it will have failed.
        start: When the machine begins, None while that depends on what is not known yet; so is ``finish``.
        sampled: The simulation under way.
    """

    id: str
    order: Order
    created: float
    seconds: float | None = None
    ready: bool = False
    counts: Mapping[str, int] | None = None
    error: str | None = None
    start: float | None = None
    finish: float | None = None
    cancelled: float | None = None
    sampled: Future[dict[str, int]] | None = None

    def undone(self, kind: str) -> bool:
        """Return whether its ``compiling`` or ``sampling`` is still wanted."""
        return self.cancelled is None and (self.seconds is None if kind == "compiling" else not self.ready)

    def state(self, now: float) -> JobState:
        """Return where it is."""
        if self.cancelled is not None:
            return JobState.CANCELLED
        if self.start is None or self.start > now:
            return JobState.QUEUED
        if self.finish is None or self.finish > now or not self.ready:
            return JobState.RUNNING
        return JobState.DONE if self.error is None else JobState.FAILED

    def report(self, now: float) -> Job:
        """Return what is known of it."""
        job = Job(self.id, self.order.tag, self.state(now), self.created)
        if job.state is JobState.CANCELLED:
            return replace(job, finished=self.cancelled, quantum_seconds=0.0)
        if job.state is JobState.QUEUED:
            return job
        job = replace(job, running=self.start)
        if job.state.final:
            job = replace(job, finished=self.finish, quantum_seconds=self.seconds, error=self.error)
        return job


@dataclass
class MachineQueue:
    """The queue of one machine, which is in the catalogue.

    Attributes:
        jobs: Those that are not over, in order of arrival.
        free: When it was free of the others, seconds.
        horizon: From when on what happens depends on a simulation that is not over, seconds.
        open: Whether it takes jobs.
    """

    machine: str
    jobs: deque[QueuedJob] = field(default_factory=deque)
    free: float = 0.0
    horizon: float = math.inf
    open: bool = True

    def plan(self, now: float) -> None:
        """Give all jobs their times, and let go of those that are over."""
        while self.jobs and self.jobs[0].state(now).final:
            self.free = self.jobs.popleft().finish or self.free
        free: float | None = self.free
        self.horizon = math.inf
        for job in self.jobs:
            start, end = (None, None) if free is None else served(job.created, job.seconds or 0.0, free)
            job.start, job.finish = start, None if job.seconds is None else end
            free = job.finish
            if not job.ready and job.start is not None:
                self.horizon = min(self.horizon, job.start if free is None else free)


class QueueExecutor(Executor):
    """The common part of executors with their own queues; a subclass has the clock, and knows the times."""

    def __init__(self, nodes: Mapping[str, str]) -> None:
        self._queues = {name: MachineQueue(machine) for name, machine in nodes.items()}
        self._jobs: dict[str, QueuedJob] = {}
        self._changed = threading.Condition()  # simulations end in threads of their own

    def machines(self) -> list[Machine]:
        """Return all machines with the jobs that they have not worked off."""
        with self._changed:
            machines, now = [], self.now()
            for name, queue in self._queues.items():
                pending = sum(job.finish is None or job.finish > now for job in queue.jobs)
                status = "active" if queue.open else "maintenance"
                machines.append(Machine(name, queue.open, status, pending))
            return machines

    def find(self, tag: str) -> list[Job]:
        """Return the jobs with a tag, see `Executor.find`."""
        with self._changed:
            orders = {name: job.order for name, job in self._jobs.items()}
            return self.poll([name for name, order in orders.items() if tag in {order.tag, order.campaign}])

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, see `Executor.poll`."""
        with self._changed:
            now = self.now()
            return [self._jobs[name].report(now) for name in jobs if name in self._jobs]

    def cancel(self, job: str) -> bool:
        """Cancel a job that has not begun; those that run end by themselves."""
        with self._changed:
            known, now = self._jobs[job], self.now()
            if known.state(now) is not JobState.QUEUED:
                return False
            known.cancelled, queue = now, self._queues[known.order.node]
            queue.jobs.remove(known)
            if known.sampled is not None:
                known.sampled.cancel()
            self._plan(queue, now)
            return True

    def _enqueue(self, job: QueuedJob) -> None:
        with self._changed:
            queue = self._queues[job.order.node]
            self._jobs[job.id] = job
            queue.jobs.append(job)
            self._plan(queue, job.created)

    def _plan(self, queue: MachineQueue, now: float) -> None:
        """Plan a queue again after something has changed there."""
        queue.plan(now)
        self._changed.notify_all()

    def _changes(self, now: float) -> list[float]:
        """Return when jobs will begin and end, as far as that is known, seconds."""
        jobs = [job for queue in self._queues.values() for job in queue.jobs]
        times = (time for job in jobs for time in (job.start, job.finish))
        return [time for time in times if time is not None and time > now]
