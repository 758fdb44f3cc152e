"""Poisson arrivals: the memoryless process that queueing theory starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt
from typing_extensions import Doc

from qexp.config.option import option
from qexp.placement.arrivals.arrivals import Arrivals
from qexp.problem.arrays import Floats


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
