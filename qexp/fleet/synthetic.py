"""A made-up fleet: machines drawn like real ones, as many as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from typing_extensions import Doc

from qexp.config.option import option
from qexp.errors import InputError
from qexp.fleet.fleet import Calibration, Fleet, FleetSource, QNode, load_fleet
from qexp.problem.arrays import Floats

FIGURES = ("t1", "t2", "readout_error", "single_qubit_error", "two_qubit_error")
WORST = 0.5
"""Errors are cut off here: a machine this poor would be taken out of service."""


@option("backend")
@dataclass(frozen=True)
class Synthetic(FleetSource):
    """A made-up fleet of any size, its machines drawn like real ones."""

    machines: Annotated[int, Ge(1), Le(100_000), Doc("How many machines.")] = 200
    seed: Annotated[int, Ge(0), Doc("Of the drawing.")] = 0
    like: Annotated[str, Doc("Fleet to imitate: qce5, ibm13, heron, or a fleet file.")] = "ibm13"

    def load(self) -> Fleet:
        """Draw the fleet, see `FleetSource.load`."""
        real = load_fleet(self.like, "backend.like")
        return imitate(real, self.machines, [self.seed], "backend.like")


def imitate(fleet: Fleet, machines: int, seed: Sequence[int], key: str) -> Fleet:
    """Draw a fleet like another.

    Each machine takes after one drawn uniformly from the other fleet, whose compiled circuits stand for its
    own, and has half to all of that machine's qubits. CLOPS, coherence times and errors are drawn from a
    normal distribution of their logarithms with the fleet's means and covariances, so that what goes together
    there goes together here. The first machine has as many qubits as the widest: whatever circuit fits that
    one fits this one.

    Args:
        fleet: What to imitate.
        machines: How many to draw.
        seed: Of the drawing; a larger fleet of the same seed begins with the machines of a smaller one.
        key: What the user chose the other fleet by.

    Raises:
        InputError: A figure of the other fleet has no logarithm.
    """
    real = fleet.nodes
    figures = [{"clops": node.clops, **node.calibration.model_dump()} for node in real]
    for node, its in zip(real, figures, strict=True):
        for name in FIGURES:
            if its[name] <= 0:
                raise InputError(
                    f"{key}: cannot imitate {node.name!r}: its {name} is {its[name]:g}, not above 0"
                )
    logs = np.log([[its["clops"], *(its[name] for name in FIGURES)] for its in figures])
    mean = logs.mean(axis=0)
    spread = (logs - mean) / np.sqrt(max(len(real) - 1, 1))
    nodes = []
    for index in range(machines):
        rng = np.random.default_rng([*seed, index])
        chosen = real[rng.integers(len(real))]
        share = rng.uniform(0.5, 1.0)
        drawn = np.exp(mean + rng.standard_normal(len(real)) @ spread)
        if index == 0:
            chosen, share = max(real, key=lambda node: node.qubits), 1.0
        nodes.append(_node(f"s{index:03d}", chosen, share, drawn))
    return Fleet(f"synthetic{machines}", tuple(nodes))


def _node(name: str, like: QNode, share: float, drawn: Floats) -> QNode:
    clops, *averages = (float(f"{value:.6g}") for value in drawn)
    calibration = dict(zip(FIGURES, averages, strict=True))
    calibration["t2"] = min(calibration["t2"], 2 * calibration["t1"])  # no qubit dephases slower than that
    for key in FIGURES[2:]:
        calibration[key] = min(calibration[key], WORST)
    return QNode(
        name=name,
        qubits=round(share * like.qubits),
        clops=clops,
        quantum_volume=like.quantum_volume,
        machine=like.catalogue_machine,
        calibration=Calibration(**calibration),
    )
