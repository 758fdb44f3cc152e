"""Actions, answers and arguments are checked before they count: they may be anybody's."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from qexp.errors import InputError
from qexp.problem.arrays import Bools, Ints


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
    """Raise an `InputError` that names the known arguments if one that is given is none of them.

    Args:
        given: Names that a user gave.
        known: Names that there are.
    """
    known = list(known)
    if unknown := [name for name in given if name not in known]:
        raise InputError(f"unknown argument {', '.join(unknown)}: choose among {', '.join(known)}")


def checked_action(action: Any, count: int) -> int:
    """Return the action of one environment as an integer.

    Args:
        action: An integer, or an array of one.
        count: How many actions there are; a negative one does not count from the end.

    Raises:
        InputError: It is none of them.
    """
    index = whole_number(action)
    if index is None or not 0 <= index < count:
        kind = "an integer " if index is None else ""
        raise InputError(f"action {shown(action)}: it must be {kind}{range_of(count)}")
    return index


def checked_actions(actions: Any, counted: Bools, count: int) -> Ints:
    """Return the actions of a vector environment as integers, with 0 where an unusable one does not count.

    Args:
        actions: An integer for each environment.
        counted: Environments whose action counts; the others begin a new episode, shape ``[num_envs]``.
        count: How many actions there are.

    Raises:
        InputError: The shape is another, or an action that counts is none of them.
    """
    given = np.asarray(actions)
    if given.shape != counted.shape:
        needed = f"{len(counted)} environments need shape {counted.shape}"
        raise InputError(f"actions of shape {given.shape}: {needed}")
    if given.dtype.kind not in "iu":
        needed = f"each must be an integer {range_of(count)}"
        raise InputError(f"actions {shown(given)} of type {given.dtype}: {needed}")
    if len(given) and (given.min() < 0 or given.max() >= count):
        wrong = ((given < 0) | (given >= count)) & counted
        if wrong.any():
            env = int(wrong.argmax())
            raise InputError(f"action {given[env]} of environment {env}: it must be {range_of(count)}")
        given = np.where(counted, given, 0)
    return given


def range_of(count: int) -> str:
    """Return which indices there are, for messages."""
    return f"between 0 and {count - 1}"
