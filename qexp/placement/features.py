"""Turns a task and the machines' states into the network's input: computed here and nowhere else.

Environments, evaluation and deployment all call `placement_features`, so a policy reads in service what it
read in training. Every feature of a machine is relative to the task and to the other machines, none depends
on its index or on absolute time, and all stay of order one. Logarithms are of one plus the quantity, in
seconds or counts.

This runs at every decision of every episode. Half of the features are the circuit's and the machines' alone:
they are computed once per circuit, and the rest is written over a copy of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qexp.placement.state import NodeState, TaskState, padded
from qexp.problem.arrays import LIMIT, Bools, Float32s, Floats, Ints

NODE_FEATURES = (
    "fits",  # 1 where the task may be placed
    # Of the task on the machine; all 0 where it does not fit.
    "log_service",
    "log_finish",
    "log_finish_gap",  # over the best machine's log_finish; the network's prior reads this one
    "log_service_gap",  # over the best machine's log_service
    "service",
    "finish_gap",  # finish minus the best machine's finish
    "esp",
    "qubit_slack",  # log2 of the machine's qubits over the task's width
    # Of the machine itself.
    "log_backlog",  # time until the machine is free
    "backlog",
    "log_pending",
    "log_speed",  # log of CLOPS over the fleet's mean
    "log_qubits",
)
TASK_FEATURES = (
    "log_width",
    "log_depth",
    "log_reschedules",
    "log_remaining_per_5",  # tasks of the episode still to be placed, for every five machines
    "log_best_finish",
    "log_best_service",
    "remaining_per_5",
    "mean_backlog",
    "max_backlog",
    "share_fitting",  # share of the machines the task may be placed on
)
NODE = {name: column for column, name in enumerate(NODE_FEATURES)}
TASK = {name: column for column, name in enumerate(TASK_FEATURES)}
PRIOR_FEATURE = NODE["log_finish_gap"]

LINEAR_SCALE = 30.0  # seconds; a busy queue of the default scenario is about this long
LOG_SCALE = 3.0
COUNT_SCALE = 25.0
# What tasks still to come cost depends on how many machines there are for them. Counted for every five, of
# which the default fleet consists, a policy that was trained on one fleet knows the load of any other.
SHARED_BY = np.float32(5)
REMEMBERED = 2000  # circuits whose features are remembered; a catalogue has a few hundred

_FAR = np.float32(1e9)  # seconds; stands for infinity, and its scaled logarithm stays within the limit
# Constants of the arrays' own type: NumPy takes as long to convert a Python number as to add five.
_ZERO, _ONE, _LIMIT = np.float32(0), np.float32(1), np.float32(LIMIT)
_PER_LOG, _PER_SECOND = np.float32(1 / LOG_SCALE), np.float32(1 / LINEAR_SCALE)
# Columns of the moment; those of the task stand side by side, in the order of the table's last column.
_LOG_BACKLOG, _LOG_FINISH, _LOG_PENDING = NODE["log_backlog"], NODE["log_finish"], NODE["log_pending"]
_BACKLOG, _FINISH_GAP = NODE["backlog"], NODE["finish_gap"]
_LOGS_OF_TASK = slice(TASK["log_reschedules"], TASK["log_best_finish"] + 1)
_LOADS_OF_TASK = slice(TASK["remaining_per_5"], TASK["max_backlog"] + 1)


def placement_features(task: TaskState, nodes: NodeState) -> tuple[Float32s, Float32s]:
    """Compute the network's input.

    Args:
        task: The task to place, with any leading batch dimensions ``[...]``.
        nodes: The machines' states, with the same.

    Returns:
        Task features, float32 ``[..., len(TASK_FEATURES)]``, and machine features, float32
        ``[..., machines, len(NODE_FEATURES)]``, all within plus and minus `LIMIT`.
    """
    now, reschedules, remaining = task.now, task.reschedules, task.remaining
    if task.service.ndim == 1:
        circuit = _of_one_circuit(task, nodes)
    else:
        circuit = _of_circuits(task, nodes)
        now, reschedules, remaining = (np.asarray(x).T for x in (now, reschedules, remaining))
    return at_moment(
        replace(circuit, task=circuit.task.copy(), nodes=circuit.nodes.copy()),
        now=now,
        reschedules=reschedules,
        remaining=remaining,
        free_at=nodes.free_at,
        pending=nodes.pending,
    )


@dataclass(frozen=True, slots=True)
class CircuitFeatures:
    """The part of the input that depends on circuit and machines alone.

    ``fits`` and ``service`` have the machines first: so arithmetic and reductions over machines run along the
    whole batch.
    """

    task: Float32s  # task features; those of the moment are not set, [..., task_features]
    nodes: Float32s  # machine features, likewise, [..., machines, node_features]
    fits: Float32s  # 1 where the task may be placed, 0 elsewhere, [machines, ...]
    service: Float32s  # seconds; `_FAR` where the task may not be placed, [machines, ...]
    machines: Float32s  # number of machines, padding not counted, [...]

    def take(self, rows: Ints) -> CircuitFeatures:
        """Return a copy of the features of some of the circuits, by their index, ``[batch]``."""
        return CircuitFeatures(
            self.task.take(rows, axis=0),
            self.nodes.take(rows, axis=0),
            self.fits.take(rows, axis=-1),
            self.service.take(rows, axis=-1),
            self.machines.take(rows),
        )

    @classmethod
    def joined(cls, parts: Sequence[CircuitFeatures]) -> CircuitFeatures:
        """Return several fleets' circuits in one batch: small fleets are padded, with machines of zeros."""
        most = max(len(part.fits) for part in parts)
        fits = np.concatenate([padded(part.fits, most, 0, axis=0) for part in parts], axis=1)
        service = np.concatenate([padded(part.service, most, _FAR, axis=0) for part in parts], axis=1)
        return cls(
            np.concatenate([part.task for part in parts]),
            np.concatenate([padded(part.nodes, most, 0) for part in parts]),
            # In this order of memory, or taking some of the circuits would copy all of them first.
            np.ascontiguousarray(fits),
            np.ascontiguousarray(service),
            np.concatenate([part.machines for part in parts]),
        )


def circuit_features(
    width: Ints | int,
    depth: Ints | int,
    service: Floats,
    esp: Floats,
    mask: Bools,
    qubits: Ints,
    clops: Floats,
) -> CircuitFeatures:
    """Compute the part of the input that depends on circuit and machines alone.

    Args:
        width: As in `TaskState`, like all that follow but the last two.
        depth: Of the circuits.
        service: Of the circuits on the machines.
        esp: Likewise.
        mask: Likewise.
        qubits: As in `NodeState`.
        clops: Likewise.
    """
    # With env.mask=false a machine that does not fit may be chosen; the features are true all the same.
    allowed = (mask & (service < np.inf)).T
    fits = allowed.astype(np.float32)
    seconds = np.where(allowed, np.minimum(service.T, _FAR), _FAR).astype(np.float32)
    best = np.minimum.reduce(seconds)
    log_width, log_depth, log_best = (np.log(np.asarray(x, np.float32) + 1) for x in (width, depth, best))
    task = np.zeros((*service.shape[:-1], len(TASK_FEATURES)), dtype=np.float32)
    task[..., TASK["log_width"]] = log_width / LOG_SCALE
    task[..., TASK["log_depth"]] = log_depth / LOG_SCALE
    task[..., TASK["log_best_service"]] = log_best.T / LOG_SCALE
    task[..., TASK["share_fitting"]] = np.add.reduce(fits).T / len(fits)

    size = np.log2(qubits) / LOG_SCALE
    log_service = np.log(seconds + 1)
    node = np.zeros((*service.shape, len(NODE_FEATURES)), dtype=np.float32)
    column = node.T
    column[NODE["fits"]] = fits
    column[NODE["log_service"]] = fits * log_service / LOG_SCALE
    column[NODE["log_service_gap"]] = fits * np.minimum(log_service - log_best, LIMIT)
    column[NODE["service"]] = np.minimum(fits * seconds / LINEAR_SCALE, LIMIT)
    column[NODE["esp"]] = fits * esp.T
    column[NODE["qubit_slack"]] = fits * (size - np.log2(width)[..., None] / LOG_SCALE).T
    node[..., NODE["log_speed"]] = np.maximum(np.log(clops / clops.mean()), -LIMIT)
    node[..., NODE["log_qubits"]] = size
    machines = np.full(service.shape[:-1], len(fits), dtype=np.float32)
    return CircuitFeatures(np.minimum(task, LIMIT), node, fits, seconds, machines)


def _of_circuits(task: TaskState, nodes: NodeState) -> CircuitFeatures:
    return circuit_features(
        task.width, task.depth, task.service, task.esp, task.mask, nodes.qubits, nodes.clops
    )


def _of_one_circuit(task: TaskState, nodes: NodeState) -> CircuitFeatures:
    """Remember circuits that are placed one at a time: they come again with the same tables."""
    arrays = (task.service, task.esp, task.mask, nodes.qubits, nodes.clops)
    key = (task.width, task.depth, *map(np.ndarray.tobytes, arrays))
    circuit = _remembered.get(key)
    if circuit is None:
        if len(_remembered) >= REMEMBERED:
            _remembered.clear()
        circuit = _remembered[key] = _of_circuits(task, nodes)
    return circuit


_remembered: dict[tuple[object, ...], CircuitFeatures] = {}


def at_moment(
    circuit: CircuitFeatures,
    *,
    now: Floats | float,
    reschedules: Ints | int,
    remaining: Ints | int,
    free_at: Floats,
    pending: Ints,
) -> tuple[Float32s, Float32s]:
    """Write the features of the moment into those of circuits.

    Args:
        circuit: The circuits' features, with at most one batch dimension; their arrays are overwritten.
        now: As in `qexp.placement.state`, like all that follow.
        reschedules: Of the task.
        remaining: Of the episode.
        free_at: Of the machines.
        pending: Of the machines.

    Returns:
        The circuit's arrays, as `placement_features` returns them.
    """
    # A row per quantity, a column per machine, and a last column for single numbers per decision.
    fits, last = circuit.fits, len(circuit.fits)
    shared = np.multiply(remaining, SHARED_BY / circuit.machines, dtype=np.float64)
    table = np.empty((3, last + 1, *fits.shape[1:]), dtype=np.float32)
    backlog, finish, queue = table[0, :last], table[1, :last], table[2, :last]
    backlog[...] = free_at.T - now
    np.maximum(backlog, _ZERO, out=backlog)
    np.add(backlog, circuit.service, out=finish)
    best_finish = np.minimum.reduce(finish)
    finish *= fits
    queue[...] = pending.T
    table[0, last], table[1, last], table[2, last] = reschedules, shared, best_finish
    logs = table + _ONE
    np.log(logs, out=logs)

    task, column = circuit.task, circuit.nodes.T
    # The gap that the prior reads stays in natural units, so that the prior's weight is a temperature.
    column[PRIOR_FEATURE] = np.minimum(logs[1, :last] - logs[2, last], _LIMIT) * fits
    logs *= _PER_LOG
    column[_LOG_BACKLOG], column[_LOG_FINISH] = logs[0, :last], logs[1, :last]
    column[_LOG_PENDING] = logs[2, :last]
    task[..., _LOGS_OF_TASK] = logs[:, last].T

    finish -= best_finish
    finish *= fits
    table[0, last] = shared * (LINEAR_SCALE / COUNT_SCALE)
    table[1, last] = np.add.reduce(backlog) / circuit.machines
    table[2, last] = np.maximum.reduce(backlog)
    table *= _PER_SECOND
    np.minimum(table, _LIMIT, out=table)
    column[_BACKLOG], column[_FINISH_GAP] = backlog, finish
    task[..., _LOADS_OF_TASK] = table[:, last].T
    return task, circuit.nodes
