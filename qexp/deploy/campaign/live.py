"""The machines at the moment of a decision as a campaign knows them, in the form that simulations have it.

The state is built from the campaign's own jobs, which it knows best, and from the queue lengths that machines
report, which count others' jobs and are not to be trusted blindly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qexp.deploy.campaign.journal import State, Task
from qexp.deploy.executors.executor import Machine, latest
from qexp.placement.batched import NEVER
from qexp.placement.fcfs import served
from qexp.placement.scenario import Scenario
from qexp.placement.state import NodeState
from qexp.problem.arrays import Bools, Floats


class LiveFleet:
    """The fleet's queues as the campaign sees them."""

    def __init__(self, scenario: Scenario) -> None:
        self.fleet = scenario.fleet
        self.index = {name: position for position, name in enumerate(self.fleet.names)}
        service = np.where(np.isfinite(scenario.service), scenario.service, np.nan)
        # What a job that is not ours may take: nobody says, so as long as the workload's own on average.
        self.of_others: Floats = np.nan_to_num(np.nanmean(service, axis=0, keepdims=False))

    def open(self, machines: Mapping[str, Machine]) -> Bools:
        """Return which nodes take jobs, shape ``[nodes]``; one that nothing is known of does not."""
        return np.array([name in machines and machines[name].open for name in self.fleet.names])

    def state(
        self, segment: Iterable[Task], machines: Mapping[str, Machine], now: float, began: float
    ) -> NodeState:
        """Return the nodes' states, times in seconds since the segment began.

        A node that reports more pending jobs than the campaign has there is busy with others', after the one
        of ours that runs and before those that wait; fewer is taken for a stale reading.

        Args:
            segment: The tasks of the segment under way.
            machines: What the machines report, by name.
            now: On the campaign's clock, seconds.
            began: When the segment began, seconds on the same clock.
        """
        free_at, pending = np.full(len(self.fleet), NEVER), np.zeros(len(self.fleet), dtype=np.int64)
        ours: list[list[Task]] = [[] for _ in self.fleet.nodes]
        for task in segment:
            node = self.index.get(task.node or "")
            if node is None or task.decided is None:
                continue
            if not task.state.final:
                ours[node].append(task)
            elif task.finished is not None:
                free_at[node] = max(free_at[node], task.finished - began)
        for node, queue in enumerate(ours):
            report = machines.get(self.fleet.names[node])
            reported = (report and report.pending) or 0
            pending[node] = max(len(queue), reported)
            others = float(self.of_others[node]) * max(0, reported - len(queue))
            free_at[node] = _end_of(queue, free_at[node], others, now - began, began)
        return NodeState(
            qubits=self.fleet.qubits,
            clops=self.fleet.clops,
            readout_error=self.fleet.readout_error,
            free_at=free_at,
            pending=pending,
            refusals=0,
        )


def _end_of(queue: Sequence[Task], free_at: float, others: float, now: float, began: float) -> float:
    """Return when a node will have worked off its queue, seconds since the segment began."""
    queue = sorted(queue, key=lambda task: (task.state is not State.RUNNING, task.decided))
    if others and not (queue and queue[0].state is State.RUNNING):
        free_at, others = max(free_at, now) + others, 0.0
    for position, task in enumerate(queue):
        joined = latest(task.created, task.decided)
        if task.running is not None:  # it began then, whoever was before it
            joined, free_at = task.running, -np.inf
        assert joined is not None
        _, free_at = served(joined - began, task.predicted_service or 0.0, free_at)
        if position == 0:  # it has not ended, whatever was predicted
            free_at = max(free_at, now) + others
    return free_at
