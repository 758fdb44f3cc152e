"""Evaluation: every scheduler meets the same episodes, so that differences are the schedulers' own."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qexp.cloud.simulated import SimulatedCloud
from qexp.env.scenario import Scenario
from qexp.errors import InputError
from qexp.evaluations import Evaluations, Rows
from qexp.scheduler.scheduler import Scheduler
from qexp.workload.episode import Episode

if TYPE_CHECKING:
    import pandas as pd

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


@dataclass(frozen=True)
class Evaluation:
    """What was measured; times in seconds.

    Attributes:
        episodes: One row per scheduler and episode, columns `EPISODE_COLUMNS`.
        tasks: One row per scheduler, episode and task, columns `TASK_COLUMNS`.
    """

    episodes: pd.DataFrame
    tasks: pd.DataFrame


def evaluate(
    scenario: Scenario,
    schedulers: Mapping[str, Scheduler],
    *,
    episodes: int,
    seed: int,
    on_scheduler: Callable[[str], object] = str,
    shared: Evaluations | None = None,
) -> Evaluation:
    """Run schedulers on the same episodes.

    Args:
        scenario: The placement problem.
        schedulers: What to compare, by the name it has in the results.
        episodes: Episodes 0 to ``episodes - 1`` of ``seed`` are played.
        seed: Evaluation seed.
        on_scheduler: Called with each scheduler's name when it is done.
        shared: Where evaluations are looked up and kept, or None.

    Raises:
        InputError: The workload has fewer episodes, or a scheduler has a task refused for ever.
    """
    import pandas as pd

    scenario.check_evaluation(episodes)
    played = [scenario.episode(seed, k) for k in range(episodes)]
    episode_rows: Rows = []
    task_rows: Rows = []
    for name, scheduler in schedulers.items():
        found = shared.find(name) if shared else None
        of_episodes, of_tasks = found or _measure(scenario, name, scheduler, played, seed)
        if shared and not found:
            shared.keep(name, of_episodes, of_tasks)
        episode_rows += of_episodes
        task_rows += of_tasks
        on_scheduler(name)
    return Evaluation(
        pd.DataFrame(episode_rows, columns=list(EPISODE_COLUMNS)),
        pd.DataFrame(task_rows, columns=list(TASK_COLUMNS)),
    )


def _measure(
    scenario: Scenario, name: str, scheduler: Scheduler, played: list[Episode], seed: int
) -> tuple[Rows, Rows]:
    episode_rows: Rows = []
    task_rows: Rows = []
    for k, episode in enumerate(played):
        # One stream per scheduler name: a random scheduler must not shift another one's choices.
        rng = np.random.default_rng([seed, k, zlib.crc32(name.encode())])
        log = play(scenario, scheduler, episode, rng)
        task_rows += [(name, k, *row) for row in log]
        episode_rows.append((name, k, *_totals(episode, log)))
    return episode_rows, task_rows


def play(
    scenario: Scenario, scheduler: Scheduler, episode: Episode, rng: np.random.Generator
) -> list[tuple[object, ...]]:
    """Play one episode on the reference engine.

    Returns:
        One row per task, `TASK_COLUMNS` without the first two.
    """
    cloud = SimulatedCloud(
        scenario.fleet,
        episode,
        mask=scenario.mask,
        rescheduling_delay=scenario.rescheduling_delay,
        max_refusals=scenario.max_refusals,
        initial_backlog=scenario.initial_backlog,
    )
    scheduler.start(episode, rng)
    while cloud.waiting is not None:
        if cloud.place(scheduler.select(cloud.task_state(), cloud.node_state())).gave_up:
            raise InputError(
                f"env.max_refusals: {type(scheduler).__name__} had a task refused "
                f"{scenario.max_refusals} times; set env.mask=true, or raise env.max_refusals"
            )
    cloud.finish()
    names = scenario.fleet.names
    return [
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
