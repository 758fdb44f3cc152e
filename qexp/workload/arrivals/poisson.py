"""Poisson arrivals: the memoryless process that queueing theory starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from qexp.option import option
from qexp.state import Floats
from qexp.workload.arrivals.arrivals import Arrivals


@option("env/arrivals")
@dataclass
class Poisson(Arrivals):
    """Exponential gaps; ``rate`` tasks per second on average."""

    rate: Annotated[float, Field(gt=0)] = 25 / 60

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw arrival times, see `Arrivals.sample`."""
        return np.cumsum(rng.exponential(1.0 / self.rate, shape), axis=-1)
