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
from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import Order
from qexp.deploy.executors.ibm.answers import in_words
from qexp.errors import InputError
from qexp.fleet.ibm import quiet
from qexp.fleet.ibm_connection import Connection, Submission, retry_after, take_over
from qexp.fleet.ibm_errors import chain, kinds, statuses

if TYPE_CHECKING:
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


class OneRequest(Batch):  # type: ignore[misc]
    """A batch, or the lack of one (``create_new=False``), each of whose jobs is one request.

    The client itself asks for the machine, its status and the plan's usage before each job, and stumbles over
    a queue length that is null; a campaign knows all three.
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


class Submitter:
    """Sends orders to machines by their names, those of one machine in a batch if wanted."""

    def __init__(self, backends: Mapping[str, IBMBackend], *, batch: bool, timeout: float) -> None:
        self.backends, self._batch = dict(backends), batch
        self._connections = {
            name: take_over(backend._api_client, timeout)  # noqa: SLF001 no other way in
            for name, backend in backends.items()
        }
        self._batches: dict[str, OneRequest] = {}
        self._used: set[str] = set()  # machines whose batch has taken a job
        self._not_before = -math.inf
        self._renewed = False

    def close(self) -> None:
        """Close all batches, whose jobs run on, and all connections."""
        for batch in self._batches.values():
            with quiet(), suppress(Exception):  # it closes by itself before long
                batch.close()
        self._batches.clear()
        for connection in self._connections.values():
            connection.close()

    def submit(self, order: Order) -> str:
        """Send one order and return the job's id, see `Executor.submit`."""
        if (pause := self._not_before - time.monotonic()) > 0:
            raise errors.LaterError("IBM Quantum asked to wait with further jobs", pause)
        connection, problem = self._connections[order.node], None
        connection.expect()
        with quiet():
            try:
                self._send(order)
            except Exception as error:  # noqa: BLE001 the client raises all kinds; what was sent tells more
                problem = _not_sent(error) if connection.submission is None else None
        sent = connection.submission
        if sent is None:
            raise problem or errors.UnsureError("IBM Quantum: the client says nothing of the job")
        if (job := sent.job) is not None:
            self._used.add(order.node)
            self._renewed = False
            return job
        raise self._refusal(order, sent, connection)

    def _send(self, order: Order) -> None:
        circuit = compiled(order.circuit, self.backends[order.node]).copy()
        # It comes back with its result, and says in which order it has its registers.
        circuit.metadata = {"registers": [register.name for register in circuit.cregs]}
        sampler = Sampler(mode=self._mode(order.node))
        sampler.options.environment.job_tags = [order.campaign, order.tag]
        if order.max_seconds is not None:
            sampler.options.max_execution_time = max(1, math.ceil(order.max_seconds))
        sampler.run([circuit], shots=order.shots)

    def _mode(self, node: str) -> OneRequest:
        if not self._batch:
            return OneRequest(self.backends[node], create_new=False)
        if node not in self._batches:
            self._batches[node] = _new_batch(self.backends[node])
            self._used.discard(node)
        return self._batches[node]

    def _refusal(self, order: Order, sent: Submission, connection: Connection) -> errors.ExecutorError:
        """Say what became of an order that was sent and has no job that we know of."""
        if sent.response is None:
            if sent.left:
                return errors.UnsureError("IBM Quantum: no whole answer; the order may have been accepted")
            return errors.LaterError("IBM Quantum: no connection; nothing was sent", PAUSE)
        status, headers = sent.response.status_code, sent.response.headers
        if 400 <= status < 500 and (used_up := sent.codes & USED_UP):
            code = f"error code {min(used_up)}"
            return errors.AccountError(f"IBM Quantum: the account's quantum time is used up ({code})")
        if 400 <= status < 500 and sent.codes & FULL:
            return self._later("the account has as many jobs in queues as it may", headers, FULL_PAUSE)
        if status == 429:
            return self._later("too many jobs at once", headers, PACE)
        if status == 401 and not self._renewed:
            self._renewed = True
            connection.renew()
            return errors.LaterError("IBM Quantum: the access token has expired; the next is new", 0.0)
        if status in {401, 403}:
            return errors.AccountError(f"IBM Quantum: the account was refused (status {status})")
        if 400 <= status < 500 and status not in UNCLEAR:
            if self._batches.pop(order.node, None) is not None and order.node in self._used:
                return errors.LaterError("IBM Quantum: the batch was closed; another comes next", 0.0)
            return errors.RefusedError(f"IBM Quantum refused the order (status {status})")
        return errors.UnsureError(f"IBM Quantum: status {status}; the order may have been accepted")

    def _later(self, why: str, headers: Mapping[str, str], default: float) -> errors.LaterError:
        """Hold all orders back for as long as the service asks."""
        pause = retry_after(headers, default)
        self._not_before = time.monotonic() + pause
        return errors.LaterError(f"IBM Quantum: {why}", pause)


def _new_batch(backend: IBMBackend) -> OneRequest:
    """Return a new batch; raise `AccountError` if there are none for this account."""
    try:
        return OneRequest(backend)
    except Exception as error:
        refusals = {status for status in statuses(error) if 400 <= status < 500}
        if not refusals or refusals & ({401, 404, 429} | UNCLEAR):
            raise
        problem = errors.AccountError(
            f"IBM Quantum opens no batch for the account (status {max(refusals)}); "
            "deploy.mode=job does without"
        )
    raise problem


def _not_sent(error: Exception) -> errors.ExecutorError:
    """Say what became of an order that never left."""
    if isinstance(error, InputError):
        return errors.RefusedError(str(error))
    problem, numbers = in_words(error), statuses(error)
    if not isinstance(problem, errors.UnreachableError):
        return problem
    if numbers and not (numbers & UNCLEAR) and max(numbers) < 429:
        return errors.RefusedError(f"IBM Quantum refused to prepare the order (status {max(numbers)})")
    # What the network or the service is to blame for.
    if numbers or kinds(error) & {"RequestException", "ApiError", "ExecutorError", "JSONDecodeError"}:
        headers = (getattr(getattr(link, "response", None), "headers", None) for link in chain(error))
        pause = retry_after(next(filter(None, headers), {}), PAUSE)
        return errors.LaterError(f"{problem}; nothing was sent", pause)
    return errors.RefusedError(f"the client does not take the order ({type(error).__name__})")
