"""A block of tasks placed in the simulator by a scheduler that is told what a campaign would tell it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qexp.cloud.simulated import QTask, SimulatedCloud, Status
from qexp.deploy.gap.records import Record, column
from qexp.deploy.gap.replay import circuits_of
from qexp.deploy.journal import State, Task
from qexp.deploy.live import LiveFleet
from qexp.env.scenario import Scenario
from qexp.scheduler.scheduler import Scheduler
from qexp.state import Floats, Ints, NodeState

STATES = {Status.QUEUED: State.QUEUED, Status.RUNNING: State.RUNNING, Status.DONE: State.DONE}


def decide(
    scenario: Scenario,
    scheduler: Scheduler,
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
    while cloud.waiting is not None:
        index, now = cloud.waiting.index, cloud.now
        jobs = [
            _job(task, scenario.fleet.names[task.node], float(predicted[task.index, task.node]))
            for task in cloud.tasks
            if task.node >= 0
        ]
        state = replace(cloud.task_state(), service=predicted[index])
        cloud.place(scheduler.select(state, _with_load(live.state(jobs, {}, now, 0.0), load, now)))
    cloud.finish()
    nodes = np.array([task.node for task in cloud.tasks], dtype=np.int64)
    finish = np.array([task.finish for task in cloud.tasks])
    return nodes, finish - episode.arrival + load[nodes]


def _job(task: QTask, node: str, predicted: float) -> Task:
    """Return a simulated task as a campaign's journal would have it."""
    return Task(
        id=task.index,
        segment=0,
        block=0,
        scheduler="",
        position=task.index,
        circuit="",
        width=0,
        depth=0,
        shots=0,
        offset=0.0,
        state=STATES[task.status],
        node=node,
        decided=task.placement,
        created=task.placement,
        predicted_service=predicted,
        running=None if np.isnan(task.start) else task.start,
        finished=None if np.isnan(task.finish) else task.finish,
    )


def _with_load(nodes: NodeState, load: Floats, now: float) -> NodeState:
    """Return the state of nodes whose queues hold others' work too."""
    return replace(nodes, free_at=np.where(load > 0, np.maximum(nodes.free_at, now) + load, nodes.free_at))
