"""What follows from the wish for a schedule of at most so many cycles.

Each gate gets a window of start cycles and each pair of gates the least distance between their starts, and
where only one order of a pair fits into the windows, that order narrows them further. Where nothing is left,
no schedule is that short; where something is left, there may be one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.gates.schedulers.separation import Separation
from qexp.problem.arrays import Bools, Ints

NONE = -(1 << 40)
"""Instead of a least distance: none is known."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Backward start cycles that are left to each gate, and what is known of each pair.

    Attributes:
        length: Cycles that the schedule may take.
        earliest: First start cycle, shape ``[gates]``.
        latest: Last start cycle, shape ``[gates]``.
        lag: Least number of cycles by which the gate of the column starts after that of the row, at least
            `NONE`, by whatever chain of gates; shape ``[gates, gates]``.
        open: Pairs, row below column, that the rules keep apart and whose order does not follow from this.
    """

    length: int
    earliest: Ints
    latest: Ints
    lag: Ints
    open: Bools

    @classmethod
    def of(cls, rules: Separation, cycles: Ints, swaps: Bools, length: int) -> Windows | None:
        """Narrow the windows until nothing follows any more.

        Args:
            rules: How far apart gates have to be.
            cycles: Cycles each gate takes, shape ``[gates]``.
            swaps: Pairs of which the gate of the row can be placed first without loss, ``[gates, gates]``.
            length: Cycles that a schedule may take.

        Returns:
            None if no schedule is that short.
        """
        apart = rules.gap > 0  # in both directions or none
        lag = np.where(rules.before, np.where(rules.together, 0, rules.gap), NONE)
        lag = np.where(swaps, np.maximum(lag, rules.gap), lag)
        np.fill_diagonal(lag, 0)
        while True:
            for via in range(len(cycles)):
                np.maximum(lag, lag[:, via, None] + lag[via], out=lag)
            earliest = np.maximum(lag.max(axis=0, initial=0), 0)
            latest = (length - cycles - lag).min(axis=1, initial=length)
            if (lag.diagonal() > 0).any() or (earliest > latest).any():
                return None
            # The least and (of the other order) the greatest that the column can start after the row.
            least = np.maximum(lag, earliest - latest[:, None])
            first = apart & (rules.gap <= -least.T)
            together = rules.together & (least <= 0) & (least.T <= 0)
            if (apart & ~first & ~first.T & ~together).any():
                return None
            known = np.where(apart & ~first.T, np.where(together, 0, rules.gap), NONE)
            if (known <= lag).all():
                ordered = (lag >= rules.gap) | ((lag >= 0) & (lag.T >= 0))
                return cls(length, earliest, latest, lag, np.triu(apart & ~ordered & ~ordered.T, 1))
            lag = np.maximum(lag, known)

    def direct(self) -> Bools:
        """Return the pairs whose lag does not follow from the lags of a chain of other gates."""
        known = self.lag > NONE // 2
        np.fill_diagonal(known, False)
        chained = np.zeros_like(known)
        for via in range(len(known)):
            # Gates that must start together follow from each other: a chain must not go round such a circle.
            into, out = known[:, via] & ~known[via], known[via] & ~known[:, via]
            chained |= into[:, None] & out & (self.lag[:, via, None] + self.lag[via] >= self.lag)
        return known & ~chained
