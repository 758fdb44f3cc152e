"""The placement problem as configured: a fleet, a workload, the rules, and the episodes they give.

`Scenario` is the option ``env=placement``. Everything that simulates (both engines, the environments, the
evaluation) takes its episodes from here, so they agree on what episode k of a seed is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from typing_extensions import Doc

from qexp.backend.fleet import Fleet
from qexp.config.option import RUNTIME, Chosen, option
from qexp.env.decision_problem import EVALUATION_STREAM, DecisionProblem, Played
from qexp.env.placement_log import EPISODE_COLUMNS, TASK_COLUMNS, played
from qexp.env.reward.completion import Completion
from qexp.env.reward.reward import Reward
from qexp.errors import InputError
from qexp.metric import PLACEMENT
from qexp.scheduler.answer import node_chosen
from qexp.scheduler.scheduler import Scheduler
from qexp.state import Floats, Ints
from qexp.workload.arrivals.arrivals import Arrivals
from qexp.workload.arrivals.uniform import Uniform
from qexp.workload.catalogue import QCE
from qexp.workload.episode import Episode
from qexp.workload.service_time.clops_depth import ClopsDepth
from qexp.workload.service_time.service_time import ServiceTime
from qexp.workload.workload import Workload

OBSERVATIONS = ("dict", "flat")


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes drawn for training; row indices point into the scenario's circuits.

    Attributes:
        rows: Circuit of each task, shape ``[episodes, tasks]``.
        arrival: Seconds, infinite for the padding of short episodes, ``[episodes, tasks]``.
    """

    rows: Ints
    arrival: Floats


@option("env", "placement")
@dataclass
class Scenario(DecisionProblem):
    """Place each arriving task on one machine.

    Attributes:
        fleet: The machines.
        workload: Which circuits.
        arrivals: When they arrive.
        service_time: How long they take.
        reward: What a learner is paid.
        held_out: The first so many episodes of a workload with fixed episodes are never trained on.
    """

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
    held_out: int = field(default=0, metadata=RUNTIME)

    metric = PLACEMENT
    episode_columns = EPISODE_COLUMNS
    task_columns = TASK_COLUMNS

    @classmethod
    def contradictions(cls, own: Mapping[str, Any], chosen: Chosen) -> Iterator[str]:
        """Yield what does not go with placement, see `Configurable.contradictions`."""
        yield from super().contradictions(own, chosen)
        if own["observation"] == "flat" and chosen.name("algo") != "none":
            yield (
                f"env.observation=flat with algo={chosen.name('algo')}: the placement network reads "
                "env.observation=dict"
            )

    @classmethod
    def no_random_fleets(cls, chosen: Chosen) -> Iterator[str]:
        """Yield that some workloads know their own machines only, see `DecisionProblem.no_random_fleets`."""
        if not chosen.kind("env/workload").any_fleet:
            yield (
                f"algo.fleet_randomisation with env/workload={chosen.name('env/workload')}: the file "
                "has circuits "
                "for its own machines only; use env/workload=qce or mqt50"
            )

    def __post_init__(self) -> None:
        if self.observation not in OBSERVATIONS:
            raise InputError(f"env.observation: expected dict or flat, got {self.observation!r}")
        self.circuits = self.workload.circuits(self.fleet)
        feasible = self.circuits.feasible
        seconds = self.service_time.seconds(self.circuits, self.fleet, self.workload.shots)
        self.service: Floats = np.where(feasible, seconds, np.inf)

    @property
    def machines_hash(self) -> str:
        """Content hash of the fleet."""
        return self.fleet.hash

    @property
    def label(self) -> str:
        """How many tasks there are, see `DecisionProblem.label`."""
        return f"{self.tasks}tasks"

    @property
    def decisions(self) -> int:
        """A decision for each task, see `DecisionProblem.decisions`."""
        return self.tasks

    @property
    def of_policy(self) -> dict[str, Any]:
        """Return the environment's name: policies place on any fleet."""
        return {"environment": "placement"}

    @property
    def notes(self) -> list[str]:
        """Say so where episodes are shorter than asked for."""
        if self.longest >= self.tasks:
            return []
        return [f"env.tasks={self.tasks}, but no subset has more than {self.longest}"]

    @property
    def fixed_episodes(self) -> int | None:
        """How many episodes the workload has, or None where they are drawn at random."""
        return None if self.circuits.subsets is None else len(self.circuits.subsets)

    @property
    def longest(self) -> int:
        """Tasks in the longest episode."""
        subsets = self.circuits.subsets
        return self.tasks if subsets is None else max(min(len(subset), self.tasks) for subset in subsets)

    def pictured(self, seed: int) -> dict[str, Any]:
        """Return the lanes of charts, see `DecisionProblem.pictured`."""
        return {"nodes": self.fleet.names}

    def check_evaluation(self, episodes: int) -> None:
        """Raise `InputError` unless the workload has that many episodes."""
        if self.fixed_episodes is not None and episodes > self.fixed_episodes:
            raise InputError(
                f"eval.episodes={episodes}: the workload has only {self.fixed_episodes} subsets; "
                f"set eval.episodes={self.fixed_episodes} or less"
            )

    def check_training(self, fleet_seed: int | None = None) -> None:
        """Raise `InputError` if evaluation leaves no episode to train on, or no fleet can be made."""
        from qexp.env.random_fleets import random_fleets  # it takes scenarios

        if fleet_seed is not None:
            random_fleets(self, fleet_seed, 1)  # if one can be made, all can
        if self.fixed_episodes is not None and self.held_out >= self.fixed_episodes:
            raise InputError(
                f"eval.episodes={self.held_out} takes all {self.fixed_episodes} subsets of the workload and "
                "leaves none to train on: lower eval.episodes"
            )

    def episode(self, seed: int, k: int) -> Episode:
        """Return evaluation episode ``k`` of a seed: the same whoever asks, and whatever was asked before.

        Args:
            seed: Evaluation seed.
            k: Index of the episode, from 0.
        """
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
        """Draw training episodes.

        Args:
            rng: Source of randomness.
            episodes: How many.
        """
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

    def make_vector_env(self, num_envs: int, fleet_seed: int | None = None) -> Any:
        """Return a `PlacementVectorEnv`, see `DecisionProblem.make_vector_env`."""
        from qexp.env.placement_vector import PlacementVectorEnv  # these two take scenarios
        from qexp.env.random_fleets import RandomFleetVectorEnv

        if fleet_seed is None:
            return PlacementVectorEnv(self, num_envs)
        return RandomFleetVectorEnv(self, num_envs, fleet_seed)

    def play(self, scheduler: Scheduler, episode: Episode, rng: np.random.Generator) -> Played:
        """Play one episode on the event-driven engine, see `DecisionProblem.play`."""
        from qexp.cloud.simulated import SimulatedCloud  # imports SimPy

        cloud = SimulatedCloud(
            self.fleet,
            episode,
            mask=self.mask,
            rescheduling_delay=self.rescheduling_delay,
            max_refusals=self.max_refusals,
            initial_backlog=self.initial_backlog,
        )
        scheduler.start(episode, rng)
        while cloud.waiting is not None:
            task, nodes = cloud.task_state(), cloud.node_state()
            node = node_chosen(scheduler, task, nodes, cloud.waiting.index, self.fleet.names)
            if cloud.place(node).gave_up:
                raise InputError(
                    f"env.max_refusals: {type(scheduler).__name__} had a task refused "
                    f"{self.max_refusals} times; set env.mask=true, or raise env.max_refusals"
                )
        cloud.finish()
        return played(episode, cloud, self.fleet)
