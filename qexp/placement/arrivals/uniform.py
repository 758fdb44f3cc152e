"""Arrivals uniform over a window, as in the reference papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.placement.arrivals.arrivals import Arrivals
from qexp.problem.arrays import Floats


@option("env/arrivals")
@dataclass
class Uniform(Arrivals):
    """Arrivals uniform over a window, as in the papers."""

    window: Annotated[float, Ge(0), Doc("Length of the window, seconds.")] = 60.0

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw arrival times, see `Arrivals.sample`."""
        return np.sort(rng.uniform(0.0, self.window, shape), axis=-1)
