"""Did it learn, and was it still learning at the end?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import EngFormatter

from qexp.report.plots.style import LEARNED, REFERENCE, figure

_COLUMNS = ("env_steps", "seconds", "episode_total_completion_time_mean")
# A curve of ten points or fewer is shown as it is.
_SMOOTHED_FROM = 10


def plot(
    training: pd.DataFrame, path: Path, *, reference: float | None = None, learned: str = "policy"
) -> None:
    """Draw total completion time over environment steps.

    Args:
        training: One row per iteration: `env_steps`, `seconds` and `episode_total_completion_time_mean` (s,
            NaN, or no such column, before the first episode has finished).
        path: PNG to write.
        reference: Mean total completion time of mct on the evaluation episodes, seconds.
        learned: Name of the trained algorithm.
    """
    rows = training.reindex(columns=[*_COLUMNS]).dropna()
    steps = rows["env_steps"].to_numpy(dtype=np.float64)
    times = rows["episode_total_completion_time_mean"].to_numpy(dtype=np.float64)
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
            label = f"mct in evaluation, {reference:.0f} s"
            axes.axhline(reference, color=REFERENCE, linewidth=1.8, linestyle="--", label=label)
        axes.set_title(f"Learning curve of {learned}" + _duration(rows["seconds"]))
        axes.set_xlabel("environment steps (task placements)")
        axes.set_ylabel("total completion time per\ntraining episode (s)")
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.legend(loc="best")


def _duration(seconds: pd.Series[float]) -> str:
    return f", {seconds.iloc[-1]:.0f} s of training" if len(seconds) else ": no episode finished"
