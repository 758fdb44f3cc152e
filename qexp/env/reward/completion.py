"""The default reward: its sum over an episode is the reported metric, up to sign and scale."""

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
class Completion(Reward):
    """Minus the seconds a decision cost over ``scale``; an episode's sum is minus total completion time."""

    scale: Annotated[float, Field(gt=0)] = 30.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        return np.asarray(-outcome.elapsed / self.scale)
