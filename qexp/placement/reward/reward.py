"""The interface of rewards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from qexp.config.option import Configurable, group
from qexp.placement.state import Placed
from qexp.problem.arrays import Bools, Floats


@dataclass(slots=True)
class Outcome:
    """The result of one decision, with any batch shape ``[...]``.

    Attributes:
        refused: The circuit did not fit the chosen node.
        elapsed: Seconds this decision cost: the rescheduling delay of a refusal, or wait plus service.
        completion: Completion time of a placed task (rescheduling delays + wait + service), seconds.
        esp: Estimated success probability of a placed task.
    """

    refused: Bools
    elapsed: Floats
    completion: Floats
    esp: Floats

    @classmethod
    def of(cls, placed: Placed, rescheduling_delay: float) -> Outcome:
        """Return the outcome of a placement, or of a batch.

        Args:
            placed: Its result.
            rescheduling_delay: Seconds after which a refused task asks again.
        """
        elapsed = np.where(placed.refused, rescheduling_delay, placed.wait + placed.service)
        completion = placed.delay + placed.wait + placed.service
        return cls(np.asarray(placed.refused), elapsed, np.asarray(completion), np.asarray(placed.esp))


@group("env/reward")
class Reward(Configurable, ABC):
    """Maps outcomes to rewards."""

    @abstractmethod
    def of(self, outcome: Outcome) -> Floats:
        """Return the reward of each outcome, shape ``[...]``."""
