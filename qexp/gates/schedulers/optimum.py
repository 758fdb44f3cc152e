"""The shortest schedule of a circuit, proved: constraint programming with OR-Tools' CP-SAT.

Starts s are counted from the end. Gates on a common qubit do not overlap; where the order matters,
s_i >= s_j + p_j; pairs that the machine's restrictions keep apart start at least so many cycles after one
another, or together where that is allowed. The longest end is minimised. Four things keep it quick:

- Time is counted in the greatest common divisor of all durations: whatever order is best, the earliest starts
  that it allows are sums of durations.
- Only schedules shorter than the best one from critical paths are searched: that leaves each gate a window.
- Pairs whose order follows from chains of gates, or from the windows, need no decision.
- Equal gates that could swap places keep the order of the circuit.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qexp.errors import InputError
from qexp.gates.problem import Problem
from qexp.gates.schedule import makespan, violations
from qexp.gates.schedulers.list_scheduling import randomised_critical_path
from qexp.gates.schedulers.separation import Separation, Windows
from qexp.problem.arrays import Ints

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar

WARM_UP = 10
"""Schedules made before the search. More cost more than the slightly shorter one that they find is worth."""


@dataclass(frozen=True)
class Optimum:
    """The shortest schedule that a search found."""

    starts: list[int]  # backward start cycle of each gate
    makespan: int  # cycles that it takes
    bound: int  # cycles that every schedule takes at least
    seconds: float  # wall-clock time of the search

    @property
    def proved(self) -> bool:
        """True if no schedule is shorter; otherwise the time limit ended the search."""
        return self.makespan == self.bound


def optimum(problem: Problem, *, time_limit: float = 60.0, workers: int = 1, seed: int = 0) -> Optimum:
    """Find a shortest schedule and prove that none is shorter.

    Args:
        problem: What is scheduled.
        time_limit: Wall-clock seconds after which the best schedule so far is returned, with its bound.
            Writing down the problem is not interrupted; it takes about 0.1 s for 200 gates.
        workers: Threads of the search. With one, the result depends on the arguments alone, unless the time
            limit ends it.
        seed: Of the search and of the schedule that it starts from.

    Raises:
        InputError: OR-Tools is not installed, or an argument is out of range.
    """
    try:
        from ortools.sat.python import cp_model
    except ModuleNotFoundError as error:
        raise InputError("the exact optimum needs OR-Tools: pip install 'qexp[exact]'") from error
    if not 0 < time_limit < float("inf"):
        raise InputError(f"time_limit should be positive and finite, but was {time_limit}")
    if workers < 1:
        raise InputError(f"workers should be at least 1, but was {workers}")
    begin = time.perf_counter()
    starts = randomised_critical_path(problem, restarts=WARM_UP, seed=seed)
    best, bound = makespan(problem, starts), max(problem.tails, default=0)
    if bound < best:
        unit = math.gcd(*problem.cycles)
        p = np.array(problem.cycles, dtype=np.int64) // unit
        rules = Separation.of(problem, unit)
        windows = Windows.of(rules, p, rules.exchangeable(problem), best // unit - 1)
        if windows is None:
            bound = best
        else:
            model, variables = _model(cp_model, problem, windows, rules, p, bound // unit)
            solver = cp_model.CpSolver()
            solver.parameters.max_time_in_seconds = max(time_limit - (time.perf_counter() - begin), 0.01)
            solver.parameters.num_workers = workers
            solver.parameters.random_seed = seed
            status = solver.solve(model)
            if status == cp_model.INFEASIBLE:
                bound = best
            else:
                bound = max(bound, unit * math.ceil(solver.best_objective_bound - 1e-6))
                if status != cp_model.UNKNOWN:
                    starts = [unit * solver.value(variable) for variable in variables]
                    best = makespan(problem, starts)
    wrong = violations(problem, starts)
    if wrong:
        raise AssertionError(f"the schedule breaks the rules: {'; '.join(wrong)}")
    return Optimum(starts, best, bound, time.perf_counter() - begin)


def _model(
    cp: Any, problem: Problem, windows: Windows, rules: Separation, cycles: Ints, bound: int
) -> tuple[CpModel, list[IntVar]]:
    """Write down the search for the shortest schedule within the windows, and a variable for each start."""
    model: CpModel = cp.CpModel()
    p, gap, lag = cycles.tolist(), rules.gap.tolist(), windows.lag.tolist()
    bounds = zip(windows.earliest.tolist(), windows.latest.tolist(), strict=True)
    starts = [model.new_int_var(first, last, "") for first, last in bounds]
    for i, j in np.argwhere(windows.direct()).tolist():
        model.add(starts[j] >= starts[i] + lag[i][j])
    intervals = [model.new_fixed_size_interval_var(s, size, "") for s, size in zip(starts, p, strict=True)]
    for qubit in range(problem.machine.n_qubits):
        on_it = zip(intervals, problem.q1, problem.q2, strict=True)
        model.add_no_overlap([interval for interval, *qubits in on_it if qubit in qubits])
    # Gates that share a qubit need no more than that, unless they are kept apart for longer than they take.
    longer = (rules.gap > cycles[:, None]) | (rules.gap > cycles[:, None]).T
    for i, j in np.argwhere(windows.open & (longer | ~rules.shared)).tolist():
        first = model.new_bool_var("")
        second = model.new_bool_var("") if rules.together[i, j] else ~first
        model.add(starts[j] >= starts[i] + gap[i][j]).only_enforce_if(first)
        model.add(starts[i] >= starts[j] + gap[j][i]).only_enforce_if(second)
        if rules.together[i, j]:
            model.add(starts[j] <= starts[i]).only_enforce_if(~first)
            model.add(starts[i] <= starts[j]).only_enforce_if(~second)
    end = model.new_int_var(bound, windows.length, "")
    model.add_max_equality(end, [s + size for s, size in zip(starts, p, strict=True)])
    model.minimize(end)
    return model, starts
