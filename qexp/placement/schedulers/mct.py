"""Minimum completion time: the heuristic to beat."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.placement.schedulers.placer import RankingPlacer
from qexp.placement.state import NodeState, TaskState, wait_times
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class MCT(RankingPlacer):
    """Minimum completion time: the machine that would finish the task the earliest.

    Source: Braun et al., "A Comparison of Eleven Static Heuristics for Mapping a Class of Independent Tasks
    onto Heterogeneous Distributed Computing Systems", JPDC 61(6), 2001.
    """

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return wait plus service on each machine, seconds, see `RankingPlacer.cost`."""
        return wait_times(task, nodes) + task.service
