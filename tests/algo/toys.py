"""Small vector environments whose best policy is known, to see whether an algorithm learns at all."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from qexp.placement.features import PRIOR_FEATURE

NODES = 4
LENGTH = 8
FEATURES = PRIOR_FEATURE + 1


class DelayedCosts(VectorEnv):
    """Pick the cheapest allowed node; the bill comes one step later, the last one at once.

    ``nodes[..., 0]`` is the cost, uniform in 0 to 1, but a node whose flag ``nodes[..., 1]`` is set costs one
    more than it shows; the prior reads the shown cost. Episodes have `LENGTH` steps; ``truncating``
    environments cut them off instead of ending them. The info ``total_completion_time`` is the episode's
    total cost.
    """

    metadata: ClassVar = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs: int, *, truncating: bool = False) -> None:
        self.num_envs = num_envs
        self.truncating = truncating
        self.single_observation_space = gym.spaces.Dict(
            {
                "task": gym.spaces.Box(-2, 2, (2,), np.float32),
                "nodes": gym.spaces.Box(-2, 2, (NODES, FEATURES), np.float32),
                "action_mask": gym.spaces.Box(0, 1, (NODES,), np.int8),
            }
        )
        self.single_action_space = gym.spaces.Discrete(NODES)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self.chosen_masked = 0

    def reset(self, *, seed: int | None = None, options: Any = None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.step_count = np.zeros(self.num_envs, dtype=int)
        self.bill = np.zeros(self.num_envs)
        self.total = np.zeros(self.num_envs)
        self.done = np.zeros(self.num_envs, dtype=bool)
        self._draw()
        return self._observe(), {}

    def _draw(self) -> None:
        self.shown = self.rng.random((self.num_envs, NODES))
        self.flag = self.rng.random((self.num_envs, NODES)) < 0.5
        self.mask = self.rng.random((self.num_envs, NODES)) < 0.7
        self.mask[np.arange(self.num_envs), self.rng.integers(NODES, size=self.num_envs)] = True

    def _observe(self) -> dict[str, np.ndarray]:
        nodes = np.zeros((self.num_envs, NODES, FEATURES))
        nodes[..., 0], nodes[..., 1], nodes[..., PRIOR_FEATURE] = self.shown, self.flag, self.shown
        task = np.stack([self.step_count / LENGTH, self.bill], axis=-1)
        return {
            "task": task.astype(np.float32),
            "nodes": nodes.astype(np.float32),
            "action_mask": self.mask.astype(np.int8),
        }

    def costs(self) -> np.ndarray:
        return self.shown + self.flag

    def step(self, actions: np.ndarray):
        rows = np.arange(self.num_envs)
        acting = ~self.done
        self.chosen_masked += int((~self.mask[rows, actions] & acting).sum())
        cost = self.costs()[rows, actions]
        self.step_count += 1
        last = acting & (self.step_count == LENGTH)
        reward = -(self.bill + np.where(last, cost, 0.0))
        self.total += np.where(acting, cost, 0.0)
        self.bill = np.where(last, 0.0, cost)
        reward[~acting] = 0.0
        infos = {"total_completion_time": np.where(last, self.total, 0.0), "_total_completion_time": last}
        self.step_count[~acting] = 0
        self.bill[~acting] = 0.0
        self.total[~acting] = 0.0
        self._draw()
        self.done = last
        ended = last & ~self.truncating
        return self._observe(), reward, ended, last & self.truncating, infos if last.any() else {}


def best_cost(episodes: int = 20_000) -> float:
    """Mean total cost of an episode when every step takes the cheapest allowed node."""
    env = DelayedCosts(episodes)
    env.reset(seed=1)
    return LENGTH * float(np.where(env.mask, env.costs(), np.inf).min(axis=1).mean())


def random_cost(episodes: int = 20_000) -> float:
    """Mean total cost of an episode of random allowed choices."""
    env = DelayedCosts(episodes)
    env.reset(seed=1)
    return LENGTH * float(((env.costs() * env.mask).sum(1) / env.mask.sum(1)).mean())
