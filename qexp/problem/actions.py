"""Actions are checked before anything happens: a negative one must not count from the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from qexp.errors import InputError
from qexp.problem.answer import shown, whole_number
from qexp.problem.arrays import Bools, Ints


def checked_action(action: Any, count: int) -> int:
    """Return the action of one environment as an integer.

    Args:
        action: An integer, or an array of one.
        count: How many actions there are.

    Raises:
        InputError: It is none of them.
    """
    index = whole_number(action)
    if index is None:
        raise InputError(f"action {shown(action)}: it must be an integer {_range(count)}")
    if not 0 <= index < count:
        raise InputError(f"action {shown(action)}: it must be {_range(count)}")
    return index


def checked_pair(action: Any, gates: int) -> tuple[int, bool]:
    """Return the gate of an action ``(gate, wait)``, and whether it lets a cycle pass instead.

    Args:
        action: Two integers, of which the first is not looked at when the second is 1.
        gates: How many gates there may be.

    Raises:
        InputError: It is no such pair, or there is no such gate.
    """
    try:
        gate, wait = (whole_number(value) for value in action)
    except (TypeError, ValueError):
        gate = wait = None
    if wait == 1:
        return 0, True
    if wait != 0 or gate is None:
        raise InputError(
            f"action {shown(action)}: it must be (gate, 0) with a gate {_range(gates)}, or (0, 1) to wait"
        )
    if not 0 <= gate < gates:
        raise InputError(f"action: no gate {gate}; it must be {_range(gates)}")
    return gate, False


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
        raise InputError(
            f"actions of shape {given.shape}: {len(counted)} environments need shape {counted.shape}"
        )
    if given.dtype.kind not in "iu":
        raise InputError(
            f"actions {shown(given)} of type {given.dtype}: each must be an integer {_range(count)}"
        )
    if len(given) and (given.min() < 0 or given.max() >= count):
        wrong = ((given < 0) | (given >= count)) & counted
        if wrong.any():
            env = int(wrong.argmax())
            raise InputError(f"action {given[env]} of environment {env}: it must be {_range(count)}")
        given = np.where(counted, given, 0)
    return given


def _range(count: int) -> str:
    return f"between 0 and {count - 1}"
