"""The rules of a schedule as figures for each pair of gates: how far apart two starts have to be.

What searches for whole schedules (`optimum`, `list_scheduling.asap`) reads the rules here; `Dispatch` plays
them cycle by cycle, and `schedule.violations` spells them out a third time, to check both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from qexp.gates.problem import Problem
from qexp.gates.rulebook import set_bits
from qexp.problem.arrays import Bools, Ints


@dataclass(frozen=True, eq=False)
class Separation:
    """Rules for each pair of gates (row, column), in backward time, ``[gates, gates]``."""

    gap: Ints  # cycles from start to start, at least, if the row starts earlier; 0 for no restriction
    together: Bools  # the two may start in the same cycle
    before: Bools  # the row must be placed before the column
    shared: Bools  # they have a qubit in common

    @classmethod
    def of(cls, problem: Problem, unit: int = 1) -> Separation:
        """Work out the rules of a problem.

        Args:
            problem: What is scheduled.
            unit: Cycles in which gaps are counted; it divides all durations.
        """
        machine, n = problem.machine, len(problem)
        codes = np.array(problem.codes, dtype=np.int64)
        q1, q2 = np.array(problem.q1, dtype=np.int64), np.array(problem.q2, dtype=np.int64)
        cycles = np.array(problem.cycles, dtype=np.int64)[:, None]
        shared = (q1[:, None] == q1) | (q1[:, None] == q2) | (q2[:, None] == q1) | (q2[:, None] == q2)
        excluded = machine.keeps_out()[codes[:, None], codes].astype(np.int64)
        aligned = (codes[:, None] == codes) & np.array(machine.same_start)[codes][:, None]
        gap = np.maximum(excluded, np.where(shared | aligned, cycles, 0))
        np.fill_diagonal(gap, 0)
        before = np.zeros((n, n), dtype=bool)
        for gate, blockers in enumerate(problem.blockers):
            before[set_bits(blockers), gate] = True
        return cls(gap // unit, ~(shared | (excluded > 0)), before, shared)

    def exchangeable(self, problem: Problem) -> Bools:
        """Return equal gates whose order in a schedule makes no difference, or only one for the better.

        Returns:
            True where a schedule in which the gate of the column starts before that of the row stays valid
            when the two swap places; one of a pair only, shape ``[gates, gates]``.
        """
        same: dict[tuple[int, int, int], list[int]] = {}
        for gate, content in enumerate(zip(problem.codes, problem.q1, problem.q2, strict=True)):
            same.setdefault(content, []).append(gate)
        swaps = np.zeros_like(self.before)
        for gates in same.values():
            for one, other in combinations(gates, 2):
                waits_more = not (self.before[:, other] & ~self.before[:, one]).any()
                swaps[other, one] = waits_more and not (self.before[one] & ~self.before[other]).any()
        return swaps


NONE = -(1 << 40)
"""Instead of a least distance: none is known."""


@dataclass(frozen=True, eq=False)
class Windows:
    """The start cycles left to each gate in a schedule of at most so many cycles, in backward time."""

    length: int  # cycles that the schedule may take
    earliest: Ints  # first start cycle of each gate, ``[gates]``
    latest: Ints  # last start cycle of each gate, ``[gates]``
    lag: Ints  # cycles by which the column starts after the row, at least, or `NONE`, ``[gates, gates]``
    open: Bools  # pairs, row below column, that are kept apart in an order that does not follow from this

    @classmethod
    def of(cls, rules: Separation, cycles: Ints, swaps: Bools, length: int) -> Windows | None:
        """Narrow the windows until nothing follows any more: where one order of a pair fits, it narrows them.

        Args:
            rules: How far apart gates have to be.
            cycles: Cycles each gate takes, shape ``[gates]``.
            swaps: Pairs of which the gate of the row can be placed first without loss, ``[gates, gates]``.
            length: Cycles that a schedule may take.

        Returns:
            None if no schedule is that short; otherwise there may be one.
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
