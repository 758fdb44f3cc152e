"""A recorded segment again, in the simulator, from an empty cloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from qexp.errors import InputError
from qexp.gap.measure.records import Record, column, nodes_of
from qexp.placement.fcfs import starts
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats


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
    machine = np.array(nodes_of(rows, scenario.fleet.names), dtype=np.int64)
    return starts(placed, np.maximum(service, 0.0), machine, len(scenario.fleet)) - placed


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
