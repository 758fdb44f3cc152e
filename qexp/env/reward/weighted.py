"""A reward for users who want fast results and right ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from qexp.env.reward.reward import Outcome, Reward
from qexp.option import option
from qexp.state import Floats


@option("env/reward")
@dataclass
class Weighted(Reward):
    """(1 - fidelity_weight) * time + fidelity_weight * ESP.

    Time is minus the seconds a decision cost over ``scale``; ESP counts once, when the task is placed.
    """

    fidelity_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    scale: Annotated[float, Field(gt=0)] = 30.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        time = -outcome.elapsed / self.scale
        esp = np.where(outcome.refused, 0.0, outcome.esp)
        return np.asarray((1.0 - self.fidelity_weight) * time + self.fidelity_weight * esp)
