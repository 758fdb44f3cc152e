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
from dataclasses import fields
from typing import Any

import numpy as np

from qexp.gates.circuit_arrays import NEVER, CircuitArrays, Whole
from qexp.gates.problem import Problem
from qexp.gates.tables import MachineTables
from qexp.problem.arrays import Bools, Ints

FAR = -NEVER
"""A cycle after all others."""

_STATE = (
    *("cycle", "makespan", "starts", "unplaced", "waiting", "rivals", "mates"),
    *("work", "free_at", "until", "started"),
)


class BatchedDispatch:
    """The states of many schedules under construction, in backward time.

    Args:
        machine: What runs the circuits.
        size: How many schedules there are.
        width: Gates of the longest circuit.

    Attributes:
        circuits: A circuit for each schedule. Gates are counted in its order.
        cycle: The current cycle, ``[size]``.
        makespan: Cycles that the gates placed so far take, ``[size]``.
        starts: Start cycle of each gate, -1 while it is not placed, ``[size, width]``.
        unplaced: Gates that are not placed, ``[size, width]``, like the next three.
        waiting: How many gates each one waits for.
        rivals: How many gates may come before or after each one, but not at once.
        mates: How many must start together with each one, or apart.
        work: Cycles that each qubit will be used by gates not yet placed, ``[size, qubits]``.
        free_at: Cycle from which each qubit is free, ``[size, qubits]``.
        until: Cycle from which each kind may start again, ``[size, kinds]``.
        started: Kinds with a common start that were started in this cycle, ``[size, kinds]``.
        durations: Of each kind, ``[kinds]``.
        same_start: Kinds with a common start, ``[kinds]``.
        keeps_out: For how long a kind, the row, keeps out another, ``[kinds, kinds]``.
    """

    def __init__(self, machine: MachineTables, size: int, width: int) -> None:
        kinds = len(machine.cycles)
        self.machine, self.width = machine, max(width, 1)
        self.circuits = CircuitArrays.padding(machine, size, self.width)
        self.durations: Whole = np.array(machine.cycles, dtype=np.int32)
        self.same_start: Bools = np.array(machine.same_start)
        self.keeps_out = machine.keeps_out()

        def whole(*columns: int) -> Whole:
            return np.zeros((size, *columns), dtype=np.int32)

        self.cycle, self.makespan, self.starts = whole(), whole(), whole(self.width)
        self.waiting, self.rivals, self.mates = whole(self.width), whole(self.width), whole(self.width)
        self.unplaced: Bools = np.zeros((size, self.width), dtype=bool)
        self.work, self.free_at = whole(machine.n_qubits), whole(machine.n_qubits)
        self.until = whole(kinds)
        self.started: Bools = np.zeros((size, kinds), dtype=bool)

    @property
    def done(self) -> Bools:
        """Where every gate is placed, ``[size]``."""
        return np.asarray(~self.unplaced.any(axis=1))

    def begin(self, rows: Ints, problems: Sequence[Problem]) -> None:
        """Start new schedules, and take them to their first decision."""
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
        """Start a legal gate in each of some schedules, in the current cycle."""
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
