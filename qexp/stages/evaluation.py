"""Evaluation: every scheduler meets the same episodes, so that differences are the schedulers' own."""

from __future__ import annotations

import json
import logging
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qexp.errors import in_a_line, interrupt_behind
from qexp.problem.metric import Metric
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import option_in
from qexp.problem.scheduler import Scheduler
from qexp.report.leaderboard import LeaderboardRow, leaderboard, render, verdict
from qexp.report.progress import evaluation_progress
from qexp.report.table import Table
from qexp.runfolder import RunFolder
from qexp.stages.run import Run

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The measurements of an evaluation.

    Attributes:
        metric: What schedulers are compared by.
        episodes: One row per scheduler and episode, columns `DecisionProblem.episode_columns`; where the
            metric has a ratio, that and `optimum_proved` are further columns, see `with_ratio`.
        tasks: One row per scheduler, episode and task (of a circuit: gate), columns
            `DecisionProblem.task_columns`.
        failed: Why a scheduler, which has no rows, did not finish its episodes, in a line.
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


def compare(run: Run) -> tuple[Evaluation, list[LeaderboardRow]]:
    """Evaluate a run's schedulers and print the leaderboard; return the measurements and its rows."""
    settings, metric, roster = run.resolved["eval"], run.problem.metric, run.roster
    with evaluation_progress(len(roster.evaluated), run.console) as done:
        evaluation = evaluate(
            run.problem,
            roster.evaluated,
            episodes=settings["episodes"],
            seed=settings["seed"],
            on_scheduler=done,
            shared=partial(_shared_file, run),
        )
    rows = leaderboard(evaluation.episodes, metric, seed=settings["seed"], failed=evaluation.failed)
    run.console.print(render(rows, metric, roster.learned))
    if roster.learned is not None:
        run.say(verdict(rows, evaluation.episodes, roster.learned, metric), style="bold")
    return evaluation, rows


def evaluate(
    scenario: DecisionProblem,
    schedulers: Mapping[str, Scheduler],
    *,
    episodes: int,
    seed: int,
    on_scheduler: Callable[[str], object] = str,
    shared: Callable[[str], Path | None] = lambda _: None,
) -> Evaluation:
    """Run schedulers on the same episodes; one that fails stops no other.

    Args:
        scenario: The decision problem.
        schedulers: What to compare, by the name it has in the results.
        episodes: Episodes 0 to ``episodes - 1`` of ``seed`` are played, or as many as there are.
        seed: Evaluation seed.
        on_scheduler: Called with each scheduler's name when it is done.
        shared: Returns the file in which a scheduler's rows are looked up and stored, or None.

    Raises:
        InputError: There are not enough episodes.
    """
    import pandas as pd

    scenario.check_evaluation(episodes)
    count = min(episodes, scenario.fixed_episodes or episodes)
    drawn = [scenario.episode(seed, k) for k in range(count)]
    episode_rows: list[Any] = []
    task_rows: list[Any] = []
    failed: dict[str, str] = {}
    for name, scheduler in schedulers.items():
        file = shared(name)
        known = json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else None
        try:
            rows = known or _measure(scenario, name, scheduler, drawn, seed)
        except Exception as error:
            if interrupt_behind(error):
                raise
            log.info("%s failed", name, exc_info=True)
            failed[name] = in_a_line(error)
        else:
            if file and not known:
                file.parent.mkdir(exist_ok=True)
                RunFolder(file.parent).write_text(file.name, json.dumps(rows))
            episode_rows += rows["episodes"]
            task_rows += rows["tasks"]
        on_scheduler(name)
    return Evaluation(
        scenario.metric,
        with_ratio(pd.DataFrame(episode_rows, columns=list(scenario.episode_columns)), scenario.metric),
        pd.DataFrame(task_rows, columns=list(scenario.task_columns)),
        failed,
    )


def with_ratio(episodes: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Add the metric over the optimum of the same episode, and whether that optimum is proved.

    Where the ideal scheduler has no proof, the best of all schedulers takes the optimum's place, and
    `optimum_proved` is false. Without the ideal nothing is added.

    Args:
        episodes: One row per (scheduler, episode).
        metric: What schedulers are compared by.
    """
    if metric.ratio is None or metric.ideal not in set(episodes["scheduler"]):
        return episodes
    by_episode = episodes.groupby("episode")
    best, bound = by_episode[metric.column].transform("min"), by_episode["bound"].transform("max")
    extended = episodes.assign(optimum_proved=best <= bound)
    # An empty circuit takes no time, with whatever scheduler.
    extended.insert(len(episodes.columns), metric.ratio, (episodes[metric.column] / best).fillna(1.0))
    return extended


def _shared_file(run: Run, scheduler: str) -> Path | None:
    """Return the file in which the jobs of a sweep share a scheduler's rows, if they depend on no more.

    Jobs that run side by side may both measure them: they are the same.
    """
    if run.shared is None or scheduler not in run.roster.shared:
        return None
    settings = run.resolved["eval"]
    depends_on = {key: run.identity[key] for key in ("fleet_hash", "versions", "git_commit")}
    depends_on |= {"env": run.resolved["env"], "eval": [settings["episodes"], settings["seed"]]}
    known = json.dumps([scheduler, depends_on], sort_keys=True)
    readable = re.sub(r"[^\w.=]+", ",", scheduler)
    return run.shared / f"{readable[:80]}-{sha256(known.encode()).hexdigest()[:16]}.json"


def _measure(
    scenario: DecisionProblem, name: str, scheduler: Scheduler, episodes: list[Any], seed: int
) -> dict[str, list[Any]]:
    """Return a scheduler's rows per episode and per task."""
    rows: dict[str, list[Any]] = {"episodes": [], "tasks": []}
    for k, episode in enumerate(episodes):
        # One stream per kind of scheduler: a random one must not shift another one's choices.
        rng = np.random.default_rng([seed, k, zlib.crc32(option_in(name).encode())])
        played = scenario.play(scheduler, episode, rng)
        rows["tasks"] += [(name, k, *row) for row in played.tasks]
        rows["episodes"].append((name, k, *played.totals))
    return rows
