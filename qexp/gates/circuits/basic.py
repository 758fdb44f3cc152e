"""Every qubit prepared, then x, y, z, cnot and a few measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from qexp.gates.circuits.circuits import RandomCircuits
from qexp.gates.generators import BasicCircuitGenerator, RandomCircuitGenerator
from qexp.option import option


@option("env/circuits")
@dataclass
class Basic(RandomCircuits):
    """Circuits of `BasicCircuitGenerator`, with limits of their own."""

    generator: ClassVar[type[RandomCircuitGenerator]] = BasicCircuitGenerator

    min_gates: Annotated[int, Field(ge=1)] = 20
    max_gates: Annotated[int, Field(ge=1)] = 30
