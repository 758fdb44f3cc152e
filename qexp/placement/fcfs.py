"""First come, first served: the one rule by which machines work off their queues."""

from __future__ import annotations

from typing import Any

import numpy as np

from qexp.problem.arrays import Floats, Ints


def served(ready: Any, service: Any, free_at: Any) -> tuple[Any, Any]:
    """Return when a machine begins and ends a job that joins its queue: numbers, or arrays of one shape.

    Args:
        ready: When the job joins the queue, seconds.
        service: How long it takes, seconds.
        free_at: When the machine will have worked off all before it, seconds.
    """
    # Of two numbers NumPy needs ten times as long.
    start = max(ready, free_at) if isinstance(free_at, float) else np.maximum(ready, free_at)
    return start, start + service


def starts(ready: Floats, service: Floats, machine: Ints, machines: int) -> Floats:
    """Return when each of several jobs begins on the machine that it was sent to, seconds, ``[jobs]``.

    Args:
        ready: When each joins its queue, seconds, in any order; of equals, the first goes first, ``[jobs]``.
        service: How long each takes, seconds, ``[jobs]``.
        machine: Index of each job's machine, ``[jobs]``.
        machines: How many there are; all are free at first.
    """
    free_at, starting = np.full(machines, -np.inf), np.zeros(len(ready))
    for job in np.argsort(ready, kind="stable"):
        starting[job], free_at[machine[job]] = served(ready[job], service[job], free_at[machine[job]])
    return starting
