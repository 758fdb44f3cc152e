"""What the learner is paid for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from qexp.config.option import Configurable, group, option
from qexp.problem.arrays import Bools, Floats


@dataclass(slots=True)
class Outcome:
    """What one decision led to, with any batch shape ``[...]``.

    Attributes:
        refused: The circuit did not fit the chosen machine.
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


@option("env/reward")
@dataclass
class Completion(Reward):
    """Minus the completion time: what a learner maximises is what the leaderboard reports.

    Minus the seconds a decision cost over ``scale``; an episode's sum is minus total completion time.
    """

    scale: Annotated[
        float,
        Gt(0),
        Doc("Seconds that count as a reward of -1; about the completion time of a task under mct."),
    ] = 30.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        return np.asarray(-outcome.elapsed / self.scale)


@option("env/reward")
@dataclass
class Inverse(Reward):
    """The papers' reward, 1 / completion time: it ranks schedulers differently from the metric.

    One over the completion time; ``refusal`` for a placement that does not fit.
    """

    refusal: Annotated[float, Doc("Reward of a placement that does not fit.")] = -10.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        # A task of zero length would pay infinity; a millisecond is far below any real job.
        paid = 1.0 / np.maximum(outcome.completion, 1e-3)
        return np.where(outcome.refused, self.refusal, paid)


@option("env/reward")
@dataclass
class Weighted(Reward):
    """Time and estimated success probability.

    (1 - fidelity_weight) * time + fidelity_weight * ESP, where time is minus the seconds a decision cost over
    ``scale`` and ESP counts once, when the task is placed.
    """

    fidelity_weight: Annotated[float, Ge(0), Le(1), Doc("0: time only; 1: success probability only.")] = 0.5
    scale: Annotated[float, Gt(0), Doc("Seconds that count as a reward of -1.")] = 30.0

    def of(self, outcome: Outcome) -> Floats:
        """Return rewards, see `Reward.of`."""
        time = -outcome.elapsed / self.scale
        esp = np.where(outcome.refused, 0.0, outcome.esp)
        return np.asarray((1.0 - self.fidelity_weight) * time + self.fidelity_weight * esp)
