"""Simulated machines: a campaign in no time, before it costs anything."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import Order
from qexp.deploy.executors.queue import QueuedJob, QueueExecutor
from qexp.placement.scenario import Scenario


class SimulatorExecutor(QueueExecutor):
    """Machines whose service times are the predicted ones, or near them; time jumps from change to change.

    Args:
        scenario: The placement problem; its service times are the true ones.
        jitter: Standard deviation of the logarithm of actual over predicted service time.
        seed: Of the jitter, which depends on it and on an order's tag alone.
    """

    def __init__(self, scenario: Scenario, jitter: float = 0.0, seed: int = 0) -> None:
        super().__init__({name: name for name in scenario.fleet.names})
        self._service = dict(zip(scenario.circuits.names, scenario.service, strict=True))
        self._names = scenario.fleet.names
        self._jitter, self._seed = jitter, seed
        self._shown = 0.0

    def start(self, at: float) -> None:
        """Set the clock going, see `Executor.start`."""
        self._shown = at

    def now(self) -> float:
        """Return simulated time, seconds."""
        return self._shown

    def wait(self, seconds: float) -> None:
        """Move on to the next change of a job, or by so many seconds, whichever is sooner."""
        self._shown = min([self._shown + seconds, *self._changes(self._shown)])

    def submit(self, order: Order) -> str:
        """Queue an order, see `Executor.submit`."""
        row = self._service.get(order.circuit)
        if row is None or order.node not in self._queues:
            raise errors.RefusedError(f"no circuit {order.circuit} on a machine {order.node}")
        service = float(row[self._names.index(order.node)])
        if not np.isfinite(service):
            raise errors.RefusedError(f"{order.circuit} does not fit {order.node}")
        if self._jitter:
            rng = np.random.default_rng([self._seed, zlib.crc32(order.tag.encode())])
            service *= float(np.exp(rng.normal(0.0, self._jitter)))
        job = QueuedJob(f"simulated-{len(self._jobs)}", order, self._shown, service, ready=True)
        self._enqueue(job)
        return job.id

    def counts(self, job: str) -> Mapping[str, int] | None:
        """Return nothing: no circuit ran."""
        return None
