"""How sure are we? Aggregates and intervals for paired episodes.

Every scheduler in a comparison meets the same episodes, so the arrays below hold one value per episode in the
same order, and whatever resamples episodes resamples them for all schedulers at once. The aggregates follow
Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021); the
intervals are percentile bootstrap intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95
# Two totals closer than this are the same schedule summed in another order, not a win.
TIE_TOLERANCE = 1e-9
# Bounds the memory of one block of resampling weights to about 16 MB.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: The figure.
        low: Lower end, None where one episode says nothing about spread.
        high: Upper end, None likewise.
    """

    value: float
    low: float | None
    high: float | None


def iqm(values: npt.ArrayLike) -> float:
    """Interquartile mean: the mean of what is left after cutting a quarter of the values at each end.

    Args:
        values: Shape [E]; E // 4 values are cut at each end.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(np.asarray(values, dtype=np.float64), 0.25))


def bootstrap_means(values: npt.ArrayLike, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Column means over episodes drawn with replacement, jointly for all columns.

    Drawing E of E episodes with replacement is drawing how often each occurs, so a resample is one row of
    multinomial counts and all resamples are one matrix product.

    Args:
        values: Shape [E, C]: one row per episode, one column per quantity.
        seed: The same seed draws the same episodes, whatever the columns.
        resamples: How many, R.

    Returns:
        Shape [R, C].
    """
    table = np.asarray(values, dtype=np.float64)
    episodes = len(table)
    rng = np.random.default_rng(seed)
    share = np.full(episodes, 1.0 / episodes)
    blocks = []
    left = resamples
    while left > 0:
        size = min(left, max(1, _BLOCK // episodes))
        blocks.append(rng.multinomial(episodes, share, size=size) @ table / episodes)
        left -= size
    return np.concatenate(blocks)


def interval(samples: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Percentile interval of each column of bootstrap samples.

    Args:
        samples: Shape [R, C].
        level: Coverage, in (0, 1).

    Returns:
        Lower and upper ends, each of shape [C].
    """
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(samples, [tail, 100.0 - tail], axis=0)
    return low, high


def percent_changes(values: npt.ArrayLike, reference: npt.ArrayLike, *, seed: int) -> list[Estimate]:
    """Change of each column's mean against the reference's mean, with intervals from jointly drawn episodes.

    The differences are resampled rather than the two means, so that what the episodes have in common cancels
    and a column equal to the reference has an interval of exactly zero width.

    Args:
        values: Shape [E, C].
        reference: Shape [E], the same episodes; its mean must not be zero.
        seed: See `bootstrap_means`.
    """
    base = np.asarray(reference, dtype=np.float64)
    table = np.asarray(values, dtype=np.float64)
    columns = np.column_stack([table - base[:, None], base])
    means = columns.mean(axis=0)
    pct = 100.0 * means[:-1] / means[-1]
    if len(base) < 2:  # one episode has no spread to resample
        return [Estimate(float(value), None, None) for value in pct]
    samples = bootstrap_means(columns, seed=seed)
    low, high = interval(100.0 * samples[:, :-1] / samples[:, -1:])
    return [Estimate(float(p), float(lo), float(hi)) for p, lo, hi in zip(pct, low, high, strict=True)]


def win_rate(values: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Share of episodes in which the value is below the reference's; a tie counts half (an equal has 0.5).

    Args:
        values: Shape [E].
        reference: Shape [E], the same episodes.
    """
    ours, theirs = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    ties = np.isclose(ours, theirs, rtol=TIE_TOLERANCE, atol=0.0)
    return float(np.mean(np.where(ties, 0.5, ours < theirs)))
