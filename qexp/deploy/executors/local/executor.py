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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import Executor as Pool
from contextlib import suppress
from functools import partial
from typing import Any

from qexp.circuits import compiled as circuits
from qexp.deploy.executors.executor import (
    BrokenError,
    Executor,
    Job,
    JobState,
    LaterError,
    Machine,
    Order,
    RefusedError,
    UndecodableError,
)
from qexp.deploy.executors.local.queue import LocalJob, LocalQueue, MachineTime
from qexp.fleet.machines import MACHINES

log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds after which to ask a closed machine again."""
REBUILDS = 3
"""How often new processes are started with no simulation that ends in between."""


class LocalExecutor(Executor):
    """Runs circuits on stand-ins for the machines of a fleet.

    Args:
        nodes: Catalogue machine of each node, by the node's name.
        model: How long machines take.
        speed: Seconds of the campaign in a real one, or None for a real clock.
        compiling: Starts what runs `noise.shot_seconds`; shut down when this is closed, as is the other, and
            started again if it breaks.
        sampling: Starts what runs `noise.sample`.
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

        self._noise, self._model = noise, model
        self._start = {"compiling": compiling, "sampling": sampling}
        self._queues = {name: LocalQueue(machine) for name, machine in nodes.items()}
        self._jobs: dict[str, LocalJob] = {}
        self._real, self._speed = speed is None, speed or 1.0
        self._shown = 0.0
        self._read: float | None = None  # when the clock was last looked at, None before it goes
        self._changed = threading.Condition()
        self._machines = list(dict.fromkeys(nodes.values()))
        self._pools = {kind: self._begin(kind) for kind in self._start}
        self._rebuilt = dict.fromkeys(self._start, 0)  # since a simulation ended there
        self._broken = self._closed = False

    def _begin(self, kind: str) -> Pool:
        pool = self._start[kind]()
        with suppress(BrokenExecutor):  # whoever uses it will see
            for machine in self._machines:
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
                self._changed.wait(self._pause(until))
                self._check()

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
            self._check()
            job = LocalJob(f"local-{len(self._jobs)}", order, self.now())
            self._jobs[job.id] = job
            queue.jobs.append(job)
            self._plan(queue)
        self._simulate(job, "compiling")
        self._simulate(job, "sampling")
        return job.id

    def _plan(self, queue: LocalQueue) -> None:
        """Plan a queue anew after something has changed there."""
        queue.plan(self._shown)
        self._changed.notify_all()

    def _simulate(self, job: LocalJob, kind: str) -> None:
        """Have one half of a job's simulation done.

        Not to be called with the lock held: a pool that breaks may hold its own while it calls back.
        """
        pool, queue = self._pools[kind], self._queues[job.order.node]
        what = (queue.machine, job.order.circuit)
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

    def _take(self, job: LocalJob, kind: str, pool: Pool, future: Future[Any]) -> None:
        if future.cancelled():
            return
        if isinstance(future.exception(), BrokenExecutor):
            threading.Thread(target=self._mend, args=(kind, pool), daemon=True).start()
            return
        with self._changed:
            self.now()  # the clock stops before what is learnt now lets it go on
            self._rebuilt[kind] = 0
            if kind == "compiling":
                self._take_time(job, future)
            else:
                self._take_counts(job, future)
            self._plan(self._queues[job.order.node])

    def _mend(self, kind: str, broken: Pool) -> None:
        """Start a pool anew that has broken, and have done again what it was at."""
        with self._changed:
            if self._pools[kind] is not broken or self._closed or self._broken:
                return  # others who were told of it have seen to it
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
            raise BrokenError(
                f"the processes that simulate the machines died {REBUILDS + 1} times, and none got anything "
                "done in between: there may be too little memory (deploy.workers, env.workload.max_width)"
            )

    def _take_time(self, job: LocalJob, shot: Future[float]) -> None:
        if job.seconds is not None:
            return
        limit = job.order.max_seconds
        if error := shot.exception():
            job.seconds, job.error, job.ready = 0.0, _in_a_line(error), True
        else:
            job.seconds = self._model.seconds(job.order, shot.result())
            if limit is not None and job.seconds > limit:
                job.seconds, job.error, job.ready = limit, f"stopped after {limit:g} s on the machine", True
        if job.ready and job.sampled is not None:
            job.sampled.cancel()

    def _take_counts(self, job: LocalJob, counts: Future[dict[str, int]]) -> None:
        if job.ready:
            return
        job.ready = True
        if error := counts.exception():
            job.error = _in_a_line(error)
        else:
            job.counts = counts.result()

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
            self._check()
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
