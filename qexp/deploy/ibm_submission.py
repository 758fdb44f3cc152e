"""Submits jobs to IBM Quantum, each once, and says exactly what became of it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from qexp.backend.ibm import chain, quiet, statuses
from qexp.deploy.circuits import compiled
from qexp.deploy.executor import (
    AccountError,
    ExecutorError,
    LaterError,
    Order,
    RefusedError,
    UnreachableError,
    UnsureError,
)
from qexp.deploy.ibm_line import Line, Sent, retry_after, take_over
from qexp.errors import InputError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime import Batch, IBMBackend

PACE = 12.0
"""Seconds between submissions where the service says that there are too many and not how many: it documents a
limit of five a minute."""
PAUSE = 5.0
"""Seconds before an order is tried again that did not leave."""
UNCLEAR = {408, 425}
"""Refusals that leave open whether the request was dealt with."""


class Desk:
    """Takes orders.

    Args:
        backends: By name of the machine.
        batch: Whether the jobs of one machine go into a batch.
        timeout: Of each request, seconds.
    """

    def __init__(self, backends: Mapping[str, IBMBackend], *, batch: bool, timeout: float) -> None:
        self._backends, self._batch = dict(backends), batch
        self._lines: dict[str, Line] = {}
        for name, backend in backends.items():
            self._lines[name] = take_over(backend._api_client, timeout)  # noqa: SLF001
            _ask_nothing_first(backend)
        self._batches: dict[str, Batch] = {}
        self._used: set[str] = set()  # machines whose batch has taken a job
        self._not_before = -math.inf
        self._renewed = False

    def close(self) -> None:
        """Close all batches; their jobs go on."""
        for batch in self._batches.values():
            with quiet(), suppress(Exception):  # it closes by itself before long
                batch.close()
        self._batches.clear()

    def submit(self, order: Order) -> str:
        """Send one order, see `Executor.submit`.

        Returns:
            The job's id.
        """
        if (pause := self._not_before - time.monotonic()) > 0:
            raise LaterError("IBM Quantum asked to wait with further jobs", pause)
        line, problem = self._lines[order.node], None
        line.sent = None
        with quiet():
            try:
                self._send(order)
            except Exception as error:  # noqa: BLE001 the client raises all kinds; what was sent tells more
                problem = _not_sent(error) if line.sent is None else None
        sent = line.sent
        if sent is None:
            raise problem or UnsureError("IBM Quantum: the client says nothing of the job")
        if (job := sent.job) is not None:
            self._used.add(order.node)
            self._renewed = False
            return job
        raise self._refusal(order, sent, line)

    def _send(self, order: Order) -> None:
        from qiskit_ibm_runtime.executor_sampler import Sampler

        backend = self._backends[order.node]
        circuit = _with_registers(compiled(order.circuit, backend))
        sampler = Sampler(mode=self._mode(order.node))
        sampler.options.environment.job_tags = [order.campaign, order.tag]
        if order.max_seconds is not None:
            sampler.options.max_execution_time = max(1, math.ceil(order.max_seconds))
        sampler.run([circuit], shots=order.shots)

    def _mode(self, node: str) -> Any:
        if not self._batch:
            return self._backends[node]
        if node not in self._batches:
            from qiskit_ibm_runtime import Batch

            self._batches[node] = Batch(backend=self._backends[node])
            self._used.discard(node)
        return self._batches[node]

    def _refusal(self, order: Order, sent: Sent, line: Line) -> ExecutorError:
        """Say what became of an order that was sent and has no job that we know of."""
        status = sent.status
        if status is None:
            if sent.left:
                return UnsureError("IBM Quantum: no (whole) answer to the order; it may have been accepted")
            return LaterError("IBM Quantum: no connection; nothing was sent", PAUSE)
        if status == 429:
            assert sent.response is not None
            pause = retry_after(sent.response.headers, PACE)
            self._not_before = time.monotonic() + pause
            return LaterError("IBM Quantum: too many jobs at once", pause)
        if status == 401 and not self._renewed:
            self._renewed = True
            line.access.renew()
            return LaterError("IBM Quantum: the access token has expired; the next order gets a new one", 0.0)
        if status in {401, 403}:
            return AccountError(f"IBM Quantum: the account was refused (status {status})")
        if 400 <= status < 500 and status not in UNCLEAR:
            if self._batches.pop(order.node, None) is not None and order.node in self._used:
                return LaterError("IBM Quantum: the batch was closed; the next order opens another", 0.0)
            return RefusedError(f"IBM Quantum refused the order (status {status})")
        return UnsureError(f"IBM Quantum answered the order with status {status}; it may have been accepted")


def _ask_nothing_first(backend: IBMBackend) -> None:
    """Keep the client from asking for the plan's usage and the machine's status before each job.

    The campaign asks for both itself, and knows what to do about a reading that is missing.
    """
    from qiskit_ibm_runtime.models import BackendStatus

    known = {"operational": True, "status_msg": "active", "pending_jobs": 0}
    status = BackendStatus(backend_name=backend.name, backend_version="", **known)
    backend.status = lambda: status
    backend.service._check_instance_usage = lambda: None  # noqa: SLF001


def _with_registers(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit that comes back with its result: in which order it has its registers."""
    circuit = circuit.copy()
    circuit.metadata = {"registers": [register.name for register in circuit.cregs]}
    return circuit


def _not_sent(error: Exception) -> ExecutorError:
    """Say what became of an order that never left."""
    if isinstance(error, InputError):
        return RefusedError(str(error))
    problem = in_words(error)
    if not isinstance(problem, UnreachableError):
        return problem
    found = statuses(error)
    if found and not (found & UNCLEAR) and max(found) < 429:
        return RefusedError(f"IBM Quantum refused to prepare the order (status {max(found)})")
    if found or _from_outside(error):
        return LaterError(f"{problem}; nothing was sent", _pause(error))
    return RefusedError(f"the client does not take the order ({type(error).__name__})")


def _pause(error: Exception) -> float:
    headers = [getattr(getattr(link, "response", None), "headers", None) for link in chain(error)]
    return retry_after(next((found for found in headers if found), {}), PAUSE)


def _from_outside(error: Exception) -> bool:
    """Whether it is the network or the service that an error comes from."""
    kinds = {kind.__name__ for link in chain(error) for kind in type(link).__mro__}
    return bool(kinds & {"RequestException", "ApiError", "ExecutorError", "JSONDecodeError"})


def in_words(error: Exception) -> ExecutorError:
    """Return what an error of the client comes down to, in words of our own."""
    for link in chain(error):
        if isinstance(link, AccountError | UnreachableError):
            return type(link)(str(link))
    found = statuses(error)
    kinds = {kind.__name__ for link in chain(error) for kind in type(link).__mro__}
    if found & {401, 403} or "IBMNotAuthorizedError" in kinds:
        return AccountError("IBM Quantum: the account was refused: its token is not valid (for this instance)")
    if found:
        return UnreachableError(f"IBM Quantum answers with status {max(found)}")
    if "Timeout" in kinds:
        return UnreachableError("IBM Quantum: no answer in deploy.timeout seconds")
    if kinds & {"RequestException", "ConnectionError"}:
        return UnreachableError("IBM Quantum: no connection")
    return UnreachableError(f"IBM Quantum: an answer that makes no sense ({type(error).__name__})")
