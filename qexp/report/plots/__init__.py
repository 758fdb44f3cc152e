"""The plots of a run, one per file; each is one function that writes one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def write(
    folder: Path,
    *,
    episodes: pd.DataFrame,
    tasks: pd.DataFrame,
    nodes: Sequence[str],
    training: pd.DataFrame | None = None,
    learned: str | None = None,
    reference: str = "mct",
) -> list[Path]:
    """Write every plot there is data for, and return their paths.

    Args:
        folder: Made if missing.
        episodes: One row per (scheduler, episode), see `completion_time`.
        tasks: One row per (scheduler, episode, task), see `gantt` and `utilisation`.
        nodes: The fleet's nodes in its order.
        training: One row per training iteration, see `learning_curve`; None without training.
        learned: The learned scheduler's name.
        reference: The heuristic it is measured against.
    """
    from qexp.report.plots import completion_time, gantt, learning_curve, utilisation

    folder.mkdir(parents=True, exist_ok=True)
    means = episodes.groupby("scheduler")["total_completion_time"].mean().sort_values()
    order = [str(name) for name in means.index]
    paths = [folder / f"{name}.png" for name in ("completion_time", "gantt", "utilisation")]
    completion_time.plot(episodes, paths[0], learned=learned, reference=reference)
    # The first episode: chosen before anybody has seen who does well in it.
    first = int(episodes["episode"].min())
    shown = list(dict.fromkeys(name for name in (learned or order[0], reference) if name in order))
    gantt.plot(tasks, paths[1], episode=first, schedulers=shown, nodes=nodes, learned=learned)
    utilisation.plot(tasks, paths[2], schedulers=order, nodes=nodes)
    if training is not None:
        paths.insert(0, folder / "learning_curve.png")
        level = float(means[reference]) if reference in order else None
        learning_curve.plot(training, paths[0], reference=level, learned=learned or "policy")
    return paths
