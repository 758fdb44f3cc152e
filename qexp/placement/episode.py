"""One episode: the tasks a scheduler will meet, as arrays, and the rules by which machines take them."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.problem.arrays import Floats, Ints


@dataclass(frozen=True)
class Episode:
    """Tasks in order of arrival."""

    names: list[str]  # circuit of each task
    arrival: Floats  # seconds, ascending, [tasks]
    width: Ints  # qubits, [tasks]
    depth: Ints  # logical depth, layers, [tasks]
    shots: int  # repetitions of every circuit
    service: Floats  # on each machine, seconds, infinite where it does not fit, [tasks, machines]
    esp: Floats  # estimated success probability, 0 where it does not fit, [tasks, machines]

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
