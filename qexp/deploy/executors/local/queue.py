"""A machine of `deploy=local`: its queue, and how long it works on a job."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from qexp.deploy.executors.executor import Job, JobState, Order
from qexp.placement.fcfs import served


@dataclass(frozen=True)
class MachineTime:
    """How long a machine works on a job: overhead + shots * (repetition delay + length), and jitter.

    Source: IBM Quantum documentation, "Estimate job run time", with each machine's own repetition delay and
    the compiled circuit's own length. Not the environment's service-time model, so that what was predicted
    and what happens differ as they do on real machines.

    Attributes:
        overhead: Seconds.
        jitter: Standard deviation of the logarithm of a factor with mean 1.
        seed: Of the factor, which depends on it and on an order's tag within its campaign alone.
    """

    overhead: float = 2.0
    jitter: float = 0.1
    seed: int = 0

    def seconds(self, order: Order, shot: float) -> float:
        """Return the quantum time of an order, seconds.

        Args:
            order: The order.
            shot: Seconds of one repetition.
        """
        factor = float(np.exp(self.jitter * self.stream(order).normal() - self.jitter**2 / 2))
        return (self.overhead + order.shots * shot) * factor

    def stream(self, order: Order) -> np.random.Generator:
        """Return the random numbers of an order: the same in every campaign that is the same."""
        # The campaign's own name is random.
        return np.random.default_rng([self.seed, zlib.crc32(order.tag.removeprefix(order.campaign).encode())])


@dataclass
class LocalJob:
    """One order on a machine; times in seconds on the campaign's clock.

    Attributes:
        id: Of the job.
        order: What it came from.
        created: When it arrived.
        seconds: How long the machine works on it, None until the circuit is compiled.
        counts: What was measured.
        error: Why it will have failed.
        ready: Whether nothing is left to simulate.
        start: When the machine begins, None while that depends on what is not compiled yet.
        finish: When the machine ends, None as long.
        cancelled: When it was cancelled.
        sampled: The simulation under way.
    """

    id: str
    order: Order
    created: float
    seconds: float | None = None
    counts: Mapping[str, int] | None = None
    error: str | None = None
    ready: bool = False
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

    def told(self, now: float) -> Job:
        """Return what there is to tell of it."""
        state = self.state(now)
        cancelled = state is JobState.CANCELLED
        begun = state is not JobState.QUEUED and not cancelled
        over = state in {JobState.DONE, JobState.FAILED}
        return Job(
            self.id,
            self.order.tag,
            state,
            created=self.created,
            running=self.start if begun else None,
            finished=self.cancelled if cancelled else self.finish if over else None,
            quantum_seconds=0.0 if cancelled else self.seconds if over else None,
            error=self.error if state is JobState.FAILED else None,
        )


@dataclass
class LocalQueue:
    """A machine that serves its jobs one by one, first come, first served.

    Attributes:
        machine: Of the catalogue: whose stand-in it is.
        jobs: Those that are not over, in order of arrival.
        free: When it was free of the others, seconds.
        horizon: From when on what happens depends on a simulation that is not over, seconds.
        open: Whether it takes jobs.
    """

    machine: str
    jobs: deque[LocalJob] = field(default_factory=deque)
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
