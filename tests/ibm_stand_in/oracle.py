"""Holds a campaign's journal against the service's own records: what was sent twice, lost, or charged unseen.

The records, not the tags that the campaign gave, say what was sent: a campaign that sends each unclear order
again under a new tag uses no tag twice, and pays twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from qexp.deploy.campaign.journal import Journal, State, Task

UNREAD = "result cannot be read"
"""What the journal says of a job that is done and whose result nobody understands."""


@dataclass(frozen=True)
class Record:
    """A job in the books of the service; times in seconds on its clock.

    Attributes:
        id: The service's name for it.
        tag: Of the order.
        accepted: When the order was accepted.
        over: When the job was over, None if it is not.
        done: Whether it ended with a result, in contrast to cancelled or failed.
        charged: Quantum seconds.
    """

    id: str
    tag: str
    accepted: float
    over: float | None
    done: bool
    charged: float


@dataclass
class Verdict:
    """What is wrong with a campaign, a line each.

    Attributes:
        twice: Orders accepted while an earlier job of the same task was not over, or had ended with a result.
        lost: Tasks that are not over, or of which journal and service tell different ends.
        unseen: Jobs that the journal never heard of.
        charges: Tasks whose quantum seconds differ between the journal and the service.
    """

    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    charges: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[str]:
        """All of them."""
        return [*self.twice, *self.lost, *self.unseen, *self.charges]


def judge(journal: Journal, records: Iterable[Record]) -> Verdict:
    """Judge a campaign that has ended.

    Args:
        journal: Its journal.
        records: All jobs that the service ever accepted from it, in the order in which it did.
    """
    tasks = journal.tasks()
    jobs: dict[int, list[Record]] = {task.id: [] for task in tasks}
    wrong = Verdict()
    for record in records:
        match = re.fullmatch(rf"{re.escape(journal.meta['campaign'])}-(\d+)-\d+", record.tag)
        if match is None or int(match[1]) not in jobs:
            wrong.unseen.append(f"job {record.id} has the tag {record.tag}, which belongs to no task")
        else:
            jobs[int(match[1])].append(record)
    named = {word for event in journal.events() for word in re.findall(r"[\w-]+", event[4] or "")}
    for task in tasks:
        _judge_task(task, jobs[task.id], wrong)
        wrong.unseen += [
            f"task {task.id}: the journal never heard of job {job.id}"
            for job in jobs[task.id]
            if job.id != task.job and job.id not in named
        ]
    return wrong


def _judge_task(task: Task, jobs: Sequence[Record], wrong: Verdict) -> None:
    for before, after in pairwise(jobs):
        if before.done or before.over is None or before.over > after.accepted:
            wrong.twice.append(
                f"task {task.id}: {after.id} ({after.tag}) was accepted at {after.accepted:.3f}, when "
                f"{before.id} ({before.tag}) "
                + ("was not over" if before.over is None or before.over > after.accepted else "had a result")
            )
    last = {job.id: job for job in jobs}.get(task.job or "")
    if not task.state.final:
        wrong.lost.append(f"task {task.id}: {task.state} in the end")
    elif task.state is State.DONE and (last is None or not last.done):
        wrong.lost.append(f"task {task.id}: done in the journal, and its job {task.job} is not")
    elif task.state is not State.DONE and any(job.done for job in jobs) and UNREAD not in (task.error or ""):
        wrong.lost.append(f"task {task.id}: {task.state} in the journal ({task.error}), and a job is done")
    wrong.lost += [f"task {task.id}: {job.id} is not over" for job in jobs if job.over is None]
    charged = sum(job.charged for job in jobs)
    booked = task.spent + (task.quantum_seconds or 0.0)
    if abs(charged - booked) > 1e-6 * max(charged, 1.0):
        wrong.charges.append(f"task {task.id}: charged {charged:.3f} s, and the journal has {booked:.3f} s")


def verdict(journal: Path, books: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Judge a campaign for whoever asks from another process.

    Args:
        journal: Its file.
        books: `StandIn.books` of the campaign.

    Returns:
        How many ``jobs`` there were, and the lines of each kind of `Verdict`.
    """
    jobs = [Record(**job) for job in books]
    with Journal(journal) as opened:
        return {"jobs": len(jobs), **asdict(judge(opened, jobs))}
