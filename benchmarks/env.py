"""Environment steps per second under random valid actions: one episode at a time, and 1,024 in lockstep."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np

import qexp.env
from benchmarks.measure import Effort, Figure, race

EPISODES = 1024


def measure(effort: Effort) -> list[Figure]:
    """Measure both environments."""
    single, vector = Single(), Lockstep()
    rates = race({"single": single, "vector": vector}, effort)
    without_drawing = vector.without_drawing(effort)
    return [
        Figure("single environment, resets included", "steps/s", rates["single"], 20_000, 40_000),
        Figure(f"vector environment, {EPISODES:,} episodes", "steps/s", without_drawing, 1e6, 3e6),
        Figure("the same, drawing the actions included", "steps/s", rates["vector"]),
    ]


class Single:
    """Plays ``qexp/Placement-v0`` episode after episode."""

    def __init__(self) -> None:
        self._env = gym.make(qexp.env.PLACEMENT_ID)
        self._env.reset(seed=0)
        self._rng = np.random.default_rng(0)

    def __call__(self) -> int:
        """Play one episode."""
        observation, _ = self._env.reset()
        steps, over = 0, False
        while not over:
            allowed = observation["action_mask"].nonzero()[0]
            action = allowed[int(self._rng.random() * len(allowed))]
            observation, _, terminated, truncated, _ = self._env.step(action)
            over = terminated or truncated
            steps += 1
        return steps


class Lockstep:
    """Plays the vector environment; ticks that an episode spends on its reset do not count as steps."""

    def __init__(self) -> None:
        self._env: Any = gym.make_vec(
            qexp.env.PLACEMENT_ID, num_envs=EPISODES, vectorization_mode="vector_entry_point"
        )
        self._mask = self._env.reset(seed=0)[0]["action_mask"]
        self._over = np.zeros(EPISODES, dtype=bool)
        self._rng = np.random.default_rng(0)
        self._drawing = 0.0

    def __call__(self) -> int:
        """Step all episodes once."""
        start = time.perf_counter()
        lottery = self._rng.random(self._mask.shape, dtype=np.float32) * self._mask
        actions = lottery.argmax(axis=1)
        self._drawing += time.perf_counter() - start
        observation, _, terminated, truncated, _ = self._env.step(actions)
        self._mask = observation["action_mask"]
        steps = EPISODES - int(np.count_nonzero(self._over))
        self._over = terminated | truncated
        return steps

    def without_drawing(self, effort: Effort) -> list[float]:
        """Return steps per second of the environment alone."""
        rates = []
        for _ in range(effort.repetitions):
            self._drawing, steps = 0.0, 0
            start = time.perf_counter()
            while (elapsed := time.perf_counter() - start) < effort.seconds:
                steps += self()
            rates.append(steps / (elapsed - self._drawing))
        return rates
