"""The heuristics that place tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from typing_extensions import Doc

from qexp.config.option import RUNTIME, option
from qexp.placement.episode import Episode
from qexp.placement.schedulers.placer import Placer, RankingPlacer
from qexp.placement.state import NodeState, TaskState, wait_times
from qexp.problem.arrays import Floats


@option("scheduler")
@dataclass
class Fidelity(RankingPlacer):
    """The machine with the highest estimated success probability."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return minus the ESP on each machine."""
        return -task.esp


@option("scheduler")
@dataclass
class Greedy(RankingPlacer):
    """The machine that is free the earliest (the papers' greedy)."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return when each machine is free, seconds."""
        return nodes.free_at


@option("scheduler")
@dataclass
class GreedyError(RankingPlacer):
    """The machine that is free the earliest; of equals, the one with the lowest readout error."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return each machine's rank by free time, then readout error."""
        rank = np.empty(len(nodes.free_at))
        rank[np.lexsort((nodes.readout_error, nodes.free_at))] = np.arange(len(rank))
        return rank


@option("scheduler")
@dataclass
class LeastBusy(RankingPlacer):
    """The machine with the fewest pending jobs, as qiskit-ibm-runtime's least_busy."""

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the pending jobs of each machine."""
        return nodes.pending.astype(float)


@option("scheduler")
@dataclass
class MCT(RankingPlacer):
    """Minimum completion time: the machine that would finish the task the earliest.

    Source: Braun et al., "A Comparison of Eleven Static Heuristics for Mapping a Class of Independent Tasks
    onto Heterogeneous Distributed Computing Systems", JPDC 61(6), 2001.
    """

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return wait plus service on each machine, seconds."""
        return wait_times(task, nodes) + task.service


@option("scheduler")
@dataclass
class MET(RankingPlacer):
    """Minimum execution time: the fastest machine, whatever its queue.

    Chooses the machine with the shortest service time (Braun et al., see `MCT`).
    """

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the service time on each machine, seconds."""
        return task.service


@option("scheduler")
@dataclass
class Weighted(RankingPlacer):
    """A weighted sum of finish time and estimated success probability.

    Each is relative to the best machine's. ``fidelity_weight`` 0 is minimum completion time, 1 is highest
    fidelity; values between trace the trade-off.
    """

    fidelity_weight: Annotated[
        float, Ge(0), Le(1), Doc("0: minimum completion time; 1: highest fidelity.")
    ] = 0.5

    def cost(self, task: TaskState, nodes: NodeState) -> Floats:
        """Return the weighted cost of each machine, dimensionless."""
        finish = wait_times(task, nodes) + task.service
        slowness = finish / max(finish.min(), 1e-9)
        with np.errstate(invalid="ignore"):
            loss = 1.0 - task.esp / max(task.esp.max(), 1e-300)
        # An infinite finish time times a weight of zero would be undefined.
        cost = (1.0 - self.fidelity_weight) * np.where(np.isfinite(slowness), slowness, 0.0)
        return np.where(np.isfinite(finish), cost + self.fidelity_weight * loss, np.inf)


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
