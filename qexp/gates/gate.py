"""The smallest noun: a gate of a circuit."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Gate(NamedTuple):
    """An operation on one qubit (which is then given twice) or two.

    Attributes:
        name: Kind of gate, as the machine calls it; its integer code in an encoded circuit.
        q1: First qubit, from 0; of a cnot the control.
        q2: Second qubit; equal to ``q1`` for a gate on one qubit.
    """

    name: str | int
    q1: int
    q2: int


Circuit: TypeAlias = list[Gate]
"""Gates in execution order, from left to right."""
