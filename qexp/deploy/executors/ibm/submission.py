"""Submits jobs to IBM Quantum, each once, and says exactly what became of it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from qiskit_ibm_runtime import Batch
from qiskit_ibm_runtime.executor_sampler import Sampler

from qexp.circuits.compiled import compiled
from qexp.deploy.executors.executor import (
    AccountError,
    ExecutorError,
    LaterError,
    Order,
    RefusedError,
    UnreachableError,
    UnsureError,
)
from qexp.deploy.executors.ibm.order_queue import Line, Sent, retry_after, take_over
from qexp.deploy.executors.ibm.questions import in_words
from qexp.errors import InputError
from qexp.fleet.ibm import quiet
from qexp.fleet.ibm_errors import chain, kinds, statuses

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit_ibm_runtime import IBMBackend

PACE = 12.0
"""Seconds between submissions where the service says that there are too many and not how many: it documents a
limit of five a minute."""
PAUSE = 5.0
"""Seconds before an order is tried again that did not leave."""
FULL = {1012, 3458}
"""The service's codes for as many jobs in its queues as the account may have."""
FULL_PAUSE = 60.0
"""Seconds before an order is tried again where the service does not say when: one must be over first."""
USED_UP = {4317}
"""Its codes for quantum time that is used up."""
UNCLEAR = {408, 425}
"""Refusals that leave open whether the request was dealt with."""


class Errands(Batch):  # type: ignore[misc]
    """A batch, or the lack of one (``create_new=False``), each of whose jobs is one request.

    The client itself looks up the machine, its status and the plan's usage before each job, and stumbles over
    a queue length that is null. A campaign knows all three, and what to do about a reading that is missing.
    """

    def _run(self, program_id: str, inputs: dict[str, Any], options: dict[str, Any], **_: Any) -> Any:
        return self._backend._api_client.program_run(  # noqa: SLF001 no other way in
            program_id=program_id,
            backend_name=self.backend(),
            params=inputs,
            image=options["image"],
            log_level=options["log_level"],
            session_id=self._session_id,
            job_tags=options["job_tags"],
            max_execution_time=options["max_execution_time"],
        )


def _opened(backend: IBMBackend) -> Errands:
    """Return a new batch.

    Raises:
        AccountError: There are none for this account.
    """
    try:
        return Errands(backend)
    except Exception as error:
        refusals = {status for status in statuses(error) if 400 <= status < 500}
        if not refusals or refusals & ({401, 404, 429} | UNCLEAR):
            raise
        problem = AccountError(
            f"IBM Quantum opens no batch for the account (status {max(refusals)}); "
            "deploy.mode=job does without"
        )
    raise problem


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
        self._batches: dict[str, Errands] = {}
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
        line.expect()
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
        backend = self._backends[order.node]
        circuit = _with_registers(compiled(order.circuit, backend))
        sampler = Sampler(mode=self._mode(order.node))
        sampler.options.environment.job_tags = [order.campaign, order.tag]
        if order.max_seconds is not None:
            sampler.options.max_execution_time = max(1, math.ceil(order.max_seconds))
        sampler.run([circuit], shots=order.shots)

    def _mode(self, node: str) -> Errands:
        if not self._batch:
            return Errands(self._backends[node], create_new=False)
        if node not in self._batches:
            self._batches[node] = _opened(self._backends[node])
            self._used.discard(node)
        return self._batches[node]

    def _refusal(self, order: Order, sent: Sent, line: Line) -> ExecutorError:
        """Say what became of an order that was sent and has no job that we know of."""
        status = sent.status
        if status is None:
            if sent.left:
                return UnsureError("IBM Quantum: no (whole) answer to the order; it may have been accepted")
            return LaterError("IBM Quantum: no connection; nothing was sent", PAUSE)
        assert sent.response is not None
        if 400 <= status < 500 and (limit := self._limit(sent.codes, sent.response.headers)) is not None:
            return limit
        if status == 429:
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

    def _limit(self, codes: set[int], headers: Mapping[str, str]) -> ExecutorError | None:
        """Return what an order came to by the service's own codes, None if they are of no limit."""
        if codes & USED_UP:
            return AccountError(
                f"IBM Quantum: the account's quantum time is used up (error code {min(codes & USED_UP)})"
            )
        if codes & FULL:
            pause = retry_after(headers, FULL_PAUSE)
            self._not_before = time.monotonic() + pause
            return LaterError("IBM Quantum: the account has as many jobs in queues as it may", pause)
        return None


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
    return bool(kinds(error) & {"RequestException", "ApiError", "ExecutorError", "JSONDecodeError"})
