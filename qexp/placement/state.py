"""What a scheduler is told when it must place a task: the task's state and the nodes' states.

Simulators, schedulers, policies and deployments all speak in these two records, so a decision made in
simulation and one made in front of real machines are computed from the same thing. All arrays may carry
leading batch dimensions ``[...]``; without them the records describe one decision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.problem.arrays import Bools, Floats, Ints


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
        service: Predicted service time on each node, seconds, infinite where the circuit does not fit,
            shape ``[..., nodes]``.
        esp: Estimated success probability on each node, 0 where the circuit does not fit, ``[..., nodes]``.
        mask: Nodes the scheduler may choose, ``[..., nodes]``. All true when ``env.mask=false``.
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
        qubits: Shape ``[nodes]``.
        clops: Circuit layer operations per second, shape ``[nodes]``.
        readout_error: Average readout error, shape ``[nodes]``.
        free_at: When the node will have finished all it was given, seconds; -1 for a node that never
            worked, shape ``[..., nodes]``.
        pending: Tasks queued or running on the node, shape ``[..., nodes]``.
        refusals: Placements refused in a row up to now, over all tasks, shape ``[...]``.
    """

    qubits: Ints
    clops: Floats
    readout_error: Floats
    free_at: Floats
    pending: Ints
    refusals: Ints | int


def wait_times(task: TaskState, nodes: NodeState) -> Floats:
    """Return how long the task would wait on each node, seconds, shape ``[..., nodes]``."""
    now = np.asarray(task.now)
    wait: Floats = np.maximum(nodes.free_at - now[..., None], 0.0)
    return wait
