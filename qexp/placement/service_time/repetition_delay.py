"""A service-time model fitted to real jobs: a fixed overhead, then a delay before every shot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.errors import InputError
from qexp.fleet.fleet import Fleet
from qexp.placement.service_time.service_time import ServiceTime
from qexp.placement.workload.workload import Circuits
from qexp.problem.arrays import Floats


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
