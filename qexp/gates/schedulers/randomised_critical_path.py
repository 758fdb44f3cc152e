"""Gates: critical path with chains a random share longer, again and again; the shortest schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.gates.problem import Problem
from qexp.gates.schedulers.gate_scheduler import GateScheduler
from qexp.gates.schedulers.list_scheduling import randomised_critical_path


@option("scheduler")
@dataclass
class RandomisedCriticalPath(GateScheduler):
    """Gates: critical path with chains a random share longer, again and again; the shortest schedule."""

    restarts: Annotated[
        int, Ge(1), Doc("Schedules that are made, at most; the first is that of critical_path.")
    ] = 100
    spread: Annotated[float, Ge(0), Doc("By what share chains are made longer, at most.")] = 0.5

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the schedule of `randomised_critical_path`, see `GateScheduler.plan`."""
        seed = int(rng.integers(2**31))
        return randomised_critical_path(problem, restarts=self.restarts, spread=self.spread, seed=seed)
