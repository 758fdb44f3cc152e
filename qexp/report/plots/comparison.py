"""Who is better over a whole sweep, and by how much?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

from qexp.problem.style import INK, colour, figure, row_label
from qexp.report.contenders import Contender

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSING = 50.0
"""Contenders that are slower than the reference by more than this, percent, are cut off at the edge."""
NARROWEST = 5.0
"""How far to both sides of the reference the axis reaches at least, percent."""


def plot(rows: Sequence[Contender], path: Path) -> None:
    """Draw each contender's change against the reference with its interval and its runs, a panel per section.

    Without the reference, the interquartile mean takes the change's place.

    Args:
        rows: At least one; in each section, the best first.
        path: Picture to write, see `qexp.problem.style.figure`.
    """
    sections: dict[str, list[Contender]] = {}
    for row in rows:
        sections.setdefault(row.section, []).append(row)
    heights = [0.9 + 0.34 * len(section) for section in sections.values()]
    relative = all(row.change is not None for row in rows)
    with figure(path, height=0.5 + sum(heights)) as canvas:
        grid = canvas.subplots(len(sections), squeeze=False, sharex=True, height_ratios=heights)
        for axes, (title, section) in zip(grid[:, 0], sections.items(), strict=True):
            _panel(axes, section, relative=relative)
            axes.set_title(title or f"{section[0].metric.title.capitalize()} over all runs")
        if relative:
            changes = [row.change for row in rows if row.change is not None]
            ends = [end for change in changes for end in (change.low, change.high) if end is not None]
            grid[-1, 0].set_xlim(1.1 * min([-NARROWEST, *ends]), min(LOSING, 1.1 * max([NARROWEST, *ends])))
        metrics = dict.fromkeys(row.metric for row in rows)
        against = " or ".join(f"{metric.title} against {metric.reference}" for metric in metrics)
        means = " or ".join(f"{metric.title} ({metric.unit})" for metric in metrics)
        grid[-1, 0].set_xlabel(
            f"{against} (%), negative is faster; line: 95 % interval, dots: runs"
            if relative
            else f"interquartile mean of the {means}, with 95 % interval"
        )


def _panel(axes: Axes, rows: Sequence[Contender], *, relative: bool) -> None:
    for height, row in enumerate(reversed(rows)):
        shade = colour(row.name, row.name if row.trained else None)
        value, low, high = astuple(row.change if relative and row.change is not None else row.iqm)
        if relative:
            if value > LOSING:
                axes.text(LOSING, height, f"{value:+.0f} % →", ha="right", va="center", color=shade)
                continue
            axes.scatter(row.of_runs_pct, [height] * row.runs, s=22, color=shade, alpha=0.6, linewidths=0)
        if low is not None and high is not None:
            axes.hlines(height, low, min(high, LOSING) if relative else high, color=shade, linewidth=2)
        axes.scatter(
            value, height, marker="D", s=36, color="white", edgecolors=shade, linewidths=1.6, zorder=4
        )
    axes.set_yticks(range(len(rows)), [row_label(row.name) for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(visible=False, axis="y")
    if relative:
        axes.axvline(0.0, color=INK, linewidth=1)
