"""x, y, cnot and measure: what every machine here has."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.gates.circuits.circuits import RandomCircuits
from qexp.gates.generators import WorkshopCircuitGenerator


@option("env/circuits")
@dataclass
class Workshop(RandomCircuits):
    """x, y, cnot and measure: what every machine here has."""

    generator = WorkshopCircuitGenerator
