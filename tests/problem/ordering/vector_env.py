"""The problem for many episodes at once: what training runs on."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from qexp.ordering.policy import features

from qexp.problem.arrays import LIMIT
from qexp.problem.seeds import SeededVectorEnv


class OrderingVectorEnv(SeededVectorEnv):
    """``num_envs`` episodes, stepped by one call."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "prior_feature": 0}  # noqa: RUF012 - Gymnasium's

    def __init__(self, problem: Any, num_envs: int) -> None:
        self.problem, self.num_envs = problem, num_envs
        jobs = problem.jobs
        self.single_observation_space = Dict(
            task=Box(-LIMIT, LIMIT, (1,)), nodes=Box(-LIMIT, LIMIT, (jobs, 1)), action_mask=MultiBinary(jobs)
        )
        self.single_action_space = Discrete(jobs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        self._seed(seed, options)
        self.lengths = self.problem.draw(self.np_random, self.num_envs)
        self.waiting = np.ones_like(self.lengths, dtype=bool)
        return self._observe(), {}

    def step(self, actions):
        over = ~self.waiting.any(axis=1)
        each = np.arange(self.num_envs)
        paid = np.where(over, 0.0, self.lengths[each, actions] * self.waiting.sum(axis=1))
        self.waiting[each[~over], actions[~over]] = False
        self.lengths[over] = self.problem.draw(self.np_random, int(over.sum()))
        self.waiting[over] = True
        ended = ~self.waiting.any(axis=1)
        return self._observe(), -paid, ended, np.zeros_like(ended), {}

    def _observe(self):
        task, nodes = features(self.lengths, self.waiting)
        return {"task": task, "nodes": nodes, "action_mask": self.waiting.astype(np.int8)}
