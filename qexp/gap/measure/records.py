"""Predictions and measurements of each task, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qexp.deploy.campaign.journal import Journal, State, Task
from qexp.errors import InputError
from qexp.problem.arrays import Floats, Ints

Fidelity = Callable[[str, Mapping[str, int]], tuple[float, float | None] | None]
"""From a circuit's name and its counts to (Hellinger fidelity, the same normalised), or None if unknown."""


@dataclass(frozen=True)
class Record:
    """One task; times in seconds, None where something was not measured."""

    id: int
    segment: int  # one block, placed by one scheduler
    block: int  # same circuits and arrivals for all schedulers
    scheduler: str
    position: int  # says which tasks of a block are the same for all schedulers
    circuit: str  # algorithm and width
    shots: int
    node: str | None  # machine, or None if it never had one
    state: str
    left_out: str  # why it takes part in no figure; empty for a task that does
    offset: float  # planned arrival after the segment's begin
    arrival: float | None  # after the segment's begin
    submitted: float | None  # when the executor accepted it, after the segment's begin
    delay: float | None  # accepted - arrived
    wait: float | None  # running - accepted
    execution: float | None  # finished - running
    completion: float | None  # finished - arrived
    quantum_seconds: float | None  # charged time on the quantum machine
    fidelity: float | None  # Hellinger fidelity of its counts to the ideal distribution
    normalised_fidelity: float | None  # 0: what noise alone reaches, 1: a perfect machine
    predicted_wait: float | None  # of the queue that the scheduler saw
    predicted_execution: float | None  # by the service-time model
    predicted_quantum_seconds: float | None  # by the spend guard
    esp: float | None
    simulated_wait: float | None = None  # from an empty cloud, with the recorded placements
    simulated_completion: float | None = None  # the same, with the predicted execution
    calibrated_execution: float | None = None  # by the model fitted to the first half of the campaign
    calibrated_fidelity: float | None = None  # normalised, likewise
    interrupted: bool = False  # the campaign was resumed within its block: times hold the time in between

    @property
    def counted(self) -> bool:
        """True if it takes part in the figures."""
        return not self.left_out

    @property
    def has_fidelity(self) -> bool:
        """True if it has a fidelity that can be held against its ESP."""
        return self.counted and self.normalised_fidelity is not None and self.esp is not None

    @property
    def split(self) -> bool:
        """True if its completion time is known in parts, waiting and execution."""
        return self.counted and self.execution is not None


def records(journal: Journal, fidelity: Fidelity) -> list[Record]:
    """Return a record of each task of a journal, by id, still without simulated values.

    Args:
        journal: The campaign's.
        fidelity: See `Fidelity`.
    """
    tasks = journal.tasks()
    begins: dict[int, float] = {}
    for task in tasks:  # where a segment's begin was not written down, its first arrival implies it
        if task.arrival is not None:
            begin = task.arrival - task.offset
            begins[task.segment] = min(begins.get(task.segment, begin), begin)
    begins |= {segment: begin for segment, (begin, _) in journal.segments().items()}
    blocks = _interrupted(journal, tasks)
    return [
        replace(_record(task, begins.get(task.segment), fidelity), interrupted=task.block in blocks)
        for task in tasks
    ]


def _interrupted(journal: Journal, tasks: Sequence[Task]) -> set[int]:
    """Return the blocks with a segment within which the campaign was resumed: tasks of it ended later."""
    ends: dict[int, float] = {}
    for task in tasks:
        end = np.inf if task.finished is None and not task.state.final else task.finished or -np.inf
        ends[task.segment] = max(ends.get(task.segment, -np.inf), end)
    resumed = [time for task, time, _, state, _ in journal.events() if task is None and state == "resumed"]
    within = {
        segment
        for segment, (begin, _) in journal.segments().items()
        if any(begin < time < ends.get(segment, -np.inf) for time in resumed)
    }
    return {task.block for task in tasks if task.segment in within}


def undisturbed(rows: Sequence[Record]) -> list[Record]:
    """Return the records of blocks without interruption, whole blocks so that schedulers stay paired.

    All records where nothing that counts would be left.
    """
    rest = [row for row in rows if not row.interrupted]
    return rest if any(row.counted for row in rest) else list(rows)


def _record(task: Task, begin: float | None, fidelity: Fidelity) -> Record:
    done = task.state is State.DONE
    fidelities = fidelity(task.circuit, task.counts) if done and task.counts else None
    hellinger, normalised = fidelities or (None, None)
    return Record(
        id=task.id,
        segment=task.segment,
        block=task.block,
        scheduler=task.scheduler,
        position=task.position,
        circuit=task.circuit,
        shots=task.shots,
        node=task.node,
        state=str(task.state),
        left_out=_left_out(task),
        offset=task.offset,
        arrival=_difference(task.arrival, begin),
        submitted=_difference(task.created, begin),
        delay=_difference(task.created, task.arrival),
        wait=_difference(task.running, task.created),
        execution=_difference(task.finished, task.running),
        completion=_difference(task.finished, task.arrival) if done else None,
        quantum_seconds=task.quantum_seconds,
        fidelity=hellinger,
        normalised_fidelity=normalised,
        predicted_wait=task.predicted_wait,
        predicted_execution=task.predicted_service,
        predicted_quantum_seconds=task.estimated_quantum_seconds,
        esp=task.esp,
    )


def _left_out(task: Task) -> str:
    if not task.state.final:
        return "not over"
    if task.state is not State.DONE:
        return str(task.state)
    if task.arrival is None or task.finished is None:
        return "no times"
    return "" if task.node is not None else "no machine"


def _difference(later: float | None, earlier: float | None) -> float | None:
    return None if later is None or earlier is None else later - earlier


def left_out(rows: Iterable[Record]) -> dict[str, int]:
    """Return how many tasks take part in no figure, by reason."""
    return dict(sorted(Counter(row.left_out for row in rows if row.left_out).items()))


def column(rows: Iterable[Record], name: str) -> Floats:
    """Return one attribute of all records, NaN where it is None, shape ``[records]``.

    Args:
        rows: One record per task.
        name: Of the attribute, a number or None.
    """
    return np.array([getattr(row, name) for row in rows], dtype=np.float64)


def nodes_of(rows: Iterable[Record], names: Sequence[str]) -> Ints:
    """Return the index in the fleet of each record's machine, ``[records]``.

    Args:
        rows: Of tasks that have a machine.
        names: Of the fleet's machines.

    Raises:
        InputError: A machine is not in the fleet.
    """
    index = {name: position for position, name in enumerate(names)}
    for row in rows:
        if row.node not in index:
            raise InputError(f"journal: task {row.id} ran on {row.node!r}, which is not in the fleet")
    return np.array([index[row.node] for row in rows if row.node is not None], dtype=np.int64)
