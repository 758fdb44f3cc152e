"""The circuit catalogue that ships with qexp: MQT Bench circuits compiled for real machines.

`qexp.circuits.build` makes it.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

FILE = "catalogue.csv.gz"
Key = tuple[str, int]
"""Algorithm and width."""


class Row(NamedTuple):
    """One circuit on one machine, see `qexp.circuits.compilation.Figures`; a line of the file."""

    algorithm: str
    width: int
    logical_depth: int
    machine: str
    depth: int
    two_qubit_gates: int
    duration: float
    log10_esp: float

    @property
    def circuit(self) -> Key:
        """Which circuit it is."""
        return self.algorithm, self.width


@dataclass(frozen=True)
class Catalogue:
    """All circuits by (algorithm, width), and their compiled forms by machine."""

    logical_depth: dict[Key, int]
    compiled: dict[str, dict[Key, Row]]

    @property
    def machines(self) -> list[str]:
        """Machines that circuits are compiled for."""
        return sorted(self.compiled)

    @property
    def families(self) -> list[str]:
        """Algorithms in the catalogue."""
        return sorted({algorithm for algorithm, _ in self.logical_depth})


@cache
def load_catalogue() -> Catalogue:
    """Read the shipped catalogue (once per process)."""
    catalogue = Catalogue({}, {})
    for row in read_rows((resources.files("qexp.circuits") / "data" / FILE).read_bytes()):
        catalogue.logical_depth[row.circuit] = row.logical_depth
        catalogue.compiled.setdefault(row.machine, {})[row.circuit] = row
    return catalogue


def read_rows(packed: bytes) -> list[Row]:
    """Read the rows of a catalogue's file."""
    _, *lines = csv.reader(gzip.decompress(packed).decode("ascii").splitlines())
    return [
        Row(name, int(width), int(logical), machine, int(depth), int(gates), float(duration), float(esp))
        for name, width, logical, machine, depth, gates, duration, esp in lines
    ]
