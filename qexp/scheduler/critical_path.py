"""The longest chain first: the list scheduler to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.config.option import option
from qexp.gates.list_scheduling import critical_path
from qexp.gates.problem import Problem
from qexp.scheduler.planning import PlanningScheduler


@option("scheduler")
@dataclass
class CriticalPath(PlanningScheduler):
    """Gates: the one with the longest chain of gates before it, from the end of the circuit."""

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the list schedule, see `PlanningScheduler.plan`."""
        return critical_path(problem)
