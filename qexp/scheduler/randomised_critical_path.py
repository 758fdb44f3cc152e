"""The longest chain first, many times over with chains a little off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from qexp.gates.list_scheduling import randomised_critical_path
from qexp.gates.problem import Problem
from qexp.option import option
from qexp.scheduler.planning import PlanningScheduler


@option("scheduler")
@dataclass
class RandomisedCriticalPath(PlanningScheduler):
    """The shortest of many critical-path schedules.

    Attributes:
        restarts: How many schedules are made, at most.
        spread: By what share chains are made longer, at most.
    """

    restarts: Annotated[int, Field(ge=1)] = 100
    spread: Annotated[float, Field(ge=0)] = 0.5

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the shortest schedule found, see `PlanningScheduler.plan`."""
        seed = int(rng.integers(2**31))
        return randomised_critical_path(problem, restarts=self.restarts, spread=self.spread, seed=seed)
