"""The machines of the circuit catalogue, and which of them stands for a machine that is not in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from qexp.fleet.fleet import QNode, load_fleet

HEAVY_HEX, SQUARE = "heavy-hex", "square"

NATIVE_GATES = ("cx", "ecr", "cz")
"""Two-qubit gates machines were built around, each machine with one of them."""


@dataclass(frozen=True)
class Machine:
    """A machine that the catalogue's circuits are compiled for.

    Attributes:
        native: Its two-qubit gate.
        clops: The placement papers' figure, rounded, of the original benchmark; None where they have none.
        quantum_volume: Theirs too.
        lattice: How qubits are linked. The small machines are cuttings of a heavy-hex lattice.
    """

    qubits: int
    native: str
    clops: int | None = None
    quantum_volume: int | None = None
    lattice: str = HEAVY_HEX


MACHINES = {
    "washington": Machine(127, "cx", 850, 64),
    "kolkata": Machine(27, "cx", 2000, 128),
    "hanoi": Machine(27, "cx", 2300, 64),
    "perth": Machine(7, "cx", 2900, 32),
    "lagos": Machine(7, "cx", 2700, 32),
    "sherbrooke": Machine(127, "ecr", 904, 32),
    "mumbai": Machine(27, "cx", 1800, 128),
    "cairo": Machine(27, "cx", 2400, 64),
    "guadalupe": Machine(16, "cx", 2400, 32),
    "nairobi": Machine(7, "cx", 2600, 32),
    "belem": Machine(5, "cx", 2500, 16),
    "lima": Machine(5, "cx", 2700, 8),
    "quito": Machine(5, "cx", 1500, 16),
    "torino": Machine(133, "cz"),
    "fez": Machine(156, "cz"),
    "marrakesh": Machine(156, "cz"),
    "boston": Machine(156, "cz"),
    "kingston": Machine(156, "cz"),
    "pittsburgh": Machine(156, "cz"),
    "miami": Machine(120, "cz", lattice=SQUARE),
}
"""In the order of the catalogue's rows. The first thirteen are the placement papers' and retired; then the
Heron machines of 133 and 156 qubits and one Nighthawk, whose snapshots are the newest in the client."""

CLOPS_PER_CLOPS_H = 6 / 19.95
"""How a CLOPS_h figure becomes one that `env/service_time=clops_depth` can use.

That model takes CLOPS * 19.95 to be layers of compiled depth a second. A layer of the CLOPS_h benchmark is a
two-qubit gate and an arbitrary one-qubit gate on each qubit, which compile to six layers of depth (rz sx rz
sx rz cz), so a machine with that figure runs 6 * CLOPS_h of them a second.
"""


def plain(name: str) -> str:
    """Return a machine's name without what the client adds: ``ibm_fez`` and ``FakeFez`` are ``fez``."""
    short = name.lower().removesuffix("v2")
    for prefix in ("ibmq_", "ibm_", "fake_", "fake"):
        if short.startswith(prefix) and short != prefix:
            return short.removeprefix(prefix)
    return short


def lattice_of(links: Iterable[Iterable[int]]) -> str:
    """Return the kind of lattice: on a heavy-hex one no qubit has more than three neighbours."""
    pairs = {frozenset(link) for link in links}
    neighbours = Counter(qubit for pair in pairs for qubit in pair)
    return SQUARE if max(neighbours.values(), default=0) > 3 else HEAVY_HEX


def most_similar(qubits: int, native: str, lattice: str, two_qubit_error: float) -> str:
    """Return the catalogue machine whose compiled circuits come nearest to a machine's own.

    First the same native gate, then the same lattice; among those one with at least as many qubits, then the
    nearest number of qubits, then the nearest two-qubit error.

    Args:
        qubits: Number of the machine's qubits.
        native: Its two-qubit gate.
        lattice: How its qubits are linked.
        two_qubit_error: Its mean error, 0 to 1.
    """

    def distance(name: str) -> tuple[bool, bool, bool, int, float]:
        known, ratio = MACHINES[name], math.inf
        if name in shipped():
            ratio = abs(math.log(shipped()[name].calibration.two_qubit_error / two_qubit_error))
        other_gate, other_lattice = known.native != native, known.lattice != lattice
        return other_gate, other_lattice, known.qubits < qubits, abs(known.qubits - qubits), ratio

    return min(MACHINES, key=distance)


@cache
def shipped() -> dict[str, QNode]:
    """Return the machines of the fleets that ship with qexp, by name."""
    return {node.name: node for fleet in ("ibm13", "heron") for node in load_fleet(fleet).nodes}
