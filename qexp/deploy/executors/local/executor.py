"""Runs circuits on stand-ins for machines: queues and times by a model, counts by noisy simulation.

What a job's times are does not depend on how long its simulation takes. A compressed clock stands still where
the simulation is behind, so that whoever looks at the machines cannot tell; a real clock cannot, and jobs
are then reported late, with the machine's times.

A process that dies, for want of memory for instance, takes its pool with it. Nothing was charged for what it
was at, so that is simulated again by new ones, and the campaign cannot tell.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import Executor as Pool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from qexp.circuits import compiled as circuits
from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import Job, JobState, Order
from qexp.deploy.executors.queue import QueuedJob, QueueExecutor
from qexp.fleet.machines import MACHINES

log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds after which to ask a closed machine again."""
REBUILDS = 3
"""How often new processes are started with no simulation that ends in between."""


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


class LocalExecutor(QueueExecutor):
    """Runs circuits on stand-ins for the machines of a fleet.

    Args:
        nodes: Catalogue machine of each node, by the node's name.
        model: How long machines take.
        speed: Seconds of the campaign in a real one, or None for a real clock.
        compiling: Starts what runs `noise.shot_seconds`; shut down in the end, started again if it breaks.
        sampling: Starts what runs `noise.sample`, likewise.
    """

    def __init__(
        self,
        nodes: Mapping[str, str],
        model: MachineTime,
        *,
        speed: float | None,
        compiling: Callable[[], Pool],
        sampling: Callable[[], Pool],
    ) -> None:
        from qexp.deploy.executors.local import noise

        super().__init__(nodes)
        self._noise, self._model = noise, model
        self._real, self._speed = speed is None, speed or 1.0
        self._shown = 0.0
        self._read: float | None = None  # when the clock was last looked at, None before it goes
        self._start = {"compiling": compiling, "sampling": sampling}
        self._pools = {kind: self._begin(kind) for kind in self._start}
        self._rebuilt = dict.fromkeys(self._start, 0)  # since a simulation ended there
        self._broken = self._closed = False

    def _begin(self, kind: str) -> Pool:
        pool = self._start[kind]()
        with suppress(BrokenExecutor):  # whoever uses it will see
            for machine in {queue.machine: None for queue in self._queues.values()}:
                pool.submit(self._noise.load, machine)
        return pool

    def close(self) -> None:
        """Let the processes go, as soon as each has ended what it is at."""
        with self._changed:
            self._closed = True
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def start(self, at: float) -> None:
        """Set the clock going, see `Executor.start`."""
        with self._changed:
            self._shown, self._read = at, time.monotonic()

    def now(self) -> float:
        """Return what the clock shows, seconds; compressed, it waits for simulations that are behind."""
        with self._changed:
            if self._read is not None:
                read = time.monotonic()
                shown = self._shown + (read - self._read) * self._speed
                self._shown, self._read = max(self._shown, min(shown, self._horizon)), read
            return self._shown

    @property
    def _horizon(self) -> float:
        return math.inf if self._real else min(queue.horizon for queue in self._queues.values())

    def wait(self, seconds: float) -> None:
        """Let time pass until a job changes, or for so many seconds, whichever is sooner."""
        with self._changed:
            until, before = self.now() + seconds, self._states()
            self._check()
            while self.now() < until and self._states() == before:
                # Where the clock stands still, only a simulation can move it on.
                stands = self._horizon <= self._shown
                next_change = min([until, self._horizon, *self._changes(self._shown)])
                self._changed.wait(None if stands else (next_change - self._shown) / self._speed)
                self._check()

    def _states(self) -> list[tuple[str, JobState]]:
        return [(job.id, job.state(self._shown)) for queue in self._queues.values() for job in queue.jobs]

    def set_open(self, node: str, is_open: bool) -> None:
        """Open or close a machine to new orders; what it has runs on.

        Args:
            node: Name of the machine.
            is_open: Takes orders or not.
        """
        with self._changed:
            self._queues[node].open = is_open

    def submit(self, order: Order) -> str:
        """Queue an order, see `Executor.submit`."""
        queue = self._queues.get(order.node)
        if queue is None or not circuits.known(order.circuit):
            raise errors.RefusedError(f"no circuit {order.circuit} on a machine {order.node}")
        if int(order.circuit.rpartition("_")[2]) > MACHINES[queue.machine].qubits:
            raise errors.RefusedError(f"{order.circuit} does not fit {order.node}")
        if not queue.open:
            raise errors.LaterError(f"{order.node} is closed", PAUSE)
        with self._changed:
            self._check()
            job = QueuedJob(f"local-{len(self._jobs)}", order, self.now())
            self._enqueue(job)
        self._simulate(job, "compiling")
        self._simulate(job, "sampling")
        return job.id

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, see `Executor.poll`."""
        self._check()
        return super().poll(jobs)

    def counts(self, job: str) -> Mapping[str, int]:
        """Return what was measured, see `Executor.counts`."""
        with self._changed:
            measured = self._jobs[job].counts
            if measured is None or self._jobs[job].state(self.now()) is not JobState.DONE:
                raise errors.UndecodableError(f"{job} has no result")
            return measured

    def _simulate(self, job: QueuedJob, kind: str) -> None:
        # Not to be called with the lock held: a pool that breaks may hold its own while it calls back.
        pool, what = self._pools[kind], (self._queues[job.order.node].machine, job.order.circuit)
        future: Future[Any]
        try:
            if kind == "compiling":
                future = pool.submit(self._noise.shot_seconds, *what)
            else:
                seed = int(self._model.stream(job.order).integers(2**31))
                future = job.sampled = pool.submit(self._noise.sample, *what, job.order.shots, seed)
        except RuntimeError:  # it has broken, or was shut down meanwhile
            self._mend(kind, pool)
            return
        future.add_done_callback(partial(self._take, job, kind, pool))

    def _take(self, job: QueuedJob, kind: str, pool: Pool, future: Future[Any]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            threading.Thread(target=self._mend, args=(kind, pool), daemon=True).start()
            return
        with self._changed:
            now = self.now()  # the clock stops before what is learnt now lets it move on
            self._rebuilt[kind] = 0
            if job.undone(kind):
                if error is not None:
                    job.error, job.ready = _in_a_line(error), True
                elif kind == "sampling":
                    job.counts, job.ready = future.result(), True
                if kind == "compiling":
                    self._take_time(job, 0.0 if error else self._model.seconds(job.order, future.result()))
            self._plan(self._queues[job.order.node], now)

    @staticmethod
    def _take_time(job: QueuedJob, seconds: float) -> None:
        limit = job.order.max_seconds
        job.seconds = seconds
        if limit is not None and seconds > limit:
            job.seconds, job.error, job.ready = limit, f"stopped after {limit:g} s on the machine", True
        if job.ready and job.sampled is not None:
            job.sampled.cancel()

    def _mend(self, kind: str, broken: Pool) -> None:
        """Start a pool again that has broken, and have done again what it was at."""
        with self._changed:
            if self._pools[kind] is not broken or self._closed or self._broken:
                return  # somebody else has seen to it
            self._rebuilt[kind] += 1
            if self._rebuilt[kind] > REBUILDS:
                self._broken = True
                self._changed.notify_all()
                return
            log.warning("a process that was %s is gone: starting others", kind)
            pool = self._pools[kind] = self._begin(kind)
            undone = [job for job in self._jobs.values() if job.undone(kind)]
        for job in undone:
            if self._pools[kind] is pool:  # else it has broken too, and what is undone is in other hands
                self._simulate(job, kind)

    def _check(self) -> None:
        """Raise `BrokenError` if new processes do not help."""
        if self._broken:
            raise errors.BrokenError(
                f"the processes that simulate the machines died {REBUILDS + 1} times, and none got anything "
                "done in between: there may be too little memory (deploy.workers, env.workload.max_width)"
            )


def _in_a_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
