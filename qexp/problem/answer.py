"""What a scheduler answers is checked before it counts: it may be anybody's."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from qexp.errors import InputError


def whole_number(value: Any) -> int | None:
    """Return an integer, or an array of one, as ``int``; None for everything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    try:
        return operator.index(value)
    except TypeError:
        return None


def shown(value: Any) -> str:
    """Return what was given on one short line."""
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise an `InputError` that names the known arguments if one that is given is none of them."""
    known = list(known)
    if unknown := [name for name in given if name not in known]:
        raise InputError(f"unknown argument {', '.join(unknown)}: choose among {', '.join(known)}")
