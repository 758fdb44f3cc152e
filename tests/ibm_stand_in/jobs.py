"""Jobs and their queues: each machine works off its own, first come, first served.

Nothing runs in the background: where a job is follows from the time whenever somebody asks.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FINAL = ("Completed", "Failed", "Cancelled", "Cancelled - Ran too long")


@dataclass
class Job:
    """A job, times in seconds since the epoch.

    Attributes:
        queue_seconds: How long it waits at least, as if others were before it.
        run_seconds: How long it holds the machine, and what is charged.
        fate: How it ends: done, failed, cancelled (by others), undecodable.
        billed: When the bill is made out.
    """

    id: str
    backend: str
    program: str
    params: dict[str, Any]
    tags: list[str]
    cost: float | None
    session: str | None
    created: float
    queue_seconds: float
    run_seconds: float
    fate: str
    status: str = "Queued"
    running: float | None = None
    finished: float | None = None
    charged: float = 0.0
    billed: float = 0.0

    @property
    def final(self) -> bool:
        return self.status in FINAL

    @property
    def shots(self) -> int:
        """Repetitions asked for."""
        params = self.params
        of_pubs = [pub[2] for pub in params.get("pubs", []) if len(pub) > 2 and pub[2]]
        return int(params.get("quantum_program", {}).get("shots") or (of_pubs or [4096])[0])

    def described(self) -> dict[str, Any]:
        """The job as GET /jobs/ID and GET /jobs have it."""
        state: dict[str, Any] = {"status": self.status}
        if self.status == "Failed":
            state |= {"reason": "The circuit was not understood", "reason_code": 1517}
        if self.status == "Cancelled - Ran too long":
            state |= {"reason": "Job ran longer than its maximum", "reason_code": 1305}
        return {
            "id": self.id,
            "backend": self.backend,
            "state": state,
            "status": self.status,
            "program": {"id": self.program},
            "created": _iso(self.created),
            "tags": self.tags,
            "cost": self.cost,
            "session_id": self.session,
            "estimated_running_time_seconds": self.run_seconds,
        }

    def metrics(self) -> dict[str, Any]:
        """What was measured of it."""
        times = {"created": self.created, "running": self.running, "finished": self.finished}
        if not self.final:
            times["finished"] = None
        billed = self.final and time.time() >= self.billed
        charged = self.charged if billed else None
        return {
            "timestamps": {key: None if at is None else _iso(at) for key, at in times.items()},
            "usage": {"quantum_seconds": charged, "status": "final" if billed else "pending"},
            "bss": {"seconds": charged},
            "position_in_queue": None,
            "estimated_start_time": None,
        }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class Queues:
    """All jobs ever accepted, and the machines' queues.

    Attributes:
        queue_seconds: How long a job waits on an idle machine: from, to.
        run_seconds: How long one runs: from, to; None for IBM's documented estimate without the circuit's
            length, 2 s + shots * 250 us.
        speed: Seconds of the service in a real one: with 100, a job of 2 s takes 20 ms.
        fates: Chance of each fate but ``done``.
        hidden: Seconds during which a new job is not in any list yet.
        bill_after: Real seconds from a job's end until its bill is made out.
        seed: Of all that is drawn.
    """

    queue_seconds: tuple[float, float] = (0.0, 0.0)
    run_seconds: tuple[float, float] | None = None
    speed: float = 100.0
    fates: dict[str, float] = field(default_factory=dict)
    hidden: float = 0.0
    bill_after: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.accepted: Counter[str] = Counter()
        self._number = 0
        self._by_tag: dict[str, list[Job]] = {}
        self._waiting: dict[str, list[Job]] = {}
        self._free_at: dict[str, float] = {}
        self.closed: set[str] = set()

    def add(self, backend: str, body: dict[str, Any]) -> Job:
        """Accept a job."""
        rng = random.Random(f"{self.seed}-{self._number}")  # noqa: S311 not for secrets
        self._number += 1
        job = Job(
            id=f"d{self._number:07d}{rng.getrandbits(40):010x}",
            backend=backend,
            program=body["program_id"],
            params=body.get("params") or {},
            tags=list(body.get("tags") or []),
            cost=body.get("cost"),
            session=body.get("session_id"),
            created=time.time(),
            queue_seconds=rng.uniform(*self.queue_seconds),
            run_seconds=0.0,
            fate=self._fate(rng.random()),
        )
        job.run_seconds = rng.uniform(*self.run_seconds) if self.run_seconds else 2.0 + job.shots * 250e-6
        self.jobs[job.id] = job
        self.accepted.update(job.tags)
        for tag in job.tags:
            self._by_tag.setdefault(tag, []).append(job)
        self._waiting.setdefault(backend, []).append(job)
        return job

    def _fate(self, draw: float) -> str:
        for fate, chance in self.fates.items():
            draw -= chance
            if draw < 0:
                return fate
        return "done"

    def advance(self) -> None:
        """Bring all jobs up to the present."""
        now = time.time()
        for backend, waiting in self._waiting.items():
            if backend in self.closed:
                # What did not begin before cannot begin before it opens again.
                self._free_at[backend] = max(now, self._free_at.get(backend, 0.0))
            while waiting:
                job = waiting[0]
                if job.running is None and (backend in self.closed or not self._begin(job, now)):
                    break
                if job.finished is None or job.finished > now:
                    break
                self._end(waiting.pop(0))

    def _begin(self, job: Job, now: float) -> bool:
        free_at = self._free_at.get(job.backend, 0.0)
        begin = max(free_at, job.created + job.queue_seconds / self.speed)
        if begin > now:
            return False
        job.status, job.running = "Running", begin
        job.charged = job.run_seconds
        if job.cost is not None and job.cost < job.run_seconds:
            job.fate, job.charged = "too_long", float(job.cost)
        if job.fate == "cancelled":
            job.charged /= 2
        job.finished = self._free_at[job.backend] = begin + job.charged / self.speed
        job.billed = job.finished + self.bill_after
        return True

    @staticmethod
    def _end(job: Job) -> None:
        ends = {"failed": "Failed", "cancelled": "Cancelled", "too_long": "Cancelled - Ran too long"}
        job.status = ends.get(job.fate, "Completed")

    def cancel(self, job: Job) -> bool:
        """Cancel a job, unless it is over."""
        if job.final:
            return False
        now = time.time()
        job.charged = 0.0 if job.running is None else (now - job.running) * self.speed
        if job.running is not None:
            self._free_at[job.backend] = now
        job.status, job.finished, job.billed = "Cancelled", now, now + self.bill_after
        self._waiting[job.backend].remove(job)
        return True

    def remove(self, job: Job) -> None:
        """Forget a job, as if it had never been."""
        del self.jobs[job.id]
        self._waiting[job.backend] = [other for other in self._waiting[job.backend] if other is not job]
        for tag in job.tags:
            self._by_tag[tag].remove(job)

    def retag(self, job: Job, tags: list[str]) -> None:
        """Replace a job's tags."""
        for tag in job.tags:
            self._by_tag[tag].remove(job)
        job.tags = tags
        for tag in tags:
            self._by_tag.setdefault(tag, []).append(job)

    def under_way(self, backend: str) -> int:
        """Jobs that wait or run on a machine."""
        return len(self._waiting.get(backend, []))

    def listed(self, tags: list[str], pending: bool | None, backend: str | None) -> list[Job]:
        """Jobs with all of these tags, in order of creation."""
        shown = time.time() - self.hidden
        found = self._by_tag.get(tags[0], []) if tags else self.jobs.values()
        return [
            job
            for job in found
            if set(tags) <= set(job.tags)
            and job.created <= shown
            and pending in {None, not job.final}
            and backend in {None, job.backend}
        ]
