"""The baseline that every other scheduler must beat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qexp.config.option import RUNTIME, option
from qexp.placement.episode import Episode
from qexp.placement.schedulers.placer import Placer
from qexp.placement.state import NodeState, TaskState


@option("scheduler")
@dataclass
class Random(Placer):
    """A random machine.

    Chooses uniformly among the allowed ones.
    """

    _rng: np.random.Generator = field(
        default_factory=np.random.default_rng, init=False, repr=False, metadata=RUNTIME
    )

    def start(self, episode: Episode, rng: np.random.Generator) -> None:
        """Take the episode's randomness, see `Scheduler.start`."""
        self._rng = rng

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return a random machine, see `Placer.select`."""
        return int(self._rng.choice(np.flatnonzero(task.mask)))
