"""The interface of service-time models."""

from __future__ import annotations

from abc import ABC, abstractmethod

from qexp.config.option import Configurable, group
from qexp.fleet.fleet import Fleet
from qexp.placement.workload.workload import Circuits
from qexp.problem.arrays import Floats


@group("env/service_time")
class ServiceTime(Configurable, ABC):
    """A model of the time a machine needs for a task."""

    @abstractmethod
    def seconds(self, circuits: Circuits, fleet: Fleet, shots: int) -> Floats:
        """Return the service time of each circuit on each machine, seconds, ``[circuits, machines]``.

        Entries of circuits that do not fit are unspecified.

        Args:
            circuits: The workload's circuits, compiled for the fleet.
            fleet: The machines.
            shots: Of each task.

        Raises:
            InputError: The workload lacks values that the model needs.
        """
