"""One episode: the circuit a scheduler will meet, on its machine."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.gates.problem import Problem


@dataclass(frozen=True)
class GateEpisode:
    """A circuit to schedule.

    Attributes:
        name: Where the circuit comes from, for people.
        problem: The circuit on its machine.
    """

    name: str
    problem: Problem

    def __len__(self) -> int:
        return len(self.problem)
