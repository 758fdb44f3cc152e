"""The plots of a run, one per file; each is one function that writes one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qexp.metric import PLACEMENT, Metric

if TYPE_CHECKING:
    import pandas as pd

    from qexp.gates.problem import Problem


def write(
    folder: Path,
    *,
    episodes: pd.DataFrame,
    tasks: pd.DataFrame,
    nodes: Sequence[str] = (),
    problem: Problem | None = None,
    training: pd.DataFrame | None = None,
    learned: str | None = None,
    metric: Metric = PLACEMENT,
) -> list[Path]:
    """Write every plot there is data for, and return their paths.

    Args:
        folder: Made if missing.
        episodes: One row per (scheduler, episode), see `completion_time`.
        tasks: One row per (scheduler, episode, task), see `gantt`, `utilisation` and `schedules`.
        nodes: The fleet's nodes in its order; none where tasks are not placed on machines.
        problem: Instead of nodes, the circuit that the first episode schedules, on its machine.
        training: One row per training iteration, see `learning_curve`; None without training.
        learned: The learned scheduler's name.
        metric: What schedulers are compared by.
    """
    from qexp.report.plots import completion_time, gantt, learning_curve, schedules, utilisation

    folder.mkdir(parents=True, exist_ok=True)
    means = episodes.groupby("scheduler")[metric.column].mean().sort_values()
    order = [str(name) for name in means.index]
    paths = [folder / f"{metric.column.removeprefix('total_')}.png"]
    completion_time.plot(episodes, paths[0], learned=learned, metric=metric)
    # The first episode: chosen before anybody has seen who does well in it.
    first = int(episodes["episode"].min())
    shown = list(dict.fromkeys(name for name in (learned or order[0], metric.reference) if name in order))
    if problem is not None:
        paths.append(folder / "schedule.png")
        schedules.plot(tasks, paths[-1], episode=first, schedulers=shown, problem=problem)
    elif nodes:
        paths += [folder / "gantt.png", folder / "utilisation.png"]
        gantt.plot(tasks, paths[-2], episode=first, schedulers=shown, nodes=nodes, learned=learned)
        utilisation.plot(tasks, paths[-1], schedulers=order, nodes=nodes)
    if training is not None:
        paths.insert(0, folder / "learning_curve.png")
        level = float(means[metric.reference]) if metric.reference in order else None
        learning_curve.plot(training, paths[0], reference=level, learned=learned or "policy", metric=metric)
    return paths
