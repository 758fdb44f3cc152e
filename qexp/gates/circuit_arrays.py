"""Circuits of one machine as arrays: what stays the same while many of them are scheduled at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from qexp.gates.problem import Problem
from qexp.gates.rulebook import set_bits
from qexp.gates.tables import MachineTables
from qexp.problem.arrays import Bools

Whole = npt.NDArray[np.int32]

NEVER = -(1 << 20)
"""Instead of the cycles of a chain: there is none."""


@dataclass(frozen=True, eq=False)
class CircuitArrays:
    """Circuits, each with its gates in the order in which `critical_path` prefers them, then padding.

    That is by the length of the chain that begins with a gate, the longest first; of equally long ones the
    gate that comes last in the circuit.

    Attributes:
        gates: Gates of each circuit, ``[circuits]``.
        index: Where in its circuit each gate stands, ``[circuits, width]``, like the next seven.
        code: Kind of each gate; 0 is padding.
        cycles: Cycles each gate takes.
        q1: First qubit.
        q2: Second qubit.
        tail: Cycles from the start of each gate to the end of the longest chain of gates that wait for it.
        rest: Cycles from the start of each gate to the end of all that waits for it, at least: a chain, or
            what one qubit has to do.
        waits: Whether the gate of the row waits for that of the column, ``[circuits, width, width]``, like
            all that follow.
        lag: Cycles from the start of the gate of the row to that of the column, at least, by the longest
            chain of gates that wait for each other; 0 to itself, `NEVER` where there is no chain.
        contends: Whether the two may come in any order, but not at once: they have a common qubit, or the
            machine does not allow both in one cycle.
        aligned: Whether the machine lets the two start together or one after the other has ended, and no
            chain sees to it.
    """

    gates: Whole
    index: Whole
    code: Whole
    cycles: Whole
    q1: Whole
    q2: Whole
    tail: Whole
    rest: Whole
    waits: Bools
    lag: Whole
    contends: Bools
    aligned: Bools

    @classmethod
    def of(cls, machine: MachineTables, problems: Sequence[Problem], width: int) -> CircuitArrays:
        """Put problems of at most ``width`` gates on the machine into arrays."""
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
        """Return arrays of empty circuits, to write others into with `put`."""
        empty = cls.of(machine, [], width)
        arrays = (getattr(empty, item.name) for item in fields(cls))
        return cls(*(np.zeros((rows, *array.shape[1:]), array.dtype) for array in arrays))

    def put(self, rows: npt.NDArray[np.int64], circuits: CircuitArrays) -> None:
        """Write other circuits into some rows."""
        for item in fields(self):
            getattr(self, item.name)[rows] = getattr(circuits, item.name)


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
