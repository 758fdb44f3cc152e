"""Gate scheduling for many circuits at once, decision by decision: what training runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from qexp.errors import InputError
from qexp.gates.batched import BatchedDispatch
from qexp.gates.features import CONTEXT_FEATURES, GATE_FEATURES, GATE_PRIOR, Decisions, gate_decisions
from qexp.gates.problem import Problem
from qexp.gates.tables import MachineTables
from qexp.problem.actions import checked_actions
from qexp.problem.arrays import LIMIT, Bools, Floats, Ints
from qexp.problem.seeds import Seed, SeededVectorEnv

Observation = dict[str, np.ndarray]
Draw = Callable[[np.random.Generator, int], Sequence[Problem]]
PATIENCE = 1000
"""Rounds of drawing circuits, in none of which each needs a decision, after which no more is drawn."""


class GateVectorEnv(SeededVectorEnv):
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
        ``terminated`` when every gate is placed, ``truncated`` after ``max_steps``. Autoreset is Gymnasium's
        NEXT_STEP. The step that ends an episode reports in ``infos`` its ``makespan``, and its ``stretch``:
        the makespan over the cycles that were known at the first decision.

    Args:
        machine: What runs the circuits.
        draw: Returns so many problems on it.
        num_envs: How many are scheduled at once.
        max_gates: Gates of the longest circuit.
        candidates: Gates shown at most, see `gate_decisions`.
        max_steps: Steps after which an episode is cut off, or None.
    """

    metadata = {  # noqa: RUF012 - Gymnasium's API
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "prior_feature": GATE_PRIOR,
    }

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
        self.num_envs = num_envs
        self.candidates = candidates
        self.single_observation_space = Dict(
            {
                "task": Box(-LIMIT, LIMIT, (len(CONTEXT_FEATURES),)),
                "nodes": Box(-LIMIT, LIMIT, (rows, len(GATE_FEATURES))),
                "action_mask": MultiBinary(rows),
                "present": MultiBinary(rows),
            }
        )
        self.single_action_space = Discrete(rows)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.dispatch = BatchedDispatch(machine, num_envs, max_gates)
        self._draw = draw
        self._max_steps = max_steps
        self._over = np.zeros(num_envs, dtype=bool)
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._first_bound = np.zeros(num_envs, dtype=np.int32)
        self._shown: Decisions

    def reset(
        self, *, seed: Seed = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin with new circuits.

        Args:
            seed: One for all, or one for each environment, see `SeededVectorEnv`; without one the stream of
                circuits goes on.
            options: Not looked at.

        Raises:
            InputError: A list is not of one seed for each environment, or no circuit needs a decision.
        """
        self._seed(seed, options)
        self._begin(np.arange(self.num_envs))
        observation = self._observe()
        self._first_bound = self._shown.bound.copy()
        return observation, {}

    def step(self, actions: Ints) -> tuple[Observation, Floats, Bools, Bools, dict[str, Any]]:
        """Decide for every circuit; replace those that ended with the step before.

        Raises:
            InputError: An action is out of range or not allowed, or there is not one for each environment.
        """
        actions = checked_actions(actions, ~self._over, self.candidates + 1)
        shown, dispatch = self._shown, self.dispatch
        active, ended = np.flatnonzero(~self._over), np.flatnonzero(self._over)
        if not (allowed := shown.mask[active, actions[active]]).all():
            env = active[~allowed][0]
            raise InputError(f"action {actions[env]} of environment {env}: its action_mask does not allow it")
        waits = actions[active] == self.candidates
        places = active[~waits]
        dispatch.place(places, shown.gates[places, actions[places]])
        dispatch.wait(active[waits])
        dispatch.settle(active)
        self._steps[active] += 1
        terminated = dispatch.done & ~self._over
        truncated = np.zeros_like(terminated)
        if self._max_steps is not None:
            truncated = (self._steps >= self._max_steps) & ~self._over & ~terminated
        self._begin(ended)
        observation = self._observe()
        rise = (self._shown.bound - shown.bound) / shown.unit
        rise[ended] = 0.0
        self._first_bound[ended] = self._shown.bound[ended]
        infos: dict[str, Any] = {}
        if terminated.any():
            infos = {
                "makespan": np.where(terminated, dispatch.makespan, 0),
                "_makespan": terminated,
                "stretch": np.where(terminated, dispatch.makespan / np.maximum(self._first_bound, 1), 0.0),
                "_stretch": terminated,
            }
        self._over = terminated | truncated
        return observation, -rise, terminated, truncated, infos

    def get_state(self) -> dict[str, Any]:
        """Return what the schedules under way and the stream of circuits go on from."""
        return {
            **self._random_state(),
            "dispatch": self.dispatch.get_state(),
            "over": self._over.copy(),
            "steps": self._steps.copy(),
            "first_bound": self._first_bound.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` of an environment of the same problem and size returned.

        Raises:
            ValueError: The size differs.
        """
        self.dispatch.set_state(state["dispatch"])
        self._over, self._steps = state["over"].copy(), state["steps"].copy()
        self._first_bound = state["first_bound"].copy()
        self._set_random_state(state)
        self._observe()

    def _begin(self, rows: Ints) -> None:
        self._over[rows] = False
        self._steps[rows] = 0
        for rng, of_stream in self._drawing(rows):
            self._begin_from(rng, of_stream)

    def _begin_from(self, rng: np.random.Generator, rows: Ints) -> None:
        for _ in range(PATIENCE):
            if len(rows) == 0:
                return
            self.dispatch.begin(rows, self._draw(rng, len(rows)))
            rows = rows[self.dispatch.done[rows]]
        raise InputError(
            f"env: {PATIENCE} circuits in a row need no decision on this machine: nothing can be learned"
        )

    def _observe(self) -> Observation:
        shown = self._shown = gate_decisions(self.dispatch, self.candidates)
        return {
            "task": shown.context,
            "nodes": shown.nodes,
            "action_mask": shown.mask.astype(np.int8),
            "present": shown.present.astype(np.int8),
        }
