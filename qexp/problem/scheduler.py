"""Schedulers, whatever they decide about; each problem defines what its own answer."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

import numpy as np

from qexp.config.option import REGISTRY, Configurable, group, load_options

ORDER = (
    *("random", "round_robin", "greedy", "greedy_error", "least_busy", "mct", "met", "fidelity", "weighted"),
    *("clairvoyant", "asap", "alap", "critical_path", "randomised_critical_path", "cp_sat"),
)
"""In which schedulers are compared; others follow by name."""


@group("scheduler")
class Scheduler(Configurable, ABC):
    """Decides in one problem, by methods that the problem defines.

    Attributes:
        environment: The environment it decides in, as the option of the group ``env`` is called.
        foresees: Whether it knows what no real cloud tells: a reference, and nothing to deploy.
        bound: A lower bound of the figure in this episode, as far as this one has proved.
    """

    environment: str
    foresees: ClassVar[bool] = False
    bound: float = 0.0

    def __init_subclass__(cls, **settings: Any) -> None:
        """Take a class that selects and names no environment for a placer, as version 0.1 did."""
        super().__init_subclass__(**settings)
        if "select" in vars(cls) and not hasattr(cls, "environment"):
            cls.environment = "placement"

    def start(self, episode: Any, rng: np.random.Generator) -> None:
        """Get ready for an episode.

        Args:
            episode: The whole episode, as `DecisionProblem.episode` returns it. Only one that foresees may
                use what is not known in advance.
            rng: The randomness of this scheduler in this episode.
        """


def schedulers_of(environment: str) -> list[str]:
    """Return the schedulers that decide in an environment without having been trained, by name.

    Their order does not depend on who imported what first: hashes of configurations contain it.
    """
    load_options()
    classes: dict[str, Any] = dict(REGISTRY["scheduler"])
    deciders = {name for name, cls in classes.items() if getattr(cls, "environment", None) == environment}
    return [name for name in ORDER if name in deciders] + sorted(deciders - {"policy", *ORDER})
