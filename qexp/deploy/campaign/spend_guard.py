"""The spend guard: what a campaign may cost, reckoned before each order at the most that it may come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qexp.deploy.campaign.journal import State, Task


class LimitError(Exception):
    """The next order may exceed a limit, and no bill that is still to come can change that.

    Attributes:
        limit: The limit's key, if it has one.
    """

    def __init__(self, message: str, limit: str | None) -> None:
        super().__init__(message)
        self.limit = limit


@dataclass(frozen=True)
class Guard:
    """Limits of a campaign; None for none.

    Attributes:
        max_jobs: Jobs that the executor accepted or may have accepted, those that came to nothing included.
        max_quantum_seconds: Quantum time: as charged or, before that is known, the most that a job may take.
        most: Quantum seconds after which the machine stops a job; None if it does not, and then the estimate
            has to do.
        name: What the limit on quantum time is called.
    """

    max_jobs: int | None = None
    max_quantum_seconds: float | None = None
    most: float | None = None
    name: str = "deploy.max_quantum_seconds"

    def allows(self, tasks: Iterable[Task], estimate: float, *, bills: bool) -> bool:
        """Return whether one more order may be sent now; False: not before some bills have come.

        Args:
            tasks: All tasks of the campaign.
            estimate: What the order may take, seconds.
            bills: Whether bills may come yet, which may leave room for it.

        Raises:
            LimitError: It may not be sent, now or later.
        """
        tasks = list(tasks)
        if self.max_jobs is not None and (jobs := spent(tasks)[0]) + 1 > self.max_jobs:
            raise LimitError(f"deploy.max_jobs={self.max_jobs} is reached: {jobs} jobs", "deploy.max_jobs")
        if self.max_quantum_seconds is None:
            return True
        charged = sum(task.spent + (task.quantum_seconds or 0.0) for task in tasks)
        open_bills = [task for task in tasks if unbilled(task)]
        reserved = sum(self.most_of(task.estimated_quantum_seconds or 0.0) for task in open_bills)
        if charged + reserved + self.most_of(estimate) <= self.max_quantum_seconds:
            return True
        if bills and charged + self.most_of(estimate) <= self.max_quantum_seconds:
            return False
        raise LimitError(
            f"{self.name}={self.max_quantum_seconds:g} might be exceeded: {charged:.1f} s are charged, "
            + (f"{reserved:.1f} s may be charged yet, " if reserved else "")
            + f"and the next job may take {self.most_of(estimate):.1f} s",
            self.name if self.name.startswith("deploy.") else None,
        )

    def most_of(self, estimate: float) -> float:
        """Return the most that a job may take, seconds: it is stopped then, or that is the estimate."""
        return estimate if self.most is None else max(self.most, estimate)


def unbilled(task: Task) -> bool:
    """Return whether an order of the task was or may have been accepted, and its cost is not known."""
    if task.tag is None or task.quantum_seconds is not None:
        return False
    refused = task.state.final and task.job is None
    never_ran = task.state is State.CANCELLED and task.running is None
    return not refused and not never_ran


def spent(tasks: Iterable[Task]) -> tuple[int, float]:
    """Return how many orders were (or may have been) sent, and their quantum seconds.

    Seconds are those charged; for a job whose bill is not known, the estimate.
    """
    jobs, seconds = 0, 0.0
    for task in tasks:
        seconds += task.spent + (task.quantum_seconds or 0.0)
        jobs += task.attempt - 1 + (task.tag is not None)
        if unbilled(task):
            seconds += task.estimated_quantum_seconds or 0.0
    return jobs, seconds
