"""The default reward: its sum over an episode is the reported metric, up to sign and scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt
from typing_extensions import Doc

from qexp.config.option import option
from qexp.placement.reward.reward import Outcome, Reward
from qexp.problem.arrays import Floats


@option("env/reward")
@dataclass
class Completion(Reward):
    """Minus the completion time: what a learner maximises is what the leaderboard reports.

    Minus the seconds a decision cost over ``scale``; an episode's sum is minus total completion time.
    """

    scale: Annotated[
        float,
        Gt(0),
        Doc("Seconds that count as a reward of -1; about the completion time of a task under mct."),
    ] = 30.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        return np.asarray(-outcome.elapsed / self.scale)
