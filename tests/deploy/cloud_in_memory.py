"""A service that keeps jobs and books, and misbehaves on demand; it survives the campaigns that use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ibm_stand_in.oracle import Record

from qexp.deploy.campaign.journal import Journal
from qexp.deploy.executors.executor import Executor, Job, JobState, Machine, Order


class Crash(BaseException):
    """The process dies here: nothing after this line runs."""


@dataclass
class Service:
    """What the world knows: jobs by id, in the order in which they were accepted.

    Attributes:
        names: Machines.
        service: Seconds every job takes.
        hidden: Seconds before a new job shows up when looked for by its tag.
        now: The clock that everybody reads.
        trouble: Called with the name of each question before (`submit`) and after (`accepted`) it has its
            effect; raises what is to go wrong.
    """

    names: Sequence[str]
    service: float = 3.0
    hidden: float = 0.0
    now: float = 0.0
    trouble: Callable[[str], None] = field(default=lambda _: None)
    jobs: dict[str, Job] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    @property
    def accepted(self) -> Counter[str]:
        """How often an order was accepted with each tag."""
        return Counter(order.tag for order in self.orders.values())

    @property
    def records(self) -> list[Record]:
        """The books: every job ever accepted."""
        return [
            Record(
                id=key,
                tag=self.orders[key].tag,
                accepted=job.created or 0.0,
                over=job.finished,
                done=job.state is JobState.DONE,
                charged=job.quantum_seconds or 0.0,
            )
            for key, job in self.jobs.items()
        ]

    def settle_queues(self) -> None:
        """Work off every machine's queue up to now."""
        for name in self.names:
            free = 0.0
            for key, job in self.jobs.items():
                if self.orders[key].node != name or job.state is JobState.CANCELLED:
                    continue
                start = max(free, job.created or 0.0)
                free = start + self.service
                state = JobState.QUEUED
                if start <= self.now:
                    state = JobState.DONE if free <= self.now else JobState.RUNNING
                if not job.state.final:
                    self.jobs[key] = replace(
                        job,
                        state=state,
                        running=start if start <= self.now else None,
                        finished=free if state is JobState.DONE else None,
                        quantum_seconds=self.service if state is JobState.DONE else None,
                    )


class Watched(Journal):
    """A journal that tells its service before (`commit`) and after (`committed`) each change.

    Nothing is synced: here processes die, and computers do not.
    """

    def __init__(self, path: Path, service: Service) -> None:
        super().__init__(path)
        self._service = service
        self._db.execute("PRAGMA synchronous = OFF")

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in {"save", "note", "set", "begin_segment", "end_segment", "add_shadow"}:
            return found

        def watched(*arguments: Any, **named: Any) -> Any:
            self._service.trouble("commit")
            answer = found(*arguments, **named)
            self._service.trouble("committed")
            return answer

        return watched


class InMemory(Executor):
    """The executor in front of a `Service`."""

    keeps_jobs = True

    def __init__(self, service: Service) -> None:
        self.service = service

    def start(self, at: float) -> None:
        self.service.now = max(self.service.now, at)

    def now(self) -> float:
        return self.service.now

    def wait(self, seconds: float) -> None:
        self.service.now += min(seconds, 1.0)
        self.service.settle_queues()
        self.service.trouble("wait")

    def machines(self) -> list[Machine]:
        self.service.trouble("machines")
        pending = Counter(
            self.service.orders[key].node for key, job in self.service.jobs.items() if not job.state.final
        )
        return [
            Machine(name, name not in self.service.closed, pending=pending[name])
            for name in self.service.names
        ]

    def submit(self, order: Order) -> str:
        self.service.trouble("submit")
        key = f"job-{len(self.service.jobs)}"
        self.service.jobs[key] = Job(key, order.tag, JobState.QUEUED, created=self.service.now)
        self.service.orders[key] = order
        self.service.trouble("accepted")
        return key

    def find(self, tag: str) -> list[Job]:
        self.service.trouble("find")
        return [
            job
            for key, job in self.service.jobs.items()
            if tag in {self.service.orders[key].tag, self.service.orders[key].campaign}
            and (job.created or 0.0) + self.service.hidden <= self.service.now
        ]

    def poll(self, jobs: Sequence[str]) -> list[Job]:
        self.service.trouble("poll")
        return [self.service.jobs[key] for key in jobs if key in self.service.jobs]

    def counts(self, job: str) -> Mapping[str, int] | None:
        self.service.trouble("counts")
        return {"00": 500, "11": 524}

    def cancel(self, job: str) -> bool:
        self.service.trouble("cancel")
        if self.service.jobs[job].state is not JobState.QUEUED:
            return False
        self.service.jobs[job] = replace(
            self.service.jobs[job], state=JobState.CANCELLED, finished=self.service.now
        )
        return True
