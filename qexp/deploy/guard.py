"""The spend guard: what a campaign may cost, reckoned before each order and never exceeded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qexp.deploy.journal import Task


class LimitError(Exception):
    """The next order would exceed a limit."""


@dataclass(frozen=True)
class Guard:
    """Limits of a campaign; None for none.

    Attributes:
        max_jobs: Orders, those that came to nothing included.
        max_quantum_seconds: Quantum time: as charged for jobs that are over, as estimated for all others.
    """

    max_jobs: int | None = None
    max_quantum_seconds: float | None = None

    def check(self, tasks: Iterable[Task], estimate: float) -> None:
        """Raise `LimitError` if one more order of that many estimated seconds is too much."""
        jobs, seconds = spent(tasks)
        if self.max_jobs is not None and jobs + 1 > self.max_jobs:
            raise LimitError(f"deploy.max_jobs={self.max_jobs} is reached")
        if self.max_quantum_seconds is not None and seconds + estimate > self.max_quantum_seconds:
            raise LimitError(
                f"deploy.max_quantum_seconds={self.max_quantum_seconds:g} would be exceeded: {seconds:.1f} s "
                f"are used or on their way, and the next job may take {estimate:.1f} s"
            )


def spent(tasks: Iterable[Task]) -> tuple[int, float]:
    """Return how many orders were (or may have been) sent, and their quantum seconds."""
    jobs, seconds = 0, 0.0
    for task in tasks:
        seconds += task.spent
        jobs += task.attempt - 1
        if task.tag is None:
            continue
        jobs += 1
        charged = task.quantum_seconds
        if charged is None:
            # An order that became no job cost nothing; else the estimate stands until the bill is there.
            refused = task.state.final and task.job is None
            charged = 0.0 if refused else task.estimated_quantum_seconds or 0.0
        seconds += charged
    return jobs, seconds
