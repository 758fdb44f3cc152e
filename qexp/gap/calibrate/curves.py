"""Families of curves: execution time by predicted time, and fidelity by estimated success probability (ESP).

With the same number of shots in all jobs, an overhead per job and a repetition delay before every shot look
alike: both are in the overhead here. What remains is how time grows with the predicted time, or with
the time that the circuits themselves take.

ESP multiplies the success of every gate and readout, so its logarithm counts errors. An exponent says by
which factor that count is off; a scale is what is lost (or gained) whatever the circuit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from qexp.problem.arrays import Floats

ROUNDS = 12
TINY = 1e-100
"""Seconds: nothing that a machine takes, and its inverse could overflow."""
CUT = 5.0
"""Residuals beyond so many standard deviations count less: a job that hung says little of the others."""
LEAST_ESP = 1e-12
"""ESPs below this are taken for it: no circuit is that bad and no logarithm infinite."""


class Parameters(NamedTuple):
    """A curve: straight in x, or in the logarithms of both."""

    intercept: float  # overhead, seconds, or logarithm of the scale
    slope: float  # factor, or exponent


NEUTRAL = Parameters(0.0, 1.0)
"""The curve that changes nothing."""


@dataclass(frozen=True)
class Family:
    """A family of curves with up to two parameters."""

    name: str
    reads: str  # the column of `qexp.gap.calibrate.shrinkage.Jobs` that its curves are functions of
    curve: Callable[[Parameters, Floats], Floats]  # from parameters and x to predictions
    # From x, y and weights, [jobs] each, to parameters; None: always the neutral ones.
    fit: Callable[[Floats, Floats, Floats], Parameters] | None = None
    grows: bool = False  # the variance is taken to grow with the mean


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
    """
    from scipy.optimize import nnls

    mean = float(np.average(y, weights=weights))
    if not mean > TINY:
        return Parameters(0.0, 0.0)
    design = np.column_stack([np.ones_like(x), np.where(x > TINY, x, 0.0)])[:, 0 if overhead else 1 :]
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
    return Parameters(*([] if overhead else [0.0]), *parameters.tolist())


def power(x: Floats, y: Floats, weights: Floats, *, scale: bool) -> Parameters:
    """Fit y = exp(log scale + exponent * log x), clipped to [0, 1], by least squares of y.

    Not of its logarithm, which a measured fidelity of 0 does not have. Large residuals are cut.

    Args:
        x: ESP, ``[jobs]``.
        y: Fidelity, ``[jobs]``.
        weights: How much each job counts, ``[jobs]``.
        scale: Whether there is one; else it is 1.
    """
    from scipy.optimize import least_squares

    root = np.sqrt(weights / weights.max())

    def parameters(free: Floats) -> Parameters:
        return Parameters(float(free[1]) if scale else 0.0, float(free[0]))

    def residuals(free: Floats) -> Floats:
        return np.asarray(root * (_power(parameters(free), x) - y))

    start, low, high = ([1.0, 0.0], [0.0, -5.0], [20.0, 5.0]) if scale else ([1.0], [0.0], [20.0])
    return parameters(least_squares(residuals, start, bounds=(low, high), loss="soft_l1", f_scale=0.2).x)


def _line(parameters: Parameters, x: Floats) -> Floats:
    return parameters.intercept + parameters.slope * x


def _power(parameters: Parameters, x: Floats) -> Floats:
    logs = np.log(np.maximum(x, LEAST_ESP))
    return np.exp(np.minimum(parameters.intercept + parameters.slope * logs, 0.0))


FACTOR = Family("factor", "predicted", _line, partial(line, overhead=False), grows=True)
AFFINE = Family("affine", "predicted", _line, partial(line, overhead=True), grows=True)
SERVICE = (
    Family("as_predicted", "predicted", _line),
    FACTOR,
    AFFINE,
    Family("circuit_time", "circuit_time", _line, partial(line, overhead=True), grows=True),
)
"""Simplest first: nothing changed; factor x predicted; overhead + factor x predicted; overhead + factor x
shots x duration of the circuit."""

FIDELITY = (
    Family("as_predicted", "esp", _power),
    Family("power", "esp", _power, partial(power, scale=False)),
    Family("scaled_power", "esp", _power, partial(power, scale=True)),
)
"""Simplest first: fidelity = ESP; ESP ^ exponent; scale x ESP ^ exponent."""
