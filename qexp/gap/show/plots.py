"""The gap report's plots, one function per picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qexp.gap.calibrate.holdout import halves
from qexp.gap.gap import Gap
from qexp.gap.measure.decomposition import Decomposition
from qexp.gap.measure.machines import ALL, QUANTITIES, MachineGap
from qexp.gap.measure.records import Record, column, nodes_of, undisturbed
from qexp.gap.show.tables import extent, per_task
from qexp.problem.arrays import Floats
from qexp.problem.style import CLAIRVOYANT, INK, LEARNED, OTHER, PALETTE, REFERENCE, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = {
    "delay": ("delay of acceptance", OTHER),
    "execution": ("execution", REFERENCE),
    "queue_execution": ("queue: our own jobs", "#56B4E9"),
    "queue_submission": ("queue: acceptance", "#F0E442"),
    "queue_foreign": ("queue: foreign load", LEARNED),
    "unknown": ("unknown", INK),
}
WAYS = {
    "measured": ("measured", INK, "D", 0.0),
    "simulated": ("simulated", OTHER, "o", 0.18),
    "replayed": ("replayed", REFERENCE, "o", 0.0),
    "replayed_calibrated": ("replayed, calibrated (second half)", LEARNED, "o", -0.18),
}
"""Label, colour, mark, and how far above its scheduler's line: equal figures must not hide each other."""
TASKS = {
    "wait": "wait at the decision (s)",
    "execution": "execution (s)",
    "fidelity": "fidelity against ESP",
}
MACHINES = {"wait_open_loop": "wait, simulated", "execution": "execution", "fidelity": "fidelity / ESP"}
"""Titles of the panels, by quantity."""
LEAST_PART = 1e-3
"""Parts of the gap below this share of what was measured are not drawn."""
MOST_COLOURS = len(PALETTE)
MOST_MACHINES = 20
"""Machines with a line of their own; of more, those with the most tasks."""


def draw(gap: Gap, folder: Path, kind: str = "png") -> list[Path]:
    """Draw what there are figures for.

    Args:
        gap: The report.
        folder: Made if missing.
        kind: Format of the pictures: png, pdf or svg.

    Returns:
        Paths, in the order to look at them.
    """
    if not gap.counted:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    plots: list[tuple[str, Callable[[Gap, Path], None], bool]] = [
        ("gap_decomposition", decomposition, bool(gap.segments)),
        ("gap_tasks", tasks, True),
        ("gap_machines", machines, any(row.factor is not None for row in gap.machines)),
        ("gap_schedulers", schedulers, bool(gap.schedulers)),
        ("gap_calibration", calibration, bool(gap.hold_out.held_out)),
    ]
    paths = []
    for name, plot, wanted in plots:
        if wanted:
            paths.append(folder / f"{name}.{kind}")
            plot(gap, paths[-1])
    return paths


def decomposition(gap: Gap, path: Path) -> None:
    """Draw the parts of the gap for each scheduler, mean per task: to the right what made tasks slower.

    Args:
        gap: The measurements.
        path: Picture to write, see `qexp.problem.style.figure`.
    """
    groups: dict[str, list[Decomposition]] = {}
    for segment in gap.segments:
        groups.setdefault(segment.scheduler, []).append(segment)
    names, segments = list(groups)[::-1], list(groups.values())[::-1]

    def means(part: str) -> Floats:
        return np.array([per_task(its, part) for its in segments])

    right, left = np.zeros(len(names)), np.zeros(len(names))
    gaps, measured = means("gap"), means("measured")
    least = LEAST_PART * measured.max()
    with figure(path, height=2.2 + 0.5 * len(names)) as canvas:
        axes = canvas.subplots()
        for part, (label, colour) in PARTS.items():
            sizes = means(part)
            if np.abs(sizes).max() < least:
                continue
            axes.barh(
                names, sizes, left=np.where(sizes >= 0, right, left), height=0.6, color=colour, label=label
            )
            right, left = right + np.maximum(sizes, 0), left + np.minimum(sizes, 0)
        axes.plot(gaps, names, "D", color="white", markeredgecolor=INK, markersize=7, label="gap")
        for y, (value, whole) in enumerate(zip(gaps, measured, strict=True)):
            text = f"{value:+z.1f} s; measured {whole:.1f} s"
            axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center")
        axes.axvline(0.0, color=INK, linewidth=1.0)
        if max(right.max(), -left.min(), np.abs(gaps).max()) < least:
            axes.set_xlim(-1.0, 1.0)  # else the axis would show how numbers are rounded
        # Bars would else end at the frame, and a gap there lose half its mark.
        axes.use_sticky_edges = False
        axes.margins(x=0.05)
        axes.grid(visible=False, axis="y")
        axes.set_title("Measured - simulated completion time, by cause")
        axes.set_xlabel("seconds per task; simulated from an empty cloud with the recorded placements")
        handles, labels = axes.get_legend_handles_labels()
        canvas.legend(handles[1:] + handles[:1], labels[1:] + labels[:1], loc="outside lower center", ncols=4)


def tasks(gap: Gap, path: Path) -> None:
    """Draw every task, predicted against measured: wait, execution and fidelity.

    Args:
        gap: The measurements.
        path: Picture to write, see `qexp.problem.style.figure`.
    """
    names = list(gap.calibration.machines)
    rows = [row for row in gap.tasks if row.counted]
    with figure(path, height=3.8) as canvas:
        panels = canvas.subplots(1, 3)
        for axes, (quantity, title) in zip(panels, TASKS.items(), strict=True):
            _scatter(axes, rows, quantity, names, title)
            axes.set_xlabel("predicted")
        panels[0].set_ylabel("measured")
        handles = panels[1].get_legend_handles_labels()
        if len(handles[0]):
            canvas.legend(*handles, loc="outside lower center", ncols=6, markerscale=2)


def _scatter(axes: Axes, rows: Sequence[Record], quantity: str, names: Sequence[str], title: str) -> None:
    measured, predicted = (column(rows, name) for name in QUANTITIES[quantity])
    machine = np.array(nodes_of(rows, names), dtype=np.int64)
    known = ~np.isnan(measured) & ~np.isnan(predicted)
    axes.set_title(title)
    if not known.any():
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=OTHER)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for index, name in enumerate(names):
        mine = known & (machine == index)
        colour = PALETTE[index] if len(names) <= MOST_COLOURS else REFERENCE
        label = name if len(names) <= MOST_COLOURS else None
        axes.scatter(
            predicted[mine], measured[mine], s=12, color=colour, alpha=0.6, linewidths=0, label=label
        )
    _diagonal(axes, np.concatenate([measured[known], predicted[known]]), unit=quantity == "fidelity")


def _diagonal(axes: Axes, values: Floats, *, unit: bool = False) -> None:
    """Draw where predicted is measured, on equal axes; times that span decades on logarithmic ones."""
    if unit:
        low, high = -0.03, 1.03
    elif values.min() > 0 and values.max() > 30 * values.min():
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = values.min() / 1.3, values.max() * 1.3
    else:
        low = 0.0 if values.min() >= 0 else values.min() * 1.05
        high = values.max() * 1.05 if values.max() > 1e-6 else 1.0
    axes.plot([low, high], [low, high], color=INK, linewidth=1.0, linestyle="--")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_box_aspect(1)


def machines(gap: Gap, path: Path) -> None:
    """Draw measured over predicted on each machine: median, its interval, and the spread of single tasks.

    Args:
        gap: The measurements.
        path: Picture to write, see `qexp.problem.style.figure`.
    """
    known_factors = {row.quantity for row in gap.machines if row.factor is not None}
    titles = {quantity: title for quantity, title in MACHINES.items() if quantity in known_factors}
    tasks = {row.machine: row.tasks for row in gap.machines if row.quantity == "completion_open_loop"}
    known = [name for name in gap.calibration.machines if name in tasks]
    most = sorted(known, key=lambda name: -tasks[name])[:MOST_MACHINES]
    names = [*(name for name in known if name in most), ALL]
    with figure(path, height=1.8 + 0.42 * len(names)) as canvas:
        panels = canvas.subplots(1, len(titles), sharey=True, squeeze=False)[0]
        for axes, (quantity, title) in zip(panels, titles.items(), strict=True):
            axes.set_xscale("log")
            axes.axvline(1.0, color=INK, linewidth=1.0, linestyle="--")
            for row in gap.machines:
                if row.quantity == quantity and row.machine in names:
                    _factor(axes, names.index(row.machine), row)
            axes.set_title(title)
            axes.set_xlabel("measured / predicted")
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
            _plain_ticks(axes)
        legend = "dot: median; thick: its 95 % interval; thin: geometric standard deviation of single tasks"
        if len(known) > len(most):
            legend += f"\nthe {len(most)} machines of {len(known)} that ran the most tasks"
        canvas.supxlabel(legend, fontsize=10)


def _factor(axes: Axes, y: int, row: MachineGap) -> None:
    if row.factor is None:
        return
    if row.spread is not None:
        axes.hlines(y, row.factor / row.spread, row.factor * row.spread, color=OTHER, linewidth=1.5)
    if row.factor_low is not None and row.factor_high is not None:
        axes.hlines(y, row.factor_low, row.factor_high, color=REFERENCE, linewidth=4.5)
    axes.plot(row.factor, y, "o", color="white", markeredgecolor=INK, markersize=7)


def _plain_ticks(axes: Axes) -> None:
    """Label a logarithmic axis with numbers a person would say."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    low, high = min(low, 1 / 1.2), max(high, 1.2)
    axes.set_xlim(low, high)
    wide = ((60.0, (1.0,)), (4.0, (1.0, 2.0, 5.0)), (0.0, (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0)))
    axes.xaxis.set_major_locator(LogLocator(subs=next(subs for span, subs in wide if high / low >= span)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def schedulers(gap: Gap, path: Path) -> None:
    """Draw each scheduler's mean completion time, measured, simulated and replayed.

    Args:
        gap: The measurements.
        path: Picture to write, see `qexp.problem.style.figure`.
    """
    rows = gap.schedulers[::-1]
    with figure(path, height=2.2 + 0.42 * len(rows)) as canvas:
        axes = canvas.subplots()
        heights = np.arange(len(rows))
        for way, (label, colour, marker, above) in WAYS.items():
            values = np.array([getattr(row, way) for row in rows], dtype=np.float64)
            if not np.isnan(values).all():
                size = 70 if way == "measured" else 45
                places = (values, heights + above)
                axes.scatter(*places, s=size, color=colour, marker=marker, label=label, zorder=3, alpha=0.9)
        names = [row.scheduler if row.ran else f"{row.scheduler} (did not run)" for row in rows]
        axes.set_yticks(heights, names)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(left=0)
        axes.set_title(f"Mean completion time of {extent(rows)}")
        axes.set_xlabel("seconds; replayed: with the foreign load and delays of the campaign")
        canvas.legend(loc="outside lower center", ncols=4)


def calibration(gap: Gap, path: Path) -> None:
    """Draw the second half: total completion time, and each task's completion time before and after.

    Args:
        gap: The measurements.
        path: Picture to write, see `qexp.problem.style.figure`.
    """
    held = gap.hold_out
    tasks = undisturbed(gap.tasks)
    _, first = halves(tasks)
    rows = [row for row in tasks if row.counted and row.id not in first]
    with figure(path, height=4.2) as canvas:
        left, right = canvas.subplots(1, 2, width_ratios=(1.25, 1))
        totals = {
            "measured": held.total_before.measured,
            "predicted\nbefore": held.total_before.predicted,
            "predicted\ncalibrated": held.total_after.predicted,
            "and foreign\nload": held.total_after_load.predicted,
        }
        bars = left.bar(
            list(totals), list(totals.values()), width=0.65, color=[INK, OTHER, REFERENCE, CLAIRVOYANT]
        )
        errors = (None, *(t.error_pct for t in (held.total_before, held.total_after, held.total_after_load)))
        left.bar_label(bars, ["" if error is None else f"{error:+z.1f} %" for error in errors], padding=3)
        left.set_title("Total completion time, second half")
        left.set_ylabel("seconds")
        left.grid(visible=False, axis="x")
        left.margins(y=0.12)
        timed = [row for row in rows if row.split]
        measured, after = column(timed, "execution"), column(timed, "calibrated_execution")
        before = column(timed, "simulated_completion") - column(timed, "simulated_wait")
        right.scatter(before, measured, s=12, color=OTHER, alpha=0.6, linewidths=0, label="before")
        right.scatter(after, measured, s=12, color=REFERENCE, alpha=0.6, linewidths=0, label="calibrated")
        if timed:
            _diagonal(right, np.concatenate([measured, before, after]))
        right.set_title("Execution, second half")
        right.set_xlabel("predicted (s)")
        right.set_ylabel("measured (s)")
        right.legend(loc="best")
