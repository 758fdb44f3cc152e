"""Intervals over tasks that are alike within a block or a segment: these are the units, not the tasks."""

from __future__ import annotations

import math

import numpy as np

from qexp.problem.arrays import Floats, Ints
from qexp.report.statistics import LEVEL

FEWEST = 5
"""With fewer units there is no interval: it would be too wide to say anything."""


def margin(totals: Floats, counts: Floats, level: float = LEVEL) -> float | None:
    """Return how far the interval of sum of totals / sum of counts reaches to either side.

    None with fewer than `FEWEST` units.

    Student's t with one degree of freedom less than units, and the linearised variance of a ratio: with equal
    counts, that of the units' means (W. G. Cochran, "Sampling Techniques", 1977, sections 2.11 and 9A.1).

    Args:
        totals: Sum over each unit's tasks, ``[units]``.
        counts: Tasks of each unit, more than 0, ``[units]``.
        level: Coverage, in (0, 1).
    """
    from scipy.stats import t

    units = len(counts)
    if units < FEWEST:
        return None
    rest = totals - counts * (totals.sum() / counts.sum())
    error = math.sqrt(units / (units - 1) * float(rest @ rest)) / float(counts.sum())
    return float(t.ppf((1 + level) / 2, units - 1)) * error


def of_mean(values: Floats, unit: Ints) -> tuple[float | None, float | None]:
    """Return the ends of the 95 % interval of a mean over tasks.

    Args:
        values: Of each task, ``[tasks]``.
        unit: Which unit it belongs to, ``[tasks]``.
    """
    reach = margin(*_sums(values, unit))
    mean = float(values.mean()) if len(values) else 0.0
    return (None, None) if reach is None else (mean - reach, mean + reach)


def of_median(values: Floats, unit: Ints) -> tuple[float | None, float | None]:
    """Return the ends of the 95 % interval of a median over tasks, None where they are beyond all values.

    The interval of the share of tasks below the median, turned into values (R. S. Woodruff, "Confidence
    Intervals for Medians and Other Position Measures", J. Am. Stat. Assoc. 47, 1952).

    Args:
        values: Of each task, ``[tasks]``.
        unit: Which unit it belongs to, ``[tasks]``.
    """
    if not len(values):
        return None, None
    below = (values < np.median(values)) + 0.5 * (values == np.median(values))
    reach = margin(*_sums(below, unit))
    if reach is None or reach >= 0.5:
        return None, None
    low, high = np.quantile(values, [0.5 - reach, 0.5 + reach]).tolist()
    return low, high


def _sums(values: Floats, unit: Ints) -> tuple[Floats, Floats]:
    """Return sum and number of the tasks of each unit that has any."""
    _, which = np.unique(unit, return_inverse=True)
    sums: Floats = np.bincount(which, values).astype(np.float64)
    return sums, np.bincount(which).astype(np.float64)
