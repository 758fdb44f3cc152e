"""How far off predictions were on each machine: by how many seconds, and by which factor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qexp.gap.measure.clusters import of_mean, of_median
from qexp.gap.measure.records import Record, column

QUANTITIES = {
    "wait": ("wait", "predicted_wait"),
    "wait_open_loop": ("wait", "simulated_wait"),
    "execution": ("execution", "predicted_execution"),
    "completion_open_loop": ("completion", "simulated_completion"),
    "quantum_seconds": ("quantum_seconds", "predicted_quantum_seconds"),
    "fidelity": ("normalised_fidelity", "esp"),
}
"""Measured and predicted attribute of a record, by the name of what is compared."""

ALL = "all machines"


@dataclass(frozen=True)
class MachineGap:
    """One quantity on one machine; None where it is not defined or there are too few segments.

    Intervals are of 95 %, over segments, as the tasks of one share queues, see `qexp.gap.measure.clusters`.
    """

    machine: str  # its name, or `ALL`
    quantity: str  # one of `QUANTITIES`
    tasks: int  # how many have both a measured and a predicted value
    measured: float  # mean
    predicted: float  # mean
    bias: float  # mean of measured - predicted
    bias_low: float | None
    bias_high: float | None
    factor_tasks: int  # how many of the tasks have both values above 0, which a factor needs
    factor: float | None  # median of measured / predicted
    factor_low: float | None
    factor_high: float | None
    # Geometric standard deviation of measured / predicted: two thirds of a lognormal ratio are within this
    # factor of its median.
    spread: float | None


def machine_gaps(rows: Sequence[Record], names: Iterable[str]) -> list[MachineGap]:
    """Compare each quantity on each machine, and on all together; what has no task is left out.

    Args:
        rows: From `with_simulation`.
        names: Machines in the fleet's order.
    """
    counted = [row for row in rows if row.counted]
    groups = {name: [row for row in counted if row.node == name] for name in names} | {ALL: counted}
    gaps = (
        _compare(machine, quantity, group) for machine, group in groups.items() for quantity in QUANTITIES
    )
    return [gap for gap in gaps if gap is not None]


def _compare(machine: str, quantity: str, rows: Sequence[Record]) -> MachineGap | None:
    measured, predicted = (column(rows, name) for name in QUANTITIES[quantity])
    known = ~np.isnan(measured) & ~np.isnan(predicted)
    measured, predicted = measured[known], predicted[known]
    segment = np.array([row.segment for row in rows], dtype=np.int64)[known]
    if not len(measured):
        return None
    difference = measured - predicted
    low, high = of_mean(difference, segment)
    positive = (measured > 0) & (predicted > 0)
    logs = np.log(measured[positive] / predicted[positive])
    least, most = of_median(logs, segment[positive])
    return MachineGap(
        machine=machine,
        quantity=quantity,
        tasks=len(measured),
        measured=float(measured.mean()),
        predicted=float(predicted.mean()),
        bias=float(difference.mean()),
        bias_low=low,
        bias_high=high,
        factor_tasks=len(logs),
        factor=float(np.exp(np.median(logs))) if len(logs) else None,
        factor_low=None if least is None else float(np.exp(least)),
        factor_high=None if most is None else float(np.exp(most)),
        spread=float(np.exp(logs.std(ddof=1))) if len(logs) > 1 else None,
    )
