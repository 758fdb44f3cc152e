"""One look for all plots: that of `qexp.problem.look`, in the width of a README column.

Figures are made with matplotlib's objects and the Agg canvas, never through pyplot, so that plotting needs no
display and leaves no global state behind.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qexp.problem.look import CLAIRVOYANT, INK, LEARNED, LOOK, OTHER, REFERENCE
from qexp.problem.problem import metrics

__all__ = ["INK", "LEARNED", "REFERENCE", "colour", "figure", "row_label"]

LONGEST_LABEL = 15
# 9 inches shown 900 px wide; twice the pixels keep it sharp on dense screens.
WIDTH = 9.0
DPI = 200


@contextmanager
def figure(path: Path, height: float) -> Iterator[Figure]:
    """Give a figure of README width to draw on, and write it as PNG.

    Args:
        path: Where to; its folder must exist.
        height: Inches.
    """
    with mpl.rc_context(LOOK):
        canvas = FigureCanvasAgg(Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained"))
        yield canvas.figure
        canvas.figure.savefig(path, format="png", metadata={"Software": None})


def colour(scheduler: str, learned: str | None) -> str:
    """The same colour for a scheduler in every plot: learned, reference and ideal stand out from the grey."""
    known = metrics().values()
    special = {metric.reference: REFERENCE for metric in known}
    special |= {metric.ideal: CLAIRVOYANT for metric in known}
    return LEARNED if scheduler == learned else special.get(scheduler, OTHER)


def row_label(name: str) -> str:
    """Return a scheduler's name as it fits beside a row: a long one on several lines."""
    return name if len(name) <= LONGEST_LABEL else "\n".join(textwrap.wrap(name, LONGEST_LABEL))
