"""A calibration put to the test: fitted to the first half of a campaign, judged on the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qexp.gap.calibrate.calibration import Calibration
from qexp.gap.measure.load import Load
from qexp.gap.measure.records import Record, column, nodes_of
from qexp.gap.measure.replay import with_simulation
from qexp.placement.scenario import Scenario
from qexp.problem.arrays import Floats


@dataclass(frozen=True)
class Error:
    """How wrong predictions were, over the same tasks; None without any.

    Attributes:
        measured: Mean.
        bias: Mean of predicted - measured.
        absolute: Mean of its absolute value.
    """

    measured: float | None
    bias: float | None
    absolute: float | None

    @classmethod
    def of(cls, predicted: Floats, measured: Floats) -> Error:
        """Return the error of predictions, each of shape ``[tasks]``."""
        if not len(measured):
            return cls(None, None, None)
        difference = predicted - measured
        return cls(float(measured.mean()), float(difference.mean()), float(np.abs(difference).mean()))


@dataclass(frozen=True)
class Total:
    """A total completion time, seconds, over the same tasks.

    Attributes:
        measured: As measured.
        predicted: Open loop: from an empty cloud, with the recorded placements.
        error_pct: Predicted against measured, percent; None if nothing was measured.
    """

    measured: float
    predicted: float
    error_pct: float | None


@dataclass(frozen=True)
class HoldOut:
    """What calibration is worth on tasks that it has not seen.

    Attributes:
        split: What was halved: blocks, segments or tasks.
        fitted: Counted tasks of the first half.
        held_out: Counted tasks of the second half.
        total_before: Total completion time of the second half, as predicted without calibration.
        total_after: The same with calibrated execution times and delay.
        total_after_load: The same with, in addition, the mean foreign wait on each machine in the first half.
        execution_before: Error of the execution time in the second half, seconds, without calibration.
        execution_after: The same with it.
        fidelity_tasks: Counted tasks of the second half that have a fidelity and an ESP.
        fidelity_before: Error of ESP as a prediction of normalised fidelity.
        fidelity_after: The same with calibration.
    """

    split: str
    fitted: int
    held_out: int
    total_before: Total
    total_after: Total
    total_after_load: Total
    execution_before: Error
    execution_after: Error
    fidelity_tasks: int
    fidelity_before: Error
    fidelity_after: Error


def halves(rows: Sequence[Record]) -> tuple[str, set[int]]:
    """Return what to halve a campaign by, and the tasks of its first half.

    Blocks if there are two or more, so that all schedulers are in both halves; else segments, so that no
    queue is cut; else tasks, in order of arrival. Only what has counted tasks is reckoned with. Of an odd
    number the first half has one more.
    """
    counted = [row for row in rows if row.counted]
    for name, key in (("blocks", "block"), ("segments", "segment"), ("tasks", "id")):
        groups = sorted({getattr(row, key) for row in counted})
        if len(groups) > 1:
            first = set(groups[: (len(groups) + 1) // 2])
            return name, {row.id for row in counted if getattr(row, key) in first}
    return "tasks", {row.id for row in counted}


def held_out_blocks(rows: Sequence[Record]) -> set[int]:
    """Return the blocks that a calibration on the first half has seen nothing of."""
    split, first = halves(rows)
    if split != "blocks":
        return set()
    return {row.block for row in rows} - {row.block for row in rows if row.id in first}


def hold_out(
    scenario: Scenario, rows: Sequence[Record], foreign: Mapping[int, float]
) -> tuple[Calibration, HoldOut]:
    """Calibrate on the first half of a campaign, and judge the calibration on the second.

    Args:
        scenario: The placement problem.
        rows: From `with_simulation`.
        foreign: Foreign wait by task, from `qexp.gap.measure.decomposition.decompose`.
    """
    split, first = halves(rows)
    fitted = [row for row in rows if row.id in first]
    calibration = Calibration.fit(scenario, fitted)
    load = Load.of(fitted, foreign)
    service = calibration.seconds(scenario)
    # Segments are simulated whole, whatever half their tasks are in.
    calibrated = {row.id: row for row in with_simulation(scenario, rows, service)}
    before = [row for row in rows if row.counted and row.id not in first]
    after = [calibrated[row.id] for row in before]
    timed = np.array([row.split for row in before], dtype=bool)
    measured = column(before, "execution")[timed]
    seen = [row for row in before if row.seen]
    esp, fidelity = column(seen, "esp"), column(seen, "normalised_fidelity")
    nodes = np.array(nodes_of(seen, scenario.fleet.names), dtype=np.int64)
    return calibration, HoldOut(
        split=split,
        fitted=len(fitted),
        held_out=len(before),
        total_before=_total(before, 0.0),
        total_after=_total(after, calibration.delay * len(after)),
        total_after_load=_total(after, calibration.delay * len(after) + _foreign(load, after)),
        execution_before=Error.of(_execution(before)[timed], measured),
        execution_after=Error.of(_execution(after)[timed], measured),
        fidelity_tasks=len(seen),
        fidelity_before=Error.of(esp, fidelity),
        fidelity_after=Error.of(calibration.fidelity.of(nodes, esp), fidelity),
    )


def _execution(rows: Sequence[Record]) -> Floats:
    return column(rows, "simulated_completion") - column(rows, "simulated_wait")


def _foreign(load: Load, rows: Sequence[Record]) -> float:
    return sum(load.machines.get(row.node or "", load.everywhere) for row in rows)


def _total(rows: Sequence[Record], added: float) -> Total:
    measured = float(column(rows, "completion").sum())
    predicted = float(column(rows, "simulated_completion").sum()) + added
    return Total(measured, predicted, 100 * (predicted / measured - 1) if measured > 0 else None)
