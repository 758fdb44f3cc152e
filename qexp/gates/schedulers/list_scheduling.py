"""Schedules built gate by gate, never waiting while a gate could start: quick, and rarely far from the best.

The functions return the backward start cycle of each gate; `schedule.forward_starts` turns them round.
Source of list scheduling by the longest path: T. C. Hu, "Parallel sequencing and assembly line problems",
Operations Research 9 (1961).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qexp.errors import InputError
from qexp.gates.engine import Dispatch
from qexp.gates.problem import Problem
from qexp.gates.schedulers.separation import Separation
from qexp.problem.arrays import Bools, Ints


def asap(problem: Problem) -> list[int]:
    """Start every gate as soon as possible, from the beginning of the circuit; of several, the first."""
    rules, gates = Separation.of(problem), len(problem)
    # Forwards, a gate waits for those that have to be placed after it from behind.
    waits = [set(np.flatnonzero(row).tolist()) for row in rules.before]
    followers = [np.flatnonzero(column).tolist() for column in rules.before.T]
    ready = [gate for gate in range(gates) if not waits[gate]]
    placed: Bools = np.zeros(gates, dtype=bool)
    ends: Ints = np.zeros(gates, dtype=np.int64)
    now = 0
    while ready:
        earliest = []
        for gate in ready:
            p = problem.cycles[gate]
            earliest.append((_earliest_end(rules, gate, ends, placed, now + p) - p, gate))
        now, gate = min(earliest)
        ends[gate] = now + problem.cycles[gate]
        placed[gate] = True
        ready.remove(gate)
        for follower in followers[gate]:
            waits[follower].remove(gate)
            if not waits[follower]:
                ready.append(follower)
    starts: list[int] = (ends.max(initial=0) - ends).tolist()
    return starts


def alap(problem: Problem) -> list[int]:
    """Start every gate as late as possible, from the end of the circuit backwards; of several, the last."""
    return _starts(_dispatch(problem, range(len(problem))))


def critical_path(problem: Problem) -> list[int]:
    """From the end backwards, always start the gate with the longest chain of gates before it.

    Of equally long chains, the one of the gate that comes last in the circuit.
    """
    return _starts(_dispatch(problem, problem.tails))


def randomised_critical_path(
    problem: Problem, *, restarts: int = 100, spread: float = 0.5, seed: int = 0
) -> list[int]:
    """Repeat `critical_path` with chains that are a random share longer; return the shortest schedule.

    The first schedule is that of `critical_path`, so the result is never worse. It ends early when a schedule
    is as short as the longest chain.

    Args:
        problem: What is scheduled.
        restarts: How many schedules are made, at most.
        spread: Each length is multiplied by a figure drawn from 1 to 1 + spread.
        seed: Of the random numbers.

    Raises:
        InputError: Less than one restart, or a negative spread.
    """
    if restarts < 1:
        raise InputError(f"restarts should be at least 1, but was {restarts}")
    if not 0 <= spread < float("inf"):
        raise InputError(f"spread should be at least 0 and finite, but was {spread}")
    rng, tails = np.random.default_rng(seed), np.array(problem.tails)
    best = _dispatch(problem, problem.tails)
    for _ in range(restarts - 1):
        if best.makespan == tails.max(initial=0):
            break
        other = _dispatch(problem, (tails * (1 + spread * rng.random(len(tails)))).tolist())
        if other.makespan < best.makespan:
            best = other
    return _starts(best)


def _dispatch(problem: Problem, priority: Sequence[float]) -> Dispatch:
    """Place the legal gate with the greatest priority until none is left."""
    dispatch = Dispatch(problem)
    while not dispatch.done:
        if dispatch.choices:
            dispatch.place(max(dispatch.choices, key=lambda gate: (priority[gate], gate)))
        else:
            dispatch.advance()
    return dispatch


def _starts(dispatch: Dispatch) -> list[int]:
    starts: list[int] = dispatch.starts.tolist()
    return starts


def _earliest_end(rules: Separation, gate: int, ends: Ints, placed: Bools, end: int) -> int:
    """Return when a gate can end beside those placed already, forwards, not before ``end``."""
    # A rule between starts that are counted from the end of the schedule is one between ends, forwards.
    others = ends[placed]
    after, until = rules.gap[gate, placed], rules.gap[placed, gate]
    last, together = rules.before[gate, placed], rules.together[gate, placed]
    while True:
        lead = others - end
        wrong = np.where(lead > 0, last | (lead < until), np.where(lead < 0, -lead < after, ~together))
        if not wrong.any():
            return end
        end = int(np.where((lead > 0) & together, others, others + after)[wrong].max())
