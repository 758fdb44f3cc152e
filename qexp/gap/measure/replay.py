"""A recorded segment again, in the simulator, from an empty cloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from qexp.errors import InputError
from qexp.gap.measure.records import Record, column, nodes_of
from qexp.placement.fcfs import starts
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats, Ints


def waits(scenario: Scenario, rows: Sequence[Record], service: Floats, placed: Floats) -> Floats:
    """Return how long each task of a segment waits on the machine of its record, seconds, ``[tasks]``.

    Args:
        scenario: The placement problem.
        rows: Tasks that have a machine.
        service: How long each occupies its machine, seconds, ``[tasks]``.
        placed: When each is placed, seconds after the segment's begin, ``[tasks]``.
    """
    machine = nodes_of(rows, scenario.fleet.names)
    return starts(placed, np.maximum(service, 0.0), machine, len(scenario.fleet)) - placed


def segments(rows: Iterable[Record]) -> list[list[Record]]:
    """Return the records of each segment that were given a machine, in order."""
    by_segment: dict[int, list[Record]] = {}
    for row in rows:
        if row.node is not None and row.arrival is not None:
            by_segment.setdefault(row.segment, []).append(row)
    return [by_segment[key] for key in sorted(by_segment)]


def with_simulation(
    scenario: Scenario, rows: Sequence[Record], service: Floats | None = None
) -> list[Record]:
    """Return the records with simulated wait and completion under the recorded placements.

    Tasks that failed later are in the simulator's queues all the same: it could not know.

    Args:
        scenario: The placement problem.
        rows: All records.
        service: Execution times, seconds, ``[circuits, machines]``; by default those predicted at the time.

    Raises:
        InputError: The journal has a circuit or a machine that the scenario has not.
    """
    simulated: dict[int, Record] = {}
    for segment in segments(rows):
        seconds = predicted(scenario, segment, service)
        wait = waits(scenario, segment, seconds, column(segment, "arrival"))
        for row, waiting, busy in zip(segment, wait.tolist(), seconds.tolist(), strict=True):
            simulated[row.id] = replace(row, simulated_wait=waiting, simulated_completion=waiting + busy)
    return [simulated.get(row.id, row) for row in rows]


def predicted(scenario: Scenario, rows: Sequence[Record], service: Floats | None = None) -> Floats:
    """Return the execution time of each task on its machine, seconds, shape ``[tasks]``.

    Args:
        scenario: The placement problem.
        rows: Tasks that have a machine.
        service: Execution times, seconds, ``[circuits, machines]``; by default those predicted at the time,
            and by the scenario where that was not written down.
    """
    if service is not None:
        return np.asarray(service[cells(scenario, rows)])
    noted = column(rows, "predicted_execution")
    return np.where(np.isnan(noted), scenario.service[cells(scenario, rows)], noted)


def cells(scenario: Scenario, rows: Sequence[Record]) -> tuple[Ints, Ints]:
    """Return the indices of each task's circuit and machine in the scenario's tables, ``[tasks]`` each.

    Args:
        scenario: The placement problem.
        rows: Tasks that have a machine.

    Raises:
        InputError: The scenario has no such circuit or machine.
    """
    return circuits_of(scenario, rows), nodes_of(rows, scenario.fleet.names)


def circuits_of(scenario: Scenario, rows: Iterable[Record]) -> Ints:
    """Return the index of each task's circuit among the scenario's, ``[tasks]``.

    Args:
        scenario: The placement problem.
        rows: Of the tasks.

    Raises:
        InputError: The scenario has no such circuit.
    """
    index = {name: position for position, name in enumerate(scenario.circuits.names)}
    try:
        return np.array([index[row.circuit] for row in rows], dtype=np.int64)
    except KeyError as error:
        raise InputError(f"journal: circuit {error.args[0]!r} is not in the workload") from None
