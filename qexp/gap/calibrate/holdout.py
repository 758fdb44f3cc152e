"""A calibration tested: fitted to the first half of a campaign, judged on the second."""

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
    """How wrong predictions were, over the same tasks; None without any."""

    measured: float | None  # mean
    bias: float | None  # mean of predicted - measured
    absolute: float | None  # mean of its absolute value

    @classmethod
    def of(cls, predicted: Floats, measured: Floats) -> Error:
        """Return the error of predictions, each of shape ``[tasks]``.

        Args:
            predicted: By the simulator, shape ``[tasks]``.
            measured: In the campaign, shape ``[tasks]``.
        """
        if not len(measured):
            return cls(None, None, None)
        difference = predicted - measured
        return cls(float(measured.mean()), float(difference.mean()), float(np.abs(difference).mean()))


@dataclass(frozen=True)
class Total:
    """A total completion time, seconds, over the same tasks."""

    measured: float
    predicted: float  # open loop: from an empty cloud, with the recorded placements
    error_pct: float | None  # predicted against measured, percent; None if nothing was measured


@dataclass(frozen=True)
class HoldOut:
    """Errors of predictions for a campaign's second half, without and with calibration on the first."""

    split: str  # what was halved: blocks, segments or tasks
    fitted: int  # counted tasks of the first half
    held_out: int  # counted tasks of the second half
    total_before: Total  # of the second half, without calibration
    total_after: Total  # with calibrated execution times and delay
    total_after_load: Total  # and, in addition, the mean foreign wait on each machine in the first half
    execution_before: Error  # of the execution time, seconds, without calibration
    execution_after: Error  # with it
    fidelity_tasks: int  # counted tasks of the second half that have a fidelity and an ESP
    fidelity_before: Error  # of ESP as a prediction of normalised fidelity
    fidelity_after: Error  # with calibration


def halves(rows: Sequence[Record]) -> tuple[str, set[int]]:
    """Return the units that a campaign is halved by, and the tasks of its first half.

    Blocks if there are two or more, so that all schedulers are in both halves; else segments, so that no
    queue is cut; else tasks, in order of arrival. Units without counted tasks are passed over. Of an odd
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
    """Return the blocks without a task that a calibration on the first half is fitted to."""
    split, first = halves(rows)
    fitted = {row.block for row in rows if row.id in first}
    return {row.block for row in rows} - fitted if split == "blocks" else set()


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
    # Segments are simulated whole, whatever half their tasks are in.
    calibrated = {row.id: row for row in with_simulation(scenario, rows, calibration.seconds(scenario))}
    before = [row for row in rows if row.counted and row.id not in first]
    after = [calibrated[row.id] for row in before]
    timed = np.array([row.split for row in before], dtype=bool)
    measured = column(before, "execution")[timed]
    compared = [row for row in before if row.has_fidelity]
    esp, fidelity = column(compared, "esp"), column(compared, "normalised_fidelity")
    corrected = calibration.fidelity.of(nodes_of(compared, scenario.fleet.names), esp)
    return calibration, HoldOut(
        split=split,
        fitted=len(fitted),
        held_out=len(before),
        total_before=_total(before, 0.0),
        total_after=_total(after, calibration.delay * len(after)),
        total_after_load=_total(after, calibration.delay * len(after) + _foreign(load, after)),
        execution_before=Error.of(_execution(before)[timed], measured),
        execution_after=Error.of(_execution(after)[timed], measured),
        fidelity_tasks=len(compared),
        fidelity_before=Error.of(esp, fidelity),
        fidelity_after=Error.of(corrected, fidelity),
    )


def _execution(rows: Sequence[Record]) -> Floats:
    return column(rows, "simulated_completion") - column(rows, "simulated_wait")


def _foreign(load: Load, rows: Sequence[Record]) -> float:
    return sum(load.machines.get(row.node or "", load.everywhere) for row in rows)


def _total(rows: Sequence[Record], added: float) -> Total:
    measured = float(column(rows, "completion").sum())
    predicted = float(column(rows, "simulated_completion").sum()) + added
    return Total(measured, predicted, 100 * (predicted / measured - 1) if measured > 0 else None)
