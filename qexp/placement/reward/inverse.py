"""The reference papers' reward, for comparison: it prefers policies that the metric calls worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from typing_extensions import Doc

from qexp.config.option import option
from qexp.placement.reward.reward import Outcome, Reward
from qexp.problem.arrays import Floats


@option("env/reward")
@dataclass
class Inverse(Reward):
    """The papers' reward, 1 / completion time: it ranks schedulers differently from the metric.

    One over the completion time; ``refusal`` for a placement that does not fit.
    """

    refusal: Annotated[float, Doc("Reward of a placement that does not fit.")] = -10.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        # A task of zero length would pay infinity; a millisecond is far below any real job.
        paid = 1.0 / np.maximum(outcome.completion, 1e-3)
        return np.where(outcome.refused, self.refusal, paid)
