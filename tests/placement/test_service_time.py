"""Service-time models, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qexp.errors import InputError
from qexp.placement.service_time.clops_depth import ClopsDepth
from qexp.placement.service_time.repetition_delay import RepetitionDelay
from qexp.placement.workload.workload import Circuits

NAN = np.nan


@pytest.fixture
def circuits():
    """Two circuits on two machines; the second does not fit the second machine."""
    return Circuits(
        names=["a_2", "b_9"],
        width=np.array([2, 9]),
        depth=np.array([3, 30]),
        feasible=np.array([[True, True], [True, False]]),
        compiled_depth=np.array([[290.0, 399.0], [1995.0, NAN]]),
        duration=np.array([[10e-6, 20e-6], [40e-6, NAN]]),
        esp=np.array([[0.9, 0.8], [0.1, 0.0]]),
    )


@pytest.fixture
def fleet(make_fleet):
    return make_fleet([27, 7], clops=[850.0, 2000.0])


def test_clops_depth(circuits, fleet):
    seconds = ClopsDepth().seconds(circuits, fleet, 1024)
    # 1024 * 290 / (850 * 19.95) = 296960 / 16957.5, 1024 * 399 / (2000 * 19.95) = 1024 * 0.01,
    # 1024 * 1995 / 16957.5 = 1024 * 2 / 17.
    assert seconds[circuits.feasible] == pytest.approx([17.512015, 10.24, 120.470588], abs=1e-6)
    half = ClopsDepth(factor=39.9).seconds(circuits, fleet, 512)
    assert half[circuits.feasible] == pytest.approx(seconds[circuits.feasible] / 4)


def test_repetition_delay(circuits, fleet):
    # 1.4 s + 1024 * (270 us + duration), where 1024 * 280 us = 0.28672 s, and so on.
    seconds = RepetitionDelay().seconds(circuits, fleet, 1024)
    assert seconds[circuits.feasible] == pytest.approx([1.68672, 1.69696, 1.71744])
    # 0.5 s + 10 * (1 ms + duration)
    other = RepetitionDelay(overhead=0.5, rep_delay=1e-3).seconds(circuits, fleet, 10)
    assert other[circuits.feasible] == pytest.approx([0.5101, 0.5102, 0.5104])


def test_repetition_delay_needs_durations_where_circuits_fit(circuits, fleet):
    circuits.duration[0, 1] = NAN
    with pytest.raises(InputError, match="env/service_time=clops_depth"):
        RepetitionDelay().seconds(circuits, fleet, 1024)
