"""The plots of a run, one per file; each is one function that writes one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qexp.problem.problem import DecisionProblem, Pictured

if TYPE_CHECKING:
    import pandas as pd


def write(
    folder: Path,
    problem: DecisionProblem,
    *,
    episodes: pd.DataFrame,
    tasks: pd.DataFrame,
    seed: int,
    training: pd.DataFrame | None = None,
    learned: str | None = None,
    format: str = "png",  # noqa: A002 -- as Matplotlib calls it
) -> list[Path]:
    """Write every plot there is data for, and return their paths.

    Args:
        folder: Made if missing.
        problem: What was decided.
        episodes: One row per (scheduler, episode), see `completion_time`.
        tasks: One row per (scheduler, episode, task), see `DecisionProblem.plot`.
        seed: Of the evaluation.
        training: One row per training iteration, see `learning_curve`; None without training.
        learned: The learned scheduler's name.
        format: ``png``, ``svg`` or ``pdf``.
    """
    from qexp.report.plots import completion_time, learning_curve

    folder.mkdir(parents=True, exist_ok=True)
    metric = problem.metric
    means = episodes.groupby("scheduler")[metric.column].mean().sort_values()
    ranking = [str(name) for name in means.index]
    paths = [folder / f"{metric.column.removeprefix('total_')}.{format}"]
    completion_time.plot(episodes, paths[0], metric, learned=learned)
    shown = dict.fromkeys(name for name in (learned or ranking[0], metric.reference) if name in ranking)
    # The first episode: chosen before anybody has seen who does well in it.
    first = int(episodes["episode"].min())
    paths += problem.plot(folder, tasks, Pictured(seed, first, list(shown), ranking, learned, format))
    if training is not None:
        paths.insert(0, folder / f"learning_curve.{format}")
        level = float(means[metric.reference]) if metric.reference in ranking else None
        learning_curve.plot(training, paths[0], metric, reference=level, learned=learned or "policy")
    return paths
