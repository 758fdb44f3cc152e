"""A block of tasks placed in the simulator by a scheduler that is told what a campaign would tell it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qexp.deploy.campaign.journal import State, Task
from qexp.deploy.campaign.live import LiveFleet
from qexp.gap.measure.records import Record, column
from qexp.gap.measure.replay import circuits_of
from qexp.placement.engine import QTask, SimulatedCloud, Status
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer, node_chosen
from qexp.placement.state import NodeState
from qexp.problem.arrays import Floats, Ints

STATES = {Status.QUEUED: State.QUEUED, Status.RUNNING: State.RUNNING, Status.DONE: State.DONE}


def decide(
    scenario: Scenario,
    scheduler: Placer,
    name: str,
    tasks: Sequence[Record],
    *,
    seed: int,
    load: Floats,
    service: Floats,
    told: Floats,
) -> tuple[Ints, Floats]:
    """Let a scheduler place the tasks of a block itself, from an empty cloud.

    As in a campaign it knows how its jobs are doing and how long they were predicted to take, not how long
    they will: the ends of queues that it is told are the campaign's own reckoning, `LiveFleet`.

    Args:
        scenario: The placement problem; infeasible choices are masked.
        scheduler: Who places.
        name: Its name, which with seed and block makes its randomness: the same as in the campaign.
        tasks: The block's, each once, in order of arrival.
        seed: The campaign's.
        load: Foreign wait on each node, seconds, ``[nodes]``.
        service: How long tasks keep machines busy, seconds, ``[circuits, nodes]``.
        told: How long they are predicted to, seconds, ``[circuits, nodes]``.

    Returns:
        Node of each task, and its completion time in seconds, foreign wait included; shape ``[tasks]`` each.
    """
    rows = np.array(circuits_of(scenario, tasks), dtype=np.int64)
    episode = replace(scenario.assemble(rows, column(tasks, "offset")), service=service[rows])
    cloud = SimulatedCloud(scenario.fleet, episode)
    scheduler.start(episode, np.random.default_rng([seed, tasks[0].block, zlib.crc32(name.encode())]))
    live, predicted = LiveFleet(scenario), told[rows]
    jobs: list[Task] = []
    while cloud.waiting is not None:
        index, now = cloud.waiting.index, cloud.now
        for job in jobs:
            _follow(job, cloud.tasks[job.id])
        state = replace(cloud.task_state(), service=predicted[index])
        nodes_now = _with_load(live.state(jobs, {}, now, 0.0), load, now)
        node = node_chosen(scheduler, state, nodes_now, index, scenario.fleet.names)
        cloud.place(node)
        jobs.append(_job(index, scenario.fleet.names[node], now, float(predicted[index, node])))
    cloud.finish()
    nodes = np.array([task.node for task in cloud.tasks], dtype=np.int64)
    finish = np.array([task.finish for task in cloud.tasks])
    return nodes, finish - episode.arrival + load[nodes]


def _job(index: int, node: str, now: float, predicted: float) -> Task:
    """Return a task that is placed now as a campaign's journal would have it."""
    return Task(
        id=index,
        segment=0,
        block=0,
        scheduler="",
        position=index,
        circuit="",
        width=0,
        depth=0,
        shots=0,
        offset=0.0,
        state=State.QUEUED,
        node=node,
        decided=now,
        created=now,
        predicted_service=predicted,
    )


def _follow(job: Task, task: QTask) -> None:
    """Write down what has become of a job."""
    if job.state.final:
        return
    job.state = STATES[task.status]
    job.running = None if np.isnan(task.start) else task.start
    job.finished = None if np.isnan(task.finish) else task.finish


def _with_load(nodes: NodeState, load: Floats, now: float) -> NodeState:
    """Return the state of nodes whose queues hold others' work too."""
    return replace(nodes, free_at=np.where(load > 0, np.maximum(nodes.free_at, now) + load, nodes.free_at))
