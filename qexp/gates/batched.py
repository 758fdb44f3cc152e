"""Many schedules in the making at once, each taken from one decision that matters to the next.

The rules are those of `qexp.gates.engine`, on arrays with a row per circuit. What no schedule can lose by
is done without asking:

- A gate that may start and has no rival starts. Rivals are gates not yet placed that may come before or
  after it but not at once, and, unless its kind was started in this cycle, those that must start together
  with it or apart.
- Where no gate may start, cycles pass until one may. Where one may, and no other waits for time alone, it
  starts.
- Waiting is a decision only while a gate waits for nothing but time. It lasts until the first such gate may
  start: what could have started in between could as well have started before.

To start sooner, as above, leaves all other gates of a schedule as they are, provided that ordered gates have
a common qubit, as with the default rules. A shortest schedule is then among those that decisions reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from qexp.gates.problem import Problem
from qexp.gates.rulebook import set_bits
from qexp.gates.tables import MachineTables
from qexp.problem.arrays import Bools, Ints

Whole = npt.NDArray[np.int32]

NEVER = -(1 << 20)  # instead of the cycles of a chain: there is none
FAR = -NEVER  # a cycle after all others

_STATE = (
    *("cycle", "makespan", "starts", "unplaced", "waiting", "rivals", "mates"),
    *("work", "free_at", "until", "started"),
)


@dataclass(frozen=True, eq=False)
class CircuitArrays:
    """Circuits, each with its gates in the order in which `critical_path` prefers them, then padding.

    That is by the length of the chain that begins with a gate, the longest first; of equally long ones the
    gate that comes last in the circuit. Arrays are ``[circuits, width]``, of pairs of gates (row, column)
    ``[circuits, width, width]``, times in cycles.
    """

    gates: Whole  # of each circuit, ``[circuits]``
    index: Whole  # where in its circuit each gate stands
    code: Whole  # kind of gate; 0 is padding
    cycles: Whole  # duration
    q1: Whole
    q2: Whole
    tail: Whole  # from the start of a gate to the end of the longest chain of gates that wait for it
    rest: Whole  # to the end of all that waits for it, at least: a chain, or what one qubit has to do
    waits: Bools  # the row's gate waits for the column's
    lag: Whole  # from start to start, at least, by the longest chain; 0 to itself, `NEVER` without a chain
    contends: Bools  # any order, but not at once: a common qubit, or kept apart by the machine
    aligned: Bools  # may start together or one after the other has ended, and no chain sees to it

    @classmethod
    def of(cls, machine: MachineTables, problems: Sequence[Problem], width: int) -> CircuitArrays:
        """Put problems of at most ``width`` gates on the machine into arrays.

        Args:
            machine: Where the circuits are to run.
            problems: One per row.
            width: Gates per row, padding included.
        """
        shape = (len(problems), width)
        index, code, q1, q2, tail = (np.zeros(shape, dtype=np.int32) for _ in range(5))
        waits = np.zeros((*shape, width), dtype=bool)
        for row, problem in enumerate(problems):
            # Equals stay as they are, the last one first.
            order = sorted(range(len(problem) - 1, -1, -1), key=problem.tails.__getitem__, reverse=True)
            place = {gate: i for i, gate in enumerate(order)}
            index[row, : len(order)] = order
            lists = (problem.codes, problem.q1, problem.q2, problem.tails)
            for array, values in zip((code, q1, q2, tail), lists, strict=True):
                array[row, : len(order)] = [values[gate] for gate in order]
            for i, gate in enumerate(order):
                waits[row, i, [place[later] for later in set_bits(problem.blockers[gate])]] = True
        real = code > 0
        cycles = np.array(machine.cycles, dtype=np.int32)[code]
        qubits = np.arange(machine.n_qubits)
        on = ((q1[..., None] == qubits) | (q2[..., None] == qubits)) & real[..., None]
        shared = (on.astype(np.float32) @ on.astype(np.float32).swapaxes(1, 2)) > 0
        lag = _lags(index, waits, shared, cycles)
        loose = (lag == NEVER) & (lag.swapaxes(1, 2) == NEVER)
        row_kind, column_kind = code[:, :, None], code[:, None, :]
        exclusive = machine.keeps_out() > 0
        exclusive |= exclusive.T
        contends = loose & (shared | exclusive[row_kind, column_kind])
        spare = lag - cycles[:, :, None]  # cycles between the end of a gate and the start of another
        same = (row_kind == column_kind) & np.array(machine.same_start)[row_kind]
        aligned = same & (spare < 0) & (spare < 0).swapaxes(1, 2) & ~np.eye(width, dtype=bool)
        rest = _rests(lag, cycles, tail, on)
        gates = real.sum(axis=1, dtype=np.int32)
        return cls(gates, index, code, cycles, q1, q2, tail, rest, waits, lag, contends, aligned)

    @classmethod
    def padding(cls, machine: MachineTables, rows: int, width: int) -> CircuitArrays:
        """Return arrays of empty circuits, to write others into with `put`.

        Args:
            machine: Where the circuits are to run.
            rows: Number of circuits.
            width: Gates per row.
        """
        empty = cls.of(machine, [], width)
        arrays = (getattr(empty, item.name) for item in fields(cls))
        return cls(*(np.zeros((rows, *array.shape[1:]), array.dtype) for array in arrays))

    def put(self, rows: Ints, circuits: CircuitArrays) -> None:
        """Write other circuits into some rows.

        Args:
            rows: Indices of the rows, ``[circuits]``.
            circuits: As many, of the same width.
        """
        for item in fields(self):
            getattr(self, item.name)[rows] = getattr(circuits, item.name)


class BatchedDispatch:
    """The states of many schedules under construction, in backward time; a row of each array is one.

    Args:
        machine: What runs the circuits.
        size: How many schedules there are.
        width: Gates of the longest circuit.
    """

    def __init__(self, machine: MachineTables, size: int, width: int) -> None:
        kinds, qubits = len(machine.cycles), machine.n_qubits

        def whole(*columns: int) -> Whole:
            return np.zeros((size, *columns), dtype=np.int32)

        self.machine, self.width = machine, max(width, 1)
        self.circuits = CircuitArrays.padding(machine, size, self.width)  # gates are counted in their order
        self.durations: Whole = np.array(machine.cycles, dtype=np.int32)  # of each kind, ``[kinds]``
        self.same_start: Bools = np.array(machine.same_start)  # kinds with a common start, ``[kinds]``
        self.keeps_out = machine.keeps_out()
        self.cycle = whole()  # the current one
        self.makespan = whole()  # cycles that the gates placed so far take
        self.starts = whole(self.width)  # start cycle of each gate, -1 while it is not placed
        self.unplaced: Bools = np.zeros((size, self.width), dtype=bool)
        self.waiting = whole(self.width)  # how many gates each one waits for
        self.rivals = whole(self.width)  # how many may come before or after each one, but not at once
        self.mates = whole(self.width)  # how many must start together with each one, or apart
        self.work = whole(qubits)  # cycles that each will be used by gates not yet placed
        self.free_at = whole(qubits)  # cycle from which each is free
        self.until = whole(kinds)  # cycle from which each may start again
        self.started: Bools = np.zeros((size, kinds), dtype=bool)  # with a common start, in this cycle

    @property
    def done(self) -> Bools:
        """Where every gate is placed, ``[size]``."""
        return np.asarray(~self.unplaced.any(axis=1))

    def begin(self, rows: Ints, problems: Sequence[Problem]) -> None:
        """Start new schedules, and take them to their first decision.

        Args:
            rows: Indices of the schedules, ``[problems]``.
            problems: As many, on the machine.
        """
        new = CircuitArrays.of(self.machine, problems, self.width)
        self.circuits.put(rows, new)
        for array in (self.cycle, self.makespan, self.free_at, self.until, self.started):
            array[rows] = 0
        self.starts[rows] = -1
        self.unplaced[rows] = new.code > 0
        self.waiting[rows] = new.waits.sum(axis=2)
        self.rivals[rows] = new.contends.sum(axis=2)
        self.mates[rows] = new.aligned.sum(axis=2)
        for qubit in range(self.machine.n_qubits):
            on = (new.q1 == qubit) | (new.q2 == qubit)
            self.work[rows, qubit] = (new.cycles * on).sum(axis=1)
        self.settle(rows)

    def release(self, rows: Ints | None = None) -> Whole:
        """Return the cycle from which the qubits and the kind of each gate are free, ``[rows, width]``."""
        rows = np.arange(len(self.cycle)) if rows is None else rows
        circuits, each = self.circuits, rows[:, None]
        release = np.maximum(self.free_at[each, circuits.q1[rows]], self.free_at[each, circuits.q2[rows]])
        return np.asarray(np.maximum(release, self.until[each, circuits.code[rows]]))

    def place(self, rows: Ints, gates: Ints) -> None:
        """Start a legal gate in each of some schedules, in the current cycle.

        Args:
            rows: Indices of the schedules, ``[rows]``.
            gates: Column of the gate in each, ``[rows]``.
        """
        circuits, cycle = self.circuits, self.cycle[rows]
        arrays = (circuits.code, circuits.cycles, circuits.q1, circuits.q2)
        code, cycles, q1, q2 = (array[rows, gates] for array in arrays)
        end = cycle + cycles
        self.free_at[rows, q1] = end
        self.free_at[rows, q2] = end
        self.work[rows, q1] -= cycles
        self.work[rows, q2] -= np.where(q1 == q2, 0, cycles)
        kept_out = self.keeps_out[code]
        self.until[rows] = np.maximum(self.until[rows], (cycle[:, None] + kept_out) * (kept_out > 0))
        self.started[rows, code] |= self.same_start[code]
        self.starts[rows, gates] = cycle
        self.unplaced[rows, gates] = False
        self.makespan[rows] = np.maximum(self.makespan[rows], end)
        self.waiting[rows] -= circuits.waits[rows, :, gates]
        self.rivals[rows] -= circuits.contends[rows, :, gates]
        self.mates[rows] -= circuits.aligned[rows, :, gates]

    def wait(self, rows: Ints) -> None:
        """Let cycles pass in some schedules, until the first gate may start that waits for time alone."""
        if len(rows) == 0:
            return
        now = self.cycle[rows][:, None]
        self.until[rows] = np.maximum(self.until[rows], (now + self.durations) * self.started[rows])
        self.started[rows] = False
        release = self.release(rows)
        coming = self.unplaced[rows] & (self.waiting[rows] == 0) & (release > now)
        self.cycle[rows] = np.where(coming, release, FAR).min(axis=1)

    def settle(self, rows: Ints) -> None:
        """Do what needs no decision, in some schedules."""
        while len(rows):
            ready = self.unplaced[rows] & (self.waiting[rows] == 0)
            legal = ready & (self.release(rows) <= self.cycle[rows][:, None])
            started = self.started[rows[:, None], self.circuits.code[rows]]
            forced = legal & (self.rivals[rows] == 0) & (started | (self.mates[rows] == 0))
            choices, candidates = legal.sum(axis=1), ready.sum(axis=1)
            forced |= legal & (candidates == 1)[:, None]
            places, waits = forced.any(axis=1), (choices == 0) & (candidates > 0)
            self.place(rows[places], forced[places].argmax(axis=1))
            self.wait(rows[waits])
            rows = rows[places | waits]

    def earliest(self) -> Whole:
        """Return the cycle before which no gate can start, `FAR` once it is placed, ``[size, width]``."""
        release = np.where(self.unplaced, np.maximum(self.release(), self.cycle[:, None]), 2 * NEVER)
        earliest = (release[:, :, None] + self.circuits.lag).max(axis=1)
        return np.where(self.unplaced, earliest, FAR).astype(np.int32)

    def bound(self, earliest: Whole) -> Whole:
        """Return the cycles that each schedule takes at least, ``[size]``, from what `earliest` returns."""
        circuits, unplaced = self.circuits, self.unplaced
        ends = np.where(unplaced, earliest + circuits.rest, 0)
        bound = np.maximum(self.makespan, ends.max(axis=1, initial=0))
        for qubit in range(self.machine.n_qubits):
            on = unplaced & ((circuits.q1 == qubit) | (circuits.q2 == qubit))
            first, work = np.where(on, earliest, FAR).min(axis=1, initial=FAR), self.work[:, qubit]
            bound = np.maximum(bound, np.where(work > 0, first + work, 0))
        return np.asarray(bound, dtype=np.int32)

    def backward_starts(self, row: int) -> list[int]:
        """Return the start cycle of each gate of a schedule, -1 while it is not placed, as in its circuit."""
        gates = int(self.circuits.gates[row])
        starts = np.empty(gates, dtype=np.int64)
        starts[self.circuits.index[row, :gates]] = self.starts[row, :gates]
        return list(map(int, starts))

    def get_state(self) -> dict[str, Any]:
        """Return what the schedules continue from."""
        circuits = {item.name: getattr(self.circuits, item.name).copy() for item in fields(CircuitArrays)}
        return {"circuits": circuits} | {name: getattr(self, name).copy() for name in _STATE}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `get_state` of schedules on the same machine returned.

        Raises:
            ValueError: The number of schedules or the width differs.
        """
        if state["starts"].shape != self.starts.shape:
            raise ValueError(f"a state of {state['starts'].shape} gates does not fit {self.starts.shape}")
        self.circuits = CircuitArrays(**{name: array.copy() for name, array in state["circuits"].items()})
        for name in _STATE:
            setattr(self, name, state[name].copy())


def _lags(index: Whole, waits: Bools, shared: Bools, cycles: Whole) -> Whole:
    """Return the longest chains between all pairs of gates, ``[circuits, width, width]``."""
    rows, width = index.shape
    # Cycles from the start of a gate to that of one that waits for it: none, if they have no common qubit.
    step = np.where(waits, np.where(shared, cycles[:, None, :], 0), NEVER).astype(np.int32)
    lag = np.full((rows, width, width), NEVER, dtype=np.int32)  # from the gate of the column, at first
    every = np.arange(rows)
    # From the end of the circuits: what a gate waits for has its turn before. Padding waits for nothing.
    for turn in np.argsort(-index, axis=1, kind="stable").T:
        chain = (lag + step[every, turn][:, :, None]).max(axis=1)
        chain[every, turn] = 0
        lag[every, turn] = np.where(chain < 0, NEVER, chain)
    return np.ascontiguousarray(lag.swapaxes(1, 2))


def _rests(lag: Whole, cycles: Whole, tail: Whole, on: Bools) -> Whole:
    """Return what is left from the start of each gate, ``[circuits, width]``."""
    after = lag > NEVER
    rest = tail
    for qubit in range(on.shape[-1]):
        here = on[:, :, qubit]
        work = (after @ (cycles * here)[..., None])[..., 0]
        first = np.where(after & here[:, None, :], lag, -NEVER).min(axis=2)
        rest = np.maximum(rest, np.where(work > 0, first + work, 0))
    # Nor is a gate's rest less than that of one that waits for it.
    return np.asarray((lag + rest[:, None, :]).max(axis=2), dtype=np.int32)
