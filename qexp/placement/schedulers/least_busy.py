"""The heuristic of qiskit-ibm-runtime's ``least_busy``, which most users of IBM machines know."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.placement.schedulers.placer import RankingPlacer
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class LeastBusy(RankingPlacer):
    """The machine with the fewest pending jobs, as qiskit-ibm-runtime's least_busy."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the pending jobs of each machine, see `RankingPlacer.cost`."""
        return nodes.pending.astype(float)
