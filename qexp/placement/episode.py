"""One episode: the tasks a scheduler will meet, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.problem.arrays import Floats, Ints


@dataclass(frozen=True)
class Episode:
    """Tasks in order of arrival.

    Attributes:
        names: Circuit of each task.
        arrival: Seconds, ascending, shape ``[tasks]``.
        width: Qubits, shape ``[tasks]``.
        depth: Logical depth, layers, shape ``[tasks]``.
        shots: Repetitions of every circuit.
        service: Service time on each node, seconds, infinite where it does not fit, ``[tasks, nodes]``.
        esp: Estimated success probability, 0 where it does not fit, ``[tasks, nodes]``.
    """

    names: list[str]
    arrival: Floats
    width: Ints
    depth: Ints
    shots: int
    service: Floats
    esp: Floats

    def __len__(self) -> int:
        return len(self.arrival)
