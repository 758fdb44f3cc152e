"""A fleet, a workload, the rules of placement, and the episodes they give.

Everything that simulates (both engines, the environments, the evaluation) takes its episodes from here, so
they agree on what episode k of a seed is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from typing_extensions import Doc

from qexp.config.option import RUNTIME
from qexp.errors import InputError
from qexp.fleet.fleet import Fleet
from qexp.placement.arrivals.arrivals import Arrivals
from qexp.placement.arrivals.uniform import Uniform
from qexp.placement.episode import Episode, Rules
from qexp.placement.reward.completion import Completion
from qexp.placement.reward.reward import Reward
from qexp.placement.service_time.clops_depth import ClopsDepth
from qexp.placement.service_time.service_time import ServiceTime
from qexp.placement.workload.catalogue import QCE
from qexp.placement.workload.workload import Workload
from qexp.problem.arrays import Floats, Ints
from qexp.problem.problem import EVALUATION_STREAM

OBSERVATIONS = ("dict", "flat")


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes drawn for training."""

    rows: Ints  # index of each task's circuit in the scenario's, [episodes, tasks]
    arrival: Floats  # seconds, infinite for the padding of short episodes, [episodes, tasks]


@dataclass
class Scenario:
    """Tasks that arrive at a fleet."""

    fleet: Fleet = field(metadata=RUNTIME)
    tasks: Annotated[int, Ge(1), Doc("Tasks per episode; a subset of a CSV workload may have fewer.")] = 25
    mask: Annotated[bool, Doc("Whether schedulers may only choose machines that the circuit fits on.")] = True
    rescheduling_delay: Annotated[float, Gt(0), Doc("Seconds after which a refused task asks again.")] = 1.0
    max_refusals: Annotated[
        int, Ge(1), Doc("An episode is cut off when one task was refused this often.")
    ] = 1000
    initial_backlog: Annotated[
        float, Ge(0), Doc("Seconds of work already queued on every machine when an episode starts.")
    ] = 0.0
    observation: Annotated[
        str, Doc("dict: features for learning, with action mask; flat: the papers' 4 + 3n numbers.")
    ] = "dict"
    workload: Workload = field(default_factory=QCE)
    arrivals: Arrivals = field(default_factory=Uniform)
    service_time: ServiceTime = field(default_factory=ClopsDepth)
    reward: Reward = field(default_factory=Completion)
    # The first so many episodes of a workload with fixed episodes are never trained on.
    held_out: int = field(default=0, metadata=RUNTIME)

    def __post_init__(self) -> None:
        if self.observation not in OBSERVATIONS:
            raise InputError(f"env.observation: expected dict or flat, got {self.observation!r}")
        self.circuits = self.workload.circuits(self.fleet)
        feasible = self.circuits.feasible
        seconds = self.service_time.seconds(self.circuits, self.fleet, self.workload.shots)
        self.service: Floats = np.where(feasible, seconds, np.inf)

    @property
    def rules(self) -> Rules:
        """How machines take tasks."""
        return Rules(self.mask, self.rescheduling_delay, self.max_refusals, self.initial_backlog)

    @property
    def fixed_episodes(self) -> int | None:
        """How many episodes the workload has, or None where they are drawn at random."""
        return None if self.circuits.subsets is None else len(self.circuits.subsets)

    @property
    def longest(self) -> int:
        """Tasks in the longest episode."""
        subsets = self.circuits.subsets
        return self.tasks if subsets is None else max(min(len(subset), self.tasks) for subset in subsets)

    def episode(self, seed: int, k: int) -> Episode:
        """Return evaluation episode ``k`` of a seed, see `DecisionProblem.episode`."""
        rng = np.random.default_rng([seed, EVALUATION_STREAM, k])
        subsets = self.circuits.subsets
        if subsets is None:
            rows = rng.integers(len(self.circuits.names), size=self.tasks)
        else:
            rows = subsets[k][: self.tasks]
        arrival = self.arrivals.of_episode(rng, k, self._tasks_of)[: len(rows)]
        return self.assemble(rows, arrival)

    def assemble(self, rows: Ints, arrival: Floats) -> Episode:
        """Return the episode of the given circuits and arrival times.

        Args:
            rows: Index of each task's circuit, shape ``[tasks]``.
            arrival: Ascending, seconds, shape ``[tasks]``.
        """
        return Episode(
            names=[self.circuits.names[row] for row in rows],
            arrival=arrival,
            width=self.circuits.width[rows],
            depth=self.circuits.depth[rows],
            shots=self.workload.shots,
            service=self.service[rows],
            esp=self.circuits.esp[rows],
        )

    def draw(self, rng: np.random.Generator, episodes: int) -> EpisodeBatch:
        """Draw training episodes, see `DecisionProblem.draw`."""
        subsets = self.circuits.subsets
        if subsets is None:
            shape = (episodes, self.tasks)
            rows = rng.integers(len(self.circuits.names), size=shape)
            return EpisodeBatch(rows, self.arrivals.sample(rng, shape))
        chosen = [subsets[k] for k in rng.integers(self.held_out, len(subsets), size=episodes)]
        rows = np.zeros((episodes, self.longest), dtype=np.int64)
        arrival = np.full((episodes, self.longest), np.inf)
        for e, subset in enumerate(chosen):
            used = min(len(subset), self.tasks)
            rows[e, :used] = subset[:used]
            arrival[e, :used] = self.arrivals.sample(rng, (len(subset),))[:used]
        return EpisodeBatch(rows, arrival)

    def _tasks_of(self, k: int) -> int:
        return self.tasks if self.circuits.subsets is None else len(self.circuits.subsets[k])
