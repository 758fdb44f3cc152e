"""The baseline that every other scheduler must beat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qexp.config.option import RUNTIME, option
from qexp.scheduler.scheduler import Scheduler
from qexp.state import NodeState, TaskState
from qexp.workload.episode import Episode


@option("scheduler")
@dataclass
class Random(Scheduler):
    """A random machine.

    Chooses uniformly among the allowed nodes.
    """

    _rng: np.random.Generator = field(
        default_factory=np.random.default_rng, init=False, repr=False, metadata=RUNTIME
    )

    def start(self, episode: Episode, rng: np.random.Generator) -> None:
        """Take the episode's randomness, see `Scheduler.start`."""
        self._rng = rng

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return a random node, see `Scheduler.select`."""
        return int(self._rng.choice(np.flatnonzero(task.mask)))
