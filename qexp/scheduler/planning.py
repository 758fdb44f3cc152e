"""Schedulers of gates that plan a whole circuit at once, and then say gate by gate what they planned."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from qexp.gates.dispatch import Dispatch
from qexp.gates.episode import GateEpisode
from qexp.gates.problem import Problem
from qexp.scheduler.scheduler import Scheduler


class PlanningScheduler(Scheduler):
    """Plans when an episode starts, and plays the plan back."""

    environment = "gate_scheduling"
    _starts: Sequence[int] = ()

    @abstractmethod
    def plan(self, problem: Problem, rng: np.random.Generator) -> Sequence[int]:
        """Return the backward start cycle of each gate."""

    def start(self, episode: GateEpisode, rng: np.random.Generator) -> None:
        """Plan the episode, see `Scheduler.start`."""
        self._starts = self.plan(episode.problem, rng)

    def select(self, dispatch: Dispatch) -> int:
        """Return what the plan says, see `Scheduler.select`."""
        return planned(self._starts, dispatch)


def planned(starts: Sequence[int], dispatch: Dispatch) -> int:
    """Return a gate that a plan starts in the current cycle, or the number of gates to let the cycle pass."""
    due = (gate for gate in dispatch.choices if starts[gate] == dispatch.cycle)
    return next(due, len(starts))
