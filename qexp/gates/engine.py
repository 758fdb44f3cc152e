"""A schedule in the making: place a gate, or let a cycle pass.

Times are absolute (until when a qubit is busy, until when a kind of gate is excluded), so when a cycle passes
only the few gates that wait for no other are checked. A gate that waits is registered with the nearest gates
it waits for, and checked again when one of those is placed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qexp.gates.problem import Problem
from qexp.problem.arrays import Ints


class Dispatch:
    """The state of one schedule under construction, in backward time.

    Args:
        problem: What is scheduled.
        depth: How many of the gates that a gate waits for `offsets` shows.
        width: Length of the arrays; by default the number of gates, else they are padded with zeros.
    """

    _ONE = ("problem", "depth", "cycle", "left", "makespan", "_unplaced")
    _MANY = ("starts", "legal", "offsets", "free_at", "until", "started", "ready", "choices")
    __slots__ = (*_ONE, *_MANY, "_watchers")

    def __init__(self, problem: Problem, depth: int = 1, width: int | None = None) -> None:
        gates = len(problem)
        width = gates if width is None else width
        self.problem = problem
        self.depth = depth
        self.cycle = 0  # the current one
        self.left = gates  # not yet placed
        self.makespan = 0  # cycles that the gates placed so far take
        self.starts: Ints = np.full(gates, -1, dtype=np.int64)  # -1 while not placed, ``[gates]``
        self.legal: npt.NDArray[np.int8] = np.zeros(width, dtype=np.int8)  # may be placed now, ``[width]``
        # How much later in the circuit the nearest gates are that each waits for; 0: none. ``[depth, width]``
        self.offsets: Ints = np.zeros((depth, width), dtype=np.int64)
        self.free_at = [0] * problem.machine.n_qubits  # cycle from which each qubit is free
        self.until = [0] * len(problem.machine.cycles)  # cycle from which each kind may start again
        self.started: set[int] = set()  # kinds with a common start that were started in this cycle
        self.ready: list[int] = []  # gates that wait for no other gate, legal or not
        self._unplaced = (1 << gates) - 1
        self._watchers: list[list[int]] = [[] for _ in range(gates)]
        for gate, later in enumerate(problem.blockers):
            self._show(gate, later, fresh=True)
        self.choices = list(self.ready)  # the legal ones of them
        self.legal[self.choices] = 1

    @property
    def done(self) -> bool:
        """True once every gate is placed."""
        return self.left == 0

    @property
    def running(self) -> bool:
        """True if waiting can change anything: something is busy or excluded after this cycle."""
        return bool(self.started) or self.makespan > self.cycle or max(self.until) > self.cycle

    def place(self, gate: int) -> None:
        """Start a legal gate in the current cycle."""
        problem, cycle = self.problem, self.cycle
        code = problem.codes[gate]
        end = cycle + problem.cycles[gate]
        self.free_at[problem.q1[gate]] = end
        self.free_at[problem.q2[gate]] = end
        until = self.until
        for other, cycles in problem.machine.excludes[code]:
            until[other] = max(until[other], cycle + cycles)
        if problem.machine.same_start[code]:
            self.started.add(code)
        self.starts[gate] = cycle
        self.makespan = max(self.makespan, end)
        self.left -= 1
        self.ready.remove(gate)
        self._unplaced ^= 1 << gate
        blockers, unplaced = problem.blockers, self._unplaced
        for waiting in self._watchers[gate]:
            self._show(waiting, blockers[waiting] & unplaced)
        self._watchers[gate] = []
        self._find_choices()

    def advance(self, cycles: int = 1) -> None:
        """Let cycles pass."""
        if self.started:
            until, durations = self.until, self.problem.machine.cycles
            for code in self.started:
                until[code] = max(until[code], self.cycle + durations[code])
            self.started.clear()
        self.cycle += cycles
        self._find_choices()

    def copy(self) -> Dispatch:
        """Return an independent copy of the state; it shares the problem."""
        twin = object.__new__(Dispatch)
        for name in self._ONE:
            setattr(twin, name, getattr(self, name))
        for name in self._MANY:
            setattr(twin, name, getattr(self, name).copy())
        twin._watchers = [watchers.copy() for watchers in self._watchers]
        return twin

    def _find_choices(self) -> None:
        problem, cycle, free_at, until = self.problem, self.cycle, self.free_at, self.until
        q1, q2, codes, legal = problem.q1, problem.q2, problem.codes, self.legal
        choices = [
            gate
            for gate in self.ready
            if free_at[q1[gate]] <= cycle and free_at[q2[gate]] <= cycle and until[codes[gate]] <= cycle
        ]
        if choices != self.choices:
            for gate in self.choices:
                legal[gate] = 0
            for gate in choices:
                legal[gate] = 1
            self.choices = choices

    def _show(self, gate: int, later: int, *, fresh: bool = False) -> None:
        """Show the nearest of the gates that a gate waits for, and register it with them."""
        if not later:
            self.ready.append(gate)
        offsets, last = self.offsets, self.depth - 1
        for row in range(self.depth):
            if not later:
                offsets[row, gate] = 0  # as in the rows behind
                return
            low = later & -later
            nearest = low.bit_length() - 1
            offsets[row, gate] = nearest - gate
            if fresh or row == last:  # the others were shown before, one row lower
                self._watchers[nearest].append(gate)
            later ^= low
