"""The rules of a schedule as figures for each pair of gates: how far apart two starts have to be.

What searches for whole schedules (`cp_sat`, `list_scheduling.asap`) reads the rules here; `dispatch` plays
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
    """Rules for each pair of gates, in backward time. All arrays have shape ``[gates, gates]``.

    Attributes:
        gap: Cycles from the start of the gate of the row to that of the column, at least, if the row starts
            earlier; 0 where they do not restrict each other.
        together: Whether the two may start in the same cycle.
        before: Whether the gate of the row must be placed before that of the column.
        shared: Whether they have a qubit in common.
    """

    gap: Ints
    together: Bools
    before: Bools
    shared: Bools

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
        kept_out = np.zeros((len(machine.cycles), len(machine.cycles)), dtype=np.int64)
        for code, pairs in enumerate(machine.excludes):
            for other, least in pairs:
                kept_out[code, other] = least
        excluded = kept_out[codes[:, None], codes]
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
