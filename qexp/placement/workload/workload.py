"""The interface of workloads: circuits, as compiled for a fleet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from qexp.config.option import Configurable, group
from qexp.fleet.fleet import Fleet
from qexp.problem.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class Circuits:
    """Circuits as compiled for each machine of a fleet.

    Attributes:
        names: Algorithm and width of each circuit, for example ``qft_12``; length ``circuits``.
        width: Qubits, shape ``[circuits]``.
        depth: Logical depth, layers, shape ``[circuits]``.
        feasible: Whether the circuit fits the machine, shape ``[circuits, machines]``.
        compiled_depth: Depth on the machine, layers, NaN where it does not fit, ``[circuits, machines]``.
        duration: One shot's duration, seconds, NaN where unknown, ``[circuits, machines]``.
        esp: Estimated success probability, 0 where it does not fit, ``[circuits, machines]``.
        subsets: For a workload with fixed episodes, the circuits of each episode in file order; None
            where tasks are drawn at random.
    """

    names: list[str]
    width: Ints
    depth: Ints
    feasible: Bools
    compiled_depth: Floats
    duration: Floats
    esp: Floats
    subsets: list[Ints] | None = None


@group("env/workload")
class Workload(Configurable, ABC):
    """A source of tasks.

    Attributes:
        any_fleet: Whether its circuits are known for whatever machines there are.
        shots: Repetitions of every circuit.
    """

    any_fleet: ClassVar[bool] = True

    shots: int

    @abstractmethod
    def circuits(self, fleet: Fleet) -> Circuits:
        """Return the circuits as compiled for a fleet.

        Raises:
            InputError: The source cannot be read, or leaves tasks that no machine can run.
        """
