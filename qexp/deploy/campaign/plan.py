"""The plan of a campaign: which tasks arrive when, and who places them, known before anything is sent.

Blocks of tasks go to every scheduler in turn, in an order drawn for each block, and a segment (one block with
one scheduler) begins when the one before it is over. So all schedulers meet the same tasks, none meets
another's queue, and a drift of the machines hits all alike.
Source of randomised complete blocks: R. A. Fisher, "The Design of Experiments", 1935.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qexp.deploy.campaign.journal import Task
from qexp.deploy.deployment import Deployment
from qexp.errors import InputError
from qexp.placement.episode import Episode
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats

ORDER_STREAM = 5  # keeps the order of schedulers apart from every other use of the same seed


@dataclass(frozen=True)
class Segment:
    """One block, placed by one scheduler; its tasks as simulated ones would be described.

    Attributes:
        quantum_seconds: What the spend guard expects of each task, shape ``[tasks, nodes]``.
    """

    number: int
    block: int
    scheduler: str
    episode: Episode
    quantum_seconds: Floats


def segments(scenario: Scenario, deployment: Deployment, schedulers: Sequence[str]) -> list[Segment]:
    """Return a campaign's segments; block ``k`` has the tasks of evaluation episode ``k`` of its seed.

    Args:
        scenario: The placement problem.
        deployment: How many tasks, in blocks of what size.
        schedulers: Who places them.

    Raises:
        InputError: The workload has fewer fixed episodes than there are blocks.
    """
    size = min(deployment.block, deployment.tasks)
    blocks = -(-deployment.tasks // size)
    of_block = replace(scenario, tasks=size)
    if of_block.fixed_episodes is not None and blocks > of_block.fixed_episodes:
        raise InputError(
            f"deploy.tasks={deployment.tasks}: the workload has only {of_block.fixed_episodes} subsets: at "
            f"most so many blocks of deploy.block={size} tasks"
        )
    costs = dict(zip(of_block.circuits.names, quantum_seconds(scenario), strict=True))
    plan: list[Segment] = []
    for block in range(blocks):
        episode = _first(of_block.episode(deployment.seed, block), deployment.tasks - block * size)
        table = np.array([costs[name] for name in episode.names])
        order = np.random.default_rng([deployment.seed, ORDER_STREAM, block]).permutation(len(schedulers))
        for who in order:
            plan.append(Segment(len(plan), block, schedulers[who], episode, table))
    return plan


def _first(episode: Episode, count: int) -> Episode:
    columns = {key: value for key, value in vars(episode).items() if key != "shots"}
    return replace(episode, **{key: value[:count] for key, value in columns.items()})


def planned_tasks(plan: Sequence[Segment], deployment: Deployment) -> list[Task]:
    """Return the journal's rows of a campaign that has not begun.

    Args:
        plan: Segments, in order.
        deployment: The campaign's options.
    """
    tasks: list[Task] = []
    for segment in plan:
        episode, offsets = segment.episode, deployment.offsets(segment.episode.arrival).tolist()
        tasks += [
            Task(
                id=len(tasks) + i,
                segment=segment.number,
                block=segment.block,
                scheduler=segment.scheduler,
                position=segment.block * deployment.block + i,
                circuit=episode.names[i],
                width=int(episode.width[i]),
                depth=int(episode.depth[i]),
                shots=episode.shots,
                offset=offsets[i],
            )
            for i in range(len(episode))
        ]
    return tasks


def quantum_seconds(scenario: Scenario, overhead: float = 2.0, rep_delay: float = 250e-6) -> Floats:
    """Estimate what each circuit costs on each machine, seconds of quantum time, ``[circuits, nodes]``.

    Overhead + shots * (repetition delay + duration of the circuit); infinite where it does not fit. Source:
    IBM Quantum documentation, "Estimate job run time": 2 s, and a default repetition delay of 250
    microseconds.

    Args:
        scenario: Circuits, machines and shots.
        overhead: Of each job, seconds.
        rep_delay: Before each shot, seconds.
    """
    duration = np.nan_to_num(scenario.circuits.duration, nan=0.0)
    cost = overhead + scenario.workload.shots * (rep_delay + duration)
    return np.where(scenario.circuits.feasible, cost, np.inf)


@dataclass(frozen=True)
class Estimate:
    """The costs of a plan, if each job is done.

    Attributes:
        least: Quantum seconds if every task goes to its cheapest machine.
        most: Quantum seconds if every task goes to its dearest machine.
        longest: Quantum seconds of the dearest job.
    """

    jobs: int
    least: float
    most: float
    longest: float

    @classmethod
    def of(cls, plan: Sequence[Segment]) -> Estimate:
        """Return the estimate of a plan."""
        costs = np.concatenate([segment.quantum_seconds for segment in plan])
        dearest = np.where(np.isfinite(costs), costs, 0.0).max(axis=1)
        least, most = float(costs.min(axis=1).sum()), float(dearest.sum())
        return cls(len(costs), least, most, float(dearest.max()))
