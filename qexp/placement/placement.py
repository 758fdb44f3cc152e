"""``env=placement``: the placement problem as configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qexp.config.option import Chosen, option
from qexp.errors import InputError
from qexp.placement.episode import Episode
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer, node_chosen
from qexp.problem.metric import Metric
from qexp.problem.problem import KEYS, DecisionProblem, Pictured, Played

if TYPE_CHECKING:
    import pandas as pd

    from qexp.placement.engine import SimulatedCloud

PLACEMENT = Metric(
    environment="placement",
    column="total_completion_time",
    title="total completion time",
    unit="s",
    reference="mct",
    ideal="clairvoyant",
    decisions="task placements",
    details="tasks.csv",
    counted="reschedules",
    counted_title="refused\nper ep.",
)


class EpisodeRow(NamedTuple):
    """Sums over an episode's tasks; times in seconds."""

    tasks: int
    total_completion_time: float
    rescheduling_delay: float
    total_wait: float
    total_service: float
    makespan: float
    reschedules: int
    mean_esp: float


class TaskRow(NamedTuple):
    """A task that was placed; times in seconds."""

    task: int
    circuit: str
    width: int
    shots: int
    node: str
    arrival: float
    placement: float
    start: float
    finish: float
    wait: float
    service: float
    delay: float
    reschedules: int
    esp: float


@option("env", "placement")
@dataclass
class Placement(Scenario, DecisionProblem):
    """Place each arriving task on one machine."""

    metric = PLACEMENT
    episode_columns = (*KEYS, *EpisodeRow._fields)
    task_columns = (*KEYS, *TaskRow._fields)

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
                f"algo.fleet_randomisation with env/workload={chosen.name('env/workload')}: the file has "
                "circuits for its own machines only; use env/workload=qce or mqt50"
            )

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
    def notes(self) -> list[str]:
        """Say so where episodes are shorter than asked for."""
        if self.longest >= self.tasks:
            return []
        return [f"env.tasks={self.tasks}, but no subset has more than {self.longest}"]

    def plot(self, folder: Path, tasks: pd.DataFrame, shown: Pictured) -> list[Path]:
        """Draw an episode's tasks on the machines, and the machines' use, see `DecisionProblem.plot`."""
        from qexp.placement.plots import gantt, utilisation

        paths = [folder / f"{name}.{shown.format}" for name in ("gantt", "utilisation")]
        names = self.fleet.names
        gantt.plot(
            tasks,
            paths[0],
            episode=shown.episode,
            schedulers=shown.schedulers,
            nodes=names,
            learned=shown.learned,
        )
        utilisation.plot(tasks, paths[1], schedulers=shown.ranking, nodes=names)
        return paths

    def check_evaluation(self, episodes: int) -> None:
        """Raise `InputError` unless the workload has that many episodes."""
        if self.fixed_episodes is not None and episodes > self.fixed_episodes:
            raise InputError(
                f"eval.episodes={episodes}: the workload has only {self.fixed_episodes} subsets; "
                f"set eval.episodes={self.fixed_episodes} or less"
            )

    def check_training(self, fleet_seed: int | None = None) -> None:
        """Raise `InputError` if evaluation leaves no episode to train on, or no fleet can be made."""
        from qexp.placement.random_fleets import random_fleets  # imports Gymnasium

        if fleet_seed is not None:
            random_fleets(self, fleet_seed, 1)  # if one can be made, all can
        if self.fixed_episodes is not None and self.held_out >= self.fixed_episodes:
            raise InputError(
                f"eval.episodes={self.held_out} takes all {self.fixed_episodes} subsets of the workload and "
                "leaves none to train on: lower eval.episodes"
            )

    def make_vector_env(self, num_envs: int, fleet_seed: int | None = None) -> Any:
        """Return a `PlacementVectorEnv`, see `DecisionProblem.make_vector_env`."""
        from qexp.placement.random_fleets import RandomFleetVectorEnv
        from qexp.placement.vector_env import PlacementVectorEnv  # imports Gymnasium

        if fleet_seed is None:
            return PlacementVectorEnv(self, num_envs)
        return RandomFleetVectorEnv(self, num_envs, fleet_seed)

    def play(self, scheduler: Placer, episode: Episode, rng: np.random.Generator) -> Played:
        """Play one episode on the event-driven engine, see `DecisionProblem.play`."""
        from qexp.placement.engine import SimulatedCloud  # imports SimPy

        cloud = SimulatedCloud(self.fleet, episode, self.rules)
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
        return self._played(episode, cloud)

    def _played(self, episode: Episode, cloud: SimulatedCloud) -> Played:
        rows = [
            TaskRow(
                task=task.index,
                circuit=episode.names[task.index],
                width=int(episode.width[task.index]),
                shots=episode.shots,
                node=self.fleet.names[task.node],
                arrival=float(episode.arrival[task.index]),
                placement=task.placement,
                start=task.start,
                finish=task.finish,
                wait=task.wait,
                service=float(episode.service[task.index, task.node]),
                delay=task.delay,
                reschedules=task.reschedules,
                esp=float(episode.esp[task.index, task.node]),
            )
            for task in cloud.tasks
        ]
        wait, service, delay, esp = np.array([(row.wait, row.service, row.delay, row.esp) for row in rows]).T
        totals = EpisodeRow(
            tasks=len(rows),
            total_completion_time=float(delay.sum() + wait.sum() + service.sum()),
            rescheduling_delay=float(delay.sum()),
            total_wait=float(wait.sum()),
            total_service=float(service.sum()),
            makespan=max(row.finish for row in rows) - float(episode.arrival[0]),
            reschedules=sum(row.reschedules for row in rows),
            mean_esp=float(esp.mean()),
        )
        return Played(totals, rows)
