"""Gate scheduling for many circuits at once, decision by decision: what training runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, MultiBinary

from qexp.errors import InputError
from qexp.gates.batched import BatchedDispatch
from qexp.gates.features import CONTEXT_FEATURES, GATE_FEATURES, GATE_PRIOR, Decisions, gate_decisions
from qexp.gates.problem import Problem
from qexp.gates.tables import MachineTables
from qexp.problem.arrays import LIMIT, Bools, Floats, Ints
from qexp.problem.vector_env import LockstepVectorEnv

Observation = dict[str, np.ndarray]
Draw = Callable[[np.random.Generator, int], Sequence[Problem]]
PATIENCE = 1000
"""Rounds of drawing circuits, in none of which each needs a decision, after which no more is drawn."""


class GateVectorEnv(LockstepVectorEnv):
    """``num_envs`` circuits whose gates are scheduled, stepped by one call.

    Observation, with c = ``candidates``; features are in `qexp.gates.features`
        ===========  ===============  =======  ==================================================
        key          shape            dtype    content
        ===========  ===============  =======  ==================================================
        task         (9,)             float32  what is left to do
        nodes        (c + 1, 18)      float32  gates that wait for no other gate; last, waiting
        action_mask  (c + 1,)         int8     1 for what may be chosen
        present      (c + 1,)         int8     0 for padding
        ===========  ===============  =======  ==================================================

    Action: ``Discrete(c + 1)``
        Start that gate now or, with the last action, let time pass. What needs no decision happens by itself,
        see `qexp.gates.batched`; a circuit that needs none at all is replaced by the next.

    Reward
        Minus the rise of the cycles that the schedule is known to take at least, in mean durations of the
        circuit's gates. An episode's sum is what was known at its first decision minus the makespan: minus
        the makespan, paid at the end, but for potential-based shaping (Ng, Harada and Russell, "Policy
        invariance under reward transformations", ICML 1999).

    End
        ``terminated`` when every gate is placed, ``truncated`` after ``max_steps``. The step that ends an
        episode reports in ``infos`` its ``makespan``, and its ``stretch``: the makespan over the cycles that
        were known at the first decision.

    Args:
        machine: What runs the circuits.
        draw: Returns so many problems on it.
        num_envs: How many are scheduled at once.
        max_gates: Gates of the longest circuit.
        candidates: Gates shown at most, see `gate_decisions`.
        max_steps: Steps after which an episode is cut off, or None.
    """

    metadata = {**LockstepVectorEnv.metadata, "prior_feature": GATE_PRIOR}  # noqa: RUF012 - Gymnasium's API
    state_of = ("dispatch", "steps", "first_bound")

    def __init__(
        self,
        machine: MachineTables,
        draw: Draw,
        num_envs: int = 1,
        *,
        max_gates: int,
        candidates: int,
        max_steps: int | None = None,
    ) -> None:
        rows = candidates + 1
        observation = {
            "task": Box(-LIMIT, LIMIT, (len(CONTEXT_FEATURES),)),
            "nodes": Box(-LIMIT, LIMIT, (rows, len(GATE_FEATURES))),
            "action_mask": MultiBinary(rows),
            "present": MultiBinary(rows),
        }
        super().__init__(Dict(observation), rows, num_envs)
        self.candidates = candidates
        self.dispatch = BatchedDispatch(machine, num_envs, max_gates)
        self.steps = np.zeros(num_envs, dtype=np.int64)
        self.first_bound = np.zeros(num_envs, dtype=np.int32)
        self._draw = draw
        self._max_steps = max_steps
        self._shown: Decisions

    def step(self, actions: Ints) -> tuple[Observation, Floats, Bools, Bools, dict[str, Any]]:
        """Decide for every circuit; replace those that ended with the step before.

        Raises:
            InputError: An action is out of range or not allowed, or there is not one for each environment.
        """
        actions = self._checked(actions)
        shown, dispatch = self._shown, self.dispatch
        active, ended = np.flatnonzero(~self.over), np.flatnonzero(self.over)
        if not (allowed := shown.mask[active, actions[active]]).all():
            env = active[~allowed][0]
            raise InputError(f"action {actions[env]} of environment {env}: its action_mask does not allow it")
        waits = actions[active] == self.candidates
        places = active[~waits]
        dispatch.place(places, shown.gates[places, actions[places]])
        dispatch.wait(active[waits])
        dispatch.settle(active)
        self.steps[active] += 1
        terminated = dispatch.done & ~self.over
        truncated = np.zeros_like(terminated)
        if self._max_steps is not None:
            truncated = (self.steps >= self._max_steps) & ~self.over & ~terminated
        self._begin(ended)
        observation = self._observe()
        rise = (self._shown.bound - shown.bound) / shown.unit
        rise[ended] = 0.0
        infos: dict[str, Any] = {}
        if terminated.any():
            stretch = dispatch.makespan / np.maximum(self.first_bound, 1)
            infos = self._infos(terminated, makespan=dispatch.makespan, stretch=stretch)
        self.over = terminated | truncated
        return observation, -rise, terminated, truncated, infos

    def _draw_episodes(self, rng: np.random.Generator, which: Ints) -> None:
        self.steps[which] = 0
        for _ in range(PATIENCE):
            if len(which) == 0:
                return
            self.dispatch.begin(which, self._draw(rng, len(which)))
            which = which[self.dispatch.done[which]]
        raise InputError(f"env: {PATIENCE} circuits in a row need no decision: nothing can be learned")

    def _observe(self) -> Observation:
        shown = self._shown = gate_decisions(self.dispatch, self.candidates)
        self.first_bound = np.where(self.steps == 0, shown.bound, self.first_bound)
        return {
            "task": shown.context,
            "nodes": shown.nodes,
            "action_mask": shown.mask.astype(np.int8),
            "present": shown.present.astype(np.int8),
        }
