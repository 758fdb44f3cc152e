"""First come, first served: once, and as the event-driven engine has it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qexp.placement.engine import SimulatedCloud
from qexp.placement.fcfs import served, starts

SECONDS = st.floats(0, 50, allow_subnormal=False)
JOBS = st.lists(st.tuples(SECONDS, SECONDS, st.integers(0, 2)), min_size=1, max_size=12)


def test_by_hand():
    assert served(3.0, 2.0, 5.0) == (5.0, 7.0)
    assert served(6.0, 2.0, 5.0) == (6.0, 8.0)
    # On machine 0: 4..7, then the one that came at 5 waits until 7, then the one that came at 20 does not.
    found = starts(np.array([5.0, 4.0, 20.0, 5.0]), np.array([1.0, 3.0, 1.0, 9.0]), np.array([0, 0, 0, 1]), 2)
    assert found.tolist() == [7.0, 4.0, 20.0, 5.0]


@given(JOBS)
@settings(max_examples=60, deadline=None)
def test_machines_serve_one_at_a_time_in_order_and_never_idle_while_somebody_waits(jobs):
    ready, service, machine = (np.array(column) for column in zip(*jobs, strict=True))
    begun = starts(ready, service, machine, 3)
    assert (begun >= ready).all()
    for m in range(3):
        mine = np.flatnonzero(machine == m)
        order = mine[np.argsort(ready[mine], kind="stable")]
        ends = begun[order] + service[order]
        assert (begun[order][1:] >= ends[:-1]).all()
        waits = begun[order][1:] > ready[order][1:]
        assert (begun[order][1:][waits] == ends[:-1][waits]).all()


@given(JOBS)
@settings(max_examples=40, deadline=None)
def test_the_event_driven_engine_does_the_same(jobs):
    from qexp.fleet.fleet import load_fleet
    from qexp.placement.episode import Episode

    ready, service, machine = (np.array(column) for column in zip(*sorted(jobs), strict=True))
    fleet = load_fleet("qce5")
    table = np.full((len(ready), len(fleet)), np.inf)
    table[np.arange(len(ready)), machine] = service
    nothing = np.zeros(len(ready), dtype=np.int64)
    cloud = SimulatedCloud(
        fleet, Episode([""] * len(ready), ready, nothing, nothing, 1, table, np.zeros_like(table))
    )
    while cloud.waiting is not None:
        cloud.place(int(machine[cloud.waiting.index]))
    cloud.finish()
    assert [task.start for task in cloud.tasks] == starts(ready, service, machine, 3).tolist()
