"""Gates: every one as soon as possible, from the beginning of the circuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qexp.config.option import option
from qexp.gates.problem import Problem
from qexp.gates.schedulers.gate_scheduler import GateScheduler
from qexp.gates.schedulers.list_scheduling import asap


@option("scheduler")
@dataclass
class ASAP(GateScheduler):
    """Gates: every one as soon as possible, from the beginning of the circuit."""

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the schedule of `asap`, see `GateScheduler.plan`."""
        return asap(problem)
