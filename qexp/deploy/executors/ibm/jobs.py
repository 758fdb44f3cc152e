"""The state of jobs at IBM Quantum, with as few questions as will do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import Executor, Job, JobState, Order, latest
from qexp.deploy.executors.ibm.answers import (
    charged,
    decode,
    mapping,
    moment,
    order_tag,
    put,
    section,
    state_of,
)
from qexp.fleet.ibm import quiet
from qexp.fleet.ibm_errors import statuses

if TYPE_CHECKING:
    from qiskit_ibm_runtime.api.client import RuntimeClient

PAGE = 100
"""Jobs that are asked for at once."""
NEVER = -float("inf")


@dataclass
class Known:
    """A job as last seen, and the client that knows it.

    Attributes:
        asked: When it was last asked for, seconds of the monotonic clock.
        begun: Whether it was asked when it began to run, once it did.
        measured: When it was last asked for its times and its bill after it was over, likewise.
    """

    job: Job
    client: RuntimeClient
    asked: float
    begun: bool = False
    measured: float = NEVER


class JobsAtIBM(Executor):
    """Follows the jobs of one account; a subclass has the clock and the machines, and sends orders.

    There is a client for each of the account's instances.
    """

    def __init__(self, instances: Sequence[RuntimeClient], poll_interval: float) -> None:
        self._instances, self._poll_interval = instances, poll_interval
        self._origin = 0.0  # when the campaign's clock showed 0, seconds since the epoch
        self._jobs: dict[str, Known] = {}
        self._orders: set[str] = set()
        self._campaigns: set[str] = set()

    def find(self, tag: str) -> list[Job]:
        """Return all jobs with a tag, see `Executor.find`."""
        listed = [(client, raw) for client in self._instances for raw in self._list(client, tag)]
        if len({str(sorted(map(str, _tags(raw)))) for _, raw in listed}) > 1:
            self._campaigns.add(tag)  # only a campaign's jobs differ in the other tag
        jobs = [self._read(client, raw, tag) for client, raw in listed]
        if all(job.created is not None for job in jobs):
            jobs.sort(key=lambda job: job.created or 0.0)
        return jobs

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, see `Executor.poll`."""
        self._refresh([name for name in jobs if name not in self._jobs or self._is_stale(self._jobs[name])])
        seen = [self._jobs[name] for name in jobs if name in self._jobs]
        for known in seen:
            self._measure(known)
        return [known.job for known in seen]

    def _is_stale(self, known: Known) -> bool:
        return not known.job.state.final and time.monotonic() - known.asked >= self._poll_interval

    def counts(self, job: str) -> Mapping[str, int]:
        """Return what was measured, see `Executor.counts`."""
        text = None
        for client in self._clients_of(job):
            text = text or put(partial(client.job_results, job), missing=None)
        if not text:
            raise errors.UndecodableError("IBM Quantum: the job has no result")
        with quiet():
            return decode(text)

    def cancel(self, job: str) -> bool:
        """Cancel a job, see `Executor.cancel`."""
        for client in self._clients_of(job):
            if put(partial(_cancelled, client, job), missing=False):
                if job in self._jobs:
                    self._jobs[job].asked = NEVER  # to be asked for at the next opportunity
                return True
        return False

    def _add(self, job: str, order: Order, client: RuntimeClient) -> None:
        """Take down a job that was accepted just now."""
        self._orders.add(order.tag)
        self._campaigns.add(order.campaign)
        self._jobs[job] = Known(Job(job, order.tag, JobState.QUEUED), client, time.monotonic())

    def _clients_of(self, job: str) -> Sequence[RuntimeClient]:
        """Return the clients that may know a job."""
        known = self._jobs.get(job)
        return self._instances if known is None else [known.client]

    def _refresh(self, names: Sequence[str]) -> None:
        """Ask for jobs: all at once those that are under way, one by one those that are not (any more)."""
        left = list(names)
        if len(left) > 1:
            for client in self._instances:
                for tag in self._campaigns:
                    for raw in self._list(client, tag, pending=True):
                        if raw["id"] in left:
                            left.remove(self._read(client, raw).id)
        problems: list[errors.UnreachableError] = []
        for name in left:
            try:
                self._ask_for(name)
            except errors.UnreachableError as error:
                if name not in self._jobs:
                    raise  # left out, it would count as gone
                problems.append(error)
                self._jobs[name].asked = time.monotonic()
        if problems and len(problems) == len(names):
            raise problems[0]

    def _ask_for(self, name: str) -> None:
        for client in self._clients_of(name):
            if (raw := put(partial(client.job_get, name), missing=None)) is not None:
                self._read(client, mapping(raw) | {"id": name})
                return
        self._jobs.pop(name, None)

    def _list(self, client: RuntimeClient, tag: str, pending: bool | None = None) -> list[dict[str, Any]]:
        """Return the descriptions of all jobs with a tag, oldest first."""
        listed: dict[str, dict[str, Any]] = {}
        offset, fresh = 0, True
        while fresh:
            page = partial(
                client.jobs_get, limit=PAGE, skip=offset, pending=pending, job_tags=[tag], descending=False
            )
            answer = mapping(put(page))
            rows = answer.get("jobs")
            if not isinstance(rows, list):
                raise errors.UnreachableError("IBM Quantum: an answer that makes no sense (no list of jobs)")
            jobs = {str(raw["id"]): raw for raw in rows if isinstance(raw, Mapping) and raw.get("id")}
            fresh = not jobs.keys() <= listed.keys()
            listed |= {name: dict(raw) | {"id": name} for name, raw in jobs.items()}
            offset += len(rows)
            count = answer.get("count")
            if isinstance(count, int) and offset >= count:
                break
        return [raw for raw in listed.values() if not _tags(raw) or tag in _tags(raw)]

    def _read(self, client: RuntimeClient, raw: Mapping[str, Any], searched: str = "") -> Job:
        """Take in the description of a job."""
        name = str(raw["id"])
        known = self._jobs.get(name)
        if known is not None and known.job.state.final:
            return known.job
        if not (raw.get("state") or raw.get("status")) or not _tags(raw):
            raw = dict(raw) | mapping(put(partial(client.job_get, name), missing={}))
        if known is None:
            tag = order_tag(_tags(raw), self._orders, self._campaigns) or searched
            known = self._jobs[name] = Known(Job(name, tag, JobState.QUEUED), client, 0.0)
        state, error = state_of(raw)
        created = latest(self._at(raw.get("created")), known.job.created)
        known.job = replace(known.job, state=state, created=created, error=error)
        known.client, known.asked = client, time.monotonic()
        return known.job

    def _measure(self, known: Known) -> None:
        """Ask for a job's times and bill, where there may be news: when it begins, and once it is over.

        A bill may be made out late: how often to ask for it is up to whoever asks about the job.
        """
        job, now = known.job, time.monotonic()
        if job.state is JobState.RUNNING and not known.begun:
            known.begun = True
        elif job.state.final and None in {job.finished, job.quantum_seconds}:
            if now - known.measured < self._poll_interval:
                return
            known.measured = now
        else:
            return
        try:
            metrics = mapping(put(partial(known.client.job_metadata, job.id), missing={}))
        except errors.UnreachableError:
            return  # where it is, is known; the rest can wait
        times = section(metrics, "timestamps")
        known.job = job = replace(
            job,
            created=latest(self._at(times.get("created")), job.created),
            running=latest(self._at(times.get("running")), job.running),
        )
        if job.state.final:
            known.job = replace(
                job,
                finished=latest(self._at(times.get("finished")), job.finished),
                quantum_seconds=latest(charged(metrics), job.quantum_seconds),
            )

    def _at(self, text: object) -> float | None:
        """Return a moment on the campaign's clock."""
        at = moment(text)
        return None if at is None else at - self._origin


def _tags(raw: Mapping[str, Any]) -> list[Any]:
    tags = raw.get("tags")
    return tags if isinstance(tags, list) else []


def _cancelled(client: RuntimeClient, job: str) -> bool:
    try:
        client.job_cancel(job)
    except Exception as error:
        if 409 in statuses(error):
            return False
        raise
    return True
