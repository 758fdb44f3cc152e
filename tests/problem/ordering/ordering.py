"""``env=ordering``: the problem as configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt
from typing_extensions import Doc

from qexp.config.option import RUNTIME, option
from qexp.problem.arrays import Floats
from qexp.problem.metric import Metric
from qexp.problem.problem import EVALUATION_STREAM, KEYS, DecisionProblem, Pictured, Played
from qexp.problem.style import figure


class EpisodeRow(NamedTuple):
    """An episode: jobs, and the times at which they ended, summed (s)."""

    jobs: int
    flow_time: float


class JobRow(NamedTuple):
    """A job: how long it took and when it ended, s."""

    job: int
    length: float
    end: float


@option("env")
@dataclass
class Ordering(DecisionProblem):
    """Choose which waiting job one machine serves next."""

    jobs: Annotated[int, Ge(1), Doc("Jobs of an episode.")] = 6
    mean: Annotated[float, Gt(0), Doc("Mean length of a job, seconds.")] = 3.0
    fleet: Any = field(default=None, metadata=RUNTIME)
    held_out: int = field(default=0, metadata=RUNTIME)

    metric = Metric(
        environment="ordering",
        column="flow_time",
        title="flow time",
        unit="s",
        reference="in_order",
        ideal="shortest",
        decisions="choices",
        details="jobs.csv",
    )
    has_fleet: ClassVar[bool] = False
    chooses: ClassVar[Mapping[str, str]] = {"backend": "none", "scheduler": "in_order"}
    episode_columns = (*KEYS, *EpisodeRow._fields)
    task_columns = (*KEYS, *JobRow._fields)
    machines_hash = "one machine"
    fixed_episodes = None

    @property
    def label(self) -> str:
        return f"{self.jobs}jobs"

    @property
    def decisions(self) -> int:
        return self.jobs

    def check_training(self, fleet_seed: int | None = None) -> None:
        pass

    def episode(self, seed: int, k: int) -> Floats:
        return self.draw(np.random.default_rng([seed, EVALUATION_STREAM, k]), 1)[0]

    def draw(self, rng: np.random.Generator, episodes: int) -> Floats:
        return rng.exponential(self.mean, (episodes, self.jobs))

    def make_vector_env(self, num_envs: int, fleet_seed: int | None = None) -> Any:
        from qexp.ordering.vector_env import OrderingVectorEnv

        return OrderingVectorEnv(self, num_envs)

    def play(self, scheduler: Any, episode: Floats, rng: np.random.Generator) -> Played:
        scheduler.start(episode, rng)
        left, now, rows = list(range(len(episode))), 0.0, []
        while left:
            job = left.pop(scheduler.select(episode[left]))
            now += float(episode[job])
            rows.append(JobRow(job, float(episode[job]), now))
        return Played(EpisodeRow(len(rows), sum(row.end for row in rows)), rows)

    def plot(self, folder: Path, tasks: pd.DataFrame, shown: Pictured) -> list[Path]:
        path = folder / f"order.{shown.format}"
        rows = tasks[tasks["scheduler"].eq(shown.schedulers[0]) & tasks["episode"].eq(shown.episode)]
        with figure(path, height=2.0) as canvas:
            canvas.subplots().barh(rows["job"], rows["length"], left=rows["end"] - rows["length"])
        return [path]
