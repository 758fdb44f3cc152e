"""What every scheduler answers: one decision after another, each a number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from qexp.config.option import REGISTRY, Configurable, group, load_options
from qexp.state import Floats, NodeState, TaskState

ORDER = (
    *("random", "round_robin", "greedy", "greedy_error", "least_busy", "mct", "met", "fidelity", "weighted"),
    *("clairvoyant", "asap", "alap", "critical_path", "randomised_critical_path", "cp_sat"),
)
"""In which schedulers are compared; others follow by name."""


@group("scheduler")
class Scheduler(Configurable, ABC):
    """Decides on one thing at a time: where a task goes, or which gate starts now.

    Attributes:
        environment: The environment it decides in, as the option of the group ``env`` is called.
        foresees: Whether it knows what no real cloud tells: a reference, and nothing to deploy.
        bound: What no scheduler can be below in this episode, as far as this one has found out.
    """

    environment: str = "placement"
    foresees: ClassVar[bool] = False
    bound: float = 0.0

    def start(self, episode: Any, rng: np.random.Generator) -> None:
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


def schedulers_of(environment: str) -> list[str]:
    """Return the schedulers that decide in an environment without having been trained, by name.

    Their order does not depend on who imported what first: hashes of configurations contain it.
    """
    load_options()
    classes: dict[str, Any] = dict(REGISTRY["scheduler"])
    known = [name for name, cls in classes.items() if name != "policy" and cls.environment == environment]
    return sorted(known, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


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
