"""A compromise between finishing early and finishing well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from typing_extensions import Doc

from qexp.config.option import option
from qexp.placement.schedulers.placer import RankingPlacer
from qexp.placement.state import NodeState, TaskState, wait_times
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class Weighted(RankingPlacer):
    """A weighted sum of finish time and estimated success probability.

    Each is relative to the best machine's. ``fidelity_weight`` 0 is minimum completion time, 1 is highest
    fidelity; values between trace the trade-off.
    """

    fidelity_weight: Annotated[
        float, Ge(0), Le(1), Doc("0: minimum completion time; 1: highest fidelity.")
    ] = 0.5

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the weighted cost of each machine, dimensionless, see `RankingPlacer.cost`."""
        finish = wait_times(task, nodes) + task.service
        slowness = finish / max(finish.min(), 1e-9)
        with np.errstate(invalid="ignore"):
            loss = 1.0 - task.esp / max(task.esp.max(), 1e-300)
        # An infinite finish time times a weight of zero would be undefined.
        cost = (1.0 - self.fidelity_weight) * np.where(np.isfinite(slowness), slowness, 0.0)
        return np.where(np.isfinite(finish), cost + self.fidelity_weight * loss, np.inf)
