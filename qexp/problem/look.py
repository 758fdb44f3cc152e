"""The look of all pictures: settings for matplotlib, and colours that colour-blind readers can tell apart."""

from __future__ import annotations

from typing import Any

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
}
