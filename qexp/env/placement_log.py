"""What is kept of an episode of placements: a row for each task, and what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qexp.backend.fleet import Fleet
from qexp.env.decision_problem import Played
from qexp.workload.episode import Episode

if TYPE_CHECKING:
    from qexp.cloud.simulated import SimulatedCloud

EPISODE_COLUMNS = (
    "scheduler",
    "episode",
    "tasks",
    "total_completion_time",
    "rescheduling_delay",
    "total_wait",
    "total_service",
    "makespan",
    "reschedules",
    "mean_esp",
)
TASK_COLUMNS = (
    "scheduler",
    "episode",
    "task",
    "circuit",
    "width",
    "shots",
    "node",
    "arrival",
    "placement",
    "start",
    "finish",
    "wait",
    "service",
    "delay",
    "reschedules",
    "esp",
)


def played(episode: Episode, cloud: SimulatedCloud, fleet: Fleet) -> Played:
    """Return the rows of a finished episode, `EPISODE_COLUMNS` and `TASK_COLUMNS`; times in seconds."""
    names = fleet.names
    log: list[tuple[object, ...]] = [
        (
            task.index,
            episode.names[task.index],
            int(episode.width[task.index]),
            episode.shots,
            names[task.node],
            float(episode.arrival[task.index]),
            task.placement,
            task.start,
            task.finish,
            task.wait,
            float(episode.service[task.index, task.node]),
            task.delay,
            task.reschedules,
            float(episode.esp[task.index, task.node]),
        )
        for task in cloud.tasks
    ]
    return Played(_totals(episode, log), log)


def _totals(episode: Episode, log: list[tuple[object, ...]]) -> tuple[object, ...]:
    columns = dict(zip(TASK_COLUMNS[2:], zip(*log, strict=True), strict=True))
    wait, service, delay = (np.array(columns[key], dtype=float).sum() for key in ("wait", "service", "delay"))
    finish, esp = (np.array(columns[key], dtype=float) for key in ("finish", "esp"))
    return (
        len(log),
        float(delay + wait + service),
        float(delay),
        float(wait),
        float(service),
        float(finish.max() - episode.arrival[0]),
        int(np.sum(columns["reschedules"])),
        float(esp.mean()),
    )
