"""Arrivals uniform over a window, as in the reference papers."""

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
class Uniform(Arrivals):
    """Arrival times uniform over ``window`` seconds."""

    window: Annotated[float, Field(ge=0)] = 60.0

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw arrival times, see `Arrivals.sample`."""
        return np.sort(rng.uniform(0.0, self.window, shape), axis=-1)
