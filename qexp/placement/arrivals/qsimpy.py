"""The reference implementation's arrivals, reproduced draw by draw so that its figures can be checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.placement.arrivals.arrivals import Arrivals
from qexp.problem.arrays import Floats

WINDOW, MARGIN = 60.0, 0.1  # seconds


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
        return np.sort(rng.uniform(WINDOW + MARGIN, 2 * WINDOW - MARGIN, shape), axis=-1)

    def of_episode(self, rng: np.random.Generator, k: int, tasks_of: Callable[[int], int]) -> Floats:
        """Return the k-th minute of the stream, see `Arrivals.of_episode`."""
        stream = np.random.default_rng(self.stream_seed)
        stream.random(sum(tasks_of(earlier) for earlier in range(k)))  # one number for each task before
        start = WINDOW * (k + 1)
        return np.sort(stream.uniform(MARGIN + start, WINDOW - MARGIN + start, tasks_of(k)))
