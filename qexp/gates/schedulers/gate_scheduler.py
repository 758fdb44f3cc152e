"""The class of schedulers of a circuit's gates: each plans the whole circuit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from qexp.gates.problem import Problem
from qexp.problem.scheduler import Scheduler


class GateScheduler(Scheduler):
    """Schedules one circuit at a time (``env=gate_scheduling``)."""

    environment = "gate_scheduling"

    @abstractmethod
    def plan(self, problem: Problem, rng: np.random.Generator) -> Sequence[int]:
        """Return the start cycle of each gate, counted from the end of the schedule, ``[gates]``.

        Args:
            problem: The circuit on its machine.
            rng: The randomness of this scheduler in this episode.
        """


PlanningScheduler = GateScheduler
"""Its former name."""
