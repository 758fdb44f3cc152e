"""One look for all plots: the width of a README column, and colours that colour-blind readers can tell apart.

Figures are made with matplotlib's objects and the Agg canvas, never through pyplot, so that plotting needs no
display and leaves no global state behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# 9 inches shown 900 px wide; twice the pixels keep it sharp on dense screens.
WIDTH = 9.0
DPI = 200

# From Okabe and Ito, "Color Universal Design" (2008), except the grey.
LEARNED = "#D55E00"
REFERENCE = "#0072B2"
CLAIRVOYANT = "#009E73"
OTHER = "#8C8C8C"
INK = "#222222"

_LOOK: dict[Any, Any] = {
    "font.size": 11.0,
    "axes.titlesize": 12.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.unicode_minus": True,
}


@contextmanager
def figure(path: Path, height: float) -> Iterator[Figure]:
    """Give a figure of README width to draw on, and write it as PNG.

    Args:
        path: Where to; its folder must exist.
        height: Inches.
    """
    with mpl.rc_context(_LOOK):
        canvas = FigureCanvasAgg(Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained"))
        yield canvas.figure
        canvas.figure.savefig(path, format="png", metadata={"Software": None})


def colour(scheduler: str, learned: str | None) -> str:
    """The same colour for a scheduler in every plot: learned, mct and clairvoyant stand out from the grey."""
    special = {"mct": REFERENCE, "clairvoyant": CLAIRVOYANT}
    return LEARNED if scheduler == learned else special.get(scheduler, OTHER)
