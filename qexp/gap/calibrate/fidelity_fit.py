"""Families of curves for fidelity as a function of the estimated success probability (ESP).

ESP multiplies the success of every gate and readout, so its logarithm counts errors. An exponent says by
which factor that count is off; a scale is what is lost (or found) whatever the circuit.
"""

from __future__ import annotations

import numpy as np

from qexp.gap.calibrate.shrinkage import Family, Parameters
from qexp.problem.arrays import Floats

LEAST_ESP = 1e-12
"""ESPs below this are taken for it: no circuit is that bad and no logarithm infinite."""


def power(x: Floats, y: Floats, weights: Floats, *, scale: bool) -> Parameters:
    """Fit y = exp(log scale + exponent * log x), clipped to [0, 1], by least squares of y.

    Not of its logarithm, which a measured fidelity of 0 does not have. Large residuals are cut.

    Args:
        x: ESP, ``[jobs]``.
        y: Fidelity, ``[jobs]``.
        weights: How much each job counts, ``[jobs]``.
        scale: Whether there is one; else it is 1.

    Returns:
        Logarithm of the scale, exponent.
    """
    from scipy.optimize import least_squares

    logs, root = np.log(np.maximum(x, LEAST_ESP)), np.sqrt(weights / weights.max())

    def residuals(parameters: Floats) -> Floats:
        intercept = parameters[1] if scale else 0.0
        found: Floats = root * (np.exp(np.minimum(intercept + parameters[0] * logs, 0.0)) - y)
        return found

    start, low, high = ([1.0, 0.0], [0.0, -5.0], [20.0, 5.0]) if scale else ([1.0], [0.0], [20.0])
    found = least_squares(residuals, start, bounds=(low, high), loss="soft_l1", f_scale=0.2).x.tolist()
    return (found[1], found[0]) if scale else (0.0, found[0])


def _power(parameters: Parameters, x: Floats) -> Floats:
    logs = np.log(np.maximum(x, LEAST_ESP))
    return np.exp(np.minimum(parameters[0] + parameters[1] * logs, 0.0))


AS_PREDICTED = Family("as_predicted", "esp", (0.0, 1.0), None, _power)
POWER = Family("power", "esp", (0.0, 1.0), lambda x, y, w: power(x, y, w, scale=False), _power)
SCALED_POWER = Family("scaled_power", "esp", (0.0, 1.0), lambda x, y, w: power(x, y, w, scale=True), _power)

FAMILIES = (AS_PREDICTED, POWER, SCALED_POWER)
"""Simplest first: fidelity = ESP; ESP ^ exponent; scale x ESP ^ exponent."""
