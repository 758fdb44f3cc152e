"""Figures as sentences and tables have them."""

from __future__ import annotations

import re


def number_of(count: int, word: str) -> str:
    """Return a number of things in words: 1 job, 2 jobs.

    Args:
        count: How many.
        word: Singular of a word with a regular plural.
    """
    return f"{count} {word}{'' if count == 1 else 's'}"


def number(value: float | None, sign: str = "") -> str:
    """Format with as many decimals as three significant digits need, at most three.

    Args:
        value: A figure, or None if it is not defined.
        sign: ``+`` if a positive one is to have its sign.
    """
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:{sign}z.{0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3}f}"


def rounded(value: float, sign: str = "") -> str:
    """Format with one decimal up to 100 and none above: the intervals are wider than that.

    Args:
        value: A figure.
        sign: ``+`` if a positive one is to have its sign.
    """
    return f"{value:{sign}z.{1 if abs(value) < 99.95 else 0}f}"


def share(value: float) -> str:
    """Format a share; far below zero it says only that the gap is nearly nothing."""
    return f"{value:z.0%}" if value > -10 else "<-999%"


def metric_part(name: str) -> str:
    """Return a name as part of a metric's: MLflow allows no equals sign, among others."""
    return re.sub(r"[^\w. -]+", ":", name)
