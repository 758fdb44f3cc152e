"""Did it learn, and was it still learning at the end?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import EngFormatter

from qexp.problem.metric import Metric
from qexp.problem.style import LEARNED, REFERENCE, figure

# A curve of ten points or fewer is shown as it is.
_SMOOTHED_FROM = 10


def plot(
    training: pd.DataFrame,
    path: Path,
    metric: Metric,
    *,
    reference: float | None = None,
    learned: str = "policy",
) -> None:
    """Draw the metric over environment steps.

    Args:
        training: One row per iteration: `env_steps`, `seconds` and `episode_<metric>_mean` (NaN, or no such
            column, before the first episode has finished).
        path: Picture to write, see `qexp.problem.style.figure`.
        reference: The reference scheduler's mean on the evaluation episodes.
        learned: Name of the trained algorithm.
        metric: What training is judged by.
    """
    column = f"episode_{metric.column}_mean"
    rows = training.reindex(columns=["env_steps", "seconds", column]).dropna()
    steps = rows["env_steps"].to_numpy(dtype=np.float64)
    times = rows[column].to_numpy(dtype=np.float64)
    with figure(path, height=4.2) as canvas:
        axes = canvas.subplots()
        if len(times) > _SMOOTHED_FROM:
            axes.plot(steps, times, color=LEARNED, alpha=0.3, linewidth=1.0)
            window = max(3, len(times) // 20)
            smooth = pd.Series(times).rolling(window, min_periods=1, center=True).mean()
            axes.plot(
                steps, smooth, color=LEARNED, linewidth=2.2, label=f"{learned}, mean of {window} iterations"
            )
        else:
            axes.plot(steps, times, color=LEARNED, linewidth=2.2, marker="o", label=learned)
        if reference is not None:
            label = f"{metric.reference} in evaluation, {reference:.0f} {metric.unit}"
            axes.axhline(reference, color=REFERENCE, linewidth=1.8, linestyle="--", label=label)
        axes.set_title(f"Learning curve of {learned}" + _duration(rows["seconds"]))
        axes.set_xlabel(f"environment steps ({metric.decisions})")
        axes.set_ylabel(f"{metric.title} per\ntraining episode ({metric.unit})")
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.legend(loc="best")


def _duration(seconds: pd.Series[float]) -> str:
    return f", {seconds.iloc[-1]:.0f} s of training" if len(seconds) else ": no episode finished"
