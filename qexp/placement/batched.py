"""The batched engine: many episodes in lockstep on NumPy arrays, for training.

It follows the same rules as `qexp.placement.engine.SimulatedCloud`, the event-driven reference, and gives
the same timelines to the last bit; a property test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qexp.fleet.fleet import Fleet
from qexp.placement.episode import DEFAULT_RULES, Rules
from qexp.placement.fcfs import served
from qexp.placement.state import NodeState, Placed, TaskState, padded
from qexp.problem.arrays import Bools, Floats, Ints

NEVER = -1.0  # free_at of a machine that never worked
STATE = (
    *("_rows", "_arrival", "_fresh", "_back", "_back_at", "_back_head", "_back_count", "_returned"),
    *("now", "free_at", "left", "_queue", "finish", "reschedules", "refusals", "task"),
)
"""The arrays that are a `BatchedCloud`'s state; all others follow from them or never change."""


@dataclass(frozen=True)
class Tables:
    """Per-circuit tables that episodes index into."""

    width: Ints  # qubits, [circuits]
    depth: Ints  # logical depth, layers, [circuits]
    service: Floats  # seconds, infinite where a circuit does not fit, [circuits, machines]
    esp: Floats  # estimated success probability, [circuits, machines]
    shots: int  # repetitions of every circuit

    @classmethod
    def joined(cls, parts: Sequence[Tables]) -> Tables:
        """Return the rows of several fleets' tables in one: small fleets are padded, nothing fits there."""
        machines = max(part.service.shape[1] for part in parts)
        return cls(
            np.concatenate([part.width for part in parts]),
            np.concatenate([part.depth for part in parts]),
            np.concatenate([padded(part.service, machines, np.inf) for part in parts]),
            np.concatenate([padded(part.esp, machines, 0.0) for part in parts]),
            parts[0].shots,
        )


class BatchedCloud:
    """B clouds that each wait for the next decision.

    Args:
        tables: Of the circuits.
        episodes: How many clouds, B.
        tasks: Of each episode.
        rules: How machines take them.
    """

    def __init__(self, tables: Tables, episodes: int, tasks: int, rules: Rules = DEFAULT_RULES) -> None:
        machines = tables.service.shape[1]
        self._tables, self._rules = tables, rules
        self._each = np.arange(episodes)
        shape = (episodes, tasks)
        self._rows = np.zeros(shape, dtype=np.int64)
        # One column of infinity more, so that an episode without fresh tasks needs no special case.
        self._arrival = np.full((episodes, tasks + 1), np.inf)
        self._fresh = np.zeros(episodes, dtype=np.int64)  # the first task that has not asked yet
        # Refused tasks return in the order they were refused in, as the delay is the same for all: a ring.
        self._back = np.zeros(shape, dtype=np.int64)
        self._back_at = np.full(shape, np.inf)
        self._back_head = np.zeros(episodes, dtype=np.int64)
        self._back_count = np.zeros(episodes, dtype=np.int64)
        self._returned = np.zeros(episodes, dtype=bool)  # whether the waiting task is a returned one
        self.now = np.zeros(episodes)  # seconds, [B]
        self.free_at = np.full((episodes, machines), NEVER)  # when machines end their queues, seconds
        self.left = np.zeros(episodes, dtype=np.int64)  # tasks still to be placed
        self._queue = np.full(shape, -1, dtype=np.int64)  # of each placed task, counted through all episodes
        self.finish = np.full(shape, -np.inf)  # when each placed task ends, seconds, [B, tasks]
        self.reschedules = np.zeros(shape, dtype=np.int64)  # refusals of each task
        self.refusals = np.zeros(episodes, dtype=np.int64)  # in a row up to now
        self.task = np.zeros(episodes, dtype=np.int64)
        # Where an episode's part of an array begins when its rows are strung together: indexing those is
        # several times faster than indexing in two dimensions.
        self._first_slot = self._each * tasks
        self._first_arrival = self._each * (tasks + 1)
        self._first_queue = self._each * machines
        self._slot = self._first_slot
        self._busy = np.zeros(shape, dtype=bool)

    def get_state(self) -> dict[str, Any]:
        """Return copies of the arrays that change from decision to decision."""
        return {name: getattr(self, name).copy() for name in STATE}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over the state of a cloud of the same shape, from `get_state`.

        Raises:
            ValueError: The shapes differ.
        """
        for name in STATE:
            if state[name].shape != getattr(self, name).shape:
                raise ValueError(f"{name} has the shape {state[name].shape} of another cloud")
            setattr(self, name, state[name].copy())
        self._slot = self._first_slot + self.task

    def begin(self, which: Ints, rows: Ints, arrival: Floats) -> None:
        """Empty some of the clouds and start new episodes in them.

        Args:
            which: Indices of the clouds, shape ``[b]``.
            rows: Circuit of each task, shape ``[b, tasks]``.
            arrival: Ascending, seconds, infinite for padding, shape ``[b, tasks]``.
        """
        self._rows[which] = rows
        self._arrival[which, :-1] = arrival
        self._fresh[which], self._back_head[which], self._back_count[which] = 0, 0, 0
        self.free_at[which] = self._rules.initial_backlog or NEVER
        self.left[which] = np.isfinite(arrival).sum(axis=1)
        self._queue[which], self.finish[which] = -1, -np.inf
        self.reschedules[which], self.refusals[which] = 0, 0
        self._next()

    def place(self, nodes: Ints, active: Bools | None = None) -> Placed:
        """Put the waiting task of each episode on a machine, or have it refused.

        Args:
            nodes: Chosen machine of each episode, shape ``[B]``.
            active: Episodes that decide now; the others stay as they are. Default: those with tasks left.
        """
        active = self.left > 0 if active is None else active
        slot, queue = self._slot, self._first_queue + nodes
        entry = self._rows.take(slot) * self.free_at.shape[1] + nodes
        service = self._tables.service.take(entry)
        fits = service < np.inf
        placed, refused = active & fits, active & ~fits
        service[~placed] = 0.0
        start, end = served(self.now, service, self.free_at.take(queue))

        # The waiting task leaves the queue it stood in.
        self._fresh += active & ~self._returned
        leaving = active & self._returned
        if leaving.any():
            self._back_head[leaving] = (self._back_head[leaving] + 1) % self._back.shape[1]
            self._back_count[leaving] -= 1

        done = slice(None) if placed.all() else np.flatnonzero(placed)
        self.free_at.reshape(-1)[queue[done]] = end[done]
        self.finish.reshape(-1)[slot[done]] = end[done]
        self._queue.reshape(-1)[slot[done]] = queue[done]
        self.left -= placed
        self.refusals += refused
        self.refusals *= ~placed

        back = np.flatnonzero(refused)
        if back.size:
            task = self.task[back]
            self.reschedules[back, task] += 1
            last = (self._back_head[back] + self._back_count[back]) % self._back.shape[1]
            self._back[back, last] = task
            self._back_at[back, last] = self.now[back] + self._rules.rescheduling_delay
            self._back_count[back] += 1

        count = self.reschedules.take(slot)
        outcome = Placed(
            refused=refused,
            wait=(start - self.now) * placed,
            service=service,
            delay=count * self._rules.rescheduling_delay,
            esp=self._tables.esp.take(entry) * placed,
            placed_all=active & (self.left == 0),
            gave_up=refused & (count >= self._rules.max_refusals),
        )
        self._next()
        return outcome

    def _next(self) -> None:
        """Move each episode with tasks left to its next decision; at one instant, returned tasks go first."""
        going = self.left > 0
        now, task = self._arrival.take(self._first_arrival + self._fresh), self._fresh
        self._returned = np.zeros_like(going)
        if self._back_count.any():
            back_at = np.where(self._back_count > 0, self._back_at[self._each, self._back_head], np.inf)
            self._returned = back_at <= now
            now = np.where(self._returned, back_at, now)
            task = np.where(self._returned, self._back[self._each, self._back_head], task)
        self.task = np.where(going, task, self.task)
        self.now = np.where(going, now, self.now)
        self._slot = self._first_slot + self.task

    @property
    def node(self) -> Ints:
        """Machine of each placed task, -1 before, shape ``[B, tasks]``."""
        return np.where(self._queue < 0, -1, self._queue - self._first_queue[:, None])

    @property
    def circuit(self) -> Ints:
        """Row of each waiting task's circuit in the tables, shape ``[B]``; of finished episodes, the last."""
        return self._rows.take(self._slot)

    @property
    def asked_before(self) -> Ints:
        """How often each waiting task was refused so far, shape ``[B]``."""
        return self.reschedules.take(self._slot)

    @property
    def pending(self) -> Ints:
        """Tasks queued or running on each machine, shape ``[B, machines]``."""
        episodes, machines = self.free_at.shape
        np.greater(self.finish, self.now[:, None], out=self._busy)
        queues = self._queue.take(np.flatnonzero(self._busy))
        return np.bincount(queues, minlength=episodes * machines).reshape(episodes, machines)

    def task_state(self) -> TaskState:
        """Return the waiting task of each episode; of finished episodes, the last task once more."""
        row = self.circuit
        service = self._tables.service.take(row, axis=0)
        return TaskState(
            now=self.now,
            arrival=self._arrival[self._each, self.task],
            width=self._tables.width[row],
            depth=self._tables.depth[row],
            shots=np.full(len(row), self._tables.shots),
            reschedules=self.asked_before,
            remaining=self.left,
            service=service,
            esp=self._tables.esp.take(row, axis=0),
            mask=service < np.inf if self._rules.mask else np.ones_like(service, dtype=bool),
        )

    def node_state(self, fleet: Fleet) -> NodeState:
        """Return the machines of each episode at its decision, in episodes that all play on one fleet."""
        return NodeState(
            qubits=fleet.qubits,
            clops=fleet.clops,
            readout_error=fleet.readout_error,
            free_at=self.free_at,
            pending=self.pending,
            refusals=self.refusals,
        )
