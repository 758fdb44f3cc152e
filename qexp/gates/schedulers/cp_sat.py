"""Gates: the shortest schedule, with a proof. Needs qexp[exact]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt
from typing_extensions import Doc

from qexp.config.option import option
from qexp.gates.problem import Problem
from qexp.gates.schedulers.gate_scheduler import GateScheduler
from qexp.gates.schedulers.optimum import optimum


@option("scheduler", "cp_sat")
@dataclass
class CPSAT(GateScheduler):
    """Gates: the shortest schedule, with a proof. Needs qexp[exact].

    `bound` says how far the proof came.
    """

    needs: ClassVar[str | None] = "ortools"

    time_limit: Annotated[
        float,
        Gt(0),
        Doc(
            "Seconds for each circuit. Past them the best schedule found counts, and the result says "
            "that it is not proved."
        ),
    ] = 10.0

    def plan(self, problem: Problem, rng: np.random.Generator) -> list[int]:
        """Return the shortest schedule of the search, see `GateScheduler.plan`."""
        best = optimum(problem, time_limit=self.time_limit, seed=int(rng.integers(2**31)))
        self.bound = best.bound
        return best.starts
