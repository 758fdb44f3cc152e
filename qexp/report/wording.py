"""Figures as sentences and tables have them."""

from __future__ import annotations

import re


def number_of(count: int, word: str) -> str:
    """Return a number of things in words: 1 job, 2 jobs."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def share(value: float | None) -> str:
    """Format a share; far below zero it says only that the gap is nearly nothing."""
    if value is None:
        return "-"
    return f"{value:z.0%}" if value > -10 else "<-999%"


def metric_part(name: str) -> str:
    """Return a name as part of a metric's: MLflow allows no equals sign, among others."""
    return re.sub(r"[^\w. -]+", ":", name)
