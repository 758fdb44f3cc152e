"""Minimum execution time: the fastest machine, however long its queue."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.placement.schedulers.placer import RankingPlacer
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class MET(RankingPlacer):
    """Minimum execution time: the fastest machine, whatever its queue.

    Source: Braun et al., see `qexp.placement.schedulers.mct.MCT`.
    """

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the service time on each machine, seconds, see `RankingPlacer.cost`."""
        return task.service
