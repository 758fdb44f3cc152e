"""How long a machine is busy with a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from typing_extensions import Doc

from qexp.config.option import Configurable, group, option
from qexp.errors import InputError
from qexp.fleet.fleet import Fleet
from qexp.placement.workload.workload import Circuits
from qexp.problem.arrays import Floats


@group("env/service_time")
class ServiceTime(Configurable, ABC):
    """A model of the time a machine needs for a task."""

    @abstractmethod
    def seconds(self, circuits: Circuits, fleet: Fleet, shots: int) -> Floats:
        """Return the service time of each circuit on each machine, seconds, shape ``[circuits, machines]``.

        Entries of circuits that do not fit are unspecified.

        Args:
            circuits: As compiled for the fleet.
            fleet: The machines.
            shots: Repetitions of every circuit.

        Raises:
            InputError: The workload does not tell what the model needs.
        """


@option("env/service_time")
@dataclass
class ClopsDepth(ServiceTime):
    """The papers' model: shots * compiled depth / (CLOPS * factor).

    The factor 19.95 is the one of QSimPy (Nguyen, Usman and Buyya, "QSimPy: A Learning-centric Simulation
    Framework for Quantum Cloud Resource Management", 2024).
    """

    factor: Annotated[float, Gt(0), Doc("Layers of one CLOPS layer; the papers' 19.95.")] = 19.95

    def seconds(self, circuits: Circuits, fleet: Fleet, shots: int) -> Floats:
        """Return service times, see `ServiceTime.seconds`."""
        return shots * circuits.compiled_depth / (fleet.clops * self.factor)


@option("env/service_time")
@dataclass
class RepetitionDelay(ServiceTime):
    """A model fitted to 7,449 real jobs: overhead + shots * (repetition delay + circuit duration).

    The defaults were fitted to 7,449 IBM jobs of the trace published with Qonductor (SC'25), of whose
    log-variance they explain 0.83. A task is one circuit.
    """

    overhead: Annotated[float, Ge(0), Doc("Seconds per job, whatever it runs.")] = 1.4
    rep_delay: Annotated[float, Ge(0), Doc("Idle time before each shot, seconds.")] = 0.27e-3

    def seconds(self, circuits: Circuits, fleet: Fleet, shots: int) -> Floats:
        """Return service times, see `ServiceTime.seconds`."""
        if np.isnan(circuits.duration[circuits.feasible]).any():
            raise InputError(
                "env/service_time=repetition_delay needs circuit durations, which this workload does not "
                "have: use env/service_time=clops_depth"
            )
        return self.overhead + shots * (self.rep_delay + circuits.duration)
