"""What every reward answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from qexp.config.option import Configurable, group
from qexp.problem.arrays import Bools, Floats


@dataclass(slots=True)
class Outcome:
    """What one decision led to, with any batch shape ``[...]``.

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


@group("env/reward")
class Reward(Configurable, ABC):
    """Maps outcomes to rewards."""

    @abstractmethod
    def of(self, outcome: Outcome) -> Floats:
        """Return the reward of each outcome, shape ``[...]``."""
