"""Both engines follow the same rules: compared task by task, and against timelines worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from cases import examples
from hypothesis import given
from hypothesis import strategies as st

from qexp.fleet.fleet import Calibration, Fleet, QNode
from qexp.placement.batched import BatchedCloud, Tables
from qexp.placement.engine import SimulatedCloud, Status
from qexp.placement.episode import Episode, Rules

CALIBRATION = Calibration(t1=1e-4, t2=1e-4, readout_error=0.01, single_qubit_error=1e-3, two_qubit_error=1e-2)


def fleet_of(qubits: list[int]) -> Fleet:
    nodes = [
        QNode(name=f"n{i}", qubits=q, clops=1000.0 + i, calibration=CALIBRATION) for i, q in enumerate(qubits)
    ]
    return Fleet("test", tuple(nodes))


def episode_of(arrival: list[float], service: list[list[float]]) -> Episode:
    table = np.array(service, dtype=float)
    return Episode(
        names=[f"c{i}" for i in range(len(arrival))],
        arrival=np.array(arrival, dtype=float),
        width=np.arange(2, 2 + len(arrival)),
        depth=np.arange(10, 10 + len(arrival)),
        shots=1024,
        service=table,
        esp=np.where(np.isfinite(table), 0.5, 0.0),
    )


# Quarters make ties of arrivals, returns and finishes likely, and floats exercise rounding.
times = st.one_of(st.integers(0, 40).map(lambda x: x / 4), st.floats(0, 1e4, allow_subnormal=False))
positive = st.one_of(st.integers(1, 40).map(lambda x: x / 4), st.floats(1e-3, 1e3))


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Episode], Fleet, dict[str, object], list[list[int]]]:
    """Some episodes on one fleet, the rules, and a sequence of decisions for each."""
    nodes, tasks = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    episodes = []
    for _ in range(draw(st.integers(1, 4))):
        arrival = sorted(draw(st.lists(times, min_size=tasks, max_size=tasks)))
        service = draw(
            st.lists(
                st.lists(st.one_of(positive, st.just(np.inf)), min_size=nodes, max_size=nodes),
                min_size=tasks,
                max_size=tasks,
            )
        )
        episodes.append(episode_of(arrival, service))
    rules = {
        "mask": draw(st.booleans()),
        "rescheduling_delay": draw(st.sampled_from([0.25, 1.0, 0.3])),
        "max_refusals": draw(st.integers(1, 5)),
        "initial_backlog": draw(st.sampled_from([0.0, 2.5])),
    }
    decisions = [
        draw(st.lists(st.integers(0, nodes - 1), min_size=tasks * 6, max_size=tasks * 6)) for _ in episodes
    ]
    return episodes, fleet_of([5] * nodes), rules, decisions


TASK_FIELDS = (
    "now",
    "arrival",
    "width",
    "depth",
    "shots",
    "reschedules",
    "remaining",
    "service",
    "esp",
    "mask",
)
NODE_FIELDS = ("free_at", "pending", "refusals")
OUTCOME_FIELDS = ("refused", "wait", "service", "delay", "esp", "placed_all", "gave_up")


def assert_equal_fields(one: object, batch: object, b: int, names: tuple[str, ...]) -> None:
    for name in names:
        assert np.array_equal(getattr(one, name), getattr(batch, name)[b]), name


@examples(200)
@given(problems())
def test_engines_agree_task_by_task(problem):
    episodes, fleet, rules, decisions = problem
    reference = [SimulatedCloud(fleet, episode, Rules(**rules)) for episode in episodes]
    tasks = len(episodes[0])
    rows = np.arange(len(episodes) * tasks).reshape(len(episodes), tasks)
    tables = Tables(
        np.concatenate([e.width for e in episodes]),
        np.concatenate([e.depth for e in episodes]),
        np.concatenate([e.service for e in episodes]),
        np.concatenate([e.esp for e in episodes]),
        1024,
    )
    batched = BatchedCloud(tables, len(episodes), tasks, Rules(**rules))
    batched.begin(np.arange(len(episodes)), rows, np.stack([e.arrival for e in episodes]))
    over = np.zeros(len(episodes), dtype=bool)
    for step in range(tasks * 6):
        for b in np.flatnonzero(~over):
            assert reference[b].waiting.index == batched.task[b]
            assert_equal_fields(reference[b].task_state(), batched.task_state(), b, TASK_FIELDS)
            assert_equal_fields(reference[b].node_state(), batched.node_state(fleet), b, NODE_FIELDS)
        chosen = np.array([d[step] for d in decisions])
        outcome = batched.place(chosen, ~over)
        for b in np.flatnonzero(~over):
            placed = reference[b].place(int(chosen[b]))
            assert_equal_fields(placed, outcome, b, OUTCOME_FIELDS)
            over[b] = placed.placed_all or placed.gave_up
    for b, cloud in enumerate(reference):
        cloud.finish()
        for task in cloud.tasks:
            assert task.node == batched.node[b, task.index]
            assert task.reschedules == batched.reschedules[b, task.index]
            if task.node >= 0:
                assert task.finish == batched.finish[b, task.index]
                assert task.finish == task.start + episodes[b].service[task.index, task.node]


@examples(100)
@given(problems())
def test_queues_are_first_come_first_served_and_never_overlap(problem):
    episodes, fleet, rules, decisions = problem
    cloud = SimulatedCloud(fleet, episodes[0], Rules(**rules))
    for node in decisions[0]:
        if cloud.waiting is None or cloud.place(node).gave_up:
            break
    cloud.finish()
    for node in range(len(fleet)):
        here = [task for task in cloud.tasks if task.node == node]
        by_placement = sorted(here, key=lambda task: (task.placement, task.start))
        assert [t.index for t in by_placement] == [t.index for t in sorted(here, key=lambda task: task.start)]
        for before, after in pairwise(by_placement):
            assert after.start >= before.finish
    for task in cloud.tasks:
        if task.node >= 0:
            assert task.wait >= 0
            assert task.placement >= episodes[0].arrival[task.index]
            assert np.isfinite(episodes[0].service[task.index, task.node])


def test_a_timeline_worked_out_by_hand() -> None:
    # Two nodes; task 1 does not fit node 1. Task 0 goes to node 0 at t=1 (1..5). Task 1 asks at t=2, is
    # refused by node 1, returns at t=3 and queues on node 0 (5..8). Task 2 arrives at t=3 too, but behind
    # the returned one, and queues on node 0 as well (8..10).
    cloud = SimulatedCloud(fleet_of([9, 3]), episode_of([1, 2, 3], [[4, 4], [3, np.inf], [2, 2]]))
    order = []
    for node in (0, 1, 0, 0):
        order.append(cloud.waiting.index if cloud.waiting else None)
        last = cloud.place(node)
    assert order == [0, 1, 1, 2]
    assert last.placed_all
    cloud.finish()
    assert [(t.placement, t.start, t.finish) for t in cloud.tasks] == [(1, 1, 5), (3, 5, 8), (3, 8, 10)]
    assert [(t.delay, t.reschedules) for t in cloud.tasks] == [(0, 0), (1, 1), (0, 0)]
    assert all(t.status is Status.DONE for t in cloud.tasks)


def test_pending_counts_what_is_queued_or_running() -> None:
    cloud = SimulatedCloud(fleet_of([9]), episode_of([0, 1, 4], [[2], [2], [2]]))
    seen = []
    while cloud.waiting is not None:
        seen.append(cloud.node_state().pending.tolist())
        cloud.place(0)
    # At t=1 task 0 runs; at t=4 both are over (0..2, 2..4).
    assert seen == [[0], [1], [0]]


def test_a_refused_task_gives_up_in_the_end() -> None:
    cloud = SimulatedCloud(
        fleet_of([1, 9]), episode_of([0], [[np.inf, 1]]), Rules(mask=False, max_refusals=3)
    )
    assert [cloud.place(0).gave_up for _ in range(3)] == [False, False, True]
    assert cloud.tasks[0].status is Status.FAILED


def test_placing_after_the_end_is_an_error() -> None:
    cloud = SimulatedCloud(fleet_of([9]), episode_of([0], [[1]]))
    cloud.place(0)
    with pytest.raises(RuntimeError, match="episode is over"):
        cloud.place(0)
