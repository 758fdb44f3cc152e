"""The shortest schedule there is, by constraint programming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from qexp.gates.cp_sat import optimum
from qexp.gates.problem import Problem
from qexp.option import option
from qexp.scheduler.planning import PlanningScheduler


@option("scheduler", "cp_sat")
@dataclass
class CPSAT(PlanningScheduler):
    """Searches for the shortest schedule and proves that it is; `bound` says how far it came.

    Attributes:
        time_limit: Seconds for each circuit, after which the best schedule found counts.
    """

    needs: ClassVar[str | None] = "ortools"

    time_limit: Annotated[float, Field(gt=0)] = 10.0

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the shortest schedule found, see `PlanningScheduler.plan`."""
        found = optimum(problem, time_limit=self.time_limit, seed=int(rng.integers(2**31)))
        self.bound = found.bound
        return found.starts
