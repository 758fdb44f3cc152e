"""The baseline that spreads tasks evenly, whatever the state."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qexp.config.option import RUNTIME, option
from qexp.placement.episode import Episode
from qexp.placement.schedulers.placer import Placer
from qexp.placement.state import NodeState, TaskState


@option("scheduler")
@dataclass
class RoundRobin(Placer):
    """The next machine in turn.

    Chooses the next allowed machine after the one chosen last, in the fleet's order.
    """

    _last: int = field(default=-1, init=False, repr=False, metadata=RUNTIME)

    def start(self, episode: Episode, rng: np.random.Generator) -> None:
        """Begin with the first machine again, see `Scheduler.start`."""
        self._last = -1

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the next machine, see `Placer.select`."""
        allowed = np.flatnonzero(task.mask)
        following = allowed[allowed > self._last]
        self._last = int(following[0] if following.size else allowed[0])
        return self._last
