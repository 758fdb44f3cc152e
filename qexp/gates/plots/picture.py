"""A schedule as a picture: a lane for each qubit, a box for each gate on each of its qubits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from qexp.gates.problem import Problem
from qexp.gates.schedule import forward_starts, makespan
from qexp.problem import style
from qexp.problem.arrays import Ints
from qexp.problem.style import INK, LOOK, PALETTE

if TYPE_CHECKING:
    import pandas as pd

_BOX = 0.7  # height, of a lane of height 1
_LETTER = 0.011  # share of the time axis that one letter of a label needs
_DPI = 100


def draw(axes: Axes, problem: Problem, starts: Sequence[int] | Ints, *, now: int = 0) -> None:
    """Draw the gates that are placed, qubit 0 at the bottom, the last cycle of the schedule at the right.

    Args:
        axes: Where to draw.
        problem: What is scheduled.
        starts: Backward start cycle of each gate, -1 while it is not placed.
        now: Current cycle of an unfinished schedule: the axis reaches at least that far.
    """
    end = max(makespan(problem, starts), now, 1)
    kinds = sorted({code for code, start in zip(problem.codes, starts, strict=True) if start >= 0})
    room = end * _LETTER
    for place, code in enumerate(kinds):
        gates = [i for i, kind in enumerate(problem.codes) if kind == code and starts[i] >= 0]
        cycles, shade = problem.machine.cycles[code], PALETTE[place % len(PALETTE)]
        name = problem.machine.names[code]
        lanes = [(i, qubit) for i in gates for qubit in dict.fromkeys((problem.q1[i], problem.q2[i]))]
        # A gate that starts in backward cycle s covers forward cycles end - s - cycles to end - s.
        left = [end - int(starts[i]) - cycles for i, _ in lanes]
        rows = [qubit for _, qubit in lanes]
        axes.barh(rows, cycles, _BOX, left, color=shade, edgecolor="white", linewidth=1.0, zorder=2)
        _links(axes, problem, [i for i in gates if problem.q1[i] != problem.q2[i]], starts, end)
        if cycles > room * len(name):
            for begin, row in zip(left, rows, strict=True):
                axes.text(begin + cycles / 2, row, name, ha="center", va="center", fontsize=8.5, zorder=3)
    if now:
        axes.axvline(end - now, color=INK, linewidth=1.0, linestyle="--", zorder=4)
    n_qubits = problem.machine.n_qubits
    axes.set_yticks(range(n_qubits), [f"Q{qubit}" for qubit in range(n_qubits)])
    axes.set_ylim(-0.6, n_qubits - 0.4)
    axes.set_xlim(0, end)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("cycle" if end == makespan(problem, starts) else "cycle, of the schedule so far")
    handles = [
        Patch(color=PALETTE[place % len(PALETTE)], label=problem.machine.names[code])
        for place, code in enumerate(kinds)
    ]
    if handles:
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _links(axes: Axes, problem: Problem, gates: list[int], starts: Sequence[int] | Ints, end: int) -> None:
    """Join the boxes of each gate by a line behind all boxes, gates of one cycle side by side."""
    for start in {int(starts[i]) for i in gates}:
        together = [i for i in gates if starts[i] == start]
        for rank, i in enumerate(together, start=1):
            x = end - start - problem.cycles[i] * rank / (len(together) + 1)
            low, high = sorted((problem.q1[i], problem.q2[i]))
            axes.plot([x, x], [low, high], color=INK, linewidth=1.2, zorder=1.5)
            tips = [low + _BOX / 2, high - _BOX / 2]
            axes.plot([x, x], tips, "o", color=INK, markersize=3.5, zorder=3)


def plot(
    gates: pd.DataFrame, path: Path, *, episode: int, schedulers: Sequence[str], problem: Problem
) -> None:
    """Draw one panel per scheduler, the same circuit on the same axis of cycles.

    Args:
        gates: One row per (scheduler, episode, gate), with `start`, the cycle in which it starts.
        path: Picture to write, see `qexp.problem.style.figure`.
        episode: Which episode.
        schedulers: Panels from top to bottom.
        problem: The episode's circuit on its machine.
    """
    lanes = problem.machine.n_qubits
    with style.figure(path, height=len(schedulers) * (1.2 + 0.4 * lanes)) as canvas:
        panels = canvas.subplots(len(schedulers), sharex=True, squeeze=False)[:, 0]
        longest = 1
        for axes, name in zip(panels, schedulers, strict=True):
            rows = gates[(gates["scheduler"] == name) & (gates["episode"] == episode)].sort_values("gate")
            backward = forward_starts(problem, rows["start"].to_numpy())
            cycles = makespan(problem, backward)
            longest = max(longest, cycles)
            draw(axes, problem, backward)
            axes.set_title(f"{name}: {cycles} cycles")
            if axes is not panels[-1]:
                axes.set_xlabel("")
        panels[-1].set_xlim(0, longest)


def pixels(
    problem: Problem, starts: Sequence[int] | Ints, size: tuple[int, int], *, now: int = 0
) -> npt.NDArray[np.uint8]:
    """Return a schedule as a picture of a size (width, height): red, green, blue, ``[height, width, 3]``.

    Args:
        problem: The circuit on its machine.
        starts: Start cycles in backward time, ``[gates]``; -1 is a gate not placed.
        size: Width and height, pixels.
        now: Current cycle, in backward time.
    """
    with mpl.rc_context(LOOK):
        canvas = _canvas((size[0] / _DPI, size[1] / _DPI), problem, starts, now)
        canvas.draw()  # type: ignore[no-untyped-call]
        rgba = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
        return rgba[:, :, :3].copy()


def save(problem: Problem, starts: Sequence[int] | Ints, path: str | Path) -> None:
    """Write a schedule as a picture; its size follows from the number of qubits.

    Args:
        problem: What is scheduled.
        starts: Backward start cycle of each gate, -1 while it is not placed.
        path: Where to; its suffix is the format, png, pdf or svg.

    Raises:
        ValueError: The suffix is none of these.
    """
    with mpl.rc_context(LOOK):
        canvas = _canvas((style.WIDTH, 1.4 + 0.4 * problem.machine.n_qubits), problem, starts, 0)
        style.save(canvas.figure, Path(path))


def _canvas(
    inches: tuple[float, float], problem: Problem, starts: Sequence[int] | Ints, now: int
) -> FigureCanvasAgg:
    canvas = FigureCanvasAgg(Figure(figsize=inches, dpi=_DPI, layout="constrained"))
    axes = canvas.figure.subplots()
    draw(axes, problem, starts, now=now)
    axes.set_title(f"{sum(int(start) >= 0 for start in starts)} of {len(problem)} gates placed")
    return canvas
