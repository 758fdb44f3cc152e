"""Families of curves for the execution time: what a job takes, as a function of what was predicted.

With the same number of shots in all jobs, an overhead per job and a repetition delay before every shot cannot
be told apart: both are in the overhead here. What remains is how time grows with the predicted time, or with
the time that the circuits themselves take.
"""

from __future__ import annotations

import numpy as np

from qexp.gap.calibrate.shrinkage import Family, Parameters
from qexp.problem.arrays import Floats

ROUNDS = 12
CUT = 5.0
"""Residuals beyond so many standard deviations count less: a job that hung says little of the others."""


def line(x: Floats, y: Floats, weights: Floats, *, overhead: bool) -> Parameters:
    """Fit y = overhead + factor * x, neither below 0, by weighted least squares.

    The variance is taken to grow with the mean, so that a plain factor is the ratio of the sums: fitted total
    time is measured total time, which is what totals of completion times need. Large residuals are cut (P. J.
    Huber, "Robust Estimation of a Location Parameter", 1964).

    Args:
        x: Seconds, ``[jobs]``.
        y: Seconds, ``[jobs]``.
        weights: How much each job counts, ``[jobs]``.
        overhead: Whether there is one; else it is 0.

    Returns:
        Overhead in seconds, factor.
    """
    from scipy.optimize import nnls

    mean = float(np.average(y, weights=weights))
    if not mean > 1e-100:  # seconds: nothing that a machine takes, and its inverse could overflow
        return 0.0, 0.0
    design = np.column_stack([np.ones_like(x), x])[:, 0 if overhead else 1 :]
    scale = np.maximum(np.abs(design).max(axis=0), 1e-300)
    fitted, count = np.full_like(y, mean), np.ones_like(y)
    parameters = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        root = np.sqrt(weights * count / np.maximum(fitted, 1e-2 * mean))
        parameters = nnls(design / scale * root[:, None], y * root)[0] / scale
        fitted = design @ parameters
        residual = np.abs(y - fitted) / np.sqrt(np.maximum(fitted, 1e-2 * mean))
        # 1.4826: from the median absolute deviation of a normal distribution to its standard deviation.
        limit = CUT * 1.4826 * float(np.median(residual[weights >= weights.max() / 2]))
        count = np.minimum(1.0, limit / np.maximum(residual, 1e-300)) if limit > 1e-9 * mean else count
    found = parameters.tolist()
    return (found[0], found[1]) if overhead else (0.0, found[0])


def _line(parameters: Parameters, x: Floats) -> Floats:
    return parameters[0] + parameters[1] * x


AS_PREDICTED = Family("as_predicted", "predicted", (0.0, 1.0), None, _line)
FACTOR = Family("factor", "predicted", (0.0, 1.0), lambda x, y, w: line(x, y, w, overhead=False), _line, True)
AFFINE = Family("affine", "predicted", (0.0, 1.0), lambda x, y, w: line(x, y, w, overhead=True), _line, True)
CIRCUIT_TIME = Family(
    "circuit_time", "circuit_time", None, lambda x, y, w: line(x, y, w, overhead=True), _line, True
)

FAMILIES = (AS_PREDICTED, FACTOR, AFFINE, CIRCUIT_TIME)
"""Simplest first: nothing changed; factor x predicted; overhead + factor x predicted; overhead + factor x
shots x duration of the circuit."""
