"""Runs circuits on the machines of an IBM Quantum account, through qiskit-ibm-runtime.

The account comes from the client's environment variables or its saved file, and no message repeats what the
service or the client said: either may quote the account.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qexp.deploy.executors.executor import (
    Executor,
    Job,
    Machine,
    Order,
    RefusedError,
    UndecodableError,
    UnreachableError,
)
from qexp.deploy.executors.ibm.answers import decode, machine_from_status, machine_of, seconds, section
from qexp.deploy.executors.ibm.jobs import Jobs
from qexp.deploy.executors.ibm.order_queue import take_over
from qexp.deploy.executors.ibm.questions import put
from qexp.deploy.executors.ibm.submission import Desk
from qexp.errors import InputError
from qexp.fleet.ibm import ask, connect, live_backends, machine_status, quiet
from qexp.fleet.ibm_errors import statuses

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend
    from qiskit_ibm_runtime.api.client import RuntimeClient

CONNECTING = 30.0
"""The shortest limit on connecting, which takes many requests, seconds."""


@dataclass(frozen=True)
class Usage:
    """Quantum time of the account's plan, seconds.

    Attributes:
        consumed: In the plan's current period.
        limit: What the plan allows in it, None if not known.
        left: What may still be used, None if not known: nothing, where the service says that it is used up,
            whatever the limit.
    """

    consumed: float
    limit: float | None
    left: float | None


class IBMQuantumExecutor(Executor):
    """Machines of one account.

    Args:
        backends: By name of the machine.
        batch: Whether the jobs of one machine are sent in a batch.
        poll_interval: Between two looks at the jobs, seconds.
        status_interval: Between two looks at the machines, seconds.
        timeout: The longest wait for an answer, seconds.
    """

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
        self._lines = [take_over(client, timeout) for client in self._instances]
        self._desk = Desk(backends, batch=batch, timeout=timeout)
        self._poll_interval, self._status_interval = poll_interval, status_interval
        self._jobs = Jobs(self._instances, poll_interval, lambda at: at - self._origin)
        self._machines: list[Machine] = []
        self._looked = -float("inf")
        self.start(0.0)

    @classmethod
    def connect(cls, names: Iterable[str], *, timeout: float = 60.0, **settings: Any) -> Self:
        """Connect to the account's machines.

        Args:
            names: Machines that are wanted; those that the account does not see never open.
            timeout: The longest wait for an answer, seconds.
            **settings: See the class.

        Raises:
            InputError: No account, a refused one, no answer, or none of these machines.
        """
        wanted = set(names)

        def found() -> dict[str, IBMBackend]:
            service = connect(partial(take_over, timeout=timeout))
            return {str(backend.name): backend for backend in live_backends(service, [])}

        seen = ask(found, max(CONNECTING, 4 * timeout), "deploy.timeout")
        backends = {name: backend for name, backend in seen.items() if name in wanted}
        if not backends:
            raise InputError(
                f"deploy=ibm: the account sees none of the fleet's machines ({', '.join(sorted(wanted))}); "
                f"it sees {', '.join(seen)}: backend=ibm takes those"
            )
        return cls(backends, timeout=timeout, **settings)

    @property
    def _instances(self) -> list[RuntimeClient]:
        """The clients, one for each instance of the account."""
        return list({id(client): client for client in self._clients.values()}.values())

    def close(self) -> None:
        """Close batches and connections; jobs go on."""
        self._desk.close()
        for line in self._lines:
            line.close()

    # Time

    def start(self, at: float) -> None:
        """Set the clock going: real time, see `Executor.start`."""
        self._origin, self._shown = time.time() - at, at

    def now(self) -> float:
        """Return seconds since the campaign's begin; never less than before, if the system's clock is set."""
        self._shown = max(self._shown, time.time() - self._origin)
        return self._shown

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the next look at the jobs."""
        time.sleep(max(min(seconds, self._poll_interval), 0.0))

    # Machines

    def machines(self) -> list[Machine]:
        """Return how the machines are doing, see `Executor.machines`."""
        if time.monotonic() - self._looked >= self._status_interval:
            self._machines = [machine for client in self._instances for machine in self._look(client)]
            self._looked = time.monotonic()
        return list(self._machines)

    def _look(self, client: RuntimeClient) -> list[Machine]:
        listed = put(client.list_backends, missing=None)
        entries = {entry.get("name"): entry for entry in listed or [] if isinstance(entry, Mapping)}
        machines = []
        for name in (name for name, its in self._clients.items() if its is client):
            machine = machine_of(entries[name]) if name in entries else None
            if machine is None and (listed is None or name in entries):
                # The list has nothing on it, or there is no list.
                with suppress(UnreachableError):
                    machine = self._status(client, name)
            machines += [machine] if machine is not None else []
        return machines

    def _status(self, client: RuntimeClient, name: str) -> Machine | None:
        status = put(partial(machine_status, client, name), missing=None)
        return machine_from_status(name, status) if isinstance(status, Mapping) else None

    def usage(self) -> Usage | None:
        """Return what the plan's period has used of what it allows, None if the service does not say."""
        answers = [section({"u": put(client.cloud_usage, missing=None)}, "u") for client in self._instances]
        known = [usage for usage in map(_usage, answers) if usage is not None]
        if not known:
            return None
        limits = [usage.limit for usage in known if usage.limit is not None]
        left = [usage.left for usage in known if usage.left is not None]
        return Usage(
            sum(usage.consumed for usage in known),
            sum(limits) if len(limits) == len(answers) else None,
            sum(left) if len(left) == len(answers) else None,
        )

    def quantum_seconds_left(self) -> float | None:
        """Return what is left of the plan's period, see `Executor.quantum_seconds_left`."""
        usage = self.usage()
        return None if usage is None else usage.left

    # Jobs

    def submit(self, order: Order) -> str:
        """Send one order, once, see `Executor.submit`."""
        if order.node not in self._clients:
            raise RefusedError(f"the account has no machine {order.node}")
        job = self._desk.submit(order)
        self._jobs.add(job, order, self._clients[order.node])
        return job

    def find(self, tag: str) -> list[Job]:
        """Return all jobs that carry a tag, see `Executor.find`."""
        return self._jobs.find(tag)

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, see `Executor.poll`."""
        return self._jobs.poll(jobs)

    def counts(self, job: str) -> Mapping[str, int]:
        """Return what was measured, see `Executor.counts`."""
        text = None
        for client in self._jobs.clients(job):
            text = text or put(partial(client.job_results, job), missing=None)
        if not text:
            raise UndecodableError("IBM Quantum: the job has no result")
        with quiet():
            return decode(text)

    def cancel(self, job: str) -> bool:
        """Cancel a job, see `Executor.cancel`."""
        for client in self._jobs.clients(job):
            if put(partial(_cancelled, client, job), missing=False):
                self._jobs.changed(job)
                return True
        return False


def _usage(answer: Mapping[str, Any]) -> Usage | None:
    """Return what one instance used; None if it does not say."""
    consumed = seconds(answer.get("usage_consumed_seconds"))
    limit = seconds(answer.get("usage_limit_seconds") or answer.get("usage_allocation_seconds"))
    used_up = answer.get("usage_limit_reached") is True
    if consumed is None:
        return Usage(0.0, limit, 0.0) if used_up else None
    left = None if limit is None else max(limit - consumed, 0.0)
    return Usage(consumed, limit, 0.0 if used_up else left)


def _cancelled(client: RuntimeClient, job: str) -> bool:
    try:
        client.job_cancel(job)
    except Exception as error:
        if 409 in statuses(error):
            return False
        raise
    return True
