"""The circuit catalogue that ships with qexp: MQT Bench circuits compiled for real machines.

`qexp.circuits.build` makes it.
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from functools import cache
from importlib import resources

Key = tuple[str, int]


@dataclass(frozen=True)
class Compiled:
    """One circuit on one machine: depth (layers), duration of a shot (s), log10 of the ESP."""

    depth: int
    two_qubit_gates: int
    duration: float
    log10_esp: float


@dataclass(frozen=True)
class Catalogue:
    """All circuits by (algorithm, width), and their compiled forms by machine."""

    logical_depth: dict[Key, int]
    compiled: dict[str, dict[Key, Compiled]]

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
    data = (resources.files("qexp.circuits") / "data" / "catalogue.csv.gz").read_bytes()
    logical: dict[Key, int] = {}
    compiled: dict[str, dict[Key, Compiled]] = {}
    for row in csv.DictReader(io.StringIO(gzip.decompress(data).decode("ascii"))):
        key = (row["algorithm"], int(row["width"]))
        logical[key] = int(row["logical_depth"])
        compiled.setdefault(row["machine"], {})[key] = Compiled(
            int(row["depth"]), int(row["two_qubit_gates"]), float(row["duration"]), float(row["log10_esp"])
        )
    return Catalogue(logical, compiled)
