"""When does each gate start: the schedules of one circuit, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from qexp.gates.plots.picture import draw
from qexp.gates.problem import Problem
from qexp.gates.schedule import forward_starts, makespan
from qexp.problem.style import figure


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
    with figure(path, height=len(schedulers) * (1.2 + 0.4 * lanes)) as canvas:
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
