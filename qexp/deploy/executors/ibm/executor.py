"""Runs circuits on the machines of an IBM Quantum account, through qiskit-ibm-runtime.

The account comes from the client's environment variables or its saved file, and no message repeats what the
service or the client said: either may quote the account.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import Machine, Order
from qexp.deploy.executors.ibm.answers import machine_from_status, machine_of, put, seconds, section
from qexp.deploy.executors.ibm.jobs import NEVER, JobsAtIBM
from qexp.deploy.executors.ibm.submission import Submitter
from qexp.errors import InputError
from qexp.fleet.ibm import ask, connect, live_backends, machine_status

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend
    from qiskit_ibm_runtime.api.client import RuntimeClient

CONNECTING = 30.0
"""The shortest limit on connecting, which takes many requests, seconds."""


class IBMQuantumExecutor(JobsAtIBM):
    """Machines of one account, by their names; settings as in `qexp.deploy.ibm.IBM`, seconds."""

    keeps_jobs: ClassVar[bool] = True

    def __init__(
        self,
        backends: Mapping[str, IBMBackend],
        *,
        batch: bool = False,
        poll_interval: float = 10.0,
        status_interval: float = 30.0,
        timeout: float = 60.0,
    ) -> None:
        self._clients = {name: backend._api_client for name, backend in backends.items()}  # noqa: SLF001
        instances = {id(client): client for client in self._clients.values()}
        super().__init__(list(instances.values()), poll_interval)
        self._submitter = Submitter(backends, batch=batch, timeout=timeout)
        self._status_interval = status_interval
        self._machines: list[Machine] = []
        self._asked = NEVER
        self.start(0.0)

    @classmethod
    def connect(cls, names: Iterable[str], *, timeout: float = 60.0, **settings: Any) -> Self:
        """Connect to the account's machines.

        Args:
            names: Machines that are wanted; those that the account does not see never open.
            timeout: The longest wait for an answer, seconds.
            **settings: See the class.
        """
        wanted = set(names)
        limit = max(CONNECTING, 4 * timeout)
        seen, _ = ask(lambda: live_backends(connect(timeout)), limit, "deploy.timeout")
        backends = {str(backend.name): backend for backend in seen if backend.name in wanted}
        if not backends:
            raise InputError(
                f"deploy=ibm: the account sees none of the fleet's machines ({', '.join(sorted(wanted))}); "
                f"it sees {', '.join(str(backend.name) for backend in seen)}: backend=ibm takes those"
            )
        return cls(backends, timeout=timeout, **settings)

    def close(self) -> None:
        """Close batches and connections; jobs run on."""
        self._submitter.close()

    def start(self, at: float) -> None:
        """Set the clock going: real time, see `Executor.start`."""
        self._origin, self._shown = time.time() - at, at

    def now(self) -> float:
        """Return seconds since the campaign's begin; never less than before, if the system's clock is set."""
        self._shown = max(self._shown, time.time() - self._origin)
        return self._shown

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the next question about the jobs."""
        time.sleep(max(min(seconds, self._poll_interval), 0.0))

    def machines(self) -> list[Machine]:
        """Return how the machines are doing, see `Executor.machines`."""
        if time.monotonic() - self._asked >= self._status_interval:
            self._machines = [machine for client in self._instances for machine in self._machines_of(client)]
            self._asked = time.monotonic()
        return list(self._machines)

    def _machines_of(self, client: RuntimeClient) -> list[Machine]:
        listed = put(client.list_backends, missing=None)
        entries = {entry.get("name"): entry for entry in listed or [] if isinstance(entry, Mapping)}
        machines = []
        for name in (name for name, its in self._clients.items() if its is client):
            machine = machine_of(entries[name]) if name in entries else None
            if machine is None and (listed is None or name in entries):
                # The list has nothing on it, or there is no list.
                with suppress(errors.UnreachableError):
                    status = put(partial(machine_status, client, name), missing=None)
                    machine = machine_from_status(name, status) if isinstance(status, Mapping) else None
            machines += [machine] if machine is not None else []
        return machines

    def quantum_seconds_left(self) -> float | None:
        """Return what is left of the plan's period, see `Executor.quantum_seconds_left`."""
        answers = (put(client.cloud_usage, missing=None) for client in self._instances)
        left = [_left(section({"usage": answer}, "usage")) for answer in answers]
        return None if None in left else sum(seconds for seconds in left if seconds is not None)

    def submit(self, order: Order) -> str:
        """Send one order, once, see `Executor.submit`."""
        if order.node not in self._clients:
            raise errors.RefusedError(f"the account has no machine {order.node}")
        job = self._submitter.submit(order)
        self._add(job, order, self._clients[order.node])
        return job


def _left(usage: Mapping[str, Any]) -> float | None:
    """Return the quantum time that one instance may still use, seconds; None if it does not say.

    Nothing, where the service says that it is used up, whatever the limit.
    """
    consumed = seconds(usage.get("usage_consumed_seconds"))
    limit = seconds(usage.get("usage_limit_seconds") or usage.get("usage_allocation_seconds"))
    if usage.get("usage_limit_reached") is True:
        return 0.0
    return None if consumed is None or limit is None else max(limit - consumed, 0.0)
