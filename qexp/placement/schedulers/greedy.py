"""The reference papers' greedy heuristic."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.placement.schedulers.placer import RankingPlacer
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class Greedy(RankingPlacer):
    """The machine that is free the earliest (the papers' greedy)."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return when each machine is free, seconds, see `RankingPlacer.cost`."""
        return nodes.free_at
