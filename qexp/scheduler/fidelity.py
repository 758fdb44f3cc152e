"""The best result, however long it takes."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.scheduler.scheduler import RankingScheduler
from qexp.state import Floats, NodeState, TaskState


@option("scheduler")
@dataclass
class Fidelity(RankingScheduler):
    """The machine with the highest estimated success probability."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return minus the ESP on each node."""
        return -task.esp
