"""Runs circuits on stand-ins for machines: queues and times by a model, counts by noisy simulation.

What a job's times are does not depend on how long its simulation takes. A compressed clock stands still where
the simulation is behind, so that whoever looks at the machines cannot tell; a real clock cannot, and jobs
are then reported late, with the machine's times.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import Executor as Pool
from functools import partial

from qexp.backend.machines import MACHINES
from qexp.deploy import circuits
from qexp.deploy.executor import (
    Executor,
    Job,
    JobState,
    LaterError,
    Machine,
    Order,
    RefusedError,
    UndecodableError,
)
from qexp.deploy.local_queue import LocalJob, LocalQueue, MachineTime

PAUSE = 10.0
"""Seconds after which to ask a closed machine again."""


class LocalExecutor(Executor):
    """Runs circuits on stand-ins for the machines of a fleet.

    Args:
        nodes: Catalogue machine of each node, by the node's name.
        model: How long machines take.
        speed: Seconds of the campaign in a real one, or None for a real clock.
        compiling: Runs `qexp.deploy.noise.shot_seconds`; shut down when this is closed, as is the other.
        sampling: Runs `qexp.deploy.noise.sample`.
    """

    def __init__(
        self,
        nodes: Mapping[str, str],
        model: MachineTime,
        *,
        speed: float | None,
        compiling: Pool,
        sampling: Pool,
    ) -> None:
        from qexp.deploy import noise

        self._noise, self._model = noise, model
        self._compiling, self._sampling = compiling, sampling
        self._queues = {name: LocalQueue(machine) for name, machine in nodes.items()}
        self._jobs: dict[str, LocalJob] = {}
        self._real, self._speed = speed is None, speed or 1.0
        self._shown = 0.0
        self._read: float | None = None  # when the clock was last looked at, None before it goes
        self._changed = threading.Condition()
        for machine in dict.fromkeys(nodes.values()):
            for pool in (compiling, sampling):
                pool.submit(noise.load, machine)

    def close(self) -> None:
        """Let the processes go, as soon as each has ended what it is at."""
        for pool in (self._compiling, self._sampling):
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
            while self.now() < until and self._states() == before:
                self._changed.wait(self._pause(until))

    def _states(self) -> list[tuple[str, JobState]]:
        return [(job.id, job.state(self._shown)) for queue in self._queues.values() for job in queue.jobs]

    def _pause(self, until: float) -> float | None:
        """Return how long nothing happens, real seconds; None where only a simulation can go on."""
        if self._horizon <= self._shown:
            return None
        moments = [until, self._horizon]
        for queue in self._queues.values():
            for job in queue.jobs:
                moments += [
                    time for time in (job.start, job.finish) if time is not None and time > self._shown
                ]
        return (min(moments) - self._shown) / self._speed

    def machines(self) -> list[Machine]:
        """Return all machines with the jobs that they have not worked off."""
        with self._changed:
            now = self.now()
            return [
                Machine(
                    name,
                    queue.open,
                    "active" if queue.open else "maintenance",
                    sum(job.finish is None or job.finish > now for job in queue.jobs),
                )
                for name, queue in self._queues.items()
            ]

    def set_open(self, node: str, is_open: bool) -> None:
        """Open or close a machine to new orders; what it has goes on."""
        with self._changed:
            self._queues[node].open = is_open

    def submit(self, order: Order) -> str:
        """Queue an order, see `Executor.submit`."""
        queue = self._queues.get(order.node)
        if queue is None or not circuits.known(order.circuit):
            raise RefusedError(f"no circuit {order.circuit} on a machine {order.node}")
        if int(order.circuit.rpartition("_")[2]) > MACHINES[queue.machine].qubits:
            raise RefusedError(f"{order.circuit} does not fit {order.node}")
        if not queue.open:
            raise LaterError(f"{order.node} is closed", PAUSE)
        with self._changed:
            job = LocalJob(f"local-{len(self._jobs)}", order, self.now())
            seed = int(self._model.stream(order).integers(2**31))
            what = (queue.machine, order.circuit)
            try:
                timed = self._compiling.submit(self._noise.shot_seconds, *what)
                job.sampled = self._sampling.submit(self._noise.sample, *what, order.shots, seed)
            except BrokenExecutor as error:
                raise RefusedError("the simulation's processes are gone") from error
            self._jobs[job.id] = job
            queue.jobs.append(job)
            self._plan(queue)
        timed.add_done_callback(partial(self._take_time, job, queue))
        job.sampled.add_done_callback(partial(self._take_counts, job, queue))
        return job.id

    def _plan(self, queue: LocalQueue) -> None:
        """Plan a queue anew after something has changed there."""
        queue.plan(self._shown)
        self._changed.notify_all()

    def _take_time(self, job: LocalJob, queue: LocalQueue, shot: Future[float]) -> None:
        if shot.cancelled():
            return
        with self._changed:
            self.now()  # the clock stops before what is learnt now lets it go on
            limit = job.order.max_seconds
            if error := shot.exception():
                job.seconds, job.error, job.ready = 0.0, _in_a_line(error), True
            else:
                job.seconds = self._model.seconds(job.order, shot.result())
                if limit is not None and job.seconds > limit:
                    job.seconds, job.error, job.ready = (
                        limit,
                        f"stopped after {limit:g} s on the machine",
                        True,
                    )
            if job.ready and job.sampled is not None:
                job.sampled.cancel()
            self._plan(queue)

    def _take_counts(self, job: LocalJob, queue: LocalQueue, counts: Future[dict[str, int]]) -> None:
        if counts.cancelled():
            return
        with self._changed:
            self.now()
            if not job.ready:
                job.ready = True
                if error := counts.exception():
                    job.error = _in_a_line(error)
                else:
                    job.counts = counts.result()
            self._plan(queue)

    def find(self, tag: str) -> list[Job]:
        """Return the jobs with a tag, see `Executor.find`."""
        with self._changed:
            now = self.now()
            return [
                job.told(now) for job in self._jobs.values() if tag in {job.order.tag, job.order.campaign}
            ]

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, see `Executor.poll`."""
        with self._changed:
            now = self.now()
            return [self._jobs[name].told(now) for name in jobs if name in self._jobs]

    def counts(self, job: str) -> Mapping[str, int]:
        """Return what was measured, see `Executor.counts`."""
        with self._changed:
            found = self._jobs[job]
            if found.counts is None or found.state(self.now()) is not JobState.DONE:
                raise UndecodableError(f"{job} has no result")
            return found.counts

    def cancel(self, job: str) -> bool:
        """Cancel a job that has not begun; those that run end by themselves."""
        with self._changed:
            found, now = self._jobs[job], self.now()
            if found.state(now) is not JobState.QUEUED:
                return False
            found.cancelled, queue = now, self._queues[found.order.node]
            queue.jobs.remove(found)
            if found.sampled is not None:
                found.sampled.cancel()
            self._plan(queue)
            return True


def _in_a_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
