"""Replay memory in columns: every observation stored once, sampled by priority, n-step returns on arrays.

Schaul et al., "Prioritized Experience Replay" (2016), proportional variant. A sum tree that works on whole
arrays of indices replaces one Python object per transition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qexp.problem.arrays import Bools, Float32s, Floats, Ints

Array = NDArray[Any]


class SumTree:
    """Weights of ``size`` items, sampled in proportion, updated and sampled whole arrays at a time.

    A binary tree in one array: node ``i`` holds the sum of its children ``2 i`` and ``2 i + 1``, the items
    are the leaves. Sums are recomputed from the children, so rounding errors do not pile up.
    """

    def __init__(self, size: int) -> None:
        self._levels = max(1, (size - 1).bit_length())
        self._first_leaf = 1 << self._levels
        self._sums = np.zeros(2 * self._first_leaf, dtype=np.float64)

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._sums[1])

    def __getitem__(self, items: Ints) -> Floats:
        """Return the weights of ``items``."""
        return self._sums[self._first_leaf + items]

    def __setitem__(self, items: Ints, weights: Floats | float) -> None:
        """Set the weights of ``items``; of items named twice the last weight counts."""
        nodes = self._first_leaf + items
        self._sums[nodes] = weights
        for _ in range(self._levels):
            nodes = nodes >> 1  # siblings name their parent twice: cheaper than finding out
            self._sums[nodes] = self._sums[2 * nodes] + self._sums[2 * nodes + 1]

    def find(self, marks: Floats) -> Ints:
        """Return for each mark in ``[0, total)`` the item whose stretch of the cumulated weights it is in."""
        marks = marks.copy()
        nodes = np.ones(len(marks), dtype=np.int64)
        for _ in range(self._levels):
            left = 2 * nodes
            weight = self._sums[left]
            # Rounding may leave a mark at the very end of a stretch: never step into an empty branch.
            right = (marks >= weight) & (self._sums[left + 1] > 0.0)
            marks -= np.where(right, weight, 0.0)
            nodes = left + right
        return nodes - self._first_leaf


@dataclass(frozen=True)
class Transitions:
    """Sampled n-step transitions; arrays are ``[rows]``, states ``[rows, ...]`` per key."""

    items: Ints  # where they are stored, for `Replay.update`
    observations: dict[str, Array]  # state the action was taken in
    actions: Ints
    returns: Float32s  # discounted rewards of up to n steps
    discounts: Float32s  # what the value of the following state counts, 0 after a terminated episode
    following: dict[str, Array]  # state after those steps
    weights: Float32s  # importance weights, at most 1


class Replay:
    """Ring of ticks, each holding one step of every environment.

    A step can be sampled once its n following ticks are written, or those up to its episode's end: no state
    of an episode is left out, and no return reaches across its end. Ticks that an environment spends on its
    reset are never sampled. The order of the environments must be the same at every `add`.

    Args:
        capacity: Steps to hold, rounded to whole ticks once the number of environments is known.
        n_step: Rewards summed before the bootstrap.
        gamma: Discount per step.
        priority_exponent: 0 samples uniformly, 1 in proportion to the error.
        rng: Source of the samples.
    """

    def __init__(
        self, capacity: int, *, n_step: int, gamma: float, priority_exponent: float, rng: np.random.Generator
    ) -> None:
        """Create an empty memory.

        Args:
            capacity: Steps to hold, rounded to whole ticks once the number of environments is known.
            n_step: Rewards summed before the bootstrap.
            gamma: Discount per step.
            priority_exponent: 0 samples uniformly, 1 in proportion to the error.
            rng: Source of the samples.
        """
        self._capacity = capacity
        self._n_step = n_step
        self._gamma = gamma
        self._exponent = priority_exponent
        self._rng = rng
        self._columns: dict[str, Array] = {}
        self._ticks = 0
        self._written = 0
        self._largest_priority = 1.0

    def add(
        self, rollout: dict[str, Array], observations: dict[str, Array], torn: Bools | None = None
    ) -> None:
        """Append a rollout.

        Args:
            rollout: ``actions``, ``rewards``, ``terminated``, ``truncated`` and ``acted``, ``[ticks, envs]``.
            observations: Observation before each tick and after the last, per key ``[ticks + 1, envs, ...]``.
            torn: Environments whose runner was lost, ``[envs]``; nobody ``acted`` there. What is remembered
                of them ends before this rollout as if cut off: no return reaches across the gap.
        """
        ticks, envs = rollout["actions"].shape
        if not self._columns:
            self._allocate(envs, rollout, observations)
        if ticks > self._ticks - self._n_step - 1:
            raise ValueError(f"a memory of {self._ticks} ticks cannot take {ticks} at once")
        slots = (self._written + np.arange(ticks)) % self._ticks
        if torn is not None and torn.any() and self._written:
            self._columns["truncated"][slots[0] - 1, torn] = True
            for key, column in observations.items():
                # The state they were last seen in, which the value of their last steps is made of.
                column[0, torn] = self._columns[key][slots[0], torn]
        for key, column in rollout.items():
            self._columns[key][slots] = column
        following = (slots + 1) % self._ticks
        for key, column in observations.items():
            # The tick after the last keeps the newest observation until its own step arrives.
            self._columns[key][slots] = column[:-1]
            self._columns[key][following[-1]] = column[-1]
        self._written += ticks
        self._forget(slots)
        self._admit(ticks)

    def _allocate(self, envs: int, rollout: dict[str, Array], observations: dict[str, Array]) -> None:
        self._envs = envs
        self._ticks = max(2 * self._n_step + 2, self._capacity // envs)
        for key, column in {**rollout, **observations}.items():
            self._columns[key] = np.zeros((self._ticks, *column.shape[1:]), dtype=column.dtype)
        self._observations = tuple(observations)
        self._tree = SumTree(self._ticks * envs)
        self._size = 0

    def _forget(self, slots: Ints) -> None:
        # One tick ahead of the new ones too: its observation was just overwritten.
        slots = np.append(slots, (slots[-1] + 1) % self._ticks)
        self._weigh(slots, np.zeros((len(slots), self._envs)))

    def _admit(self, ticks: int) -> None:
        # Every tick whose n-step return became complete with the ticks just written.
        last = self._written - self._n_step + 1
        first = max(0, last - ticks)
        if last <= first:
            return
        slots = np.arange(first, last) % self._ticks
        weight = self._largest_priority**self._exponent
        self._weigh(slots, np.where(self._columns["acted"][slots], weight, 0.0))

    def _weigh(self, slots: Ints, weights: Floats) -> None:
        items = (slots[:, None] * self._envs + np.arange(self._envs)).ravel()
        before = np.count_nonzero(self._tree[items])
        self._tree[items] = weights.ravel()
        self._size += int(np.count_nonzero(weights)) - int(before)

    def __len__(self) -> int:
        """Return how many steps can be sampled."""
        return self._size if self._columns else 0

    def sample(self, rows: int, *, importance_exponent: float) -> Transitions:
        """Draw steps by priority, one from each of ``rows`` equal stretches of the total.

        Args:
            rows: Steps to draw.
            importance_exponent: How far the weights undo the bias of the priorities, 0 to 1.
        """
        marks = (np.arange(rows) + self._rng.random(rows)) / rows * self._tree.total
        items = self._tree.find(marks)
        # Minibatches are cut from the result in order: without a shuffle each would see one age only.
        self._rng.shuffle(items)
        share = self._tree[items] / self._tree.total
        weights = (share * self._size) ** -importance_exponent
        slots, envs = items // self._envs, items % self._envs
        returns, discounts, following = self._look_ahead(slots, envs)
        return Transitions(
            items=items,
            observations={key: self._columns[key][slots, envs] for key in self._observations},
            actions=self._columns["actions"][slots, envs],
            returns=returns.astype(np.float32),
            discounts=discounts.astype(np.float32),
            following={key: self._columns[key][following, envs] for key in self._observations},
            weights=(weights / weights.max()).astype(np.float32),
        )

    def _look_ahead(self, slots: Ints, envs: Ints) -> tuple[Floats, Floats, Ints]:
        returns = np.zeros(len(slots))
        discounts = np.ones(len(slots))
        running = np.ones(len(slots), dtype=np.bool_)
        following = slots.copy()
        for _ in range(self._n_step):
            reward = self._columns["rewards"][following, envs]
            terminated = self._columns["terminated"][following, envs]
            truncated = self._columns["truncated"][following, envs]
            returns += np.where(running, discounts * reward, 0.0)
            discounts = np.where(running, discounts * self._gamma * ~terminated, discounts)
            following = np.where(running, (following + 1) % self._ticks, following)
            running &= ~(terminated | truncated)
        return returns, discounts, following

    def update(self, items: Ints, errors: Floats) -> None:
        """Set priorities from the absolute errors of sampled items; a small constant keeps all drawable.

        Args:
            items: Where the items are stored, ``[items]``.
            errors: Of either sign, ``[items]``.
        """
        if self._exponent == 0.0:
            return
        priorities = np.abs(errors) + 1e-3
        self._largest_priority = max(self._largest_priority, float(priorities.max()))
        self._tree[items] = priorities**self._exponent

    def get_state(self) -> dict[str, Any]:
        """Return all that was written and what comes next, as nested mappings of arrays and JSON values."""
        state: dict[str, Any] = {"rng": self._rng.bit_generator.state, "written": self._written}
        if self._columns:
            # The tick after the last one written already holds an observation.
            used = min(self._written + 1, self._ticks)
            state |= {
                "columns": {key: column[:used] for key, column in self._columns.items()},
                "observations": list(self._observations),
                "weights": self._tree[np.arange(used * self._envs)],
                "largest_priority": self._largest_priority,
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` of a memory with the same settings returned."""
        self._rng.bit_generator.state = state["rng"]
        self._columns, self._written = {}, state["written"]
        if "columns" not in state:
            return
        columns, names = state["columns"], state["observations"]
        rollout = {key: column for key, column in columns.items() if key not in names}
        self._allocate(rollout["actions"].shape[1], rollout, {key: columns[key] for key in names})
        for key, column in columns.items():
            self._columns[key][: len(column)] = column
        self._tree[np.arange(len(state["weights"]))] = state["weights"]
        self._size = int(np.count_nonzero(state["weights"]))
        self._largest_priority = state["largest_priority"]
