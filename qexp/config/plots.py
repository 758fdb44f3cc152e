"""The key ``plots``: whether a run draws, and in which format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator
from typing_extensions import Doc

FORMATS = ("png", "pdf", "svg")
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def plot_format(plots: object) -> str | None:
    """Return the format of a run's plots, None if it draws none.

    Args:
        plots: Value of the key: truth, which is PNG, the name of a format, or ``{format: NAME}``.

    Raises:
        ValueError: It is none of these; the message says what it must be.
    """
    named = plots["format"] if isinstance(plots, Mapping) and set(plots) == {"format"} else plots
    if named in FORMATS:
        return str(named)
    if (truth := str(named).lower()) in {*TRUE, *FALSE}:
        return FORMATS[0] if truth in TRUE else None
    raise ValueError(f"must be true, false, {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")


def resolved_plots(plots: object) -> bool | str:
    """Return the key's value as a resolved configuration has it: a format's name only where it is not PNG.

    Raises:
        ValueError: See `plot_format`.
    """
    named = plot_format(plots)
    return named if named in FORMATS[1:] else named is not None


Plots = Annotated[
    Any,
    BeforeValidator(resolved_plots),
    Doc("Whether to draw plots into the run folder: true for PNG, false for none; plots.format=pdf or svg."),
]
