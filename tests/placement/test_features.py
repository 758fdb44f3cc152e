"""The network's input: golden values, its symmetries, and that nothing makes it blow up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import examples
from hypothesis import given
from hypothesis import strategies as st

from qexp.placement.features import NODE_FEATURES, PRIOR_FEATURE, TASK_FEATURES, placement_features
from qexp.placement.state import NodeState, TaskState
from qexp.problem.arrays import LIMIT

T = {name: i for i, name in enumerate(TASK_FEATURES)}
N = {name: i for i, name in enumerate(NODE_FEATURES)}

seconds = st.one_of(st.sampled_from([0.0, 1e-9, 1.0, 1e8]), st.floats(0, 1e8, allow_subnormal=False))
# Moments in an episode; a power of two as the step makes shifting by it exact.
moments = st.integers(0, 2**20).map(lambda k: k / 64)
counts = st.one_of(st.integers(0, 30), st.just(10**6))


@st.composite
def decisions(draw, *, batches=None):
    """Draw the state of one decision, or of a batch of them, extremes included."""
    n, b = draw(st.integers(1, 6)), None if batches is None else draw(batches)
    lead = () if b is None else (b,)

    def table(elements, *shape, dtype=float):
        size = int(np.prod(shape, dtype=int))
        values = np.array(draw(st.lists(elements, min_size=size, max_size=size)), dtype=dtype)
        return values.reshape(shape) if shape else values[0]

    service = table(st.one_of(seconds, st.just(np.inf)), *lead, n)
    now = table(moments, *lead)
    # Minus one is a node that never worked, whatever the time.
    free_at = table(st.one_of(moments, seconds, st.just(-1.0)), *lead, n)
    task = TaskState(
        now=now,
        arrival=now,
        width=table(st.sampled_from([1, 2, 27, 1000]), *lead, dtype=np.int64),
        depth=table(st.sampled_from([0, 1, 50, 10**7]), *lead, dtype=np.int64),
        shots=table(st.just(1024), *lead, dtype=np.int64),
        reschedules=table(counts, *lead, dtype=np.int64),
        remaining=table(counts, *lead, dtype=np.int64),
        service=service,
        esp=np.where(np.isfinite(service), table(st.floats(0, 1), *lead, n), 0.0),
        mask=np.isfinite(service) | draw(st.booleans()),
    )
    machines = NodeState(
        qubits=table(st.sampled_from([1, 5, 127, 4000]), n, dtype=np.int64),
        clops=table(st.sampled_from([1.0, 850.0, 2900.0, 1e6]), n),
        readout_error=np.full(n, 0.02),
        free_at=free_at,
        pending=table(counts, *lead, n, dtype=np.int64),
        refusals=table(counts, *lead, dtype=np.int64),
    )
    return task, machines


@examples(150)
@given(decisions())
def test_features_are_finite_and_bounded(decision):
    for features in placement_features(*decision):
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
        assert np.abs(features).max() <= LIMIT


@examples(100)
@given(decisions(), st.randoms())
def test_permuting_nodes_permutes_their_features_and_no_others(decision, random):
    task, machines = decision
    order = list(range(len(machines.qubits)))
    random.shuffle(order)
    permuted_task = replace(task, **{key: getattr(task, key)[order] for key in ("service", "esp", "mask")})
    names = ("qubits", "clops", "readout_error", "free_at", "pending")
    permuted_machines = replace(machines, **{key: getattr(machines, key)[order] for key in names})
    of_task, of_nodes = placement_features(task, machines)
    other_task, other_nodes = placement_features(permuted_task, permuted_machines)
    # A mean is summed in another order: all but the last bit is the same.
    np.testing.assert_allclose(other_task, of_task, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(other_nodes, of_nodes[order], rtol=1e-6, atol=1e-6)


@examples(100)
@given(decisions(), st.sampled_from([1.0, 4096.0, 2.0**20]))
def test_only_time_that_passed_matters_not_the_clock(decision, shift):
    task, machines = decision
    free_at = np.round(np.minimum(machines.free_at, 2**20) * 64) / 64  # so that no digit is lost by shifting
    machines = replace(machines, free_at=np.where(free_at < 0, task.now - 1, free_at))
    later_task = replace(task, now=task.now + shift, arrival=task.arrival + shift)
    later = placement_features(later_task, replace(machines, free_at=machines.free_at + shift))
    for now, then in zip(placement_features(task, machines), later, strict=True):
        assert np.array_equal(now, then)


def test_a_node_that_never_worked_is_as_free_as_one_that_is_done(make_state):
    task, never = make_state([1, 2], [-1, -1], now=9.0)
    _, done = make_state([1, 2], [3, 8.5], now=9.0)
    for one, other in zip(placement_features(task, never), placement_features(task, done), strict=True):
        assert np.array_equal(one, other)


@examples(100)
@given(decisions(batches=st.integers(1, 4)))
def test_a_batch_has_the_features_of_its_decisions(decisions_):
    tasks, machines = decisions_
    of_tasks, of_nodes = placement_features(tasks, machines)
    assert of_tasks.shape == (len(tasks.now), len(TASK_FEATURES))
    assert of_nodes.shape == (*tasks.service.shape, len(NODE_FEATURES))
    for b in range(len(tasks.now)):
        task = TaskState(*(getattr(tasks, name)[b] for name in TaskState.__slots__))
        changing = {name: getattr(machines, name)[b] for name in ("free_at", "pending", "refusals")}
        one_task, one_nodes = placement_features(task, replace(machines, **changing))
        np.testing.assert_allclose(one_task, of_tasks[b], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(one_nodes, of_nodes[b], rtol=1e-6, atol=1e-6)


def test_golden_values(make_state):
    # At 100 s node 0 is busy 20 s more and runs 40 s: done in 60. Node 1 is idle and runs 9: best.
    # Node 2 is busy 5 s, and too small.
    task, machines = make_state(
        [40, 9, np.inf], [120, 90, 105], now=100, esp=[0.8, 0.3, 0.9], pending=[2, 0, 1]
    )
    task = replace(task, width=4, depth=99, remaining=10, reschedules=1)
    machines = replace(machines, qubits=np.array([32, 8, 2]), clops=np.array([1000.0, 2000.0, 3000.0]))
    of_task, nodes = placement_features(task, machines)
    ln = np.log
    expected_task = {
        "log_width": ln(5) / 3,
        "log_depth": ln(100) / 3,
        "log_reschedules": ln(2) / 3,
        "log_remaining_per_5": ln(1 + 10 * 5 / 3) / 3,
        "log_best_finish": ln(10) / 3,
        "log_best_service": ln(10) / 3,
        "remaining_per_5": 10 * 5 / 3 / 25,
        "mean_backlog": 25 / 3 / 30,
        "max_backlog": 20 / 30,
        "share_fitting": 2 / 3,
    }
    expected_nodes = {
        "fits": [1, 1, 0],
        "log_service": [ln(41) / 3, ln(10) / 3, 0],
        "log_finish": [ln(61) / 3, ln(10) / 3, 0],
        "log_finish_gap": [ln(61 / 10), 0, 0],
        "log_service_gap": [ln(41 / 10), 0, 0],
        "service": [40 / 30, 9 / 30, 0],
        "finish_gap": [51 / 30, 0, 0],
        "esp": [0.8, 0.3, 0],
        "qubit_slack": [3 / 3, 1 / 3, 0],
        "log_backlog": [ln(21) / 3, 0, ln(6) / 3],
        "backlog": [20 / 30, 0, 5 / 30],
        "log_pending": [ln(3) / 3, 0, ln(2) / 3],
        "log_speed": [ln(0.5), 0, ln(1.5)],
        "log_qubits": [5 / 3, 3 / 3, 1 / 3],
    }
    assert dict(zip(TASK_FEATURES, of_task, strict=True)) == pytest.approx(expected_task, abs=1e-6)
    for name, values in expected_nodes.items():
        assert nodes[:, N[name]] == pytest.approx(values, abs=1e-6), name
    assert expected_nodes.keys() == set(NODE_FEATURES)
    assert NODE_FEATURES[PRIOR_FEATURE] == "log_finish_gap"


@pytest.mark.parametrize("n", [1, 5, 200])
def test_tasks_still_to_come_are_counted_for_the_machines_that_share_them(make_state, n):
    task, machines = make_state([3.0] * n)
    of_task, _ = placement_features(replace(task, remaining=4 * n), machines)
    assert of_task[T["remaining_per_5"]] == pytest.approx(4 * 5 / 25)
    assert of_task[T["log_remaining_per_5"]] == pytest.approx(np.log(21) / 3)


def test_a_node_out_of_reach_counts_for_no_best(make_state):
    # The fastest node may not be chosen, so it is not what the others are measured by.
    task, machines = make_state([1, 9, 19], mask=[False, True, True])
    of_task, nodes = placement_features(task, machines)
    assert of_task[T["log_best_service"]] == pytest.approx(np.log(10) / 3)
    assert nodes[:, N["fits"]].tolist() == [0, 1, 1]
    assert nodes[:, N["log_finish_gap"]] == pytest.approx([0, 0, np.log(2)], abs=1e-6)


@pytest.mark.parametrize("n", [1, 5, 200])
@pytest.mark.parametrize("service", [0.0, 1e8, np.inf], ids=["0 s", "1e8 s", "fits nowhere"])
def test_extreme_inputs(make_state, n, service):
    for free_at in (-1.0, 0.0, 1e8):
        of_task, nodes = placement_features(*make_state([service] * n, [free_at] * n, pending=[10**6] * n))
        assert nodes.shape == (n, len(NODE_FEATURES))
        for features in (of_task, nodes):
            assert np.isfinite(features).all()
            assert np.abs(features).max() <= LIMIT
        assert of_task[T["share_fitting"]] == (0 if np.isinf(service) else 1)


def test_features_are_new_arrays_each_time(make_state):
    task, machines = make_state([1, 2, np.inf], [3, -1, -1])
    before = task.service.copy(), machines.free_at.copy()
    first = placement_features(task, machines)
    kept = [features.copy() for features in first]
    for features in first:
        features[...] = -9
    for again, once in zip(placement_features(task, machines), kept, strict=True):
        assert np.array_equal(again, once)
    assert np.array_equal(task.service, before[0])
    assert np.array_equal(machines.free_at, before[1])


def test_circuits_with_the_same_tables_are_not_confused(make_state):
    """Whatever is remembered of a circuit, a change of any of its inputs must show."""
    task, machines = make_state([5, 7], esp=[0.5, 0.6])
    base = placement_features(task, machines)
    changes = [
        (replace(task, width=3), machines),
        (replace(task, depth=11), machines),
        (replace(task, service=np.array([5.0, 8.0])), machines),
        (replace(task, esp=np.array([0.5, 0.7])), machines),
        (replace(task, mask=np.array([True, False])), machines),
        (task, replace(machines, qubits=np.array([27, 28]))),
        (task, replace(machines, clops=np.array([1000.0, 2001.0]))),
        (task, replace(machines, pending=np.array([0, 1]))),
        (task, replace(machines, free_at=np.array([-1.0, 1.0]))),
        (replace(task, remaining=4), machines),
        (replace(task, reschedules=1), machines),
    ]
    for changed in changes:
        other = placement_features(*changed)
        assert not all(np.array_equal(a, b) for a, b in zip(base, other, strict=True))
    for a, b in zip(placement_features(task, machines), base, strict=True):
        assert np.array_equal(a, b)
