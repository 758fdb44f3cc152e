"""Gate scheduling for many circuits at once, decision by decision: what training runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from qexp.errors import InputError
from qexp.gates.batched import BatchedDispatch
from qexp.gates.problem import Problem
from qexp.gates.tables import MachineTables
from qexp.policy.features import LIMIT
from qexp.policy.gate_features import CONTEXT_FEATURES, GATE_FEATURES, Decisions, gate_decisions
from qexp.state import Bools, Floats, Ints

Draw = Callable[[np.random.Generator, int], Sequence[Problem]]
PATIENCE = 1000
"""Draws without one circuit that needs a decision, after which no more are made."""


class GateVectorEnv(VectorEnv[Any, Any, Any]):
    """``num_envs`` circuits under construction, stepped by one call.

    An action is the row of a candidate, which starts, or the last row, which lets time pass. What needs no
    decision happens by itself, see `qexp.gates.batched`; a circuit that needs none at all is replaced by
    the next.

    The reward is minus the rise of the least number of cycles that the schedule can take. An episode's sum is
    that number at its first decision minus the makespan: potential-based shaping (Ng, Harada and Russell,
    "Policy invariance under reward transformations", ICML 1999) of minus the makespan, paid at the end.

    Autoreset is Gymnasium's NEXT_STEP. The step that ends an episode reports its ``makespan`` and its
    ``excess``, the makespan over the least number of cycles that was known at the beginning, in ``infos``.

    Args:
        machine: What runs the circuits.
        draw: Returns so many circuits on it.
        num_envs: How many are scheduled at once.
        max_gates: Gates of the longest circuit.
        candidates: Gates that are shown, at most.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 - Gymnasium's API

    def __init__(
        self, machine: MachineTables, draw: Draw, num_envs: int = 1, *, max_gates: int, candidates: int
    ) -> None:
        self.num_envs = num_envs
        self.candidates = candidates
        self.single_observation_space = Dict(
            {
                "task": Box(-LIMIT, LIMIT, (len(CONTEXT_FEATURES),)),
                "nodes": Box(-LIMIT, LIMIT, (candidates + 1, len(GATE_FEATURES))),
                "action_mask": MultiBinary(candidates + 1),
                "present": MultiBinary(candidates + 1),
            }
        )
        self.single_action_space = Discrete(candidates + 1)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.dispatch = BatchedDispatch(machine, num_envs, max_gates)
        self._draw = draw
        self._over = np.zeros(num_envs, dtype=bool)
        self._floor = np.zeros(num_envs, dtype=np.int32)
        self._shown: Decisions

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start all circuits anew; without a seed the stream of circuits goes on."""
        if isinstance(seed, list):
            seed = seed[0]
        super().reset(seed=seed, options=options)
        self._begin(np.arange(self.num_envs))
        observation = self._observe()
        self._floor = self._shown.bound.copy()
        return observation, {}

    def step(self, actions: Ints) -> tuple[dict[str, Any], Floats, Bools, Bools, dict[str, Any]]:
        """Decide for every circuit; replace those that ended with the step before."""
        actions = np.asarray(actions)
        shown, dispatch = self._shown, self.dispatch
        active = ~self._over
        waits = active & (actions == self.candidates)
        places = np.flatnonzero(active & ~waits)
        rows = np.arange(self.num_envs)
        if not shown.mask[rows, actions][active].all():
            raise ValueError("an action that its mask does not allow")
        dispatch.place(places, shown.gates[places, actions[places]])
        dispatch.wait(np.flatnonzero(waits))
        dispatch.settle(np.flatnonzero(active))
        over = active & dispatch.done
        fresh = np.flatnonzero(self._over)
        if len(fresh):
            self._begin(fresh)
        observation = self._observe()
        reward = np.where(active, (shown.bound - self._shown.bound) / shown.unit, 0.0)
        infos: dict[str, Any] = {}
        if over.any():
            infos = {
                "makespan": np.where(over, dispatch.makespan, 0),
                "_makespan": over,
                "excess": np.where(over, dispatch.makespan / np.maximum(self._floor, 1), 0.0),
                "_excess": over,
            }
        self._floor[fresh] = self._shown.bound[fresh]
        self._over = over.copy()
        return observation, reward, over, np.zeros_like(over), infos

    def _begin(self, rows: Ints) -> None:
        for _ in range(PATIENCE):
            self.dispatch.begin(rows, self._draw(self.np_random, len(rows)))
            rows = rows[self.dispatch.done[rows]]
            if len(rows) == 0:
                return
        raise InputError(f"env: none of {PATIENCE} circuits needs a decision: there is nothing to learn")

    def _observe(self) -> dict[str, Any]:
        self._shown = gate_decisions(self.dispatch, self.candidates)
        return {
            "task": self._shown.context,
            "nodes": self._shown.nodes,
            "action_mask": self._shown.mask.astype(np.int8),
            "present": self._shown.present.astype(np.int8),
        }
