"""A reward for users who want fast results and right ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from qexp.config.option import option
from qexp.placement.reward.reward import Outcome, Reward
from qexp.problem.arrays import Floats


@option("env/reward")
@dataclass
class Weighted(Reward):
    """Time and estimated success probability.

    (1 - fidelity_weight) * time + fidelity_weight * ESP, where time is minus the seconds a decision cost over
    ``scale`` and ESP counts once, when the task is placed.
    """

    fidelity_weight: Annotated[float, Ge(0), Le(1), Doc("0: time only; 1: success probability only.")] = 0.5
    scale: Annotated[float, Gt(0), Doc("Seconds that count as a reward of -1.")] = 30.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        time = -outcome.elapsed / self.scale
        esp = np.where(outcome.refused, 0.0, outcome.esp)
        return np.asarray((1.0 - self.fidelity_weight) * time + self.fidelity_weight * esp)
