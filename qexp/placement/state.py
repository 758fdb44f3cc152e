"""The situation in which a scheduler places a task, the task's and the machines' states, and its result.

Simulators, schedulers, policies and deployments all speak in these records, so a decision made in simulation
and one made in front of real machines are computed from the same thing. All arrays may carry leading batch
dimensions ``[...]``; without them the records describe one decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qexp.problem.arrays import Bools, Floats, Ints

T = TypeVar("T", bound=np.generic)


@dataclass(slots=True)
class TaskState:
    """The task that waits for a decision.

    Attributes:
        now: Time of the decision, seconds, shape ``[...]``.
        arrival: Time the task arrived, seconds, shape ``[...]``.
        width: Qubits of the circuit, shape ``[...]``.
        depth: Logical depth of the circuit, layers, shape ``[...]``.
        shots: Repetitions of the circuit, shape ``[...]``.
        reschedules: How often this task was refused so far, shape ``[...]``.
        remaining: Tasks of the episode still to be placed, this one included, shape ``[...]``.
        service: Predicted service time on each machine, seconds, infinite where the circuit does not fit,
            shape ``[..., machines]``.
        esp: Estimated success probability on each machine, 0 where the circuit does not fit,
            ``[..., machines]``.
        mask: Machines the scheduler may choose, ``[..., machines]``. All true when ``env.mask=false``.
    """

    now: Floats | float
    arrival: Floats | float
    width: Ints | int
    depth: Ints | int
    shots: Ints | int
    reschedules: Ints | int
    remaining: Ints | int
    service: Floats
    esp: Floats
    mask: Bools


@dataclass(slots=True)
class NodeState:
    """The machines at the moment of the decision.

    Attributes:
        qubits: Shape ``[machines]``.
        clops: Circuit layer operations per second, shape ``[machines]``.
        readout_error: Average readout error, shape ``[machines]``.
        free_at: When the machine will have finished all it was given, seconds; -1 for one that never worked,
            shape ``[..., machines]``.
        pending: Tasks queued or running on the machine, shape ``[..., machines]``.
        refusals: Placements refused in a row up to now, over all tasks, shape ``[...]``.
    """

    qubits: Ints
    clops: Floats
    readout_error: Floats
    free_at: Floats
    pending: Ints
    refusals: Ints | int


@dataclass(slots=True)
class Placed:
    """The result of a decision: numbers, or arrays ``[...]``."""

    refused: Any  # the circuit did not fit the chosen machine
    wait: Any  # seconds in the queue; 0 if refused
    service: Any  # seconds on the machine; 0 if refused
    elapsed: Any  # wait + service, or the rescheduling delay of a refusal, seconds
    delay: Any  # rescheduling delays of the task so far, this refusal included, seconds
    esp: Any  # estimated success probability; 0 if refused
    placed_all: Any  # no task of the episode is left
    gave_up: Any  # the task was refused ``max_refusals`` times


def wait_times(task: TaskState, nodes: NodeState) -> Floats:
    """Return how long the task would wait on each machine, seconds, shape ``[..., machines]``.

    Args:
        task: Which.
        nodes: The machines.
    """
    wait: Floats = np.maximum(nodes.free_at - np.asarray(task.now)[..., None], 0.0)
    return wait


def padded(table: NDArray[T], machines: int, value: float | np.float32, axis: int = 1) -> NDArray[T]:
    """Return a table with as many machines as wanted, the new ones of one value.

    Args:
        table: Such as ``[circuits, machines]``.
        machines: How many.
        value: Of the new ones.
        axis: Of the machines.
    """
    widths = [(0, machines - size if a == axis else 0) for a, size in enumerate(table.shape)]
    return np.pad(table, widths, constant_values=value)
