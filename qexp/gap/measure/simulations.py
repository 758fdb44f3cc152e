"""A campaign's blocks in the simulator: schedulers choose, and know what they would know in a campaign."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from qexp.deploy.campaign.journal import State, Task
from qexp.deploy.campaign.live import LiveFleet
from qexp.gap.measure.load import Load
from qexp.gap.measure.records import Record, column
from qexp.gap.measure.replay import circuits_of
from qexp.placement.engine import QTask, SimulatedCloud, Status
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer, node_chosen
from qexp.problem.arrays import Floats

STATES = {Status.QUEUED: State.QUEUED, Status.RUNNING: State.RUNNING, Status.DONE: State.DONE}
JOB = Task(0, 0, 0, "", 0, "", 0, 0, 0, 0.0, State.QUEUED)
"""A task that was just placed, as a campaign's journal has it."""


class Way(NamedTuple):
    """How a block is simulated, see `qexp.gap.measure.schedulers.SchedulerGap`."""

    loaded: bool = False  # with the foreign load and the delay of acceptance that were recorded
    calibrated: bool = False  # machines take the calibrated execution times
    informed: bool = False  # and schedulers know these


SIMULATED = {
    "simulated": Way(),
    "simulated_calibrated": Way(calibrated=True),
    "replayed": Way(loaded=True),
    "replayed_calibrated": Way(loaded=True, calibrated=True),
    "replayed_informed": Way(loaded=True, calibrated=True, informed=True),
}


@dataclass(frozen=True)
class Simulations:
    """The simulator with a campaign's load and calibration; infeasible choices are masked."""

    scenario: Scenario
    schedulers: Mapping[str, Placer]  # who can be simulated
    load: Load
    seed: int  # the campaign's
    calibrated: Floats  # execution times, seconds, [circuits, machines]
    delay: float  # calibrated delay of acceptance, seconds
    held_out: Collection[int]  # blocks that the calibration was not fitted to

    def completion(self, name: str, tasks: Sequence[Record], way: Way) -> Floats:
        """Let a scheduler place the tasks of a block, from an empty cloud.

        Args:
            name: Of the scheduler; with seed and block it makes its randomness: the same as in the campaign.
            tasks: The block's, each once, in order of arrival.
            way: How they are simulated.

        Returns:
            Completion time of each task, seconds, ``[tasks]``.
        """
        predicted, machines = self.scenario.service, self.scenario.fleet.names
        load = self.load.seconds(tasks[0].block, machines) if way.loaded else np.zeros(len(machines))
        service = self.calibrated if way.calibrated else predicted
        delay = self.load.delay if way.loaded else self.delay if way.calibrated else 0.0
        return self._placed(name, tasks, load, service, service if way.informed else predicted) + delay

    def _placed(
        self, name: str, tasks: Sequence[Record], load: Floats, service: Floats, known: Floats
    ) -> Floats:
        """Return the completion times, foreign wait included.

        As in a campaign a scheduler knows how its jobs are doing and how long they are predicted to take, not
        how long they will: the ends of queues that it sees are the campaign's own estimates, `LiveFleet`.
        """
        fleet, scheduler = self.scenario.fleet, self.schedulers[name]
        rows = circuits_of(self.scenario, tasks)
        episode = replace(self.scenario.assemble(rows, column(tasks, "offset")), service=service[rows])
        cloud = SimulatedCloud(fleet, episode)
        stream = [self.seed, tasks[0].block, zlib.crc32(name.encode())]
        scheduler.start(episode, np.random.default_rng(stream))
        live, predicted = LiveFleet(self.scenario), known[rows]
        jobs: list[Task] = []
        while cloud.waiting is not None:
            index, now = cloud.waiting.index, cloud.now
            for job in jobs:
                _follow(job, cloud.tasks[job.id])
            state = replace(cloud.task_state(), service=predicted[index])
            nodes = live.state(jobs, {}, now, 0.0)
            loaded = np.where(load > 0, np.maximum(nodes.free_at, now) + load, nodes.free_at)
            node = node_chosen(scheduler, state, replace(nodes, free_at=loaded), index, fleet.names)
            cloud.place(node)
            expected = float(predicted[index, node])
            job = replace(
                JOB, id=index, node=fleet.names[node], decided=now, created=now, predicted_service=expected
            )
            jobs.append(job)
        cloud.finish()
        finish = np.array([task.finish for task in cloud.tasks])
        return finish - episode.arrival + load[[task.node for task in cloud.tasks]]


def _follow(job: Task, task: QTask) -> None:
    """Bring a job's state up to date."""
    if not job.state.final:
        job.state = STATES[task.status]
        job.running = None if np.isnan(task.start) else task.start
        job.finished = None if np.isnan(task.finish) else task.finish
