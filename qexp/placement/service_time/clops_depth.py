"""The reference papers' service-time model: layers over layers per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt
from typing_extensions import Doc

from qexp.config.option import option
from qexp.fleet.fleet import Fleet
from qexp.placement.service_time.service_time import ServiceTime
from qexp.placement.workload.workload import Circuits
from qexp.problem.arrays import Floats


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
