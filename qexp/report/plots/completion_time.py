"""How good is each scheduler, and how much does that vary between episodes?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from qexp.problem.metric import Metric
from qexp.problem.style import INK, colour, figure, row_label
from qexp.report.leaderboard import paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot(episodes: pd.DataFrame, path: Path, metric: Metric, *, learned: str | None = None) -> None:
    """Draw every episode's figure per scheduler, best mean on top.

    Args:
        episodes: One row per (scheduler, episode) with the metric's columns; its ratio is drawn if there.
        path: Picture to write, see `qexp.problem.style.figure`.
        learned: Scheduler to highlight.
        metric: What is drawn; the means are compared with its reference, if that was run.
    """
    relative = metric.ratio is not None and metric.ratio in episodes
    shown = replace(metric, column=metric.ratio or "") if relative else metric
    figures = paired(episodes, shown)
    figures = figures[figures.mean().sort_values(ascending=False).index]
    means = figures.mean()
    base = means.get(metric.reference)
    # The same vertical scatter for the same episode in every row: only there to keep dots apart.
    scatter = np.random.default_rng(0).uniform(-0.28, 0.28, len(figures))
    with figure(path, height=1.6 + 0.45 * figures.shape[1]) as canvas:
        axes = canvas.subplots()
        for row, name in enumerate(figures.columns):
            values = figures[name].to_numpy(dtype=np.float64)
            shade = colour(str(name), learned)
            axes.scatter(values, row + scatter, s=9, color=shade, alpha=0.4, linewidths=0)
            _box(axes, row, values, shade)
        rows = np.arange(figures.shape[1])
        axes.scatter(means, rows, marker="D", s=42, color="white", edgecolors=INK, linewidths=1.4, zorder=4)
        axes.set_yticks(rows, [row_label(str(name)) for name in figures.columns])
        if relative:
            _column(axes, 1.10, "mean", [f"{value:.3f}" for value in means])
        else:
            _column(axes, 1.10, f"mean ({metric.unit})", [f"{value:.0f}" for value in means])
            if base is not None:
                changes = [f"{100 * (value / base - 1):+z.1f}" for value in means]
                _column(axes, 1.25, f"vs {metric.reference} (%)", changes)
        axes.grid(visible=False, axis="y")
        # Room for the dots of those that reach the optimum.
        axes.set_xlim(left=1 - 0.03 * (axes.get_xlim()[1] - 1) if relative else 0)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        title = f"{metric.title.capitalize()}{' over the optimum' if relative else ''}"
        axes.set_title(f"{title}, {len(figures)} paired episodes{_unproved(episodes) if relative else ''}")
        of = "over the optimum" if relative else f"of an episode ({metric.unit})"
        axes.set_xlabel(f"{metric.title} {of}; diamond: mean, box: quartiles, whiskers: 5 to 95 %")


def _unproved(episodes: pd.DataFrame) -> str:
    unproved = int((~episodes.groupby("episode")["optimum_proved"].first()).sum())
    return f"; in {unproved} not proved: the best found" if unproved else ""


def _box(axes: Axes, row: int, values: npt.NDArray[np.float64], shade: str) -> None:
    # Not axes.boxplot, which imports pyplot and with it whatever windows the machine can open.
    low, left, middle, right, high = np.percentile(values, [5, 25, 50, 75, 95])
    axes.barh(row, right - left, left=left, height=0.62, facecolor="none", edgecolor=shade, linewidth=1.5)
    axes.hlines([row, row], [low, right], [left, high], color=shade, linewidth=1.5)
    axes.vlines(middle, row - 0.31, row + 0.31, color=shade, linewidth=1.5)
    axes.vlines([low, high], row - 0.15, row + 0.15, color=shade, linewidth=1.5)


def _column(axes: Axes, right: float, title: str, cells: list[str]) -> None:
    """Write right-aligned text beside the rows; `right` in widths of the axes."""
    at = axes.get_yaxis_transform()
    for row, cell in enumerate(cells):
        axes.text(right, row, cell, transform=at, ha="right", va="center_baseline")
    axes.text(right, len(cells) - 0.3, title, transform=at, ha="right", va="bottom")
