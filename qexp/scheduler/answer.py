"""What a scheduler answers is checked before it counts: it may be anybody's."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from qexp.errors import InputError
from qexp.scheduler.scheduler import Scheduler
from qexp.state import NodeState, TaskState


def node_chosen(
    scheduler: Scheduler, task: TaskState, nodes: NodeState, index: int, names: Sequence[str]
) -> int:
    """Return the node that a scheduler puts a task on.

    Args:
        scheduler: Who is asked.
        task: The task's state.
        nodes: The nodes' state.
        index: Which task of the episode it is.
        names: Of the nodes.

    Raises:
        InputError: The answer is no index of a node, or of one that `TaskState.mask` excludes.
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


def whole_number(value: Any) -> int | None:
    """Return an integer, or an array of one, as ``int``; None for everything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    try:
        return operator.index(value)
    except TypeError:
        return None


def shown(value: Any) -> str:
    """Return what was given on one short line."""
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
