"""Every qubit prepared, then x, y, z, cnot and a few measurements."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.gates.circuits.circuits import RandomCircuits
from qexp.gates.generators import BasicCircuitGenerator


@option("env/circuits")
@dataclass
class Basic(RandomCircuits):
    """Every qubit prepared, then x, y, z, cnot and a few measurements."""

    generator = BasicCircuitGenerator
