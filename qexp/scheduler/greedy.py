"""The reference papers' greedy heuristic."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.scheduler.scheduler import RankingScheduler
from qexp.state import Floats, NodeState, TaskState


@option("scheduler")
@dataclass
class Greedy(RankingScheduler):
    """The machine that is free the earliest (the papers' greedy)."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return when each node is free, seconds."""
        return nodes.free_at
