"""Runs circuits on the machines of an IBM Quantum account, through qiskit-ibm-runtime.

The account comes from the client's environment variables or its saved file, and no message repeats what the
service or the client said: either may quote the account.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from qexp.backend.ibm import ask, connect, live_backends, quiet, statuses
from qexp.deploy.executor import (
    AccountError,
    Executor,
    ExecutorError,
    Job,
    JobState,
    Machine,
    Order,
    RefusedError,
    UndecodableError,
    UnreachableError,
)
from qexp.deploy.ibm_answers import (
    charged,
    decode,
    has_state,
    machine_from_status,
    machine_of,
    moment,
    order_tag,
    seconds,
    section,
    state_of,
)
from qexp.deploy.ibm_line import take_over
from qexp.deploy.ibm_submission import Desk, in_words
from qexp.errors import InputError

if TYPE_CHECKING:
    from qiskit_ibm_runtime import IBMBackend
    from qiskit_ibm_runtime.api.client import RuntimeClient

T = TypeVar("T")

PAGE = 100
"""Jobs that are asked for at once."""
TRIES = 3
"""How often the times of a job that is over are asked for before they count as not known."""
CONNECTING = 120.0
"""The shortest limit on connecting, which takes many requests, seconds."""


@dataclass(frozen=True)
class Usage:
    """Quantum time of the account's plan, seconds.

    Attributes:
        consumed: In the plan's current period.
        limit: What the plan allows in it, None if not known.
    """

    consumed: float
    limit: float | None


@dataclass
class Known:
    """A job as last seen.

    Attributes:
        job: What is known of it.
        client: That knows it.
        asked: When it was last asked for, seconds of the monotonic clock.
    """

    job: Job
    client: RuntimeClient
    asked: float


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
        self._jobs: dict[str, Known] = {}
        self._orders: set[str] = set()
        self._campaigns: set[str] = set()
        self._unmeasured: Counter[str] = Counter()
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
            service = connect()
            for client in service._get_api_clients().values():  # noqa: SLF001 the client has no other way in
                take_over(client, timeout)
            return {str(backend.name): backend for backend in live_backends(service, [])}

        seen = ask(found, max(CONNECTING, 4 * timeout), "deploy.timeout")
        backends = {name: backend for name, backend in seen.items() if name in wanted}
        if not backends:
            raise InputError(
                f"deploy=ibm: the account sees none of the fleet's machines ({', '.join(sorted(wanted))}); it "
                f"sees {', '.join(seen)}: backend=ibm takes those"
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
        """Return seconds since the campaign's begin; never less than before, whatever the system's clock does."""
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
        listed = self._ask(client.list_backends, missing=None)
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
        # The client's own method stumbles over a queue length that is null.
        session = client._session  # noqa: SLF001
        status = self._ask(lambda: session.get(f"/backends/{name}/status").json(), missing=None)
        return machine_from_status(name, status) if isinstance(status, Mapping) else None

    def usage(self) -> Usage | None:
        """Return what the plan's period has used of what it allows, None if the service does not say."""
        answers = [self._ask(client.cloud_usage, missing=None) for client in self._instances]
        consumed = [seconds(section({"u": answer}, "u").get("usage_consumed_seconds")) for answer in answers]
        limits = [
            seconds(usage.get("usage_limit_seconds") or usage.get("usage_allocation_seconds"))
            for usage in (section({"u": answer}, "u") for answer in answers)
        ]
        known = [value for value in consumed if value is not None]
        if not known:
            return None
        allowed = [value for value in limits if value is not None]
        return Usage(sum(known), sum(allowed) if len(allowed) == len(limits) else None)

    # Jobs

    def submit(self, order: Order) -> str:
        """Send one order, once, see `Executor.submit`."""
        if order.node not in self._clients:
            raise RefusedError(f"the account has no machine {order.node}")
        job = self._desk.submit(order)
        self._orders.add(order.tag)
        self._campaigns.add(order.campaign)
        known = Job(job, order.tag, JobState.QUEUED)
        self._jobs[job] = Known(known, self._clients[order.node], time.monotonic())
        return job

    def find(self, tag: str) -> list[Job]:
        """Return all jobs that carry a tag, see `Executor.find`."""
        found = [(client, raw) for client in self._instances for raw in self._list(client, tag)]
        if len({str(sorted(map(str, _tags(raw)))) for _, raw in found}) > 1:
            self._campaigns.add(tag)  # only a campaign's jobs differ in the other tag
        jobs = [self._read(client, raw, tag) for client, raw in found]
        if all(job.created is not None for job in jobs):
            jobs.sort(key=lambda job: job.created or 0.0)
        return jobs

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, see `Executor.poll`."""
        now = time.monotonic()
        stale = [
            name
            for name in jobs
            if (known := self._jobs.get(name)) is None
            or (not known.job.state.final and now - known.asked >= self._poll_interval)
        ]
        self._refresh(stale)
        return [self._jobs[name].job for name in jobs if name in self._jobs]

    def _refresh(self, names: Sequence[str]) -> None:
        """Ask for jobs: all at once those that are under way, one by one those that are not (any more)."""
        left = list(names)
        if len(left) > 1:
            for client in self._instances:
                for tag in self._campaigns:
                    for raw in self._list(client, tag, pending=True):
                        if raw["id"] in left:
                            left.remove(self._read(client, raw).id)
        answered, problem = len(left) < len(names), None
        for name in left:
            try:
                self._ask_for(name)
                answered = True
            except UnreachableError as error:
                if name not in self._jobs:
                    raise  # left out, it would count as gone
                problem = error
                self._jobs[name].asked = time.monotonic()
        if problem is not None and not answered:
            raise problem

    def _ask_for(self, name: str) -> None:
        known = self._jobs.get(name)
        for client in self._instances if known is None else [known.client]:
            raw = self._ask(partial(client.job_get, name), missing=None)
            if raw is not None:
                self._read(client, _mapping(raw) | {"id": name})
                return
        self._jobs.pop(name, None)

    def _list(self, client: RuntimeClient, tag: str, pending: bool | None = None) -> list[dict[str, Any]]:
        """Return the descriptions of all jobs with a tag, oldest first."""
        found: dict[str, dict[str, Any]] = {}
        offset, fresh = 0, True
        while fresh:
            page = partial(
                client.jobs_get, limit=PAGE, skip=offset, pending=pending, job_tags=[tag], descending=False
            )
            answer = _mapping(self._ask(page))
            listed = answer.get("jobs")
            if not isinstance(listed, list):
                raise UnreachableError("IBM Quantum: an answer that makes no sense (no list of jobs)")
            jobs = {str(raw["id"]): raw for raw in listed if isinstance(raw, Mapping) and raw.get("id")}
            fresh = not jobs.keys() <= found.keys()
            found |= {name: dict(raw) | {"id": name} for name, raw in jobs.items()}
            offset += len(listed)
            count = answer.get("count")
            if isinstance(count, int) and offset >= count:
                break
        return [raw for raw in found.values() if not _tags(raw) or tag in _tags(raw)]

    def _read(self, client: RuntimeClient, raw: Mapping[str, Any], searched: str = "") -> Job:
        """Take in the description of a job."""
        name = str(raw["id"])
        known = self._jobs.get(name)
        if known is not None and known.job.state.final:
            return known.job
        if not has_state(raw) or not _tags(raw):
            raw = dict(raw) | _mapping(self._ask(partial(client.job_get, name), missing={}))
        state, error = state_of(raw)
        tag = order_tag(_tags(raw), self._orders, self._campaigns)
        job = Job(
            name,
            known.job.tag if known is not None else tag or searched,
            state,
            created=self._at(raw.get("created")),
            error=error,
        )
        job = self._measured(client, job) if state.final else job
        self._jobs[name] = Known(job, client, time.monotonic())
        return job

    def _measured(self, client: RuntimeClient, job: Job) -> Job:
        """Add the times of a job that is over; while they cannot be had it does not count as over."""
        try:
            metrics = _mapping(self._ask(partial(client.job_metadata, job.id), missing={}))
        except UnreachableError:
            self._unmeasured[job.id] += 1
            if self._unmeasured[job.id] < TRIES:
                return replace(job, state=JobState.RUNNING, error=None)
            metrics = {}
        times = section(metrics, "timestamps")
        created = self._at(times.get("created"))
        return replace(
            job,
            created=job.created if created is None else created,
            running=self._at(times.get("running")),
            finished=self._at(times.get("finished")),
            quantum_seconds=charged(metrics),
        )

    def _at(self, text: object) -> float | None:
        at = moment(text)
        return None if at is None else at - self._origin

    def counts(self, job: str) -> Mapping[str, int]:
        """Return what was measured, see `Executor.counts`."""
        text = None
        for client in self._clients_of(job):
            text = text or self._ask(partial(client.job_results, job), missing=None)
        if not text:
            raise UndecodableError("IBM Quantum: the job has no result")
        with quiet():
            return decode(text)

    def cancel(self, job: str) -> bool:
        """Cancel a job, see `Executor.cancel`."""
        for client in self._clients_of(job):
            if self._ask(partial(_cancelled, client, job), missing=False):
                if job in self._jobs:
                    self._jobs[job].asked = -float("inf")
                return True
        return False

    def _clients_of(self, job: str) -> list[RuntimeClient]:
        known = self._jobs.get(job)
        return self._instances if known is None else [known.client]

    def _ask(self, question: Callable[[], T], **missing: Any) -> T:
        """Put a question to the client.

        Args:
            question: What to call.
            **missing: ``missing``: what to return where the service knows of no such thing.

        Raises:
            UnreachableError: No answer.
            AccountError: The account is not accepted.
        """
        problem: ExecutorError
        with quiet():
            try:
                return question()
            except Exception as error:  # noqa: BLE001 the client raises all kinds
                if missing and 404 in statuses(error):
                    found: T = missing["missing"]
                    return found
                problem = in_words(error)
        # Not from within the handler: what the client said is not even to be in a traceback.
        raise problem


def _cancelled(client: RuntimeClient, job: str) -> bool:
    try:
        client.job_cancel(job)
    except Exception as error:
        if 409 in statuses(error):
            return False
        raise
    return True


def _tags(raw: Mapping[str, Any]) -> list[Any]:
    tags = raw.get("tags")
    return tags if isinstance(tags, list) else []


def _mapping(answer: object) -> dict[str, Any]:
    if not isinstance(answer, Mapping):
        raise UnreachableError("IBM Quantum: an answer that makes no sense")
    return dict(answer)
