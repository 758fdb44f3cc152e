"""Gates: the one with the longest chain of gates before it, from the end of the circuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.config.option import option
from qexp.gates.problem import Problem
from qexp.gates.schedulers.gate_scheduler import GateScheduler
from qexp.gates.schedulers.list_scheduling import critical_path


@option("scheduler")
@dataclass
class CriticalPath(GateScheduler):
    """Gates: the one with the longest chain of gates before it, from the end of the circuit."""

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the schedule of `critical_path`, see `GateScheduler.plan`."""
        return critical_path(problem)
