"""What every scheduler answers: one decision after another, each a number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from qexp.state import Floats, NodeState, TaskState


class Scheduler(ABC):
    """Decides on one thing at a time: where a task goes, or which gate starts now.

    Attributes:
        environment: The environment it decides in, as the option of the group ``env`` is called.
        needs: A package that is not installed with qexp by itself, or None.
        bound: What no scheduler can be below in this episode, as far as this one has found out.
    """

    environment: str = "placement"
    needs: ClassVar[str | None] = None
    bound: float = 0.0

    def start(self, episode: Any, rng: np.random.Generator) -> None:  # noqa: B027 - most need nothing
        """Get ready for an episode.

        Args:
            episode: The whole episode, an `Episode` of tasks or a `GateEpisode`. Of tasks only a clairvoyant
                may look at it: in use they are not known in advance.
            rng: The randomness of this scheduler in this episode.
        """

    @abstractmethod
    def select(self, *state: Any, **named: Any) -> int:
        """Return the next decision.

        In ``env=placement`` the state is ``(task: TaskState, nodes: NodeState)``, unbatched, and the answer
        the index of the node to place the task on. In ``env=gate_scheduling`` it is ``(dispatch: Dispatch)``
        and the answer the index of a gate that may be placed now, or the number of gates to let a cycle pass.
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
