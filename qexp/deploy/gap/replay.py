"""A recorded segment again, in the simulator, from an empty cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from qexp.deploy.gap.records import Record, column, nodes_of
from qexp.env.placement_log import TASK_COLUMNS
from qexp.env.scenario import Scenario
from qexp.errors import InputError
from qexp.scheduler.scheduler import Scheduler
from qexp.state import Floats, Ints, NodeState, TaskState
from qexp.workload.episode import Episode


@dataclass
class _Recorded(Scheduler):
    """Places tasks where they were placed; all fit, so each is asked for once, in order of arrival."""

    nodes: Iterator[int] = field(default_factory=lambda: iter(()))

    def select(self, task: TaskState, nodes: NodeState) -> int:
        return next(self.nodes)


def waits(scenario: Scenario, rows: Sequence[Record], service: Floats, placed: Floats) -> Floats:
    """Return how long each task of one segment waits on the machine that it was recorded on.

    Args:
        scenario: The placement problem.
        rows: Tasks that have a machine.
        service: How long each keeps its machine busy, seconds, shape ``[tasks]``.
        placed: When each is placed, seconds after the segment's begin, shape ``[tasks]``.

    Returns:
        Seconds, shape ``[tasks]``.
    """
    count = len(rows)
    if not count:
        return np.zeros(0)
    order: Ints = np.argsort(placed, kind="stable")
    nodes = np.array(nodes_of(rows, scenario.fleet.names))[order]
    table = np.full((count, len(scenario.fleet)), np.inf)
    table[np.arange(count), nodes] = np.maximum(service, 0.0)[order]
    nothing = np.zeros(count, dtype=np.int64)
    episode = Episode([""] * count, placed[order], nothing, nothing, 1, table, np.zeros_like(table))
    log = scenario.play(_Recorded(iter(nodes.tolist())), episode, np.random.default_rng(0)).tasks
    found = np.zeros(count)
    found[order] = np.array([row[TASK_COLUMNS.index("wait") - 2] for row in log], dtype=float)
    return found


def segments(rows: Iterable[Record]) -> list[list[Record]]:
    """Return the records of each segment that were given a machine, in order."""
    found: dict[int, list[Record]] = {}
    for row in rows:
        if row.node is not None and row.arrival is not None:
            found.setdefault(row.segment, []).append(row)
    return [found[key] for key in sorted(found)]


def with_simulation(
    scenario: Scenario, rows: Sequence[Record], service: Floats | None = None
) -> list[Record]:
    """Return the records with what the simulator says of the recorded placements.

    Tasks that failed later are in the simulator's queues all the same: it could not know.

    Args:
        scenario: The placement problem.
        rows: All records.
        service: What the simulator is to take for the execution time, ``[circuits, nodes]``; by default what
            was predicted at the time.

    Raises:
        InputError: The journal has a circuit or a machine that the scenario has not.
    """
    simulated: dict[int, tuple[float, float]] = {}
    for segment in segments(rows):
        seconds = predicted(scenario, segment, service)
        wait = waits(scenario, segment, seconds, column(segment, "arrival"))
        for row, waiting, busy in zip(segment, wait.tolist(), seconds.tolist(), strict=True):
            simulated[row.id] = (waiting, waiting + busy)
    return [
        replace(row, simulated_wait=simulated[row.id][0], simulated_completion=simulated[row.id][1])
        if row.id in simulated
        else row
        for row in rows
    ]


def predicted(scenario: Scenario, rows: Sequence[Record], service: Floats | None = None) -> Floats:
    """Return the execution time of each task on its machine, seconds, shape ``[tasks]``.

    Args:
        scenario: The placement problem.
        rows: Tasks that have a machine.
        service: Execution times, ``[circuits, nodes]``; by default what was predicted at the time, and by the
            scenario where that was not written down.
    """
    table = scenario.service if service is None else service
    found: Floats = table[circuits_of(scenario, rows), nodes_of(rows, scenario.fleet.names)]
    if service is not None:
        return found
    noted = column(rows, "predicted_execution")
    return np.where(np.isnan(noted), found, noted)


def circuits_of(scenario: Scenario, rows: Iterable[Record]) -> list[int]:
    """Return the row of each task's circuit among the scenario's.

    Raises:
        InputError: The scenario has no such circuit.
    """
    index = {name: position for position, name in enumerate(scenario.circuits.names)}
    try:
        return [index[row.circuit] for row in rows]
    except KeyError as error:
        raise InputError(f"journal: circuit {error.args[0]!r} is not in the workload") from None
