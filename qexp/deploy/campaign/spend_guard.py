"""The spend guard: what a campaign may cost, checked before each order at the most that it may take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qexp.deploy.campaign.journal import State, Task


class StoppedError(Exception):
    """The campaign cannot continue now, for the limit of this key perhaps; the journal is complete."""

    def __init__(self, message: str, limit: str | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class LimitError(StoppedError):
    """The next order may exceed a limit, and no bill that is still to come can change that."""


@dataclass(frozen=True)
class Guard:
    """Limits of a campaign; None for none.

    Attributes:
        max_jobs: Jobs that the executor accepted or may have accepted.
        max_quantum_seconds: Quantum time: as charged or, before that is known, the most that a job may take.
        most: Quantum seconds after which the machine stops a job; None if it does not, and then the estimate
            has to do.
        name: What the limit on quantum time is called.
    """

    max_jobs: int | None = None
    max_quantum_seconds: float | None = None
    most: float | None = None
    name: str = "deploy.max_quantum_seconds"

    def allows(self, tasks: Sequence[Task], estimate: float, *, bills: bool) -> bool:
        """Return whether one more order may be sent now; False: not before some bills have come.

        Args:
            tasks: All tasks of the campaign.
            estimate: What the order may take, seconds.
            bills: Whether bills may come yet, which may leave room for it.

        Raises:
            LimitError: It may not be sent, now or later.
        """
        if self.max_jobs is not None and (jobs := spent(tasks)[0]) + 1 > self.max_jobs:
            raise LimitError(f"deploy.max_jobs={self.max_jobs} is reached: {jobs} jobs", "deploy.max_jobs")
        if self.max_quantum_seconds is None:
            return True
        charged, most = charged_for(tasks), self.most_of(estimate)
        reserved = sum(self.most_of(t.estimated_quantum_seconds or 0.0) for t in tasks if _unbilled(t))
        if charged + reserved + most <= self.max_quantum_seconds:
            return True
        if bills and charged + most <= self.max_quantum_seconds:
            return False
        raise LimitError(
            f"{self.name}={self.max_quantum_seconds:g} might be exceeded: {charged:.1f} s are charged, "
            + (f"{reserved:.1f} s may be charged yet, " if reserved else "")
            + f"and the next job may take {most:.1f} s",
            self.name if self.name.startswith("deploy.") else None,
        )

    def most_of(self, estimate: float) -> float:
        """Return the most that a job may take, seconds: it is stopped then, or that is the estimate."""
        return estimate if self.most is None else max(self.most, estimate)


def charged_for(tasks: Iterable[Task]) -> float:
    """Return the quantum seconds that are known to be charged."""
    return sum(task.spent + (task.quantum_seconds or 0.0) for task in tasks)


def spent(tasks: Sequence[Task]) -> tuple[int, float]:
    """Return how many orders were or may have been sent, and their quantum seconds, charged or estimated."""
    jobs = sum(task.attempt - 1 + (task.tag is not None) for task in tasks)
    estimated = sum(task.estimated_quantum_seconds or 0.0 for task in tasks if _unbilled(task))
    return jobs, charged_for(tasks) + estimated


def _unbilled(task: Task) -> bool:
    """Return whether an order of the task was or may have been accepted, and its cost is not known."""
    if task.tag is None or task.quantum_seconds is not None:
        return False
    refused = task.state.final and task.job is None
    never_ran = task.state is State.CANCELLED and task.running is None
    return not refused and not never_ran
