"""The problem for many episodes at once: what training runs on."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, MultiBinary
from qexp.ordering.policy import features

from qexp.problem.arrays import LIMIT
from qexp.problem.vector_env import LockstepVectorEnv


class OrderingVectorEnv(LockstepVectorEnv):
    """``num_envs`` episodes, stepped by one call."""

    metadata = {**LockstepVectorEnv.metadata, "prior_feature": 0}  # noqa: RUF012 - Gymnasium's
    state_of = ("lengths", "waiting")

    def __init__(self, problem: Any, num_envs: int) -> None:
        self.problem, jobs = problem, problem.jobs
        observation = Dict(
            task=Box(-LIMIT, LIMIT, (1,)), nodes=Box(-LIMIT, LIMIT, (jobs, 1)), action_mask=MultiBinary(jobs)
        )
        super().__init__(observation, jobs, num_envs)
        self.lengths = np.zeros((num_envs, jobs))
        self.waiting = np.ones((num_envs, jobs), dtype=bool)

    def step(self, actions):
        actions, active = self._checked(actions), np.flatnonzero(~self.over)
        paid = np.zeros(self.num_envs)
        paid[active] = self.lengths[active, actions[active]] * self.waiting[active].sum(axis=1)
        self.waiting[active, actions[active]] = False
        self._begin(np.flatnonzero(self.over))
        self.over = ~self.waiting.any(axis=1)
        return self._observe(), -paid, self.over, np.zeros_like(self.over), {}

    def _draw_episodes(self, rng, which):
        self.lengths[which] = self.problem.draw(rng, len(which))
        self.waiting[which] = True

    def _observe(self):
        task, nodes = features(self.lengths, self.waiting)
        return {"task": task, "nodes": nodes, "action_mask": self.waiting.astype(np.int8)}
