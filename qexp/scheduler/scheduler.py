"""What every scheduler answers: on which node does this task go?"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from qexp.state import Floats, NodeState, TaskState
from qexp.workload.episode import Episode


class Scheduler(ABC):
    """Decides on one task at a time."""

    def start(self, episode: Episode, rng: np.random.Generator) -> None:  # noqa: B027 - most need nothing
        """Get ready for an episode.

        Args:
            episode: The whole episode; only a clairvoyant may look at it.
            rng: The randomness of this scheduler in this episode.
        """

    @abstractmethod
    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the index of the node to place the task on.

        Args:
            task: The task's state, unbatched.
            nodes: The nodes' states, unbatched.
        """


class RankingScheduler(Scheduler):
    """Chooses the allowed node of the lowest cost; of equals, the first in the fleet's order.

    Where infeasible nodes may be chosen (``env.mask=false``) the scheduler moves one position down its
    ranking with every refusal in a row, and back to the top after a success, as the reference's greedy
    does: the ranking itself would not change, and the task would be refused for ever.
    """

    @abstractmethod
    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the cost of each node, shape ``[nodes]``."""

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the node of the lowest cost, see `Scheduler.select`."""
        cost = np.where(task.mask, self.cost(task, nodes), np.inf)
        if not nodes.refusals:
            return int(cost.argmin())
        return int(np.argsort(cost, kind="stable")[int(nodes.refusals) % len(cost)])
