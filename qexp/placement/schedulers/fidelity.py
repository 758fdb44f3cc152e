"""The best result, however long it takes."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.placement.schedulers.placer import RankingPlacer
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class Fidelity(RankingPlacer):
    """The machine with the highest estimated success probability."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return minus the ESP on each machine, see `RankingPlacer.cost`."""
        return -task.esp
