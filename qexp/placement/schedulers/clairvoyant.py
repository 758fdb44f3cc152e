"""The reference that knows the future: how good could any dispatcher have been?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le
from typing_extensions import Doc

from qexp.config.option import RUNTIME, option
from qexp.placement.episode import Episode
from qexp.placement.fcfs import served
from qexp.placement.schedulers.placer import Placer
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import Bools, Floats, Ints


@option("scheduler")
@dataclass
class Clairvoyant(Placer):
    """Knows the episode's future: beam search over all assignments; a reference, none to be had.

    The value is reachable (it is a schedule), so "gap closed" measures against something that exists. A
    partial assignment to first-come-first-served queues is judged by its completion times so far plus those
    of the next tasks if minimum completion time placed them; one that is no cheaper than another and leaves
    no machine free earlier is dropped.
    """

    foresees: ClassVar[bool] = True

    beam: Annotated[
        int, Ge(1), Le(10_000), Doc("Partial assignments that survive each task; more is slower and better.")
    ] = 24
    horizon: Annotated[
        int,
        Ge(0),
        Doc("Tasks ahead that an assignment is judged by; the time it takes grows with it in long episodes."),
    ] = 300
    _plan: list[int] = field(default_factory=list, init=False, repr=False, metadata=RUNTIME)
    _next: int = field(default=0, init=False, repr=False, metadata=RUNTIME)

    def start(self, episode: Episode, rng: np.random.Generator) -> None:
        """Plan the episode, see `Scheduler.start`."""
        self._plan, self._next = [], 0
        self._episode = episode

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the planned machine of the next task, see `Placer.select`."""
        if not self._plan:
            free, episode = np.maximum(nodes.free_at, 0.0), self._episode
            self._plan = plan(episode.arrival, episode.service, free, self.beam, self.horizon).tolist()
        self._next += 1
        return self._plan[self._next - 1]


def plan(arrival: Floats, service: Floats, free: Floats, beam: int, horizon: int) -> Ints:
    """Assign tasks to FCFS queues so that the sum of completion times is small.

    Args:
        arrival: Ascending, seconds, shape ``[tasks]``.
        service: Seconds, infinite where a task does not fit, ``[tasks, machines]``.
        free: When each machine is free at first, seconds, ``[machines]``.
        beam: Partial assignments that survive each task.
        horizon: Tasks ahead that a partial assignment is judged by.

    Returns:
        Machine of each task, ``[tasks]``.
    """
    tasks = len(arrival)
    frees, costs = free[None, :].copy(), np.zeros(1)
    plans = np.zeros((1, 0), dtype=np.int64)
    # Minimum completion time for all tasks is the plan to improve on.
    totals, rest = _complete(arrival, service, frees, costs)
    best, best_plan = totals[0], np.asarray(rest[0])
    for i in range(tasks):
        nodes = np.flatnonzero(np.isfinite(service[i]))
        _, end = served(arrival[i], service[i, nodes], frees[:, nodes])
        parent, node = np.repeat(np.arange(len(frees)), len(nodes)), np.tile(nodes, len(frees))
        costs = costs[parent] + end.ravel() - arrival[i]
        frees = frees[parent]
        frees[np.arange(len(frees)), node] = end.ravel()
        plans = np.concatenate([plans[parent], node[:, None]], axis=1)
        # Free times before the next arrival are all alike.
        frees = np.maximum(frees, arrival[min(i + 1, tasks - 1)])
        ahead = slice(i + 1, i + 1 + horizon)
        totals, rest = _complete(arrival[ahead], service[ahead], frees, costs)
        first = int(totals.argmin())
        if ahead.stop >= tasks and totals[first] < best:
            best, best_plan = totals[first], np.concatenate([plans[first], rest[first]])
        order = np.argsort(totals, kind="stable")[: 4 * beam]
        frees, costs, plans = frees[order], costs[order], plans[order]
        keep = np.flatnonzero(_undominated(frees, costs))[:beam]
        frees, costs, plans = frees[keep], costs[keep], plans[keep]
    return best_plan


def _complete(arrival: Floats, service: Floats, frees: Floats, costs: Floats) -> tuple[Floats, Ints]:
    """Place the remaining tasks by minimum completion time; return total costs and the choices."""
    frees, costs = frees.copy(), costs.copy()
    each = np.arange(len(frees))
    chosen = np.empty((len(frees), len(arrival)), dtype=np.int64)
    for j in range(len(arrival)):
        _, ends = served(arrival[j], service[j], frees)
        node = ends.argmin(axis=1)
        end = ends[each, node]
        frees[each, node] = end
        costs += end - arrival[j]
        chosen[:, j] = node
    return costs, chosen


def _undominated(frees: Floats, costs: Floats) -> Bools:
    """Tell which states no other state beats in cost and in every free time; of equals, the first stays."""
    no_worse = (costs[:, None] <= costs) & (frees[:, None] <= frees[None]).all(axis=-1)  # [by, state]
    equal = no_worse & no_worse.T
    earlier = np.arange(len(costs))[:, None] < np.arange(len(costs))
    return np.logical_not(((no_worse & ~equal) | (equal & earlier)).any(axis=0))
