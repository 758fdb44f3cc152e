"""Gates: every one as late as possible, from the end of the circuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.config.option import option
from qexp.gates.problem import Problem
from qexp.gates.schedulers.gate_scheduler import GateScheduler
from qexp.gates.schedulers.list_scheduling import alap


@option("scheduler")
@dataclass
class ALAP(GateScheduler):
    """Gates: every one as late as possible, from the end of the circuit."""

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the schedule of `alap`, see `GateScheduler.plan`."""
        return alap(problem)
