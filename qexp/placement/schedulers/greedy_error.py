"""The reference papers' greedy heuristic with calibration as the tie-break."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.config.option import option
from qexp.placement.schedulers.placer import RankingPlacer
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class GreedyError(RankingPlacer):
    """The machine that is free the earliest; of equals, the one with the lowest readout error."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return each machine's rank by free time, then readout error, see `RankingPlacer.cost`."""
        rank = np.empty(len(nodes.free_at))
        rank[np.lexsort((nodes.readout_error, nodes.free_at))] = np.arange(len(rank))
        return rank
