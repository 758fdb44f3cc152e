"""x, y, cnot and measure: what every machine here has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from qexp.gates.circuits.circuits import RandomCircuits
from qexp.gates.generators import RandomCircuitGenerator, WorkshopCircuitGenerator
from qexp.option import option


@option("env/circuits")
@dataclass
class Workshop(RandomCircuits):
    """Circuits of `WorkshopCircuitGenerator`, with limits of their own."""

    generator: ClassVar[type[RandomCircuitGenerator]] = WorkshopCircuitGenerator

    min_gates: Annotated[int, Field(ge=1)] = 20
    max_gates: Annotated[int, Field(ge=1)] = 30
