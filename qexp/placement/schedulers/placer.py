"""Placers: schedulers that select a machine for one task after another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from qexp.errors import InputError
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import Floats
from qexp.problem.checks import shown, whole_number
from qexp.problem.scheduler import Scheduler


class Placer(Scheduler):
    """Selects a machine for one task at a time (``env=placement``)."""

    environment = "placement"

    @abstractmethod
    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the index of the machine to place the task on, one that ``task.mask`` allows.

        Args:
            task: The task that waits, unbatched.
            nodes: The machines at this moment.
        """


class RankingPlacer(Placer):
    """Chooses the allowed machine of the lowest cost; of equals, the first in the fleet's order.

    Where infeasible machines may be chosen (``env.mask=false``) the scheduler moves one position down its
    ranking with every refusal in a row, and back to the top after a success, as the reference's greedy
    does: the ranking itself would not change, and the task would be refused for ever.
    """

    @abstractmethod
    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the cost of each machine, shape ``[machines]``.

        Args:
            task: The task that waits, unbatched.
            nodes: The machines at this moment.
        """

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the machine of the lowest cost, see `Placer.select`."""
        cost = np.where(task.mask, self.cost(task, nodes), np.inf)
        if not nodes.refusals:
            return int(cost.argmin())
        return int(np.argsort(cost, kind="stable")[int(nodes.refusals) % len(cost)])


def node_chosen(
    scheduler: Placer, task: TaskState, nodes: NodeState, index: int, names: Sequence[str]
) -> int:
    """Return the machine that a scheduler puts a task on.

    Args:
        scheduler: Who is asked.
        task: The task's state.
        nodes: The machines' states.
        index: Which task of the episode it is.
        names: Of the machines.

    Raises:
        InputError: The answer is no index of a machine, or of one that `TaskState.mask` excludes.
    """
    answer = scheduler.select(task, nodes)
    node, name = whole_number(answer), type(scheduler).__name__
    if node is None or not 0 <= node < len(names):
        raise InputError(
            f"scheduler: {name} answered {shown(answer)} for task {index}: it must be the index of a "
            f"machine, between 0 and {len(names) - 1}"
        )
    if not task.mask[node]:
        raise InputError(
            f"scheduler: {name} chose machine {node} ({names[node]}) for task {index}, which is masked for "
            f"its circuit of {int(task.width)} qubits: the scheduler ignores task.mask"
        )
    return node


RankingScheduler = RankingPlacer
"""Its former name."""
