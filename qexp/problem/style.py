"""One look for all pictures, in colours that colour-blind readers can tell apart.

Figures are made with matplotlib's objects and canvases, never through pyplot, so that plotting needs no
display and leaves no global state behind. The same picture is the same file, byte by byte, in every format.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qexp.problem.problem import metrics

# From Okabe and Ito, "Color Universal Design" (2008), except the grey.
LEARNED = "#D55E00"
REFERENCE = "#0072B2"
CLAIRVOYANT = "#009E73"
OTHER = "#8C8C8C"
INK = "#222222"
PALETTE = (REFERENCE, "#E69F00", CLAIRVOYANT, "#CC79A7", "#56B4E9", LEARNED, "#F0E442", OTHER)
"""Colours for things that have no meaning of their own, in the order to use them."""

LOOK: dict[Any, Any] = {
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
    "pdf.fonttype": 42,  # TrueType: many publishers refuse Type 3
    "svg.hashsalt": "qexp",  # else elements have other names in every file
}
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
}
"""Metadata of each format that say when and by what a file was made."""

LONGEST_LABEL = 15
# 9 inches shown 900 px wide; twice the pixels keep it sharp on dense screens.
WIDTH = 9.0
DPI = 200


@contextmanager
def figure(path: Path, height: float) -> Iterator[Figure]:
    """Give a figure of README width to draw on, and write it.

    Args:
        path: Where to, with the suffix of one of the formats in `METADATA`; its folder must exist.
        height: Inches.
    """
    with mpl.rc_context(LOOK):
        canvas = FigureCanvasAgg(Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained"))
        yield canvas.figure
        save(canvas.figure, path)


def save(picture: Figure, path: Path) -> None:
    """Write a figure in the format that the file's suffix names; call it in the context of `LOOK`.

    Args:
        picture: The figure.
        path: Where to.

    Raises:
        ValueError: There is no such format.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in METADATA:
        raise ValueError(f"{path}: pictures are {', '.join(METADATA)}")
    picture.savefig(path, format=kind, dpi=DPI, metadata=METADATA[kind])


def colour(scheduler: str, learned: str | None) -> str:
    """Return the same colour for a scheduler in every plot: learned, reference and ideal stand out.

    Args:
        scheduler: Name of the scheduler.
        learned: Name of the learned one, or None.
    """
    known = metrics().values()
    special = {metric.reference: REFERENCE for metric in known}
    special |= {metric.ideal: CLAIRVOYANT for metric in known}
    return LEARNED if scheduler == learned else special.get(scheduler, OTHER)


def row_label(name: str) -> str:
    """Return a scheduler's name as it fits beside a row: a long one on several lines."""
    return name if len(name) <= LONGEST_LABEL else "\n".join(textwrap.wrap(name, LONGEST_LABEL))
