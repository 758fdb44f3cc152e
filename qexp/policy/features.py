"""Turns a task and the nodes' states into the network's input: computed here and nowhere else.

Environments, evaluation and deployment all call `placement_features`, so a policy sees in service what it
saw in training. Every node feature is relative to the task and to the other nodes, none depends on a
node's index or on absolute time, and all stay of order one. Logarithms are of one plus the quantity, in
seconds or counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qexp.state import NodeState, TaskState

Float32s = NDArray[np.float32]

NODE_FEATURES = (
    "fits",  # 1 where the task may be placed
    # Of the task on the node; all 0 where it does not fit.
    "log_service",
    "log_finish",
    "log_finish_gap",  # over the best node's log_finish; the network's prior reads this one
    "log_service_gap",  # over the best node's log_service
    "service",
    "finish_gap",  # finish minus the best node's finish
    "esp",
    "qubit_slack",  # log2 of the node's qubits over the task's width
    # Of the node itself.
    "log_backlog",  # time until the node is free
    "backlog",
    "log_pending",
    "log_speed",  # log of CLOPS over the fleet's mean
    "log_qubits",
)
TASK_FEATURES = (
    "log_width",
    "log_depth",
    "log_reschedules",
    "log_remaining",  # tasks of the episode still to be placed
    "log_best_finish",
    "log_best_service",
    "remaining",
    "mean_backlog",
    "max_backlog",
    "share_fitting",  # share of the nodes the task may be placed on
)
PRIOR_FEATURE = NODE_FEATURES.index("log_finish_gap")

LINEAR_SCALE = 30.0  # seconds; a busy queue of the default scenario is about this long
LOG_SCALE = 3.0
COUNT_SCALE = 25.0
LIMIT = 10.0  # bound of every feature, so that observation spaces are finite

_FAR = np.float32(1e9)  # seconds; stands for infinity, and its scaled logarithm stays within the limit
_TASK_SCALE = np.array(
    [1 / LOG_SCALE] * 6 + [1 / COUNT_SCALE, 1 / LINEAR_SCALE, 1 / LINEAR_SCALE, 1], dtype=np.float32
)
_TASK_LOGS = 6


def placement_features(task: TaskState, nodes: NodeState) -> tuple[Float32s, Float32s]:
    """Compute the network's input.

    Args:
        task: The task to place, with any leading batch dimensions ``[...]``.
        nodes: The nodes' states, with the same.

    Returns:
        Task features, float32 ``[..., len(TASK_FEATURES)]``, and node features, float32
        ``[..., nodes, len(NODE_FEATURES)]``, all within plus and minus `LIMIT`.
    """
    # This runs at every decision of every episode, so it is written for few passes over contiguous arrays.
    # With env.mask=false a node that does not fit may be chosen; the features tell the truth all the same.
    fits = (task.mask & (task.service < np.inf)).astype(np.float32)
    rows = np.empty((4, *fits.shape), dtype=np.float32)
    service, finish, backlog, pending = rows
    backlog[...] = nodes.free_at - np.asarray(task.now)[..., None]
    np.maximum(backlog, 0, out=backlog)
    service[...] = np.minimum(task.service, _FAR)
    service *= fits
    np.add(backlog, service, out=finish)
    finish *= fits
    pending[...] = nodes.pending
    logs = np.log(rows + 1)

    # The best service and finish over the nodes that fit.
    unfit = (1 - fits) * _FAR
    best_service = _over_nodes(np.minimum.reduce, service + unfit)
    best_finish = _over_nodes(np.minimum.reduce, finish + unfit)
    per_node = 1 / fits.shape[-1]
    context = np.empty((len(TASK_FEATURES), *fits.shape[:-1]), dtype=np.float32)
    context[0], context[1], context[2] = task.width, task.depth, task.reschedules
    context[3] = context[6] = task.remaining
    context[4], context[5] = best_finish, best_service
    context[7] = _over_nodes(np.add.reduce, backlog) * per_node
    context[8] = _over_nodes(np.maximum.reduce, backlog)
    context[9] = _over_nodes(np.add.reduce, fits) * per_node
    context[:_TASK_LOGS] = np.log(context[:_TASK_LOGS] + 1)
    log_best_finish, log_best_service = context[4, ..., None], context[5, ..., None]

    node = np.empty((*fits.shape, len(NODE_FEATURES)), dtype=np.float32)
    log_qubits, log_speed = _of_machines(nodes.qubits.tobytes(), nodes.clops.tobytes())
    node[..., 0] = fits
    node[..., 1], node[..., 2], node[..., 9], node[..., 11] = logs * (1 / LOG_SCALE)
    # The gap that the prior reads stays in natural units, so that the prior's weight is a temperature.
    node[..., 3] = (logs[1] - log_best_finish) * fits
    node[..., 4] = (logs[0] - log_best_service) * fits
    finish -= best_finish[..., None]
    finish *= fits
    rows *= 1 / LINEAR_SCALE
    np.minimum(rows, LIMIT, out=rows)
    node[..., 5], node[..., 6], node[..., 10] = service, finish, backlog
    node[..., 7] = task.esp * fits
    node[..., 8] = (log_qubits - np.log2(task.width, dtype=np.float32)[..., None] / LOG_SCALE) * fits
    node[..., 12] = log_speed
    node[..., 13] = log_qubits
    context = np.moveaxis(context, 0, -1) * _TASK_SCALE
    return np.minimum(context, LIMIT, out=context), node


@lru_cache(maxsize=128)
def _of_machines(qubits: bytes, clops: bytes) -> tuple[Float32s, Float32s]:
    """Return what depends on the machines alone: scaled log of qubits, log of relative speed."""
    speed = np.frombuffer(clops, dtype=np.float64)
    size = np.log2(np.frombuffer(qubits, dtype=np.int64)) / LOG_SCALE
    return size.astype(np.float32), np.log(speed / speed.mean()).astype(np.float32)


def _over_nodes(reduce: Callable[..., Any], values: Float32s) -> Float32s:
    """Reduce the last axis; a copy with that axis first is many times faster than a short inner loop."""
    reduced: Float32s = reduce(values.T.copy(), axis=0).T
    return reduced
