"""One episode: the tasks a scheduler will meet, as arrays, and the rules by which machines take them."""

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
        service: Service time on each machine, seconds, infinite where it does not fit, ``[tasks, machines]``.
        esp: Estimated success probability, 0 where it does not fit, ``[tasks, machines]``.
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


@dataclass(frozen=True)
class Rules:
    """How machines take tasks."""

    mask: bool = True  # schedulers may only choose machines that a circuit fits on
    rescheduling_delay: float = 1.0  # seconds after which a refused task asks again
    max_refusals: int = 1000  # a task refused this often fails
    initial_backlog: float = 0.0  # seconds of work queued on every machine at time 0


DEFAULT_RULES = Rules()
