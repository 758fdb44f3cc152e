"""One episode as a Gantt chart: tasks that wait, and tasks that machines run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qexp.problem.style import INK, colour, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of a lane of height 1: the bar on top, the waiting tasks' lines below it.
_BAR = 0.42
_QUEUE = 0.44
_MAX_LANES = 16
# Share of the time axis that one digit of a label needs.
_DIGIT = 0.012
_LABEL: dict[str, Any] = {
    "ha": "center",
    "va": "center_baseline",
    "fontsize": 8.5,
    "weight": "bold",
    "color": "white",
}
_WAIT = "#777777"


def plot(
    tasks: pd.DataFrame,
    path: Path,
    *,
    episode: int,
    schedulers: Sequence[str],
    nodes: Sequence[str] | None = None,
    learned: str | None = None,
) -> None:
    """Draw one panel per scheduler, the same episode on the same time axis.

    Args:
        tasks: One row per (scheduler, episode, task): `task`, `node`, and `arrival`, `placement`, `start`,
            `finish` and `service` (s).
        path: Picture to write, see `qexp.problem.style.figure`.
        episode: Which episode.
        schedulers: Panels from top to bottom.
        nodes: Lanes from top to bottom, idle ones included; by default those that were used, by name. Of more
            than 16 the busiest 16 are shown.
        learned: Scheduler to highlight.
    """
    panels = {
        name: tasks[(tasks["scheduler"] == name) & (tasks["episode"] == episode)] for name in schedulers
    }
    lanes = _lanes(pd.concat(panels.values()), nodes)
    lane_height = 0.5 if len(lanes) <= 6 else 0.38
    with figure(path, height=1.2 + len(panels) * (0.7 + lane_height * len(lanes))) as canvas:
        axes_of = canvas.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        end = max(float(rows["finish"].max()) for rows in panels.values())
        begin = min(float(rows["arrival"].min()) for rows in panels.values())
        for axes, (name, rows) in zip(axes_of, panels.items(), strict=True):
            axes.set_xlim(begin - 0.01 * (end - begin), end + 0.01 * (end - begin))
            _panel(axes, rows, lanes, colour(name, learned))
            total = (rows["finish"] - rows["arrival"]).sum()
            done = float(rows["finish"].max())
            axes.set_title(f"{name}: total completion time {total:.0f} s, last task done at {done:.0f} s")
        axes_of[-1].set_xlabel("time (s)")
        canvas.legend(
            handles=[
                Patch(color=colour(schedulers[0], learned), label="running (number: task)"),
                Line2D([], [], color=_WAIT, linewidth=2.0, label="waiting in the queue"),
                Line2D([], [], color=INK, marker="|", linestyle="none", markersize=9, label="arrival"),
            ],
            loc="outside lower center",
            ncols=3,
        )


def _lanes(rows: pd.DataFrame, nodes: Sequence[str] | None) -> list[str]:
    busy = rows.groupby("node")["service"].sum()
    names = list(nodes) if nodes is not None else [str(name) for name in busy.index]
    if len(names) <= _MAX_LANES:
        return names
    busiest = set(busy.nlargest(_MAX_LANES).index)
    return [name for name in names if name in busiest]


def _panel(axes: Axes, rows: pd.DataFrame, lanes: list[str], shade: str) -> None:
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_ylim(len(lanes) - 0.5, -0.95)
    axes.grid(visible=False, axis="y")
    for edge in range(1, len(lanes)):
        axes.axhline(edge - 0.5, color="#DDDDDD", linewidth=0.8)
    arrivals = _seconds(rows, "arrival")
    axes.plot(arrivals, np.full(len(arrivals), -0.72), "|", color=INK, markersize=8)
    for lane, node in enumerate(lanes):
        here = rows[rows["node"] == node].sort_values("start")
        _bars(axes, here, lane - 0.5, shade)
        _queue(axes, here, lane - 0.5 + _BAR + 0.12)


def _bars(axes: Axes, rows: pd.DataFrame, top: float, shade: str) -> None:
    start, finish = _seconds(rows, "start"), _seconds(rows, "finish")
    middle = top + 0.04 + _BAR / 2
    y = np.full(len(rows), middle)
    axes.barh(y, finish - start, left=start, height=_BAR, color=shade, edgecolor="white", linewidth=1.0)
    digit = _DIGIT * float(np.ptp(axes.get_xlim()))
    for task, begin, end in zip(rows["task"].astype(str), start, finish, strict=True):
        if end - begin > digit * len(task):
            axes.text((begin + end) / 2, middle, task, **_LABEL)


def _queue(axes: Axes, rows: pd.DataFrame, top: float) -> None:
    """Draw a line per waiting task, each in the highest row that is free when it starts to wait."""
    waiting = rows[rows["start"] > rows["placement"]].sort_values("placement")
    begin, end = _seconds(waiting, "placement"), _seconds(waiting, "start")
    free: list[float] = []
    depth = []
    for since, until in zip(begin, end, strict=True):
        row = next((k for k, freed in enumerate(free) if freed <= since), len(free))
        free[row : row + 1] = [until]
        depth.append(row)
    step = _QUEUE / max(len(free), 5)
    axes.hlines(top + step * np.array(depth), begin, end, color=_WAIT, linewidth=1.6)


def _seconds(rows: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    return rows[column].to_numpy(dtype=np.float64)
