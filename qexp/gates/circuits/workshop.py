"""x, y, cnot and measure: what every machine here has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from typing_extensions import Doc

from qexp.config.option import option
from qexp.gates.circuits.circuits import RandomCircuits
from qexp.gates.generators import RandomCircuitGenerator, WorkshopCircuitGenerator


@option("env/circuits")
@dataclass
class Workshop(RandomCircuits):
    """x, y, cnot and measure: what every machine here has."""

    generator: ClassVar[type[RandomCircuitGenerator]] = WorkshopCircuitGenerator

    min_gates: Annotated[int, Ge(1), Doc("Gates of the shortest circuit; the length is drawn uniformly.")] = (
        20
    )
    max_gates: Annotated[int, Ge(1), Doc("Gates of the longest circuit.")] = 30
