"""The interface of arrival processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from qexp.config.option import Configurable, group
from qexp.problem.arrays import Floats


@group("env/arrivals")
class Arrivals(Configurable, ABC):
    """An arrival process."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw arrival times, seconds, ascending along the last axis.

        Args:
            rng: Source of randomness.
            shape: ``(tasks,)`` for one episode, ``(episodes, tasks)`` for many at once.
        """

    def of_episode(self, rng: np.random.Generator, k: int, tasks_of: Callable[[int], int]) -> Floats:
        """Return the arrival times of evaluation episode ``k``, seconds, ascending.

        Args:
            rng: The episode's own generator.
            k: Index of the episode, from 0.
            tasks_of: How many tasks an episode has, by its index.
        """
        return self.sample(rng, (tasks_of(k),))
