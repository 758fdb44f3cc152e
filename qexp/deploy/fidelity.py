"""How near measured counts come to what a perfect machine would give.

Both figures lie in [0, 1] and take outcomes as bit strings, with counts or probabilities, which need not sum
to 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def hellinger_fidelity(measured: Mapping[str, float], ideal: Mapping[str, float]) -> float:
    """Return the Hellinger fidelity of two distributions, (sum over x of sqrt(p(x) q(x)))^2.

    It is the classical fidelity of the two, and (1 - H^2)^2 of their Hellinger distance H (E. Hellinger,
    "Neue Begründung der Theorie quadratischer Formen von unendlichvielen Veränderlichen", J. reine angew.
    Math. 136, 1909).

    Args:
        measured: Counts or probabilities by outcome.
        ideal: The same of what is to be met.

    Raises:
        ValueError: One of them is empty.
    """
    outcomes = list(measured.keys() & ideal.keys())
    p = np.array([measured[outcome] for outcome in outcomes]) / _total(measured)
    q = np.array([ideal[outcome] for outcome in outcomes]) / _total(ideal)
    # Rounding may carry the sum past 1 where both are the same.
    return min(1.0, float(np.sqrt(p * q).sum()) ** 2)


def normalised_fidelity(measured: Mapping[str, float], ideal: Mapping[str, float]) -> float | None:
    """Return the Hellinger fidelity on a scale where 0 is what noise alone reaches and 1 is perfect.

    (F - U) / (1 - U), where U is the fidelity of the uniform distribution over all bit strings; never less
    than 0. Where the ideal distribution is flat, the plain fidelity is near 1 whatever was measured
    (T. Lubinski et al., "Application-Oriented Performance Benchmarks for Quantum Computing", IEEE Trans.
    Quantum Eng. 4, 2023, arXiv:2110.03137).

    Args:
        measured: Counts or probabilities by outcome.
        ideal: The same of what is to be met; all its keys have the same length, which is the number of bits.

    Returns:
        The fidelity, or None where the ideal distribution is itself uniform: nothing tells signal from noise.

    Raises:
        ValueError: One of them is empty.
    """
    uniform = _uniform_fidelity(ideal)
    if 1.0 - uniform < 1e-9:
        return None
    return max(0.0, (hellinger_fidelity(measured, ideal) - uniform) / (1.0 - uniform))


def _uniform_fidelity(ideal: Mapping[str, float]) -> float:
    """Return the fidelity of the uniform distribution: of it, only outcomes that are possible count."""
    total = _total(ideal)
    outcomes: int = 2 ** len(next(iter(ideal)))
    roots = np.sqrt(np.array(list(ideal.values())) / total)
    return float(roots.sum()) ** 2 / outcomes


def _total(distribution: Mapping[str, float]) -> float:
    total = float(sum(distribution.values()))
    if not total > 0:
        raise ValueError("a distribution without any outcome")
    return total
