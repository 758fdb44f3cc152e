"""The questions a campaign asks of whatever runs its circuits: simulator, local machines, IBM Quantum.

Executors differ in what a second costs, and hide it: all times are seconds on the campaign's clock, which
starts at 0 with the campaign. They keep no record of their own; what must survive a crash is in the journal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Self


class JobState(StrEnum):
    """Where a job is, by the executor's word."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """A job in this state stays in it."""
        return self in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


@dataclass(frozen=True)
class Order:
    """One circuit of the catalogue (``ghz_5``) to run on one machine.

    Attributes:
        tag: Found on the job afterwards; no other order has it. At most 86 characters, as the campaign's.
        campaign: Tag that all orders of a campaign carry beside their own.
        max_seconds: The machine is to stop the job after so many seconds of quantum time, or None.
    """

    tag: str
    campaign: str
    node: str
    circuit: str
    shots: int
    max_seconds: float | None = None


@dataclass(frozen=True)
class Job:
    """An executor's knowledge of a job; times in seconds on the campaign's clock, None if not known (yet).

    Attributes:
        created: When it was accepted.
        quantum_seconds: Time on the quantum machine that was charged, seconds.
        error: Why it failed, in one line, None if it did not.
    """

    id: str
    tag: str
    state: JobState
    created: float | None = None
    running: float | None = None
    finished: float | None = None
    quantum_seconds: float | None = None
    error: str | None = None


def latest(new: float | None, old: float | None) -> float | None:
    """Return the newer figure, if there is one.

    Args:
        new: The newer figure.
        old: The older one.
    """
    return old if new is None else new


@dataclass(frozen=True)
class Machine:
    """How a machine is doing, by the executor's word.

    Attributes:
        open: Whether it takes jobs.
        status: The vendor's word for it.
        pending: Jobs that wait or run there, whoever's they are; None if not known. Has been seen to read 0
            for days on real machines, so a campaign trusts its own count more when that is larger.
    """

    name: str
    open: bool = True
    status: str = "active"
    pending: int | None = None


class Executor(ABC):
    """Runs circuits on machines.

    As a context manager it lets go of what it holds; jobs that it keeps elsewhere run on. Every question but
    those about the clock raises, of `errors`, `UnreachableError` where nobody answers, and `AccountError`.
    Answers about jobs and machines may be a few seconds old where asking is expensive.

    Attributes:
        keeps_jobs: Whether jobs outlive this process; others are gone when a campaign is resumed.
    """

    keeps_jobs: ClassVar[bool] = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 most hold nothing
        """Let go of threads and connections."""

    @abstractmethod
    def start(self, at: float) -> None:
        """Set the campaign's clock going; it shows ``at`` now, seconds: more than 0 in a resumed campaign."""

    @abstractmethod
    def now(self) -> float:
        """Return what the campaign's clock shows, seconds."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let time pass before the jobs are asked for again: at most so many seconds, less if one changes."""

    @abstractmethod
    def machines(self) -> list[Machine]:
        """Return how the machines are doing; those that nothing is known of are left out."""

    def quantum_seconds_left(self) -> float | None:
        """Return the quantum time that the account may still use, seconds; None if no limit is known."""
        return None

    @abstractmethod
    def submit(self, order: Order) -> str:
        """Send one order, once, and return the job's id: it is never repeated in here, whatever happens.

        Raises:
            RefusedError: It was not accepted and will not be.
            LaterError: It was not accepted now.
            UnsureError: It may or may not have been accepted.
            AccountError: The account is not accepted; the order was not either.
        """

    @abstractmethod
    def find(self, tag: str) -> list[Job]:
        """Return all jobs that carry a tag, an order's or a campaign's, in order of creation."""

    @abstractmethod
    def poll(self, jobs: Sequence[str]) -> list[Job]:
        """Return how jobs are doing, by their ids; those that do not exist (any more) are left out."""

    @abstractmethod
    def counts(self, job: str) -> Mapping[str, int] | None:
        """Return how often each outcome was measured in a job that is done.

        Returns:
            Counts by bit string, the last classical bit first, as Qiskit writes them; None where nothing
            was measured because nothing real ran.

        Raises:
            UndecodableError: The result cannot be read.
        """

    @abstractmethod
    def cancel(self, job: str) -> bool:
        """Cancel a job, and return whether it was: one that is over already is not."""
