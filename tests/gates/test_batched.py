"""Many schedules at once: the rules of the single one, and a shortest schedule within reach."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from cases import examples
from gate_problems import problem_of, problems, with_cnot_rule, workshop
from hypothesis import given
from hypothesis import strategies as st

from qexp.gates.batched import FAR, BatchedDispatch
from qexp.gates.engine import Dispatch
from qexp.gates.rulebook import CommutationRulebook
from qexp.gates.schedule import makespan, violations
from qexp.gates.schedulers.list_scheduling import critical_path
from qexp.gates.schedulers.optimum import optimum

USUAL = st.sampled_from([CommutationRulebook(), with_cnot_rule()])


def begun(problems, width=None):
    """Schedules of problems on one machine, at their first decisions."""
    state = BatchedDispatch(problems[0].machine, len(problems), width or max(map(len, problems)))
    state.begin(np.arange(len(problems)), problems)
    return state


def legal(state, row=0):
    """Gates that may start now, and whether some wait for nothing but time."""
    ready = state.unplaced[row] & (state.waiting[row] == 0)
    now = ready & (state.release()[row] <= state.cycle[row])
    return np.flatnonzero(now).tolist(), bool((ready & ~now).any())


def act(state, choice, row=0):
    """Start a gate, or wait for None, and go on to the next decision."""
    rows = np.array([row])
    if choice is None:
        state.wait(rows)
    else:
        state.place(rows, np.array([choice]))
    state.settle(rows)


def decide(state, draw, row=0):
    gates, waits = legal(state, row)
    act(state, draw([*gates, None] if waits else gates), row)


@examples(150)
@given(problems(), st.randoms(use_true_random=False))
def test_whatever_is_decided_the_single_dispatch_agrees(problem, random):
    state, single = begun([problem]), Dispatch(problem)
    while True:
        starts = state.backward_starts(0)
        due = [gate for gate, start in enumerate(starts) if start >= 0 > single.starts[gate]]
        while due:
            cycle = min(starts[gate] for gate in due)
            if cycle > single.cycle:
                single.advance(cycle - single.cycle)
            gate = next(gate for gate in due if starts[gate] == cycle and gate in single.choices)
            single.place(gate)
            due.remove(gate)
        if state.done[0]:
            break
        if state.cycle[0] > single.cycle:
            single.advance(int(state.cycle[0]) - single.cycle)
        gates, waits = legal(state)
        assert sorted(state.circuits.index[0, gates]) == sorted(single.choices)
        assert waits == (len(single.ready) > len(single.choices))
        assert len(gates) + waits > 1, "a decision has two sides"
        decide(state, random.choice)
    assert single.done
    assert state.makespan[0] == single.makespan == makespan(problem, starts)
    assert violations(problem, starts) == []


@examples(100)
@given(problems(), st.randoms(use_true_random=False))
def test_what_is_said_to_be_the_least_never_is_more_than_what_comes_out(problem, random):
    state, said = begun([problem]), []
    while not state.done[0]:
        earliest = state.earliest()
        assert (earliest[0][~state.unplaced[0]] == FAR).all()
        said.append((np.where(state.unplaced, earliest, -1)[0], int(state.bound(earliest)[0])))
        decide(state, random.choice)
    for earliest, bound in said:
        assert (earliest[: len(problem)] <= state.starts[0, : len(problem)]).all()
        assert bound <= state.makespan[0]
    assert state.bound(state.earliest())[0] == state.makespan[0]


@examples(60)
@given(problems(USUAL, max_size=7))
def test_a_shortest_schedule_is_within_reach(problem):
    best = len(problem) * 1000

    def search(state):
        nonlocal best
        if state.done[0]:
            best = min(best, int(state.makespan[0]))
            return
        if state.bound(state.earliest())[0] >= best:
            return
        gates, waits = legal(state)
        for choice in [*gates, None] if waits else gates:
            other = copy.deepcopy(state)
            act(other, choice)
            search(other)

    search(begun([problem]))
    assert best == optimum(problem).makespan


@examples(100)
@given(problems())
def test_starting_the_first_gate_always_is_the_critical_path(problem):
    state = begun([problem])
    while not state.done[0]:
        act(state, legal(state)[0][0])
    assert state.backward_starts(0) == critical_path(problem)


def test_schedules_in_a_batch_do_not_meet():
    circuits = [workshop(30, seed, "starmon5") for seed in range(6)]
    together, rng = begun(circuits, width=40), np.random.default_rng(0)
    alone = [begun([circuit]) for circuit in circuits]
    while not together.done.all():
        for row in np.flatnonzero(~together.done):
            gates, waits = legal(together, row)
            assert (gates, waits) == legal(alone[row])
            choice = rng.choice([*gates, *([-1] if waits else [])])
            act(together, None if choice < 0 else choice, row)
            act(alone[row], None if choice < 0 else choice)
    assert [together.backward_starts(row) for row in range(6)] == [s.backward_starts(0) for s in alone]


def test_a_gate_without_rivals_needs_no_decision_and_an_empty_circuit_none_at_all():
    state = begun([problem_of([("x", 0, 0), ("cnot", 0, 1), ("x", 0, 0)]), problem_of([])])
    assert state.done.all()
    assert state.makespan.tolist() == [8, 0]
    assert state.backward_starts(0) == [6, 2, 0]


def test_a_state_goes_on_where_it_was_and_refuses_one_of_another_size():
    circuits = [workshop(40, seed) for seed in range(3)]
    state = begun(circuits)
    for row in range(3):
        decide(state, lambda choices: choices[-1], row)
    other = BatchedDispatch(circuits[0].machine, 3, state.width)
    other.set_state(state.get_state())
    for each in (state, other):
        for row in range(3):
            while not each.done[row]:
                decide(each, lambda choices: choices[0], row)
    assert (state.starts == other.starts).all()
    with pytest.raises(ValueError, match="does not fit"):
        begun(circuits[:2]).set_state(state.get_state())
