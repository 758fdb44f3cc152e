"""Made-up campaigns: journals as a campaign would leave them, with a truth that the test chooses."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from qexp.deploy.campaign.journal import Journal, State, Task
from qexp.placement.placement import Placement
from qexp.problem.scheduler import Scheduler

Truth = Callable[[Task, np.random.Generator], float]


def as_predicted(task: Task, _: np.random.Generator) -> float:
    """A truth in which the service-time model is right."""
    return task.predicted_service


def write(
    path: Path, tasks: list[Task], begins: Mapping[int, float] | None = None, **meta: object
) -> Journal:
    """Write a journal of tasks whose fields are all set."""
    journal = Journal.create(path, tasks, meta)
    for segment, begin in ({0: 0.0} if begins is None else begins).items():
        journal.begin_segment(segment, begin)
        ends = [task.finished for task in tasks if task.segment == segment and task.finished is not None]
        journal.end_segment(segment, max(ends, default=begin))
    return journal


def campaign(
    path: Path,
    scenario: Placement,
    schedulers: Mapping[str, Scheduler],
    *,
    blocks: int = 2,
    seed: int = 0,
    truth: Truth = as_predicted,
    foreign: Truth = lambda *_: 0.0,
    delay: Truth = lambda *_: 0.0,
    then: Callable[[Task, np.random.Generator], None] = lambda *_: None,
) -> Journal:
    """Run a campaign: schedulers place on what is predicted, machines behave as the truth says.

    Args:
        path: Of the journal.
        scenario: The placement problem.
        schedulers: Who places, by name.
        blocks: Blocks of ``scenario.tasks`` tasks.
        seed: Of tasks and truth.
        truth: Execution time of a task, seconds.
        foreign: How long others keep the machine when the task gets to the head of its queue, seconds.
        delay: From a task's arrival to its acceptance, seconds.
        then: What happens to a finished task's row.
    """
    rng = np.random.default_rng([seed, 99])
    tasks: list[Task] = []
    begins: dict[int, float] = {}
    clock = 0.0
    for block in range(blocks):
        episode = scenario.episode(seed, block)
        for name in rng.permutation(list(schedulers)).tolist():
            segment = len(begins)
            begins[segment] = clock
            stream = np.random.default_rng([seed, block, zlib.crc32(name.encode())])
            free: dict[str, float] = {}
            mine = []
            log = scenario.play(schedulers[name], episode, stream).tasks
            for index, circuit, width, shots, node, arrival, _, _, _, wait, service, *_, esp in log:
                task = Task(
                    id=len(tasks) + len(mine),
                    segment=segment,
                    block=block,
                    scheduler=name,
                    position=block * scenario.tasks + index,
                    circuit=circuit,
                    width=width,
                    depth=int(episode.depth[index]),
                    shots=shots,
                    offset=arrival,
                    state=State.DONE,
                    node=node,
                    arrival=clock + arrival,
                    decided=clock + arrival,
                    predicted_wait=wait,
                    predicted_service=service,
                    esp=esp,
                )
                task.created = task.arrival + delay(task, rng)
                mine.append(task)
            for task in sorted(mine, key=lambda task: task.created):
                task.running = max(task.created, free.get(task.node, 0.0)) + foreign(task, rng)
                task.finished = free[task.node] = task.running + truth(task, rng)
                then(task, rng)
            tasks += mine
            clock = max([clock, *(task.finished for task in mine if task.finished is not None)]) + 1.0
    return write(path, tasks, begins, seed=seed, schedulers=list(schedulers), executor="made up")


def noisy_counts(task: Task, rng: np.random.Generator, *, exponent: float = 0.6) -> None:
    """Give a task's row the counts of a two-outcome circuit that loses its way with the machine's errors."""
    right = task.esp**exponent
    shots = np.random.default_rng(rng.integers(2**32)).binomial(task.shots, right)
    rest = task.shots - shots
    task.counts = {"00": int(shots - shots // 2), "11": int(shots // 2)}
    task.counts |= {"01": int(rest - rest // 2), "10": int(rest // 2)}


def toy_fidelity(circuit: str, counts: Mapping[str, int]) -> tuple[float, float]:
    """Return the share of right outcomes of `noisy_counts`."""
    right = (counts.get("00", 0) + counts.get("11", 0)) / sum(counts.values())
    return right, right
