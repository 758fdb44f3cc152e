"""What is kept of an episode of placements: a row for each task, and what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qexp.fleet.fleet import Fleet
from qexp.placement.episode import Episode
from qexp.problem.problem import Played

if TYPE_CHECKING:
    from qexp.placement.engine import SimulatedCloud


class EpisodeRow(NamedTuple):
    """What an episode's tasks add up to; times in seconds."""

    tasks: int
    total_completion_time: float
    rescheduling_delay: float
    total_wait: float
    total_service: float
    makespan: float
    reschedules: int
    mean_esp: float


class TaskRow(NamedTuple):
    """A task that was placed; times in seconds."""

    task: int
    circuit: str
    width: int
    shots: int
    node: str
    arrival: float
    placement: float
    start: float
    finish: float
    wait: float
    service: float
    delay: float
    reschedules: int
    esp: float


def played(episode: Episode, cloud: SimulatedCloud, fleet: Fleet) -> Played:
    """Return the rows of a finished episode.

    Args:
        episode: Its tasks.
        cloud: The engine that it was played on.
        fleet: The machines.
    """
    rows = [
        TaskRow(
            task=task.index,
            circuit=episode.names[task.index],
            width=int(episode.width[task.index]),
            shots=episode.shots,
            node=fleet.names[task.node],
            arrival=float(episode.arrival[task.index]),
            placement=task.placement,
            start=task.start,
            finish=task.finish,
            wait=task.wait,
            service=float(episode.service[task.index, task.node]),
            delay=task.delay,
            reschedules=task.reschedules,
            esp=float(episode.esp[task.index, task.node]),
        )
        for task in cloud.tasks
    ]
    wait, service, delay, esp = np.array([(row.wait, row.service, row.delay, row.esp) for row in rows]).T
    totals = EpisodeRow(
        tasks=len(rows),
        total_completion_time=float(delay.sum() + wait.sum() + service.sum()),
        rescheduling_delay=float(delay.sum()),
        total_wait=float(wait.sum()),
        total_service=float(service.sum()),
        makespan=max(row.finish for row in rows) - float(episode.arrival[0]),
        reschedules=sum(row.reschedules for row in rows),
        mean_esp=float(esp.mean()),
    )
    return Played(totals, rows)
