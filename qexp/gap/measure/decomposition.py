"""Where the gap of a segment's total completion time comes from, in parts that sum to the whole.

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

PARTS = ("delay", "execution", "queue", "unknown")
"""What the gap is the sum of."""
QUEUE_PARTS = ("queue_execution", "queue_submission", "queue_foreign")
"""What its queue part is the sum of."""


@dataclass(frozen=True)
class Decomposition:
    """The gap of one segment: sums over its counted tasks, seconds.

    Attributes:
        segment: Which.
        block: Its block.
        scheduler: Who placed its tasks.
        tasks: How many are counted.
        measured: Total completion time as measured.
        simulated: Total completion time in the simulator with the recorded placements.
        gap: Measured - simulated.
        delay: Part of the gap: from arrival to acceptance.
        execution: Part of the gap: measured - predicted execution.
        queue: Part of the gap: measured - simulated wait.
        unknown: Part of the gap: of tasks whose time of running is not known.
        queue_execution: Part of queue: what our own jobs' execution errors do to those behind them.
        queue_submission: Part of queue: what later acceptance than arrival does to it.
        queue_foreign: Part of queue: the rest; others' jobs and the machine's own pauses.
        fidelity_tasks: How many tasks have a fidelity and an ESP.
        fidelity: Mean normalised fidelity measured - mean ESP, None without such tasks.
    """

    segment: int
    block: int
    scheduler: str
    tasks: int
    measured: float
    simulated: float
    gap: float
    delay: float
    execution: float
    queue: float
    unknown: float
    queue_execution: float
    queue_submission: float
    queue_foreign: float
    fidelity_tasks: int
    fidelity: float | None


def decompose(scenario: Scenario, rows: Sequence[Record]) -> tuple[list[Decomposition], dict[int, float]]:
    """Return each segment's gap, and the foreign wait of each task.

    Args:
        scenario: The placement problem.
        rows: From `with_simulation`.

    Returns:
        One decomposition per segment that has a counted task; and by task the part of its wait, seconds, that
        our own jobs do not explain.
    """
    found: list[Decomposition] = []
    foreign: dict[int, float] = {}
    for segment in segments(rows):
        simulated, measured = column(segment, "simulated_wait"), column(segment, "wait")
        predicted = column(segment, "simulated_completion") - simulated
        execution, arrival = column(segment, "execution"), column(segment, "arrival")
        # A job that was never seen to run kept no machine busy, unless it ran unobserved to its end.
        unseen = np.where([row.counted for row in segment], predicted, 0.0)
        busy = np.where(np.isnan(execution), unseen, execution)
        submitted = column(segment, "submitted")
        submitted = np.where(np.isnan(submitted), arrival, submitted)
        with_execution = waits(scenario, segment, busy, arrival)
        with_submission = waits(scenario, segment, busy, submitted)

        counted = np.array([row.counted for row in segment])
        known = counted & np.array([row.split for row in segment])
        completion = column(segment, "completion")
        delay = np.nan_to_num(column(segment, "delay"))
        # Without the time of acceptance, all between arrival and running is waiting.
        waited = np.where(np.isnan(measured), completion - execution, measured)
        gap = completion - column(segment, "simulated_completion")
        rest = waited - with_submission
        foreign |= {row.id: float(value) for row, value, ok in zip(segment, rest, known, strict=True) if ok}
        if not counted.any():
            continue
        seen = [row for row in segment if row.seen]
        fidelities = column(seen, "normalised_fidelity") - column(seen, "esp")
        first = segment[0]
        found.append(
            Decomposition(
                segment=first.segment,
                block=first.block,
                scheduler=first.scheduler,
                tasks=int(counted.sum()),
                measured=float(completion[counted].sum()),
                simulated=float(column(segment, "simulated_completion")[counted].sum()),
                gap=float(gap[counted].sum()),
                delay=float(delay[known].sum()),
                execution=float((execution - predicted)[known].sum()),
                queue=float((waited - simulated)[known].sum()),
                unknown=float(gap[counted & ~known].sum()),
                queue_execution=float((with_execution - simulated)[known].sum()),
                queue_submission=float((with_submission - with_execution)[known].sum()),
                queue_foreign=float(rest[known].sum()),
                fidelity_tasks=len(seen),
                fidelity=float(fidelities.mean()) if seen else None,
            )
        )
    return found, foreign
