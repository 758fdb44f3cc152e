"""The share of time that each scheduler has each machine busy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from qexp.problem.style import figure, row_label

# More columns than this leave no room for a number in each cell.
_ANNOTATED_NODES = 16
# And beyond these there is no room for upright names, or for names at all.
_UPRIGHT_NODES = 6
_NAMED_NODES = 40


def utilisation(tasks: pd.DataFrame) -> pd.DataFrame:
    """Busy time / horizon, mean over episodes; one row per scheduler, one column per machine.

    The horizon of an episode runs from its first arrival to its last finish. ``tasks`` has one row per
    (scheduler, episode, task): `node`, `arrival`, `finish` and `service` (s).
    """
    groups = tasks.groupby(["scheduler", "episode"], sort=False)
    horizon = groups["finish"].max() - groups["arrival"].min()
    busy = tasks.pivot_table(
        index=["scheduler", "episode"], columns="node", values="service", aggfunc="sum", fill_value=0.0
    )
    return busy.div(horizon, axis="index").groupby("scheduler").mean()


def plot(
    tasks: pd.DataFrame, path: Path, *, schedulers: Sequence[str], nodes: Sequence[str] | None = None
) -> None:
    """Draw a map of utilisation, schedulers by machines.

    Args:
        tasks: See `utilisation`.
        path: Picture to write, see `qexp.problem.style.figure`.
        schedulers: Rows from top to bottom.
        nodes: Columns from left to right, idle ones included; by default those that were used, by name.
    """
    columns = None if nodes is None else list(nodes)
    share = utilisation(tasks).reindex(index=list(schedulers), columns=columns, fill_value=0.0)
    table = 100.0 * share.to_numpy(dtype=np.float64)
    with figure(path, height=1.9 + 0.38 * len(table)) as canvas:
        axes = canvas.subplots()
        image = axes.imshow(table, cmap="cividis", vmin=0.0, vmax=100.0, aspect="auto")
        if table.shape[1] <= _ANNOTATED_NODES:
            for row, column in np.ndindex(table.shape):
                value = table[row, column]
                ink = "white" if value < 55.0 else "black"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=ink)
        if table.shape[1] <= _NAMED_NODES:
            axes.set_xticks(range(table.shape[1]), [str(name) for name in share.columns])
        else:
            axes.set_xlabel("node, in the fleet's order")
        axes.set_yticks(range(table.shape[0]), [row_label(name) for name in schedulers])
        if table.shape[1] > _UPRIGHT_NODES:
            for label in axes.get_xticklabels():
                label.set(rotation=60, ha="right", rotation_mode="anchor")
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(length=0)
        axes.set_title("Node utilisation: busy time / horizon, mean over episodes")
        canvas.colorbar(image, ax=axes, label="utilisation (%)", pad=0.02)
