"""The gap of a segment's total completion time, in parts that sum to the whole.

A task's completion time is delay + wait + execution when measured, and wait + execution in the simulator, so
their difference is a delay, a difference of waits and a difference of executions. The difference of waits is
followed through a chain of simulations, each one step nearer to what happened: the recorded placements with
predicted execution times, then with measured ones, then with the jobs queued when they were really accepted.
What the last step leaves is waiting that our own jobs do not explain: others' jobs, and machines' own pauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qexp.gap.measure.records import Record, column
from qexp.gap.measure.replay import segments, waits
from qexp.placement.scenario import Scenario

PARTS = ("delay", "execution", "queue", "unknown")  # sum to the gap
QUEUE_PARTS = ("queue_execution", "queue_submission", "queue_foreign")  # sum to its part queue


@dataclass(frozen=True)
class Decomposition:
    """The gap of one segment: sums over its counted tasks, seconds."""

    segment: int
    block: int
    scheduler: str
    tasks: int  # how many are counted
    measured: float  # total completion time
    simulated: float  # the same in the simulator with the recorded placements
    gap: float  # measured - simulated
    delay: float  # part of the gap: from arrival to acceptance
    execution: float  # part of the gap: measured - predicted execution
    queue: float  # part of the gap: measured - simulated wait
    unknown: float  # part of the gap: of tasks whose time of running is not known
    queue_execution: float  # part of queue: the effect of our own jobs' execution errors on those behind them
    queue_submission: float  # part of queue: the effect of acceptance later than arrival
    queue_foreign: float  # part of queue: the rest; others' jobs and the machine's own pauses
    fidelity_tasks: int  # how many have a fidelity and an ESP
    fidelity: float | None  # mean normalised fidelity measured - mean ESP, None without such tasks


def decompose(scenario: Scenario, rows: Sequence[Record]) -> tuple[list[Decomposition], dict[int, float]]:
    """Return the gap of each segment with counted tasks, and the foreign wait by task, seconds.

    Args:
        scenario: The placement problem.
        rows: From `with_simulation`.
    """
    parts: list[Decomposition] = []
    foreign: dict[int, float] = {}
    for segment in segments(rows):
        waited, completed = column(segment, "simulated_wait"), column(segment, "simulated_completion")
        predicted = completed - waited
        execution, arrival = column(segment, "execution"), column(segment, "arrival")
        counted = np.array([row.counted for row in segment])
        known = np.array([row.split for row in segment])
        # A job without a time of running occupied no machine, unless it ran unobserved to its end.
        busy = np.where(np.isnan(execution), np.where(counted, predicted, 0.0), execution)
        submitted = column(segment, "submitted")
        submitted = np.where(np.isnan(submitted), arrival, submitted)
        with_execution = waits(scenario, segment, busy, arrival)
        with_submission = waits(scenario, segment, busy, submitted)

        completion, wait = column(segment, "completion"), column(segment, "wait")
        # Without the time of acceptance, all between arrival and running is waiting.
        wait = np.where(np.isnan(wait), completion - execution, wait)
        gap, rest = completion - completed, wait - with_submission
        foreign |= {row.id: float(value) for row, value in zip(segment, rest, strict=True) if row.split}
        if not counted.any():
            continue
        compared = [row for row in segment if row.has_fidelity]
        fidelities = column(compared, "normalised_fidelity") - column(compared, "esp")
        parts.append(
            Decomposition(
                segment=segment[0].segment,
                block=segment[0].block,
                scheduler=segment[0].scheduler,
                tasks=int(counted.sum()),
                measured=float(completion[counted].sum()),
                simulated=float(completed[counted].sum()),
                gap=float(gap[counted].sum()),
                delay=float(np.nan_to_num(column(segment, "delay"))[known].sum()),
                execution=float((execution - predicted)[known].sum()),
                queue=float((wait - waited)[known].sum()),
                unknown=float(gap[counted & ~known].sum()),
                queue_execution=float((with_execution - waited)[known].sum()),
                queue_submission=float((with_submission - with_execution)[known].sum()),
                queue_foreign=float(rest[known].sum()),
                fidelity_tasks=len(compared),
                fidelity=float(fidelities.mean()) if compared else None,
            )
        )
    return parts, foreign
