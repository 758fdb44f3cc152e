"""Evaluation: every scheduler meets the same episodes, so that differences are the schedulers' own."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from qexp.errors import in_a_line, interrupt_behind
from qexp.problem.metric import Metric
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import option_in
from qexp.problem.scheduler import Scheduler
from qexp.report.leaderboard import leaderboard, render
from qexp.report.table import Table
from qexp.stages.evaluations import Evaluations, Rows

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        metric: What schedulers are compared by.
        episodes: One row per scheduler and episode, columns `DecisionProblem.episode_columns`; where the
            metric has a ratio, that and `optimum_proved` are further columns, see `with_ratio`.
        tasks: One row per scheduler, episode and task (of a circuit: gate), columns
            `DecisionProblem.task_columns`.
        failed: Why a scheduler, which has no rows, did not come to the end of its episodes, in a line.
    """

    metric: Metric
    episodes: pd.DataFrame
    tasks: pd.DataFrame
    failed: Mapping[str, str] = field(default_factory=dict)

    def table(self, *, seed: int = 0) -> Table:
        """Return the leaderboard as a table, for a console, a page or a paper: ``.table().latex()``.

        Args:
            seed: Of the bootstrap.
        """
        rows = leaderboard(self.episodes, self.metric, seed=seed, failed=self.failed)
        return render(rows, self.metric)


def evaluate(
    scenario: DecisionProblem,
    schedulers: Mapping[str, Scheduler],
    *,
    episodes: int,
    seed: int,
    on_scheduler: Callable[[str], object] = str,
    shared: Evaluations | None = None,
) -> Evaluation:
    """Run schedulers on the same episodes; one that fails stops no other.

    Args:
        scenario: The decision problem.
        schedulers: What to compare, by the name it has in the results.
        episodes: Episodes 0 to ``episodes - 1`` of ``seed`` are played, or as many as there are.
        seed: Evaluation seed.
        on_scheduler: Called with each scheduler's name when it is done.
        shared: Where evaluations are looked up and kept, or None.

    Raises:
        InputError: There are not enough episodes.
    """
    import pandas as pd

    scenario.check_evaluation(episodes)
    there_are = scenario.fixed_episodes
    played = [scenario.episode(seed, k) for k in range(min(episodes, there_are or episodes))]
    episode_rows: Rows = []
    task_rows: Rows = []
    failed: dict[str, str] = {}
    for name, scheduler in schedulers.items():
        found = shared.find(name) if shared else None
        try:
            of_episodes, of_tasks = found or _measure(scenario, name, scheduler, played, seed)
        except Exception as error:
            if interrupt_behind(error):
                raise
            log.info("%s failed", name, exc_info=True)
            failed[name] = in_a_line(error)
            on_scheduler(name)
            continue
        if shared and not found:
            shared.keep(name, of_episodes, of_tasks)
        episode_rows += of_episodes
        task_rows += of_tasks
        on_scheduler(name)
    return Evaluation(
        scenario.metric,
        with_ratio(pd.DataFrame(episode_rows, columns=list(scenario.episode_columns)), scenario.metric),
        pd.DataFrame(task_rows, columns=list(scenario.task_columns)),
        failed,
    )


def with_ratio(episodes: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Add the metric over the optimum of the same episode, and whether that optimum is proved.

    Where the ideal scheduler did not come to a proof, the best of all schedulers takes the optimum's place,
    and `optimum_proved` is false. Without the ideal nothing is added.
    """
    if metric.ratio is None or metric.ideal not in set(episodes["scheduler"]):
        return episodes
    by_episode = episodes.groupby("episode")
    best, bound = by_episode[metric.column].transform("min"), by_episode["bound"].transform("max")
    extended = episodes.assign(optimum_proved=best <= bound)
    # An empty circuit takes no time, with whatever scheduler.
    extended.insert(len(episodes.columns), metric.ratio, (episodes[metric.column] / best).fillna(1.0))
    return extended


def _measure(
    scenario: DecisionProblem, name: str, scheduler: Scheduler, episodes: list[Any], seed: int
) -> tuple[Rows, Rows]:
    episode_rows: Rows = []
    task_rows: Rows = []
    for k, episode in enumerate(episodes):
        # One stream per kind of scheduler: a random one must not shift another one's choices.
        rng = np.random.default_rng([seed, k, zlib.crc32(option_in(name).encode())])
        played = scenario.play(scheduler, episode, rng)
        task_rows += [(name, k, *row) for row in played.tasks]
        episode_rows.append((name, k, *played.totals))
    return episode_rows, task_rows
