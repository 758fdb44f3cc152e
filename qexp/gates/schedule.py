"""A finished schedule: when each gate starts, forwards, and whether the machine could run it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from qexp.gates.problem import Problem
from qexp.gates.rulebook import set_bits
from qexp.problem.arrays import Ints


def makespan(problem: Problem, starts: Sequence[int] | Ints) -> int:
    """Return the cycles a schedule takes, from starts in either direction; -1 is a gate not placed.

    Args:
        problem: The circuit on its machine.
        starts: Start cycles, ``[gates]``.
    """
    ends = (int(start) + p for start, p in zip(starts, problem.cycles, strict=True) if start >= 0)
    return max(ends, default=0)


def forward_starts(problem: Problem, starts: Sequence[int] | Ints) -> list[int]:
    """Turn start cycles counted from the end of the schedule into start cycles counted from its beginning.

    The same function turns them back, when the schedule begins in cycle 0.

    Args:
        problem: What was scheduled.
        starts: Backward start cycle of each gate; a ValueError if one is not placed.
    """
    if any(start < 0 for start in starts):
        raise ValueError(f"gate {int(np.argmin(starts))} is not scheduled")
    total = makespan(problem, starts)
    return [total - int(start) - p for start, p in zip(starts, problem.cycles, strict=True)]


def violations(problem: Problem, starts: Sequence[int] | Ints) -> list[str]:
    """Return what is wrong with a complete schedule in backward time, a line for each pair of gates.

    Worked out from start cycles alone: no order of placing gates and no state of `Dispatch` enters.

    Args:
        problem: The circuit on its machine.
        starts: Start cycles, ``[gates]``.
    """
    wrong = [f"gate {i} is not scheduled" for i, start in enumerate(starts) if start < 0]
    p, codes = problem.cycles, problem.codes
    excludes = [dict(pairs) for pairs in problem.machine.excludes]
    for i, later in enumerate(problem.blockers):
        wrong += [f"gate {i} runs after gate {j}" for j in set_bits(later) if starts[i] < starts[j]]
    for i, j in combinations(range(len(problem)), 2):
        first, second = (i, j) if starts[i] <= starts[j] else (j, i)
        gap = starts[second] - starts[first]
        if {problem.q1[i], problem.q2[i]} & {problem.q1[j], problem.q2[j]} and gap < p[first]:
            wrong.append(f"gates {i} and {j} overlap on a qubit")
        if codes[i] == codes[j] and problem.machine.same_start[codes[i]] and 0 < gap < p[first]:
            wrong.append(f"gates {i} and {j} overlap but do not start together")
        apart = excludes[codes[first]].get(codes[second], 0)
        if not gap:  # whichever was placed first kept the other out
            apart = min(apart, excludes[codes[second]].get(codes[first], 0))
        if gap < apart:
            wrong.append(f"gates {i} and {j} are kept apart by the machine")
    return wrong
