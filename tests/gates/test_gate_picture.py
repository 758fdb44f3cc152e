"""Pictures of schedules as files."""

from __future__ import annotations

import matplotlib.image
import numpy as np

from qexp.gates.circuit import checked_circuit
from qexp.gates.machine import MachineProperties
from qexp.gates.plots.picture import pixels, save
from qexp.gates.problem import Problem
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.tables import MachineTables


def problem(*circuit):
    tables = MachineTables.of(MachineProperties.from_file("workshop2"))
    return Problem.of(tables, checked_circuit(circuit, tables), CommutationRulebook())


def boxes(picture):
    """Columns in which each half of the picture, qubit 1 above qubit 0, shows colour."""
    coloured = np.ptp(picture.astype(int), axis=2) > 60
    coloured[:, int(0.85 * picture.shape[1]) :] = False  # the legend
    middle = picture.shape[0] // 2
    return [np.flatnonzero(half.any(axis=0)) for half in (coloured[:middle], coloured[middle:])]


def test_time_runs_to_the_right_and_qubit_0_is_at_the_bottom():
    # Backwards, x starts in cycle 0: forwards it is the last. y is 2 cycles on qubit 1, 2 cycles before.
    above, below = boxes(pixels(problem(("y", 1, 1), ("x", 0, 0)), [2, 0], (600, 300)))
    assert above.max() < below.min()
    assert abs(len(above) - len(below)) <= 15


def test_a_two_qubit_gate_is_on_both():
    above, below = boxes(pixels(problem(("cnot", 0, 1)), [0], (600, 300)))
    assert np.array_equal(above, below)
    assert len(above) > 300


def test_files(tmp_path):
    path = tmp_path / "schedule.png"
    save(problem(("y", 1, 1), ("measure", 0, 0)), [0, 0], path)
    height, width, _ = matplotlib.image.imread(path).shape
    assert (width, height) == (1800, 440)
    first = path.read_bytes()
    save(problem(("y", 1, 1), ("measure", 0, 0)), [0, 0], path)
    assert path.read_bytes() == first
