"""Turns schedules in the making into the network's input: computed here and nowhere else.

The rows are candidates and, last, waiting. Candidates are the gates that wait for no other gate: those that
may start now, and those that wait for time alone, which cannot be chosen and show what is coming. Every
feature is relative, to the current cycle, to other gates, or to the bound: the cycles that the schedule is
known to take at least. Cycles are counted in the mean duration of the circuit's gates. None depends on a
gate's index, and all stay of order one. What is left to do counts up to a limit, beyond which all circuits
look alike: a policy meets nothing new in circuits longer than those it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.gates.batched import FAR, NEVER, BatchedDispatch, Whole
from qexp.problem.arrays import LIMIT, Bools, Float32s, Floats, Ints

GATE_FEATURES = (
    "waiting",  # 1 for the row that stands for letting time pass
    "may",  # 1 where it may be chosen
    "lag",  # of the gate's chain behind the longest of those that may start; the network's prior reads this
    "delay",  # until it may start; until waiting is over
    "cycles",  # it takes
    "slack",  # by which it could start later before the bound rises
    "rest",  # share of what is left until the bound that is still left when it starts
    "work",  # by which the work left on the busier of its qubits falls short of the bound
    "rivals",  # gates that may come before or after it, but not at once
    "pushes",  # by which the bound is exceeded if it starts now: by rivals on its qubits
    "keeps_out",  # likewise: by rivals that the machine keeps out
    "misses",  # likewise: by gates that must start together with it and cannot now
    "same_start",  # whether its kind has a common start
    "started",  # whether its kind was started in this cycle
    "partners",  # gates that may start together with it, now
    "soon",  # gates that could start while it runs, if that were allowed
    "next",  # until the first of those
    "frees",  # gates that wait for nothing else
)
CONTEXT_FEATURES = (
    "left",  # until the bound, up to `ENOUGH_CYCLES`
    "gates",  # left for each qubit, up to `ENOUGH_GATES`
    "running",  # until all that runs has ended
    "may",  # gates that may start
    "coming",  # gates that wait for time alone
    "busy",  # until a qubit is free, on average
    "longest",  # duration of the machine's longest gate
    "same_start",  # gates left whose kind has a common start, up to `ENOUGH_TOGETHER`
    "started",  # whether one of those was started in this cycle
)
GATE_PRIOR = GATE_FEATURES.index("lag")
PRIOR_SCALE = 0.5  # of the prior's feature: priors of the size of the placement network's do here too
WAITING_LAG = 0.75  # how far behind the best gate the prior sees waiting
NEAR = 3.0  # bound of what one decision can push back; more makes no difference
ENOUGH_CYCLES, ENOUGH_GATES, ENOUGH_TOGETHER, ENOUGH_RIVALS = 8.0, 3.0, 3.0, 8.0
SCALES = {
    "prior": PRIOR_SCALE,
    "waiting_lag": WAITING_LAG,
    "near": NEAR,
    "enough": [ENOUGH_CYCLES, ENOUGH_GATES, ENOUGH_TOGETHER, ENOUGH_RIVALS],
    "limit": LIMIT,
}
"""Scales of the features: a policy that was trained with others is refused."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """The network's input for a batch of schedules. The last choice is to wait."""

    context: Float32s  # ``[batch, len(CONTEXT_FEATURES)]``
    nodes: Float32s  # ``[batch, candidates + 1, len(GATE_FEATURES)]``; zeros for padding
    present: Bools  # rows that are no padding, ``[batch, candidates + 1]``
    mask: Bools  # choices that are allowed, ``[batch, candidates + 1]``
    gates: Ints  # the gate of each candidate, ``[batch, candidates]``
    bound: Whole  # cycles that each schedule takes at least, ``[batch]``
    unit: Floats  # mean duration of each circuit's gates, cycles, ``[batch]``


def gate_decisions(state: BatchedDispatch, candidates: int | None = None) -> Decisions:
    """Compute the network's input for every schedule.

    Args:
        state: Schedules, each at a decision or done.
        candidates: How many gates are shown, at most, padded to as many; by default all there are. Gates that
            may start come first, longer chains before shorter ones, and the last ones are left out.
    """
    moment = _Moment(state)
    if candidates is None:
        candidates = max(1, int(moment.ready.sum(axis=1).max(initial=0)))
    present, gates = moment.candidates(candidates)
    rows = np.arange(len(gates))[:, None]
    may = moment.legal[rows, gates] & present
    waits = moment.coming.any(axis=1)
    there = np.concatenate([present, np.ones_like(waits)[:, None]], axis=1)
    mask = np.concatenate([may, waits[:, None]], axis=1)
    nodes = np.zeros((*mask.shape, len(GATE_FEATURES)), dtype=np.float32)
    for columns, where in ((moment.of_gates(gates, may), nodes[:, :-1]), (moment.of_waiting(), nodes[:, -1])):
        for name, values in columns.items():
            where[..., GATE_FEATURES.index(name)] = values
    nodes[:, -1, GATE_FEATURES.index("may")] = waits
    nodes *= there[..., None]
    np.clip(nodes, -LIMIT, LIMIT, out=nodes)
    columns = moment.of_context()
    context = np.stack([columns[name] for name in CONTEXT_FEATURES], axis=1).astype(np.float32)
    np.clip(context, -LIMIT, LIMIT, out=context)
    return Decisions(context, nodes, there, mask, gates, moment.bound[:, 0], moment.unit[:, 0])


class _Moment:
    """Quantities that several features share; arrays are ``[batch, gates]``, or ``[batch, 1]``."""

    def __init__(self, state: BatchedDispatch) -> None:
        circuits = state.circuits
        self.state = state
        self.now = state.cycle[:, None]
        self.release = state.release()
        self.ready = state.unplaced & (state.waiting == 0)
        self.legal = self.ready & (self.release <= self.now)
        self.coming = self.ready & ~self.legal
        self.earliest = state.earliest()
        self.bound = state.bound(self.earliest)[:, None]
        self.unit = (circuits.cycles.sum(axis=1) / np.maximum(circuits.gates, 1)).clip(1.0)[:, None]
        self.left = np.maximum(self.bound - self.now, 1)
        self.joint = state.same_start[circuits.code]

    def per_unit(self, cycles: np.ndarray, limit: float = LIMIT) -> Floats:
        return np.asarray(np.minimum(np.maximum(cycles / self.unit, -limit), limit))

    def candidates(self, count: int) -> tuple[Bools, Ints]:
        """Return which of so many rows are candidates, and the gate of each, ``[batch, count]``."""
        width = self.ready.shape[1]
        none = 2 * width
        rank = np.where(self.legal, 0, width) + np.arange(width)
        order = np.where(self.ready, rank, none).astype(np.int32)
        order.sort(axis=1)
        order = order[:, :count]
        order = np.pad(order, ((0, 0), (0, count - order.shape[1])), constant_values=none)
        return order < none, np.asarray(order % width, dtype=np.int64)

    def of_gates(self, gates: Ints, may: Bools) -> dict[str, np.ndarray]:
        """Return the candidates' features, each ``[batch, candidates]``."""
        state, circuits, now = self.state, self.state.circuits, self.now
        rows = np.arange(len(gates))[:, None]
        kind, cycles = circuits.code[rows, gates], circuits.cycles[rows, gates]
        tail, rest = circuits.tail[rows, gates], circuits.rest[rows, gates]
        start = np.maximum(self.release[rows, gates], now)
        # Each candidate against every gate that is left, ``[batch, candidates, gates]``.
        left = state.unplaced[:, None, :]
        earliest, end = self.earliest[:, None, :], (now + cycles)[..., None]
        rivals = circuits.contends[rows, gates] & left
        aligned = circuits.aligned[rows, gates] & left
        kept_out = state.keeps_out[kind[..., None], circuits.code[:, None, :]] * rivals
        late = aligned & (earliest > now[..., None])
        soon = late & (earliest < end)

        def beyond(start: np.ndarray, which: Bools) -> Floats:
            ends = np.where(which, np.maximum(start, earliest) + circuits.rest[:, None, :], NEVER)
            return self.per_unit(ends.max(axis=2, initial=NEVER) - self.bound, NEAR)

        q1, q2 = circuits.q1[rows, gates], circuits.q2[rows, gates]
        work = np.maximum(state.work[rows, q1], state.work[rows, q2])
        longest = np.where(may, tail, 0).max(axis=1, initial=0)[:, None]
        next_late = np.where(late, earliest, FAR).min(axis=2, initial=FAR)
        waits_last = circuits.waits[rows, :, gates] & (state.waiting == 1)[:, None, :]
        return {
            "may": may,
            "lag": PRIOR_SCALE * self.per_unit(longest - tail),
            "delay": self.per_unit(start - now),
            "cycles": self.per_unit(cycles),
            "slack": self.per_unit(self.bound - start - rest),
            "rest": rest / self.left,
            "work": self.per_unit(self.bound - start - work),
            "rivals": np.minimum(rivals.sum(axis=2), ENOUGH_RIVALS) / 4,
            "pushes": beyond(end, rivals & (kept_out == 0)),
            "keeps_out": beyond(now[..., None] + kept_out, kept_out > 0),
            "misses": beyond(end, late),
            "same_start": state.same_start[kind],
            "started": state.started[rows, kind],
            "partners": (aligned & self.legal[:, None, :]).sum(axis=2) / 2,
            "soon": soon.sum(axis=2) / 2,
            "next": self.per_unit(next_late - now, NEAR),
            "frees": waits_last.sum(axis=2) / 2,
        }

    def of_waiting(self) -> dict[str, np.ndarray]:
        """Return the features of letting time pass, each ``[batch]``."""
        state, circuits, now = self.state, self.state.circuits, self.now
        # Leaving the cycle keeps out the kinds that were started in it.
        until = (now + state.durations) * state.started
        release = np.maximum(self.release, until[np.arange(len(until))[:, None], circuits.code])
        later = self.ready & (release > now)
        then = np.where(later, release, FAR).min(axis=1, initial=FAR)[:, None]
        fresh = later & (release <= then)
        pushed = np.where(self.legal, np.maximum(then, release) + circuits.rest, 0)
        rest = np.where(fresh, circuits.rest, 0).max(axis=1, initial=0)[:, None]
        columns = {
            "delay": self.per_unit(then - now),
            "slack": self.per_unit(self.bound - then - rest),
            "rest": rest / self.left,
            "pushes": self.per_unit(pushed.max(axis=1, initial=0)[:, None] - self.bound, NEAR),
        }
        return {name: values[:, 0] for name, values in columns.items()} | {
            "waiting": np.ones(len(then)),
            "lag": np.full(len(then), WAITING_LAG),
            "rivals": fresh.sum(axis=1) / 4,
            "same_start": (fresh & self.joint).any(axis=1),
            "partners": (self.legal & self.joint).sum(axis=1) / 2,
            "soon": (fresh & self.joint).sum(axis=1) / 2,
        }

    def of_context(self) -> dict[str, np.ndarray]:
        """Return the features of all that is left to do, each ``[batch]``."""
        state, now = self.state, self.now
        busy = np.maximum(state.free_at - now, 0).mean(axis=1)[:, None]
        per_qubit = state.unplaced.sum(axis=1) / state.machine.n_qubits
        together = (state.unplaced & self.joint).sum(axis=1)
        return {
            "left": self.per_unit(self.left, ENOUGH_CYCLES)[:, 0] / ENOUGH_CYCLES,
            "gates": np.minimum(per_qubit, ENOUGH_GATES) / ENOUGH_GATES,
            "running": self.per_unit(np.maximum(state.makespan[:, None] - now, 0))[:, 0],
            "may": self.legal.sum(axis=1) / 4,
            "coming": self.coming.sum(axis=1) / 4,
            "busy": self.per_unit(busy)[:, 0],
            "longest": self.per_unit(state.durations.max())[:, 0],
            "same_start": np.minimum(together, ENOUGH_TOGETHER) / ENOUGH_TOGETHER,
            "started": state.started.any(axis=1),
        }
