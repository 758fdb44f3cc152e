"""When tasks arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from typing_extensions import Doc

from qexp.config.option import Configurable, group, option
from qexp.problem.arrays import Floats

MINUTE, MARGIN = 60.0, 0.1  # seconds; of the reference implementation


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


@option("env/arrivals")
@dataclass
class Poisson(Arrivals):
    """Memoryless arrivals.

    Exponential gaps; ``rate`` tasks per second on average.
    """

    rate: Annotated[
        float, Gt(0), Doc("Tasks per second on average; the default is the papers' 25 tasks a minute.")
    ] = 25 / 60

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw arrival times, see `Arrivals.sample`."""
        return np.cumsum(rng.exponential(1.0 / self.rate, shape), axis=-1)


@option("env/arrivals", "qsimpy")
@dataclass
class QSimPy(Arrivals):
    """The reference implementation's arrivals, draw by draw: one minute per subset, from one stream.

    One generator, seeded with ``stream_seed``, runs through all subsets of a dataset: subset k = 1, 2, ...
    takes ``sort(uniform(0.1 + 60 k, 59.9 + 60 k))`` for all of its circuits. Evaluation episode k takes the
    stream's k-th minute whatever the run's seed is. Training episodes are drawn from the same distribution
    with the run's own randomness.
    """

    stream_seed: Annotated[int, Ge(0), Doc("Seed of the stream; the reference uses 22.")] = 22

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw arrival times of the first minute, see `Arrivals.sample`."""
        return np.sort(rng.uniform(MINUTE + MARGIN, 2 * MINUTE - MARGIN, shape), axis=-1)

    def of_episode(self, rng: np.random.Generator, k: int, tasks_of: Callable[[int], int]) -> Floats:
        """Return the k-th minute of the stream, see `Arrivals.of_episode`."""
        stream = np.random.default_rng(self.stream_seed)
        stream.random(sum(tasks_of(earlier) for earlier in range(k)))  # one number for each task before
        start = MINUTE * (k + 1)
        return np.sort(stream.uniform(MARGIN + start, MINUTE - MARGIN + start, tasks_of(k)))


@option("env/arrivals")
@dataclass
class Uniform(Arrivals):
    """Arrivals uniform over a window, as in the papers."""

    window: Annotated[float, Ge(0), Doc("Length of the window, seconds.")] = 60.0

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw arrival times, see `Arrivals.sample`."""
        return np.sort(rng.uniform(0.0, self.window, shape), axis=-1)
